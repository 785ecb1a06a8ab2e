"""A stand-in for Ollama: speaks its documented protocol, makes up its tokens. No model is run.

Used as ``async with standin() as url`` in a test's own event loop, or ``with standin_thread()``
from where there is none. Its answers follow from the requests alone; it sleeps a millisecond a
token. Source of what it imitates: ollama, docs/api.md and server/routes.go, v0.12.
"""

import asyncio
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Json = dict[str, Any]

VERSION = "0.12.10"
MODELS = ("tiny:latest", "tiny:q8", "hf.co/someone/other:latest")
DEFAULT_CTX = 4096
CTX_FLOOR = 2048
SIZE_BYTES = 1_000_000
# Tokens that come before a fault in mid-stream.
TOKENS_BEFORE_FAULT = 3

# What /api/generate answers instead of a stream, by fault: status, type, body.
REFUSALS: Mapping[str, tuple[str, str, str]] = {
    "busy": (
        "503 Service Unavailable",
        "application/json",
        '{"error":"server busy, please try again.  maximum pending requests exceeded"}',
    ),
    "not_found": ("404 Not Found", "application/json", '{"error":"model \'tiny\' not found"}'),
    "oom": (
        "500 Internal Server Error",
        "application/json",
        '{"error":"model requires more system memory (9.0 GiB) than is available (1.0 GiB)"}',
    ),
    "html": ("200 OK", "text/html", "<!DOCTYPE html>\n<html><body>Log in</body></html>\n"),
    "html_502": ("502 Bad Gateway", "text/html", "<html><h1>502 Bad Gateway</h1></html>"),
    "redirect": ("307 Temporary Redirect", "text/plain", ""),
    "empty": ("200 OK", "application/x-ndjson", ""),
}
# What comes after TOKENS_BEFORE_FAULT tokens, by fault; then the answer ends in good order.
BAD_ENDS: Mapping[str, bytes] = {
    "error_line": b'{"error":"an error was encountered while running the model"}\n',
    "oom_line": b'{"error":"CUDA error: out of memory"}\n',
    "no_done": b"",
    "half_line": b'{"model":"tiny","respo',
    "bad_utf8": b'{"response":"\xff\xfe","done":false}\n',
    "long_line": b'{"response":"' + b"x" * 5_000_000 + b'","done":false}\n',
}
# ``after_done``: a line after the end. ``reset``, ``stall``: after the first tokens.
FAULTS = (*REFUSALS, *BAD_ENDS, "after_done", "reset", "stall")


def digest_of(model: str) -> str:
    """The digest that the stand-in gives to ``model``."""
    return sha256(model.encode()).hexdigest()


def tokens_of(n: int) -> list[str]:
    """The ``n`` tokens of every answer."""
    return [f"w{i} " for i in range(n)]


@dataclass
class Standin:
    """What the stand-in is set to, and (from ``loaded`` on) what it holds.

    ``answer_tokens`` is where the model ends by itself, the first ``thinking_tokens`` of them as
    thinking. ``parallel`` requests run at once, ``max_queue`` wait. ``fault`` is one of FAULTS,
    or says which one the n-th request to generate (from 0) meets. Each such request is put into
    ``requests``.
    """

    version: str = VERSION
    models: tuple[str, ...] = MODELS
    digests: Mapping[str, str] = field(default_factory=dict)
    remote_host: str = ""
    parallel: int = 1
    max_queue: int = 512
    answer_tokens: int = 8
    thinking_tokens: int = 0
    token_s: float = 0.001
    load_s: float = 0.002
    vram_share: float = 0.0
    fault: str | Callable[[int], str | None] | None = None
    requests: list[Json] = field(default_factory=list)
    loaded: dict[str, Json] = field(default_factory=dict)
    layers: dict[str, int] = field(default_factory=dict)
    running: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    turn: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the client closes it."""
        while request := await read_request(reader):
            method, path, body = request
            if (method, path) == ("GET", "/api/version"):
                await answer(writer, {"version": self.version})
            elif (method, path) == ("GET", "/api/tags"):
                await answer(writer, {"models": [self._tag(name) for name in self.models]})
            elif (method, path) == ("GET", "/api/ps"):
                await answer(writer, {"models": list(self.loaded.values())})
            elif (method, path) == ("POST", "/api/show"):
                name = self._name(json.loads(body).get("model", ""))
                found = {"details": {"format": "gguf"}, "model_info": {}} if name else None
                await answer(writer, found or {"error": "model not found"}, ok=bool(found))
            elif (method, path) == ("POST", "/api/generate"):
                await self._generate(json.loads(body), reader, writer)
            else:
                await refuse(writer, "404 Not Found", "text/plain", "404 page not found")

    def _name(self, model: str) -> str | None:
        full = model if ":" in model.rpartition("/")[2] else f"{model}:latest"
        return next((name for name in self.models if name.lower() == full.lower()), None)

    def _tag(self, name: str) -> Json:
        digest = self.digests.get(name, digest_of(name))
        entry = {"name": name, "model": name, "size": SIZE_BYTES, "digest": digest}
        return entry | ({"remote_host": self.remote_host} if self.remote_host else {})

    async def _generate(
        self, ask: Json, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        n = len(self.requests)
        self.requests.append(ask)
        fault = self.fault(n) if callable(self.fault) else self.fault
        name = self._name(ask.get("model", ""))
        if fault is None and self.waiting >= self.max_queue:
            fault = "busy"
        if name is None or fault in REFUSALS:
            await refuse(writer, *REFUSALS[fault if fault in REFUSALS else "not_found"])
            return
        start = time.monotonic_ns()
        options = ask.get("options", {})
        await self._take_turn(name, options)
        load_ns = time.monotonic_ns() - start
        try:
            if not ask.get("prompt"):
                await answer(writer, {"model": ask["model"], "done": True, "done_reason": "load"})
                return
            await self._stream(ask, fault, (start, load_ns), reader, writer)
        finally:
            self.running[name] -= 1
            async with self.turn:
                self.turn.notify_all()

    async def _take_turn(self, name: str, options: Json) -> None:
        """Wait for a slot, and for the model with these options: another context is a reload."""
        num_ctx = max(options.get("num_ctx", DEFAULT_CTX), CTX_FLOOR)
        num_gpu = options.get("num_gpu", -1)

        def fits() -> bool:
            held = self.loaded.get(name)
            same = held is not None and held["context_length"] == num_ctx
            return same and num_gpu in (-1, self.layers[name])

        self.waiting += 1
        try:
            async with self.turn:
                await self.turn.wait_for(
                    lambda: self.running[name] < (self.parallel if fits() else 1)
                )
                if not fits():
                    await asyncio.sleep(self.load_s)
                    vram = int(SIZE_BYTES * self.vram_share)
                    held = {"size_vram": vram, "context_length": num_ctx}
                    self.loaded[name] = self._tag(name) | held
                    self.layers[name] = num_gpu
                self.running[name] += 1
        finally:
            self.waiting -= 1

    async def _stream(
        self,
        ask: Json,
        fault: str | None,
        begun: tuple[int, int],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        start, load_ns = begun
        options = ask.get("options", {})
        cap = options.get("num_predict", -1)
        n = self.answer_tokens if cap < 0 else min(cap, self.answer_tokens)
        early = fault is not None and fault != "after_done"
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        prompt_ns = time.monotonic_ns()
        for i, token in enumerate(tokens_of(TOKENS_BEFORE_FAULT if early else n)):
            await asyncio.sleep(self.token_s)
            text = (
                {"response": "", "thinking": token}
                if i < self.thinking_tokens
                else {"response": token}
            )
            await send_chunk(writer, line({"model": ask["model"], **text, "done": False}))
        if fault == "reset":
            reset(writer)
            return
        if fault == "stall":
            await reader.read()
            return
        if fault in BAD_ENDS:
            await send_chunk(writer, BAD_ENDS[fault])
        else:
            now = time.monotonic_ns()
            numbers = {
                "total_duration": now - start,
                "load_duration": load_ns,
                "prompt_eval_count": len(ask["prompt"].split()),
                "prompt_eval_duration": prompt_ns - start - load_ns,
                "eval_count": n,
                "eval_duration": now - prompt_ns,
            }
            end = {"model": ask["model"], "response": "", "done": True}
            end["done_reason"] = "length" if n == cap else "stop"
            # Ollama leaves zeroes out.
            end |= {key: value for key, value in numbers.items() if value}
            await send_chunk(writer, line(end))
            if fault == "after_done":
                await send_chunk(writer, line({"response": "more", "done": False}))
        await send_chunk(writer, b"", last=True)


def line(message: Mapping[str, Any]) -> bytes:
    """``message`` as one line of NDJSON."""
    return json.dumps(message).encode() + b"\n"


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
    """Method, path and body of the next request; None when the client has closed."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    method, path, rest = head.split(" ", 2)
    length = re.search(r"\ncontent-length: *(\d+)", rest, re.IGNORECASE)
    return method, path, await reader.readexactly(int(length[1]) if length else 0)


async def answer(writer: asyncio.StreamWriter, message: Mapping[str, Any], ok: bool = True) -> None:
    """Answer with one JSON object."""
    status = "200 OK" if ok else "404 Not Found"
    await refuse(writer, status, "application/json", json.dumps(message))


async def refuse(writer: asyncio.StreamWriter, status: str, kind: str, body: str) -> None:
    """Answer with ``body`` at once."""
    data = body.encode()
    moved = "Location: http://127.0.0.1:9/elsewhere\r\n" if status.startswith("3") else ""
    head = (
        f"HTTP/1.1 {status}\r\n{moved}Content-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    writer.write(head.encode() + data)
    await writer.drain()


async def send_chunk(writer: asyncio.StreamWriter, data: bytes, last: bool = False) -> None:
    """One chunk of a chunked answer; no data is no chunk, unless it is the last."""
    if data or last:
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection off with a TCP reset; what was sent before still arrives."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def listening(
    handle: Handler, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A TCP server whose connections go to ``handle``; its URL. All is closed on the way out."""
    tasks = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
async def standin(port: int = 0, **settings: Any) -> AsyncIterator[str]:
    """A stand-in with these fields of Standin, in this event loop; its URL."""
    async with listening(Standin(**settings).handle, port=port) as url:
        yield url


@contextmanager
def standin_thread(**settings: Any) -> Iterator[str]:
    """The same (``port`` too) on a thread of its own, for callers without an event loop."""
    started = threading.Event()
    where: dict[str, Any] = {}

    async def serve() -> None:
        async with standin(**settings) as url:
            where.update(url=url, stop=asyncio.Event(), loop=asyncio.get_running_loop())
            started.set()
            await where["stop"].wait()

    thread = threading.Thread(target=asyncio.run, args=[serve()], daemon=True)
    thread.start()
    assert started.wait(10), "the stand-in did not start"
    try:
        yield where["url"]
    finally:
        where["loop"].call_soon_threadsafe(where["stop"].set)
        thread.join(10)
