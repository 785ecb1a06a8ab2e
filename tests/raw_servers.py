"""Servers that say raw bytes to one client, and what a call to them comes to."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ollama_standin import Handler, listening, read_request

from tandembench.wire import Ask, Call, Driver, Event, StreamRecord, ollama, open_client, stream

T = TypeVar("T")
LIMIT_S = 10.0
# Long enough for a busy machine to answer in, short enough to wait for.
IDLE_S = 0.4
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSING = HEAD + b"Connection: close\r\n\r\n"
TOKEN = b'{"response":"w ","done":false}\n'
DONE = b'{"done":true,"done_reason":"stop","total_duration":1,"eval_count":1}\n'


def run(measurement: Coroutine[Any, Any, T]) -> T:
    """The outcome of ``measurement``, which must not hang."""
    return asyncio.run(asyncio.wait_for(measurement, LIMIT_S))


def request(driver: Driver = ollama, **options: float) -> bytes:
    return json.dumps(driver.body(Ask("tiny", "a b c", options, 1, 100, fixed=True))).encode()


async def call(
    url: str,
    deadline_s: float = LIMIT_S,
    idle_s: float = LIMIT_S,
    driver: Driver = ollama,
    event: Callable[[bytes], Event | None] | None = None,
) -> StreamRecord:
    async with open_client() as client:
        asked = Call(client, f"{url}{driver.PATH}", request(driver), idle_s)
        return await stream(asked, event or driver.event, deadline_s)


def says(*pieces: bytes) -> Handler:
    """A server that reads a request, sends ``pieces`` and closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return handle


def says_and_waits(*pieces: bytes) -> Handler:
    """The same, but it never closes before the client does."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(*pieces)(reader, writer)
        await reader.read()

    return handle


def repeats(head: bytes, piece: bytes, pause_s: float = 0.0) -> Handler:
    """A server that sends ``piece`` for as long as the client stays."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(head)(reader, writer)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return handle


def outcome(handler: Handler, **limits: Any) -> StreamRecord:
    """What comes of one call to a server of raw bytes."""

    async def measure() -> StreamRecord:
        async with listening(handler) as url:
            return await call(url, **limits)

    return run(measure())
