"""Executions: what is let go at a barrier, and what comes of it.

Everything that can be made before the barrier is made before it: prompts, JSON, connections.
"""

import asyncio
import gc
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tandembench.measure.machine import Clocks, Others
from tandembench.study.spec import ANSWER, words
from tandembench.wire import Ask, Call, Client, Driver, StreamRecord, encode, stream

# Often enough to meet a loop that hangs, seldom enough to cost nothing (0.1 % of a core).
_LAG_TIMER_S = 0.02


@dataclass(frozen=True, slots=True)
class Execution:
    """One agent running once. ``t0_ns`` is the barrier's release, CLOCK_MONOTONIC.

    ``cpu_s`` is this process's CPU time while it (and, in a run, its partners) ran,
    ``loop_lag_s`` the longest that its event loop let a timer wait meanwhile (resolution 1 ms),
    ``foreign_cores`` what processes that do not belong to the block used meanwhile, in
    cores; None where the servers' processes are not known, and so not theirs from others'.
    ``slept_s``: how long the machine slept meanwhile, None where no clock tells; ``clock_set_s``:
    by how much the wall clock was set. ``words``: of each prompt; ``max_tokens``: of each answer.
    """

    agent: str
    mode: str
    t0_ns: int
    cpu_s: float
    loop_lag_s: float
    foreign_cores: float | None
    nonce: str
    seed: int
    steps: tuple[StreamRecord, ...]
    slept_s: float | None = None
    clock_set_s: float = 0.0
    words: tuple[int, ...] = ()
    max_tokens: int = 0

    @property
    def error(self) -> str | None:
        """The reason code of the step that failed, if one did."""
        return next((step.error for step in self.steps if step.error), None)

    @property
    def load_s(self) -> float:
        """The longest load of the model inside of it, as the server says; 0 if it says none."""
        return max((step.final.load_s or 0.0 for step in self.steps), default=0.0)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An execution of ``asks``, one after the other, that waits for its barrier.

    Only the network is left to do: the first call is written already.
    """

    agent: str
    url: str
    nonce: str
    asks: tuple[Ask, ...]
    first_call: Call


async def release(
    prepared: Sequence[Prepared],
    *,
    mode: str,
    serial: bool,
    client: Client,
    driver: Driver,
    deadline_s: float,
    idle_s: float,
    others: Others | None,
) -> tuple[datetime, list[Execution]]:
    """Let the prepared executions go, together, or in ``serial`` one after the other.

    With them comes the wall clock at the release. A call is given up after ``deadline_s``, or
    after ``idle_s`` without a byte. ``others`` watches what else the machine does.
    """
    barrier = asyncio.Event()

    async def run(one: Prepared) -> tuple[StreamRecord, ...]:
        await barrier.wait()
        records: list[StreamRecord] = []
        call = one.first_call
        for ask in one.asks:
            if records:
                answer = json.dumps(records[-1].text)[1:-1]
                body = encode(driver, ask).replace(ANSWER.encode(), answer.encode())
                call = Call(client, one.url, body, idle_s, ask.max_tokens)
            records.append(await stream(call, driver, deadline_s))
            if records[-1].error:
                break
        return tuple(records)

    async def in_turn(queue: Sequence[Prepared]) -> list[tuple[StreamRecord, ...]]:
        return [await run(one) for one in queue]

    queues = [prepared] if serial else [[one] for one in prepared]
    waiting = [asyncio.create_task(in_turn(queue)) for queue in queues]
    await asyncio.sleep(0)  # every task is at the barrier
    gc.collect()
    for queue in queues:  # those in line behind would be silent for too long
        await queue[0].first_call.dial()
    if others:
        others.look()
    started_at = datetime.now(UTC)
    cpu, clocks = time.process_time(), Clocks.now()
    t0_ns = time.monotonic_ns()
    barrier.set()
    longest_lag_s = _watch_lag(asyncio.get_running_loop())
    results = await asyncio.gather(*waiting)
    loop_lag_s = longest_lag_s()
    cpu_s, ended = time.process_time() - cpu, Clocks.now()
    foreign_cores = others.look() if others else None
    flat = [steps for result in results for steps in result]
    return started_at, [
        Execution(
            agent=one.agent,
            mode=mode,
            t0_ns=t0_ns,
            cpu_s=cpu_s,
            loop_lag_s=loop_lag_s,
            foreign_cores=foreign_cores,
            nonce=one.nonce,
            seed=one.asks[0].seed,
            steps=steps,
            slept_s=clocks.slept_s(ended),
            clock_set_s=clocks.set_s(ended),
            words=tuple(words(ask.prompt) for ask in one.asks),
            max_tokens=one.asks[0].max_tokens,
        )
        for one, steps in zip(prepared, flat, strict=True)
    ]


def _watch_lag(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Let a timer run; the function that ends it says how long it had to wait at worst, seconds."""
    longest_s = 0.0
    due = loop.time() + _LAG_TIMER_S
    ended = False

    def tick() -> None:
        nonlocal due, longest_s
        now = loop.time()
        longest_s = max(longest_s, now - due)
        due = now + _LAG_TIMER_S
        if not ended:
            loop.call_at(due, tick)

    def stop() -> float:
        nonlocal ended
        ended = True
        return max(longest_s, loop.time() - due)

    loop.call_at(due, tick)
    return stop
