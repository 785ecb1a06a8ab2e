"""One block: warm-up, then each agent alone and all together, in a recorded random order.

Everything that can be made before the barrier is made before it: prompts, JSON, connections.
"""

import asyncio
import gc
import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tandembench.measure.machine import foreign_cpu_s
from tandembench.servers.model import Effective, Server
from tandembench.servers.open import effective
from tandembench.study.spec import ANSWER
from tandembench.wire import DRIVERS, Ask, Call, Client, Driver, StreamRecord, stream

_WARM_UP_TOKENS = 4
# A load takes longer than this, a warm Ollama's bookkeeping does not.
_COLD_LOAD_S = 0.5
# Often enough to meet a loop that hangs, seldom enough to cost nothing (0.1 % of a core).
_LAG_TIMER_S = 0.02


@dataclass(frozen=True, slots=True)
class Execution:
    """One agent running once. ``t0_ns`` is the barrier's release, CLOCK_MONOTONIC.

    ``cpu_s`` is this process's CPU time while it (and, in a run, its partners) ran,
    ``loop_lag_s`` the longest that its event loop let a timer wait meanwhile (resolution 1 ms),
    ``foreign_cores`` what processes that do not belong to the block used meanwhile, in
    cores; None where the servers' processes are not known, and so not theirs from others'.
    """

    agent: str
    mode: str
    position: int
    t0_ns: int
    cpu_s: float
    loop_lag_s: float
    foreign_cores: float | None
    nonce: str
    seed: int
    steps: tuple[StreamRecord, ...]

    @property
    def error(self) -> str | None:
        """The reason code of the step that failed, if one did."""
        return next((step.error for step in self.steps if step.error), None)


@dataclass(frozen=True, slots=True)
class Block:
    """All executions of one block until the first that failed, and what the servers apply.

    ``duration_s`` runs from ``started_at``, the first warm-up request; ``effective`` is by agent.
    """

    started_at: datetime
    duration_s: float
    order: tuple[str, ...]
    executions: tuple[Execution, ...]
    effective: Mapping[str, Effective]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An execution that waits for its barrier: only the network is left to do."""

    agent: str
    url: str
    nonce: str
    asks: tuple[Ask, ...]
    first_call: Call


async def measure_block(
    spec: Mapping[str, Any],
    servers: Sequence[Server],
    client: Client,
    attempt: int,
    tell: Callable[[Execution], None],
    helpers: Sequence[int] = (),
) -> Block:
    """Measure one block of ``spec`` on ``servers``; ``tell`` hears of each execution's end.

    ``helpers`` are processes (pids) besides the servers that work for this block. A failed stream
    comes back inside the block and ends it. With one agent there is one execution, since a solo
    would be the same thing twice.
    """
    started_at, started_ns = datetime.now(UTC), time.monotonic_ns()
    driver = DRIVERS[spec["engine"], spec.get("protocol")]
    names = [agent["name"] for agent in spec["agents"]]
    await _warm_up(spec, servers, client, driver)
    heard = {
        agent["name"]: await effective(client, _server_of(spec, servers, index), agent["model"])
        for index, agent in enumerate(spec["agents"])
    }
    order = [f"solo:{name}" for name in names] if len(names) > 1 else []
    order.append("concurrent")
    random.Random(_hash(spec, "order")).shuffle(order)  # noqa: S311 - an order, no secret
    executions: list[Execution] = []
    for position, item in enumerate(order):
        solo = item.removeprefix("solo:") if item != "concurrent" else None
        chosen = [solo] if solo else names
        mode = "solo" if solo else "concurrent"
        prepared = [
            await _prepare(spec, servers, client, driver, name, mode, attempt) for name in chosen
        ]
        serial = spec["topology"] == "serial"
        pids = [server.pid for server in servers if server.pid is not None]
        pids += helpers if pids else ()
        done = await _release(spec, client, driver, prepared, mode, position, serial, pids)
        executions += done
        for execution in done:
            tell(execution)
        if any(execution.error for execution in done):
            break  # the block is void whatever follows
    duration_s = (time.monotonic_ns() - started_ns) / 1e9
    return Block(started_at, duration_s, tuple(order), tuple(executions), heard)


def is_cold(execution: Execution) -> bool:
    """Whether the server loaded the model inside this execution."""
    return any((step.final.load_s or 0.0) > _COLD_LOAD_S for step in execution.steps)


def _server_of(spec: Mapping[str, Any], servers: Sequence[Server], index: int) -> Server:
    return servers[index if spec["topology"] == "dual" else 0]


def _hash(spec: Mapping[str, Any], *parts: object) -> int:
    """A number that follows from the study's seed, the config, the repetition and ``parts``."""
    text = "/".join(map(str, (spec["seed"], spec["config_id"], spec["repetition"], *parts)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


async def _warm_up(
    spec: Mapping[str, Any], servers: Sequence[Server], client: Client, driver: Driver
) -> None:
    """A short request of each agent to its server, all at once so that connections stand open."""

    async def one(index: int, agent: Mapping[str, Any]) -> None:
        server = _server_of(spec, servers, index)
        ask = Ask(
            model=agent["model"],
            prompt=await driver.templated(client, server.url, agent["model"], "Warm up."),
            options=agent["options"],
            seed=1,
            max_tokens=_WARM_UP_TOKENS,
            fixed=spec["work_policy"] == "fixed",
        )
        call = Call(client, server.url + driver.PATH, _encode(driver, ask), spec["idle_s"])
        await stream(call, driver.event, spec["deadline_s"])

    await asyncio.gather(*(one(index, agent) for index, agent in enumerate(spec["agents"])))


async def _prepare(
    spec: Mapping[str, Any],
    servers: Sequence[Server],
    client: Client,
    driver: Driver,
    name: str,
    mode: str,
    attempt: int,
) -> _Prepared:
    index = next(i for i, agent in enumerate(spec["agents"]) if agent["name"] == name)
    agent = spec["agents"][index]
    server = _server_of(spec, servers, index)
    # Solo and concurrent ask the very same, unless a prompt cache would answer the second.
    salt = (name,) if driver.PROMPT_CACHE_CAN_BE_OFF else (name, mode, attempt)
    number = _hash(spec, "nonce", *salt)
    nonce = f"{number % 10**12:012d}"
    asks = []
    for prompt in agent["prompts"]:
        words = await driver.templated(client, server.url, agent["model"], f"{nonce}\n{prompt}")
        asks.append(
            Ask(
                model=agent["model"],
                prompt=words,
                options=agent["options"],
                seed=agent["options"].get("seed", number % 2**31),
                max_tokens=agent["max_tokens"],
                fixed=spec["work_policy"] == "fixed",
            )
        )
    url = server.url + driver.PATH
    first = Call(client, url, _encode(driver, asks[0]), spec["idle_s"])
    return _Prepared(name, url, nonce, tuple(asks), first)


def _encode(driver: Driver, ask: Ask) -> bytes:
    return json.dumps(driver.body(ask), ensure_ascii=False, separators=(",", ":")).encode()


async def _release(
    spec: Mapping[str, Any],
    client: Client,
    driver: Driver,
    prepared: Sequence[_Prepared],
    mode: str,
    position: int,
    serial: bool,
    pids: Sequence[int],
) -> list[Execution]:
    """Let the prepared executions go: together, or in ``serial`` one after the other."""
    barrier = asyncio.Event()

    async def run(one: _Prepared) -> tuple[StreamRecord, ...]:
        await barrier.wait()
        records: list[StreamRecord] = []
        call = one.first_call
        for ask in one.asks:
            if records:
                answer = json.dumps(records[-1].text)[1:-1]
                body = _encode(driver, ask).replace(ANSWER.encode(), answer.encode())
                call = Call(client, one.url, body, spec["idle_s"])
            records.append(await stream(call, driver.event, spec["deadline_s"]))
            if records[-1].error:
                break
        return tuple(records)

    async def in_turn(queue: Sequence[_Prepared]) -> list[tuple[StreamRecord, ...]]:
        return [await run(one) for one in queue]

    queues = [prepared] if serial else [[one] for one in prepared]
    waiting = [asyncio.create_task(in_turn(queue)) for queue in queues]
    await asyncio.sleep(0)  # every task is at the barrier
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for queue in queues:  # those in line behind would be silent for too long
            await queue[0].first_call.dial()
        foreign = foreign_cpu_s(pids)
        cpu = time.process_time()
        t0_ns = time.monotonic_ns()
        barrier.set()
        longest_lag_s = _watch_lag(asyncio.get_running_loop())
        results = await asyncio.gather(*waiting)
        loop_lag_s = longest_lag_s()
        cpu_s = time.process_time() - cpu
        elapsed_s = (time.monotonic_ns() - t0_ns) / 1e9
        foreign_cores = max(0.0, foreign_cpu_s(pids) - foreign) / elapsed_s if pids else None
    finally:
        gc.enable()
        gc.unfreeze()
    flat = [steps for result in results for steps in result]
    return [
        Execution(
            agent=one.agent,
            mode=mode,
            position=position,
            t0_ns=t0_ns,
            cpu_s=cpu_s,
            loop_lag_s=loop_lag_s,
            foreign_cores=foreign_cores,
            nonce=one.nonce,
            seed=one.asks[0].seed,
            steps=steps,
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
