"""The way in: the servers of a block, whatever the engine."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from tandembench.errors import TandemError
from tandembench.servers import attach, embedded
from tandembench.servers.deployment import Deployment
from tandembench.servers.model import Effective, Server, Standing
from tandembench.study.spec import RunSpec
from tandembench.wire import Client


@asynccontextmanager
async def open_servers(
    spec: RunSpec, models: Path, client: Client, log: IO[str], wanted: Sequence[Deployment]
) -> AsyncIterator[Mapping[str, Standing]]:
    """The servers of ``wanted`` by key, ready; those started here are stopped on the way out.

    A deployment that cannot be had comes as its ServerFault. TandemError (exit 4) if a live
    server is not the one that the spec's lock entry pins, or running servers cannot be reached.
    """
    if spec.engine != "embedded":
        yield {one.key: await attach.attach(one, spec.engine, spec.lock, client) for one in wanted}
        return
    with embedded.running(wanted, spec.lock, models, log) as servers:
        yield servers


async def effective(client: Client, server: Server, model: str) -> Effective:
    """What ``server`` says that it applies to ``model``, once it is loaded."""
    if server.engine != "embedded":
        return await attach.effective(client, server, model)
    return await embedded.effective(client, server)


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
            elif server.engine != "embedded":
                held = await attach.memory_bytes(client, server)
        if held is None:
            return None
        total += held
    return total
