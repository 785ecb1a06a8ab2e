"""The fake server itself: connections, routes, and answers that keep to a schedule."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

from tandembench.fake_server.answer import Answer
from tandembench.fake_server.behaviour import REFUSALS, Behaviour
from tandembench.fake_server.clock import Waiter
from tandembench.fake_server.connection import (
    BadRequest,
    Connection,
    Request,
    ask_for_stamps,
)
from tandembench.fake_server.send_log import PROMPT_CHARACTERS, SendLog, StreamLog
from tandembench.fake_server.shared_rate import SharedRate
from tandembench.fake_server.slots import Load, QueueFull, Slots
from tandembench.fake_server.words import (
    GENERATING,
    MODEL,
    Ask,
    Json,
    chat_template,
    read_ask,
)

VERSION = "0.0.0-fake"
_JSON = "application/json"


class _NoModel(ValueError):
    """A model that this server does not have."""


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
    """State of one server. ``streams``: the log, each entry added when its stream ends."""

    def __init__(self, behaviour: Behaviour, listener: socket.socket, log: Path | None) -> None:
        self.url = url_of(listener)
        self._behaviour = behaviour
        self._listener = listener
        self._log = SendLog(behaviour, log)
        self._slots = Slots(behaviour.slots, behaviour.max_queue, behaviour.load_s)
        self._waiter = Waiter(behaviour.spin_s)
        self._shared = (
            SharedRate(behaviour.shared_rate, behaviour.gain) if behaviour.shared_rate else None
        )
        self._asked = 0
        self._connections: set[asyncio.Task[None]] = set()

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
            task = asyncio.create_task(self._serve(Connection(sock, loop)))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def close(self) -> None:
        """Close all connections, and write the log."""
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._log.close()

    async def _serve(self, connection: Connection) -> None:
        task = asyncio.current_task()
        if task is not None:
            connection.on_close = task.cancel
        try:
            while request := await connection.request():
                if not await self._answer(connection, request):
                    return
        except BadRequest:
            await connection.answer("400 Bad Request", "text/plain", "not HTTP")
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client left, or the server ends
        finally:
            connection.close()

    async def _answer(self, connection: Connection, request: Request) -> bool:
        """Answer one request; whether the connection stays."""
        if request.method == "POST" and request.path in GENERATING:
            try:
                ask = read_ask(request.path, request.body)
            except ValueError as error:
                message = json.dumps({"error": str(error)})
                await connection.answer("400 Bad Request", _JSON, message)
                return True
            return await self._generate(connection, request, ask)
        route = self._routes().get((request.method, request.path))
        if route is None:
            await connection.answer("404 Not Found", "text/plain", "404 page not found")
            return True
        status = "200 OK"
        try:
            body = json.dumps(route(json.loads(request.body or b"{}")))
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            status = "404 Not Found" if isinstance(error, _NoModel) else "400 Bad Request"
            body = json.dumps({"error": str(error)})
        await connection.answer(status, _JSON, body)
        return True

    def _routes(self) -> dict[tuple[str, str], Callable[[Json], Json | list[Json]]]:
        return {
            ("GET", "/api/version"): lambda _: {"version": VERSION},
            ("GET", "/api/tags"): lambda _: {"models": [_tag(m) for m in self._behaviour.models]},
            ("GET", "/api/ps"): lambda _: {"models": self._loaded()},
            ("POST", "/api/show"): self._show,
            ("GET", "/health"): lambda _: {"status": "ok"},
            ("GET", "/props"): lambda _: {
                "default_generation_settings": {"n_ctx": self._behaviour.num_ctx},
                "total_slots": self._behaviour.slots,
                "model_path": MODEL,
                "build_info": VERSION,
            },
            ("GET", "/slots"): lambda _: [
                {"id": i, "n_ctx": self._behaviour.num_ctx, "is_processing": i < busy}
                for busy in [self._slots.running]
                for i in range(self._behaviour.slots)
            ],
            ("POST", "/apply-template"): lambda asked: {"prompt": chat_template(asked["messages"])},
            ("GET", "/v1/models"): lambda _: {
                "object": "list",
                "data": [{"id": MODEL, "object": "model", "owned_by": "simulated"}],
            },
        }

    def _name(self, model: str) -> str:
        full = model if ":" in model.rpartition("/")[2] else f"{model}:latest"
        for name in self._behaviour.models:
            if name.lower() == full.lower():
                return name
        raise _NoModel(f"model '{model}' not found")

    def _show(self, asked: Json) -> Json:
        self._name(asked.get("model", ""))
        return {"details": {"format": "simulated", "family": MODEL}, "model_info": {}}

    def _loaded(self) -> list[Json]:
        loaded = self._slots.loaded
        if loaded is None:
            return []
        return [_tag(loaded.model) | {"size_vram": 0, "context_length": loaded.num_ctx}]

    async def _generate(self, connection: Connection, request: Request, ask: Ask) -> bool:
        number, self._asked = self._asked, self._asked + 1
        stream = StreamLog(
            request=number,
            path=request.path,
            prompt=ask.prompt[:PROMPT_CHARACTERS],
            arrived_ns=request.arrived_ns,
            read_ns=request.read_ns,
            fault=self._behaviour.fault_of(number),
        )
        try:
            return await self._try_generate(connection, ask, stream)
        finally:
            self.streams.append(stream)
            if not self._slots.running:
                self._log.write()

    async def _try_generate(self, connection: Connection, ask: Ask, stream: StreamLog) -> bool:
        fault = stream.fault
        if fault is not None and fault in REFUSALS:
            await connection.answer(*REFUSALS[fault])
            return True
        if fault in ("close", "not_http"):
            if fault == "not_http":
                await connection.send(b"220 fake.invalid ESMTP (simulated)\r\n\r\n")
            return False
        if fault == "no_headers":
            await asyncio.Event().wait()  # until the client leaves
        load = None
        asked_ns = time.monotonic_ns()
        try:
            if ask.path.startswith("/api/"):
                context = ask.num_ctx or self._behaviour.num_ctx
                load = Load(self._name(ask.model), context, ask.num_gpu)
            turn = await self._slots.take(load)
        except _NoModel as error:
            await connection.answer("404 Not Found", _JSON, json.dumps({"error": str(error)}))
            return True
        except QueueFull:
            await connection.answer(*REFUSALS["busy"])
            return True
        try:
            if not ask.prompt:
                done = {"model": ask.model, "done": True, "done_reason": "load"}
                await connection.answer("200 OK", _JSON, json.dumps(done))
                return True
            slot_ns = time.monotonic_ns()
            answer = Answer(
                ask=ask,
                behaviour=self._behaviour,
                stream=stream,
                # A slot that was free at once was free when the request came, however late the
                # process read it.
                begun_ns=slot_ns if turn.waited else stream.begun_ns,
                # As in Ollama: the wait for a reload is load, the wait for a slot is in no part.
                load_ns=slot_ns - asked_ns if turn.loaded else 0,
            )
            return await answer.send(connection, self._waiter, self._shared)
        finally:
            self._slots.give_back(turn.slot)


def _tag(name: str) -> Json:
    digest = sha256(name.encode()).hexdigest()
    details = {"format": "simulated", "family": MODEL}
    return {"name": name, "model": name, "size": 1_000_000, "digest": digest, "details": details}
