"""One answer on its way: tokens at their due times, each send between two looks at the clock."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tandembench.fake_server.behaviour import BAD_ENDS, TOKENS_BEFORE_FAULT, Behaviour
from tandembench.fake_server.clock import Waiter
from tandembench.fake_server.connection import Connection, chunk, head
from tandembench.fake_server.send_log import StreamLog
from tandembench.fake_server.shared_rate import SharedRate
from tandembench.fake_server.words import Ask, Spent, Words, token, words

_LAST_CHUNK = b"0\r\n\r\n"
_DRIP_S = 0.01


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request gets; ``begun_ns`` is where its schedule starts.

    Its parts are the n tokens and the end. A model that ends by itself says so by one token more,
    so that the end is due like a token; at the request's limit it follows the last token at once.
    """

    ask: Ask
    behaviour: Behaviour
    stream: StreamLog
    begun_ns: int
    load_ns: int

    async def send(self, connection: Connection, waiter: Waiter, shared: SharedRate | None) -> bool:
        """Send it all, keeping the log; whether the connection stays open after that."""
        n = self.ask.tokens(self.behaviour.tokens)
        fault = self.stream.fault
        cut = fault is not None and fault != "after_end"
        due = self._due(shared)
        speech = words(self.ask)
        try:
            if not self.ask.stream:
                await self._whole(connection, waiter, shared, due, n)
                return True
            await self._tokens(
                connection, waiter, shared, due[: TOKENS_BEFORE_FAULT if cut else n], speech
            )
            if fault is not None and cut:
                return await self._fail(connection, fault)
            more = chunk(speech.token(n)) if fault else b""
            if len(due) > n:
                await waiter.until(due[n])
            end = chunk(speech.end(self._spent(n))) + more + _LAST_CHUNK
            self.stream.end_ns, self.stream.end_after_ns = await connection.send(end)
            self.stream.complete = fault is None
            return True
        finally:
            if shared is not None and not self.stream.complete:
                shared.drop(self.stream.request, time.monotonic_ns())
                waiter.changed()

    async def _tokens(
        self,
        connection: Connection,
        waiter: Waiter,
        shared: SharedRate | None,
        due: Sequence[Callable[[], float]],
        speech: Words,
    ) -> None:
        lead = head("200 OK", speech.kind) + b"Transfer-Encoding: chunked\r\n\r\n"
        if speech.opening:
            await connection.send(lead + chunk(speech.opening))
            lead = b""
        stream = self.stream
        for index, due_ns in enumerate(due):
            data = lead + chunk(speech.token(index))
            lead = b""
            at_ns = await waiter.until(due_ns)
            if index == 0:
                self._join(waiter, shared, at_ns)
            before, after = await connection.send(data)
            stream.due_ns.append(round(at_ns))
            stream.sent_ns.append(before)
            stream.sent_after_ns.append(after)

    def _join(self, waiter: Waiter, shared: SharedRate | None, at_ns: float) -> None:
        """From the first token on the stream takes part in the shared rate."""
        more = self._parts() - 1
        if shared is not None and more:
            shared.join(self.stream.request, at_ns, more)
            waiter.changed()

    def _parts(self) -> int:
        n = self.ask.tokens(self.behaviour.tokens)
        return n if n == self.ask.limit else n + 1

    def _due(self, shared: SharedRate | None) -> list[Callable[[], float]]:
        if shared is None:
            offsets = self.behaviour.due_ns(
                self.ask.prompt, self._parts(), self.stream.request, self.begun_ns
            )
            return [partial(float, self.begun_ns + offset) for offset in offsets]
        first = partial(float, self.begun_ns + self.behaviour.first_token_s * 1e9)
        number = self.stream.request
        return [first, *(partial(shared.due_ns, number, k) for k in range(1, self._parts()))]

    async def _whole(
        self,
        connection: Connection,
        waiter: Waiter,
        shared: SharedRate | None,
        due: Sequence[Callable[[], float]],
        n: int,
    ) -> None:
        self._join(waiter, shared, await waiter.until(due[0]))
        await waiter.until(due[-1])
        text = "".join(map(token, range(n)))
        body = words(self.ask).whole(text, self._spent(n))
        self.stream.end_ns = time.monotonic_ns()
        await connection.answer("200 OK", "application/json", body)
        self.stream.end_after_ns = time.monotonic_ns()
        self.stream.complete = True

    def _spent(self, n: int) -> Spent:
        now = time.monotonic_ns()
        sent = self.stream.sent_ns or [now]
        return Spent(
            load_ns=self.load_ns,
            prompt_ns=sent[0] - self.begun_ns,
            decode_ns=sent[-1] - sent[0],
            total_ns=now - self.stream.begun_ns,
            prompt_tokens=len(self.ask.prompt.split()),
            tokens=n,
            limited=n == self.ask.limit,
        )

    async def _fail(self, connection: Connection, fault: str) -> bool:
        if fault in BAD_ENDS:
            data = words(self.ask).framed(BAD_ENDS[fault])
            await connection.send((chunk(data) if data else b"") + _LAST_CHUNK)
            return True
        if fault == "reset":
            connection.close(reset=True)
        elif fault == "truncated":
            await connection.send(b'400\r\n{"cut')
        elif fault == "drip":
            while True:
                await asyncio.sleep(_DRIP_S)
                await connection.send(chunk(b"\n"))
        else:
            await asyncio.Event().wait()  # stall, until the client leaves
        return False
