"""Servers by what they answer, and attaching to them."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from raw_servers import (
    Handler,
    Request,
    listening,
    run,
    serves,
)

from tandembench.errors import TandemError
from tandembench.servers.attach import attach
from tandembench.servers.deployment import (
    Deployment,
    Server,
)
from tandembench.servers.open import ASKERS
from tandembench.wire import open_client

Replies = Mapping[str, Any]
TINY, Q8 = "7" * 64, "8" * 64
MODEL = "org/Model-1"


def ollama(version: str = "0.12.10", ps: Sequence[Any] = (), **digests: str) -> Replies:
    """The answers of an Ollama with these models; without any, with "tiny" and "tiny:q8"."""
    names = {name.replace("__", ":"): digest for name, digest in digests.items()}
    tags = [
        {"name": name, "digest": digest}
        for name, digest in (names or {"tiny:latest": TINY, "tiny:q8": Q8}).items()
    ]
    return {
        "/api/version": {"version": version},
        "/api/tags": {"models": tags},
        "/api/ps": {"models": ps},
    }


def openai(*models: Any, **places: Any) -> Replies:
    """The answers of a server of OpenAI's protocol; ``version`` and ``props`` if it has them."""
    replies = {f"/{path}": answer for path, answer in places.items()}
    return replies | {"/v1/models": {"data": list(models or ({"id": MODEL, "object": "model"},))}}


def lock(version: str | None = "0.12.10", **models: str | None) -> dict[str, Any]:
    return {"version": version, "models": models or {"tiny": TINY, "tiny:q8": Q8}}


def attached(
    engine: str,
    servers: Sequence[Replies | Handler],
    locked: Mapping[str, Any],
    *models: str,
    heads: list[Request] | None = None,
) -> list[Server]:
    """What attaching to these servers comes to; ``models`` of each, by default those locked."""

    async def measure() -> list[Server]:
        async with AsyncExitStack() as stack:
            handlers = (serves(s, heads) if isinstance(s, Mapping) else s for s in servers)
            urls = [await stack.enter_async_context(listening(one)) for one in handlers]
            asked = tuple(models or locked["models"])
            shares = tuple((one,) for one in asked) if len(urls) > 1 else (asked,)
            place = Deployment("k", urls=tuple(urls), models=shares)
            client = await stack.enter_async_context(open_client(keyed=True))
            try:
                return await attach(place, engine, ASKERS[engine], locked, client)
            except TandemError as error:
                error.args = (str(error), urls)
                raise

    return run(measure())
