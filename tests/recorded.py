"""Answers with made-up times: each piece has its stamp, so that what is right is known exactly."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import httpcore
from raw_servers import call_of

from tandembench.steps import Step
from tandembench.wire import Client, Driver, StreamRecord, open_client, stream
from tandembench.wire.clocks import KERNEL
from tandembench.wire.sockets import Backend

# When a piece came, seconds after the request, and its bytes.
Pieces = Sequence[tuple[float, bytes]]


class Recorded(Backend):
    """A connection on which the answer is ``pieces``; ``held`` open for ever after them."""

    def __init__(self, pieces: Pieces, held: bool = False) -> None:
        super().__init__(stamped=False, secure=False)
        self.inbox = cast(Any, _Inbox(pieces, held))


class _Inbox(httpcore.AsyncNetworkStream):
    def __init__(self, pieces: Pieces, held: bool) -> None:
        self.request_ns, self.read_index, self.patient, self.held = 0, -1, False, held
        self.pieces = [(at_s, data) for at_s, data in pieces if data]
        self.first = self.pieces[0][1] if self.pieces else b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self.read_index + 1 >= len(self.pieces):
            if self.held:
                await asyncio.sleep(timeout or 0.0)
                raise httpcore.ReadTimeout("held")
            return b""
        self.read_index += 1
        return self.pieces[self.read_index][1]

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.request_ns = 1

    async def aclose(self) -> None:
        pass

    def stamps(self) -> tuple[list[int], str]:
        return [round(at_s * 1e9) for at_s, _ in self.pieces], KERNEL


async def played(
    client: Client, driver: Driver, pieces: Pieces, max_tokens: int, held: bool = False
) -> StreamRecord:
    """What comes of these pieces."""
    call = call_of(client, "http://h", driver, max_tokens=max_tokens)
    call.backend = Recorded(pieces, held)
    return await stream(call, driver, 5.0)


def play(driver: Driver, pieces: Pieces, max_tokens: int, held: bool = False) -> StreamRecord:
    """The same, for a caller without an event loop."""

    async def once() -> StreamRecord:
        async with open_client() as client:
            return await played(client, driver, pieces, max_tokens, held)

    return asyncio.run(once())


def step_of(record: StreamRecord) -> Step:
    """The step that a good ``record`` is, as a run's table has it."""
    chunks, final = tuple(at / 1e9 for at in record.chunk_ns), record.final
    return Step(
        record.request_ns / 1e9,
        chunks[0],
        chunks[-1],
        record.end_ns / 1e9,
        final.answer_tokens or 0,
        chunks,
        final.prompt_tokens,
        final.prompt_s,
        final.load_s,
        final.decode_s,
        record.chunk_tokens,
    )
