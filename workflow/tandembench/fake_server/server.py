"""The fake server itself: routes, slots, and answers that keep to a schedule."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path

from tandembench.fake_server.behaviour import Behaviour
from tandembench.fake_server.connection import Connection, Request, ask_for_stamps, chunk, head
from tandembench.fake_server.protocols import (
    MODEL,
    PROTOCOLS,
    Ask,
    Json,
    Spent,
    opening,
    read_ask,
    templated,
    token,
)
from tandembench.fake_server.send_log import PROMPT_CHARACTERS, SendLog, StreamLog
from tandembench.fake_server.timing import SharedRate, Waiter

VERSION = "0.0.0-fake"
_PLACE = "@@TOKEN@@"
_MIN_CTX = 2048  # Ollama raises a smaller context, and says so in /api/ps
_LAST_CHUNK = b"0\r\n\r\n"


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A listening socket; port 0 takes a free one. OSError if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def url_of(listener: socket.socket) -> str:
    """Where a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(
    behaviour: Behaviour, listener: socket.socket | None = None, log: Path | None = None
) -> AsyncIterator["FakeServer"]:
    """A fake server in this event loop, with its ``url`` and its ``streams``."""
    with contextlib.closing(listener or listen()) as sock:
        server = FakeServer(behaviour, sock, log)
        accepting = asyncio.create_task(server.accept())
        try:
            yield server
        finally:
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            await server.close()


class FakeServer:
    """State of one server; its ``log`` gets an entry when a stream ends; ``asked`` were so many."""

    def __init__(self, behaviour: Behaviour, listener: socket.socket, log: Path | None) -> None:
        self.url = url_of(listener)
        self._behaviour = behaviour
        self._listener = listener
        self._log = SendLog(behaviour, log)
        self._slots = asyncio.Semaphore(behaviour.slots)
        self._door = asyncio.Lock()  # requests come to the slots one by one, in order
        self._loaded: tuple[str, int] | None = None  # Ollama's model and context
        self._waiter = Waiter(behaviour.spin_s)
        self._shared = (
            SharedRate(behaviour.shared_rate, behaviour.gain) if behaviour.shared_rate else None
        )
        self.asked = self._running = 0
        self._connections: set[asyncio.Task[None]] = set()
        self._routes: dict[tuple[str, str], Callable[[Json], Json]] = {
            ("GET", "/api/version"): lambda _: {"version": VERSION},
            ("GET", "/api/tags"): lambda _: {"models": [_tag(one) for one in behaviour.models]},
            ("GET", "/api/ps"): lambda _: {"models": self._ps()},
            ("GET", "/health"): lambda _: {"status": "ok"},
            ("GET", "/props"): lambda _: {
                "default_generation_settings": {"n_ctx": behaviour.num_ctx},
                "total_slots": behaviour.slots,
                "build_info": VERSION,
            },
            ("POST", "/apply-template"): lambda asked: {"prompt": templated(asked["messages"])},
            ("GET", "/v1/models"): lambda _: {"data": [{"id": MODEL, "owned_by": "simulated"}]},
        }

    @property
    def streams(self) -> list[StreamLog]:
        """What was asked and sent, in the order in which it ended."""
        return self._log.streams

    async def accept(self) -> None:
        """Take connections until cancelled."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        ask_for_stamps(self._listener)
        while True:
            sock, _ = await loop.sock_accept(self._listener)
            task = asyncio.create_task(self._serve(sock))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def close(self) -> None:
        """Close all connections, and write the log."""
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._log.close()

    async def _serve(self, sock: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it is one
        connection = Connection(sock, task.cancel)
        # The client may leave at any time, and so may the server.
        with contextlib.closing(connection), contextlib.suppress(OSError, asyncio.CancelledError):
            while request := await connection.request():
                await self._answer(connection, request)

    async def _answer(self, connection: Connection, request: Request) -> None:
        try:
            if request.method == "POST" and request.path in PROTOCOLS:
                await self._generate(connection, request, read_ask(request.path, request.body))
            elif route := self._routes.get((request.method, request.path)):
                answer = json.dumps(route(json.loads(request.body or b"{}")))
                await connection.answer("200 OK", answer)
            else:
                await connection.answer("404 Not Found", "404 page not found", "text/plain")
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            await connection.answer("400 Bad Request", json.dumps({"error": str(error)}))

    def _ps(self) -> list[Json]:
        if self._loaded is None:
            return []
        name, num_ctx = self._loaded
        return [_tag(name) | {"size_vram": 0, "context_length": num_ctx}]

    async def _generate(self, connection: Connection, request: Request, ask: Ask) -> None:
        stream = StreamLog(
            request=self.asked,
            path=request.path,
            prompt=ask.prompt[:PROMPT_CHARACTERS],
            arrived_ns=request.arrived_ns,
            read_ns=request.read_ns,
        )
        self.asked += 1
        try:
            load = None
            if ask.path.startswith("/api/"):
                name = ask.model if ":" in ask.model.rpartition("/")[2] else f"{ask.model}:latest"
                load = (name.lower(), max(_MIN_CTX, ask.num_ctx or self._behaviour.num_ctx))
            waits = self._door.locked() or self._slots.locked()
            async with self._door:
                loads = load not in (None, self._loaded)
                if loads:
                    await self._load(load)
                await self._slots.acquire()
            self._running += 1
            try:
                # A slot that was free at once was free when the request came, however late the
                # process read it.
                begun_ns = time.monotonic_ns() if waits or loads else stream.begun_ns
                # As in Ollama: the wait for a load is part of it, the wait for a slot of nothing.
                load_ns = begun_ns - stream.begun_ns if loads else 0
                await self._stream(connection, ask, stream, begun_ns, load_ns)
            finally:
                self._running -= 1
                self._slots.release()
        finally:
            self.streams.append(stream)
            if not self._running:
                self._log.write()

    async def _load(self, load: tuple[str, int] | None) -> None:
        """Wait until nobody runs, and then hold the server alone for ``load_s``."""
        taken = 0
        try:
            for _ in range(self._behaviour.slots):
                await self._slots.acquire()
                taken += 1
            await asyncio.sleep(self._behaviour.load_s)
            self._loaded = load
        finally:
            for _ in range(taken):
                self._slots.release()

    async def _stream(
        self, connection: Connection, ask: Ask, stream: StreamLog, begun_ns: int, load_ns: int
    ) -> None:
        """Send the answer, each part when it is due, and keep the log.

        Its parts are the n tokens and the end, which is due like a token, or at the request's own
        limit follows the last one at once.
        """
        n = ask.tokens(self._behaviour.natural(ask.prompt))
        due = self._due(ask, stream, begun_ns, n if n == ask.limit else n + 1)
        kind, message = PROTOCOLS[ask.path]
        before, after = message(ask, _PLACE, None).split(_PLACE.encode())
        lead = head("200 OK", kind) + b"Transfer-Encoding: chunked\r\n\r\n"
        if first := opening(ask):
            await connection.send(lead + chunk(first))
            lead = b""
        try:
            for index, due_ns in enumerate(due[:n]):
                data = lead + chunk(before + token(index).encode() + after)
                lead = b""
                at_ns = await self._waiter.until(due_ns)
                if index == 0 and self._shared and len(due) > 1:
                    self._shared.join(stream.request, at_ns, len(due) - 1)
                    self._waiter.changed()
                stream.sent_ns.append(await connection.send(data))
                stream.due_ns.append(round(at_ns))
            for due_ns in due[n:]:
                await self._waiter.until(due_ns)
            spent = Spent(
                load_ns=load_ns,
                prompt_ns=stream.sent_ns[0] - begun_ns,
                decode_ns=stream.sent_ns[-1] - stream.sent_ns[0],
                total_ns=time.monotonic_ns() - stream.begun_ns,
                prompt_tokens=len(ask.prompt.split()),
                tokens=n,
                limited=n == ask.limit,
            )
            stream.end_ns = await connection.send(chunk(message(ask, "", spent)) + _LAST_CHUNK)
        finally:
            if self._shared and stream.end_ns is None:
                self._shared.drop(stream.request, time.monotonic_ns())
                self._waiter.changed()

    def _due(
        self, ask: Ask, stream: StreamLog, begun_ns: int, parts: int
    ) -> Sequence[Callable[[], float]]:
        """When each part is due; with a shared rate that changes as streams come and go."""
        number = stream.request
        if self._shared is None:
            offsets = self._behaviour.due_ns(ask.prompt, parts, number, begun_ns)
            return [partial(float, begun_ns + offset) for offset in offsets]
        first = partial(float, begun_ns + self._behaviour.first_token_s * 1e9)
        return [first, *(partial(self._shared.due_ns, number, k) for k in range(1, parts))]


def _tag(name: str) -> Json:
    return {
        "name": name,
        "model": name,
        "size": 1_000_000,
        "digest": sha256(name.encode()).hexdigest(),
    }
