"""The way in: the servers of a block, whatever the engine."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from tandembench.errors import TandemError
from tandembench.servers import embedded, ollama, openai
from tandembench.servers.attach import Asker, attach
from tandembench.servers.deployment import Deployment, Effective, Server, Standing
from tandembench.study.spec import RunSpec
from tandembench.wire import Client

# Who is there, by the engines whose servers run already.
ASKERS: Mapping[str, Asker] = {"ollama": ollama.instance, "openai": openai.instance}


@asynccontextmanager
async def open_servers(
    spec: RunSpec, models: Path, client: Client, log: IO[str], wanted: Sequence[Deployment]
) -> AsyncIterator[Mapping[str, Standing]]:
    """The servers of ``wanted`` by key, ready; those started here are stopped on the way out.

    A deployment that cannot be had comes as its ServerFault. TandemError (exit 4) if a live
    server is not the one that the spec's lock entry pins, or running servers cannot be reached.
    """
    if spec.engine == "embedded":
        with embedded.running(wanted, spec.lock, models, log) as servers:
            yield servers
    else:
        ask = ASKERS[spec.engine]
        yield {one.key: await attach(one, spec.engine, ask, spec.lock, client) for one in wanted}


async def effective(client: Client, server: Server, model: str) -> Effective:
    """What ``server`` says that it applies to ``model``, once it is loaded."""
    if server.engine == "embedded":
        return await embedded.effective(client, server)
    if server.engine == "ollama":
        return await ollama.effective(client, server, model)
    return await openai.effective(client, server, model)


async def memory_bytes(client: Client, servers: Sequence[Server]) -> int | None:
    """What ``servers`` hold in memory together: resident, or as they say; None if one is silent.

    Pages that two of them share (a model file) count in each.
    """
    total = 0
    for server in servers:
        held = None
        with suppress(psutil.Error, TandemError):
            if server.pid is not None:
                held = psutil.Process(server.pid).memory_info().rss
            elif server.engine == "ollama":
                held = await ollama.memory_bytes(client, server)
        if held is None:
            return None
        total += held
    return total
