"""One calibration: both clients by turns, with one and several streams, quiet and with a busy loop.

A fake server a schedule stands ready, each in a process of its own; the clients run in
this one, as they do in a block: prompts and JSON built before, garbage collection off.
"""

import asyncio
import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tandembench.calibrate.clients import SUBJECTS, Opener, Subject
from tandembench.calibrate.errors import Errors, Seen, errors_of
from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.fake_server import Behaviour, StreamLog, read_log
from tandembench.measure.machine import no_collection
from tandembench.servers.fake import fake_process

SCHEDULES: Mapping[str, Behaviour] = {
    "exact": Behaviour(first_token_s=0.05, tokens=20, gap_s=0.01, jitter_s=0.002, slots=32),
    "flood": Behaviour(first_token_s=0.02, tokens=3000, gap_s=0.0, jitter_s=0.0),
    # two streams at 2,000 tokens/s each
    "paced": Behaviour(first_token_s=0.02, tokens=400, gap_s=0.0005, jitter_s=0.0),
}
_BUSY_S, _BUSY_EVERY_S = 0.005, 0.020
# Streams of one round begin so far apart: that their requests are built is no part of a TTFT.
_STAGGER_S = 0.005
# From so many seconds on there is time for as few streams as a comparison has.
_LONG_S = 20.0


@dataclass(frozen=True, slots=True)
class Phase:
    """``share`` of the time, ``rounds`` at least, with ``requests`` a stream from each client."""

    name: str
    share: float
    schedule: str
    streams: int
    requests: int
    busy: bool = False
    rounds: int = 1


# 662 tokens, the fewest with a p99, take 28 s from two streams; from twelve they take a second.
# They may not come closer together instead: what waits while the loop is busy shares a stamp.
_SHORT = (
    Phase("several", 0.34, "exact", streams=12, requests=3),
    Phase("busy", 0.34, "exact", streams=12, requests=3, busy=True),
    Phase("alone", 0.12, "exact", streams=1, requests=1),
    Phase("flood", 0.08, "flood", streams=2, requests=1),
    Phase("paced", 0.12, "paced", streams=2, requests=1),
)
_LONG = (
    Phase("several", 0.335, "exact", streams=2, requests=2),
    Phase("busy", 0.335, "exact", streams=2, requests=2, busy=True),
    Phase("alone", 0.14, "exact", streams=1, requests=2),
    Phase("flood", 0.095, "flood", streams=2, requests=1),
    Phase("paced", 0.095, "paced", streams=2, requests=1),
)


@dataclass(slots=True)
class Findings:
    """What one client has been through.

    ``seen``: its answers on the exact schedule, by prompt; ``errors``: of these, by phase;
    ``rates``, ``cpu``: tokens/s of each round of flood, CPU s per 10k tokens of each paced one.
    """

    seen: dict[str, Seen] = field(default_factory=dict)
    errors: dict[str, Errors] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    clock: str = ""

    @property
    def tokens_per_s(self) -> float:
        """Two streams from a server that sends as fast as it can, median of rounds."""
        return statistics.median(self.rates)

    @property
    def cpu_s_per_10k_tokens(self) -> float:
        """This process's CPU time at 4,000 tokens/s, median of rounds."""
        return statistics.median(self.cpu)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Both clients' findings from the same minute, and what the machine was doing.

    All of it is simulated in that no model ran; the clocks, sockets and clients are real.
    ``streams`` is how many there were at once in the phases with several.
    """

    streams: int
    client: Findings
    control: Findings
    seconds: float
    load_before: float
    load_after: float


def calibrate(seconds: float, subjects: Mapping[str, Opener] = SUBJECTS) -> Calibration:
    """Measure both ``subjects`` ("client" and "control") for about ``seconds`` in all.

    With 20 s or more there are two streams at once, with less there are more of them. Every phase
    has one round at least, so that very few seconds become four. TandemError if a client loses
    tokens or fails, or if the machine has no port, process or space left for it.
    """
    started, load_before = time.monotonic(), os.getloadavg()[0]
    phases = _LONG if seconds >= _LONG_S else _SHORT
    findings = measure_clients(subjects, phases, seconds)
    return Calibration(
        streams=phases[0].streams,
        client=findings["client"],
        control=findings["control"],
        seconds=time.monotonic() - started,
        load_before=load_before,
        load_after=os.getloadavg()[0],
    )


def measure_clients(
    subjects: Mapping[str, Opener], phases: Sequence[Phase], seconds: float
) -> dict[str, Findings]:
    """What each of ``subjects`` saw in ``phases``, against the servers' logs; faults as above."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            logs = {one.schedule: Path(folder) / f"{one.schedule}.ndjson" for one in phases}
            with ExitStack() as servers, no_collection():
                urls = {
                    name: servers.enter_context(fake_process(SCHEDULES[name], log))
                    for name, log in logs.items()
                }
                findings = asyncio.run(_measure(urls, subjects, phases, seconds))
            sent = {stream.prompt: stream for stream in read_log(logs["exact"])}
        for one in findings.values():
            one.errors = _errors(one.seen, sent)
    except (OSError, ValueError) as error:
        raise TandemError(
            f"the instrument cannot be calibrated ({error})",
            where="calibrate",
            fix="free what is missing, then run it again",
            exit_code=EXIT_ENVIRONMENT,
        ) from error
    return findings


async def _measure(
    urls: Mapping[str, str],
    subjects: Mapping[str, Opener],
    phases: Sequence[Phase],
    seconds: float,
) -> dict[str, Findings]:
    findings = {name: Findings() for name in subjects}
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(opener()) for name, opener in subjects.items()
        }
        for client in clients.values():
            await asyncio.gather(*(client.ask(url, _body("warm up", 5)) for url in urls.values()))
        for phase in phases:
            end = time.monotonic() + phase.share * seconds
            number, took = 0, 0.0
            while number < phase.rounds or time.monotonic() + took <= end:
                began = time.monotonic()
                # By turns, and the first one by turns: drift hits both alike.
                for name in sorted(clients, reverse=bool(number % 2)):
                    tag = f"{phase.name}/{name}/{number}"
                    await _round(clients[name], urls[phase.schedule], phase, tag, findings[name])
                number, took = number + 1, time.monotonic() - began
        for name, client in clients.items():
            findings[name].clock = client.clock()
    return findings


async def _round(client: Subject, url: str, phase: Phase, tag: str, findings: Findings) -> None:
    prompts = [
        [f"{tag}/{stream}/{request}" for request in range(phase.requests)]
        for stream in range(phase.streams)
    ]
    bodies = {prompt: _body(prompt) for queue in prompts for prompt in queue}
    gc.collect()

    async def in_turn(place: int, queue: Sequence[str]) -> dict[str, Seen]:
        await asyncio.sleep(place * _STAGGER_S)
        return {prompt: await client.ask(url, bodies[prompt]) for prompt in queue}

    async with _busy(phase.busy):
        cpu = time.process_time()
        answers = await asyncio.gather(*map(in_turn, range(phase.streams), prompts))
        cpu = time.process_time() - cpu
    seen = {prompt: one for answer in answers for prompt, one in answer.items()}
    tokens = sum(len(one.chunk_ns) for one in seen.values())
    expected = SCHEDULES[phase.schedule].tokens * len(bodies)
    if tokens != expected:
        raise TandemError(
            f"the client lost count: {tokens} tokens of {expected} ({tag})",
            where="calibrate",
            fix="run it again; if that does not help, report it",
            exit_code=EXIT_ENVIRONMENT,
        )
    if phase.schedule == "exact":
        findings.seen |= seen
    elif phase.schedule == "flood":
        first = min(one.chunk_ns[0] for one in seen.values())
        findings.rates.append(tokens / (max(one.end_ns for one in seen.values()) - first) * 1e9)
    else:
        findings.cpu.append(cpu / tokens * 1e4)


@asynccontextmanager
async def _busy(really: bool) -> AsyncIterator[None]:
    """Another coroutine that keeps this event loop for 5 ms of every 20, as bad callers do."""

    async def burn() -> None:
        while True:
            end = time.monotonic() + _BUSY_S
            while time.monotonic() < end:
                pass
            await asyncio.sleep(_BUSY_EVERY_S - _BUSY_S)

    burner = asyncio.create_task(burn()) if really else None
    try:
        yield
    finally:
        if burner is not None:
            burner.cancel()
            with suppress(asyncio.CancelledError):
                await burner


def _body(prompt: str, tokens: int = -1) -> bytes:
    ask = {"model": "fake", "prompt": prompt, "stream": True, "options": {"num_predict": tokens}}
    return json.dumps(ask).encode()


def _errors(seen_by: Mapping[str, Seen], sent: Mapping[str, StreamLog]) -> dict[str, Errors]:
    by_phase: dict[str, list[tuple[Seen, StreamLog]]] = {}
    for prompt, seen in seen_by.items():
        if prompt not in sent:
            raise ValueError(f"the server's log has no answer to {prompt}")
        by_phase.setdefault(prompt.partition("/")[0], []).append((seen, sent[prompt]))
    return {phase: errors_of(pairs) for phase, pairs in by_phase.items()}
