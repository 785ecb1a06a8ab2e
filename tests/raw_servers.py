"""Servers that play a script of bytes, and relays that do so in place of a real server's answers.

An answer consists of parts: bytes are sent, a number is a pause in seconds,
WAIT is until the client leaves, RESET breaks the connection off; at its end it is closed.
"""

import asyncio
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from hashlib import sha256
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

from tandembench.fake_server import Behaviour, listen, serving
from tandembench.wire import DRIVERS, Ask, Call, Client, Driver, StreamRecord, open_client, stream

T = TypeVar("T")
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Handler = Callable[[Reader, Writer], Awaitable[None]]
Parts = Sequence[bytes | float | Literal["wait", "reset"]]
# Of the n-th request for a stream (from 0): the parts of its answer, None for a real one.
Script = Callable[[int, "Request"], Parts | None]
WAIT: Literal["wait"] = "wait"
RESET: Literal["reset"] = "reset"

LIMIT_S = 10.0
# Long enough for a busy machine to answer in, short enough to wait for.
IDLE_S = 0.4
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSING = HEAD + b"Connection: close\r\n\r\n"
OLLAMA = DRIVERS["ollama", "generate"]
# Ollama's words.
TOKEN = b'{"response":"w ","done":false}\n'
DONE = b'{"done":true,"done_reason":"stop","total_duration":1,"eval_count":1}\n'
# What the others say.
LLAMA = DRIVERS["embedded", None]
OLLAMA_CHAT = DRIVERS["ollama", "chat"]
CHAT, COMPLETIONS = DRIVERS["openai", "chat"], DRIVERS["openai", "completions"]
PLAIN = (OLLAMA, OLLAMA_CHAT)  # lines that are no events
OVER = b'{"done":true,"done_reason":"length","total_duration":1,"eval_count":2}\n'
FINISH = b'data: {"choices":[{"index":0,"delta":{},"text":"","finish_reason":"length"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
IN_CHOICE = b'{"prompt_tokens":3,"completion_tokens":2}'
OPENAI_DONE = b"data: [DONE]\n\n"
ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}\n\n'
# A token of each protocol, around its text, and how a stream of two tokens ends.
TOKENS: dict[Driver, tuple[bytes, bytes, bytes]] = {
    LLAMA: (
        b'data: {"content":"',
        b'","stop":false}\n\n',
        b'data: {"content":"","stop":true,"stop_type":"limit","tokens_predicted":2}\n\n',
    ),
    OLLAMA: (b'{"response":"', b'","done":false}\n', OVER),
    OLLAMA_CHAT: (b'{"message":{"role":"assistant","content":"', b'"},"done":false}\n', OVER),
    CHAT: (b'data: {"choices":[{"delta":{"content":"', b'"}}]}\n\n', FINISH + USAGE + OPENAI_DONE),
    COMPLETIONS: (b'data: {"choices":[{"text":"', b'"}]}\n\n', FINISH + USAGE + OPENAI_DONE),
}
# It does not watch the clock in the test's own process.
QUICK = Behaviour(
    first_token_s=0.002,
    gap_s=0.001,
    jitter_s=0.0,
    load_s=0.0,
    spin_s=0.0,
    models=("fake:latest", "tiny:latest"),
)


def digest_of(model: str) -> str:
    """The digest that a fake server gives to ``model``."""
    return sha256(model.encode()).hexdigest()


class Request(NamedTuple):
    """What a client asked for; ``head`` is all but the body."""

    method: str
    path: str
    head: str
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked answer."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def whole(body: bytes | Mapping[str, Any], status: str = "200 OK", more: str = "") -> bytes:
    """An answer at once, of JSON or of these bytes; ``more`` are headers."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(data)}\r\n\r\n".encode() + data


# What a model server may do instead of going on, after three tokens or before the first, and the
# reason that comes of it.
OOM = whole({"error": "model requires more system memory (9.0 GiB)"}, "500 Internal Server Error")
RESET_AFTER_THREE: Parts = [CHUNKED, chunk(TOKEN * 3), 0.01, RESET]
LLAMA_TOKEN = b'data: {"content":"w ","stop":false}\n\n'
RESET_LLAMA: Parts = [CHUNKED, chunk(LLAMA_TOKEN * 3), 0.01, RESET]
ERROR_AFTER_THREE: Parts = [CLOSING, TOKEN * 3 + b'{"error":"it broke"}\n']


async def read_request(reader: Reader) -> Request | None:
    """The next request; None when the client has closed."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    method, path, rest = head.split(" ", 2)
    length = re.search(r"\ncontent-length: *(\d+)", rest, re.IGNORECASE)
    return Request(method, path, head, await reader.readexactly(int(length[1]) if length else 0))


async def play(parts: Parts, reader: Reader, writer: Writer) -> None:
    """Answer with ``parts``."""
    for part in parts:
        if part == WAIT:
            await reader.read()
        elif part == RESET:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        elif isinstance(part, bytes):
            writer.write(part)
            await writer.drain()
        else:
            await asyncio.sleep(float(part))


def says(*parts: bytes | float | Literal["wait", "reset"]) -> Handler:
    """A server that reads a request, answers with ``parts`` and closes."""

    async def handle(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        await play(parts, reader, writer)

    return handle


def repeats(head: bytes, piece: bytes, pause_s: float = 0.0) -> Handler:
    """A server that sends ``piece`` for as long as the client stays."""

    async def handle(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        await play([head], reader, writer)
        while True:
            await play([piece, pause_s], reader, writer)

    return handle


def serves(replies: Mapping[str, Any], seen: list[Request] | None = None) -> Handler:
    """A server with these JSON answers by path, 404 for others; ``seen`` gets its requests."""

    async def handle(reader: Reader, writer: Writer) -> None:
        while request := await read_request(reader):
            if seen is not None:
                seen.append(request)
            known = request.path in replies
            answer = whole(replies[request.path]) if known else whole({}, "404 Not Found")
            await play([answer], reader, writer)

    return handle


def nth(n: int, parts: Parts) -> Script:
    """The script that answers the n-th request (from 0) so, and no other."""
    return lambda number, _: parts if number == n else None


def relays(url: str, script: Script, requests: list[Request]) -> Handler:
    """A server that hands every connection on to ``url``, unless ``script`` answers.

    The requests for streams join ``requests``.
    """

    async def handle(reader: Reader, writer: Writer) -> None:
        request = await read_request(reader)
        if request is None:
            return
        if request.method == "POST" and b'"stream"' in request.body:
            requests.append(request)
            instead = script(len(requests) - 1, request)
            if instead is not None:
                await play(instead, reader, writer)
                return
        there = urlsplit(url)
        from_server, to_server = await asyncio.open_connection(there.hostname, there.port)
        try:
            to_server.write(request.head.encode() + request.body)
            answering = asyncio.create_task(_pump(from_server, writer))
            leaving = asyncio.create_task(reader.read())
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            answering.cancel()
            leaving.cancel()
        finally:
            to_server.close()

    return handle


async def _pump(reader: Reader, writer: Writer) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def listening(
    handle: Handler, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A TCP server whose connections go to ``handle``; its URL. All is closed on the way out."""
    tasks = set()

    async def serve(reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        tasks.add(task)
        try:
            # The client may leave at any time; the test sees to what that means.
            with suppress(ConnectionError):
                await handle(reader, writer)
        except asyncio.CancelledError:
            # asyncio.start_server would report the end of the test as an error.
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            tasks.discard(task)

    server = await asyncio.start_server(serve, host, port, ssl=tls)
    name = f"[{host}]" if ":" in host else host
    try:
        yield f"http{'s' if tls else ''}://{name}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def faked(
    behaviour: Behaviour = QUICK,
    script: Script | None = None,
    requests: list[Request] | None = None,
    port: int = 0,
) -> AsyncIterator[str]:
    """The URL of a fake server, some of whose answers are ``script``'s, as in ``relays``."""
    if script is None and requests is None:
        async with serving(behaviour, listen(port=port)) as server:
            yield server.url
        return
    async with serving(behaviour) as server:
        handler = relays(
            server.url, script or (lambda *_: None), [] if requests is None else requests
        )
        async with listening(handler, port=port) as url:
            yield url


@contextmanager
def faked_thread(open_server: Any = faked, **settings: Any) -> Iterator[str]:
    """The same, or another server, on a thread of its own, for callers without an event loop."""
    started = threading.Event()
    where: dict[str, Any] = {}

    async def serve() -> None:
        async with open_server(**settings) as url:
            where.update(url=url, stop=asyncio.Event(), loop=asyncio.get_running_loop())
            started.set()
            await where["stop"].wait()

    thread = threading.Thread(target=asyncio.run, args=[serve()], daemon=True)
    thread.start()
    assert started.wait(10), "the server did not start"
    try:
        yield where["url"]
    finally:
        where["loop"].call_soon_threadsafe(where["stop"].set)
        thread.join(10)


def run(measurement: Coroutine[Any, Any, T]) -> T:
    """The outcome of ``measurement``, which must not hang."""
    return asyncio.run(asyncio.wait_for(measurement, LIMIT_S))


def request(driver: Driver = OLLAMA, model: str = "tiny", **options: float) -> bytes:
    """The body of a request for three words, at most 100 tokens."""
    return json.dumps(driver.body(Ask(model, "a b c", options, 1, 100, fixed=False))).encode()


def call_of(
    client: Client,
    url: str,
    driver: Driver = OLLAMA,
    idle_s: float = LIMIT_S,
    body: bytes | None = None,
    max_tokens: int = 100,
) -> Call:
    """A call to the server at ``url`` that waits to be made."""
    return Call(client, f"{url}{driver.path}", body or request(driver), idle_s, max_tokens)


async def call(
    url: str,
    driver: Driver = OLLAMA,
    deadline_s: float = LIMIT_S,
    idle_s: float = LIMIT_S,
    body: bytes | None = None,
    max_tokens: int = 100,
    **client: Any,
) -> StreamRecord:
    """One call to the server at ``url`` by a client of its own."""
    async with open_client(**client) as opened:
        asked = call_of(opened, url, driver, idle_s, body, max_tokens)
        return await stream(asked, driver, deadline_s)


def outcome(handler: Handler | bytes, **limits: Any) -> StreamRecord:
    """What comes of one call to a server of raw bytes."""

    async def measure() -> StreamRecord:
        async with listening(says(handler) if isinstance(handler, bytes) else handler) as url:
            return await call(url, **limits)

    return run(measure())
