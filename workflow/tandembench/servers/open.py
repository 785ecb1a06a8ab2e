"""The way in: the servers of a block, whatever the engine."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from tandembench.errors import TandemError
from tandembench.servers import embedded, managed, ollama, openai
from tandembench.servers.attach import Asker, attach, port_here
from tandembench.servers.deployment import (
    Deployment,
    Effective,
    Server,
    ServerFault,
    Standing,
    deployments,
)
from tandembench.servers.launch import launch
from tandembench.study.spec import RunSpec
from tandembench.system import listener
from tandembench.wire import Client, NoAnswer

# Who is there, by the engines whose servers run already.
ASKERS: Mapping[str, Asker] = {"ollama": ollama.instance, "openai": openai.instance}


@asynccontextmanager
async def open_servers(
    spec: RunSpec, models: Path, client: Client, log: IO[str], wanted: Sequence[Deployment]
) -> AsyncIterator[Mapping[str, Standing]]:
    """The servers of ``wanted`` by key, ready; those started here are stopped on the way out.

    A deployment that cannot be had, or does not answer, comes as its ServerFault. TandemError
    (exit 4) if a live server is not the one that the spec's lock entry pins.
    """
    if spec.engine == "embedded":
        with embedded.running(wanted, spec.lock, models, log) as servers:
            yield servers
    elif spec.starts_servers:
        async with managed.running(wanted, spec.lock, models, log, client) as there:
            yield {key: await _standing(spec, client, one) for key, one in there.items()}
    else:
        yield {one.key: await _standing(spec, client, one) for one in wanted}


async def _standing(spec: RunSpec, client: Client, place: Deployment | ServerFault) -> Standing:
    if isinstance(place, ServerFault):
        return place
    try:
        servers = await attach(place, spec.engine, ASKERS[spec.engine], spec.lock, client)
    except NoAnswer as error:
        return ServerFault(error.reason, str(error))
    servers = [_seen(one) for one in servers]
    if not place.settings:
        return servers
    return [
        replace(one, slots=settings.slots, wait_policy=settings.wait_policy)
        for one, settings in zip(servers, place.settings, strict=True)
    ]


def _seen(server: Server) -> Server:
    """The same with its process, or why that is not known."""
    port = port_here(server.url)
    pid, unseen = listener(port) if port else (None, "elsewhere")
    return replace(server, pid=pid, port=port, unseen=unseen)


async def preflight(specs: Iterable[RunSpec], models: Path, client: Client, log: IO[str]) -> None:
    """See that a study's Ollama or other running servers can be had before the first of its blocks.

    Of those to be started one is, for each model. TandemError (exit 4) names one that does not
    start, does not answer, or is not the locked one.
    """
    for spec in specs:
        places = dict.fromkeys(deployments(spec, cores=1))
        if not spec.starts_servers:
            for place in places:
                await confirm(spec, client, place)
            continue
        servers = {one.models: one for place in places for one in place.settings}
        trial = Deployment("trial", tuple(servers.values()), models=tuple(servers))
        async with open_servers(spec, models, client, log, [trial]) as standing:
            fault = standing[trial.key]
            if isinstance(fault, ServerFault):
                raise managed.start_fault(fault)


async def confirm(spec: RunSpec, client: Client, place: Deployment) -> None:
    """See that the running servers of ``place`` are there; NoAnswer or TandemError if not."""
    if place.urls:
        await attach(place, spec.engine, ASKERS[spec.engine], spec.lock, client)


async def effective(client: Client, server: Server, model: str) -> Effective:
    """What ``server`` says that it applies to ``model``, once it is loaded."""
    if server.engine == "embedded":
        return await embedded.effective(client, server)
    if server.engine == "ollama":
        return await ollama.effective(client, server, model)
    return await openai.effective(client, server, model)


async def memory_bytes(client: Client, servers: Sequence[Server]) -> int | None:
    """What ``servers`` hold in memory together: resident, or as they say; None if one is silent.

    Pages that two of them share (a model file) count in each. What lies on a GPU only Ollama says.
    """
    total = 0
    for server in servers:
        held, launched = None, launch(server)
        if launched and not launched.gpu:
            held = launched.memory_bytes
        elif server.engine == "ollama":
            with suppress(TandemError):
                held = await ollama.memory_bytes(client, server)
        if held is None:
            return None
        total += held
    return total
