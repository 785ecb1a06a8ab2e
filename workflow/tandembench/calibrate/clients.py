"""Who is calibrated: this project's own client and, as a control, httpx used the plain way.

The control is what a user would write in ten lines; it is here to be measured, so this is the one
place outside of wire that knows httpx.
"""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import httpx

from tandembench.wire import DRIVERS, Call, open_client, stream

_DRIVER = DRIVERS["ollama", "generate"]
PATH = _DRIVER.path
_DEADLINE_S = 60.0
_IDLE_S = 20.0
# The schedule says how many come.
_MOST_TOKENS = 1_000_000


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer as a client saw it, CLOCK_MONOTONIC, ns: as in StreamRecord."""

    request_ns: int
    chunk_ns: tuple[int, ...]
    end_ns: int


@dataclass(frozen=True, slots=True)
class Subject:
    """A client under test: ``ask`` posts a body to a URL and follows the stream to its end.

    ``clock`` says, after the first answer, which clock it stamps with.
    """

    ask: Callable[[str, bytes], Awaitable[Seen]]
    clock: Callable[[], str]


Opener = Callable[[], AbstractAsyncContextManager[Subject]]


@asynccontextmanager
async def open_block_client() -> AsyncIterator[Subject]:
    """The client that measures blocks."""
    clocks: set[str] = set()
    async with open_client() as client:

        async def ask(url: str, body: bytes) -> Seen:
            call = Call(client, url + PATH, body, _IDLE_S, _MOST_TOKENS)
            record = await stream(call, _DRIVER, _DEADLINE_S)
            if record.error:
                raise OSError(f"the client: {record.error} {record.detail}")
            clocks.add(record.clock)
            return Seen(record.request_ns, record.chunk_ns, record.end_ns)

        yield Subject(ask, lambda: "+".join(sorted(clocks)))


@asynccontextmanager
async def open_control() -> AsyncIterator[Subject]:
    """Plain httpx: a stamp before the request, and one for each line of ``aiter_lines``."""
    async with httpx.AsyncClient(trust_env=False, timeout=_DEADLINE_S) as client:

        async def ask(url: str, body: bytes) -> Seen:
            request_ns = time.monotonic_ns()
            chunks = []
            try:
                async with client.stream("POST", url + PATH, content=body) as response:
                    async for line in response.aiter_lines():
                        at_ns = time.monotonic_ns()
                        if json.loads(line)["response"]:
                            chunks.append(at_ns)
            except httpx.HTTPError as error:
                raise OSError(f"plain httpx: {error!r}") from error
            return Seen(request_ns, tuple(chunks), time.monotonic_ns())

        yield Subject(ask, lambda: "httpx aiter_lines")


SUBJECTS: Mapping[str, Opener] = {"client": open_block_client, "control": open_control}
