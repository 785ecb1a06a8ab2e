"""The way in: the servers of a config, whatever the engine."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

from tandembench.servers import attach, embedded
from tandembench.servers.model import Effective, Server
from tandembench.wire import Client


@asynccontextmanager
async def open_servers(
    spec: Mapping[str, Any], models: Path, client: Client, log: IO[str]
) -> AsyncIterator[list[Server]]:
    """The servers of one config, ready; those that were started here are stopped on the way out.

    TandemError (exit 4) if a live server is not the one that the spec's lock entry pins;
    ServerFault if one cannot be had.
    """
    if spec["engine"] != "embedded":
        yield await attach.attach(spec, client)
        return
    with embedded.running(spec, models, log) as servers:
        yield servers


async def effective(client: Client, server: Server, model: str) -> Effective:
    """What ``server`` says that it applies to ``model``, once it is loaded."""
    if server.engine != "embedded":
        return await attach.effective(client, server, model)
    return await embedded.effective(client, server)
