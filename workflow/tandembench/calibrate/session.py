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
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from tandembench.calibrate.clients import SUBJECTS, Opener, Seen, Subject
from tandembench.calibrate.record import Figures, Instrument, Spread
from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.fake_server import Behaviour, StreamLog, fake_process, read_log
from tandembench.measure.machine import fingerprint, no_collection
from tandembench.metrics import percentile

SCHEDULES: Mapping[str, Behaviour] = {
    "exact": Behaviour(first_token_s=0.05, tokens=20, gap_s=0.01, jitter_s=0.002, slots=32),
    "flood": Behaviour(first_token_s=0.02, tokens=3000, gap_s=0.0, jitter_s=0.0),
    # two streams at 2,000 tokens/s each
    "paced": Behaviour(first_token_s=0.02, tokens=400, gap_s=0.0005, jitter_s=0.0),
}
_BUSY_S, _BUSY_EVERY_S = 0.005, 0.020
# Streams of one round begin so far apart: that their requests are built is no part of a TTFT.
_STAGGER_S = 0.005
# From so many seconds on there is time for as few streams as a comparison has: 662 tokens, the
# fewest with a p99, take 28 s from two streams; from twelve they take a second. They may not come
# closer together instead: what waits while the loop is busy shares a stamp.
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


@dataclass(slots=True)
class Findings:
    """What one client has been through.

    ``seen``: its answers on the exact schedule, by prompt; ``errors``: of these, by phase and
    figure; ``rates``, ``cpu``: tokens/s of each round of flood, CPU s per 10k tokens of each paced
    one.
    """

    seen: dict[str, Seen] = field(default_factory=dict)
    errors: dict[str, dict[str, Spread]] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    clock: str = ""

    def figures(self) -> Figures:
        """What a calibration holds of it, rounded."""
        several = {
            f"{name}_error_us": _rounded(one) for name, one in self.errors["several"].items()
        }
        return Figures(
            **several,
            busy_loop_token_stamp_error_us=_rounded(self.errors["busy"]["token_stamp"]),
            tokens_per_s_sustained=round(statistics.median(self.rates)),
            cpu_s_per_10k_tokens=round(statistics.median(self.cpu), 3),
            clock=self.clock,
        )


def _rounded(one: Spread) -> Spread:
    return Spread(round(one.median, 1), None if one.p99 is None else round(one.p99, 1), one.n)


def calibrate(
    seconds: float, session: str = "s1", subjects: Mapping[str, Opener] = SUBJECTS
) -> Instrument:
    """Measure both ``subjects`` ("client" and "control") for about ``seconds`` in all.

    With 20 s or more there are two streams at once, with less there are more of them. Every phase
    has one round at least, so that very few seconds become four. TandemError if a client loses
    tokens or fails, or if the machine has no port, process or space left for it.
    """
    machine = fingerprint()
    del machine["load_1min"]  # stated beside it, before and after
    when = datetime.now(UTC).isoformat(timespec="seconds")
    started, load_before = time.monotonic(), os.getloadavg()[0]
    streams, requests = (2, 2) if seconds >= _LONG_S else (12, 3)
    phases = (
        Phase("several", 0.39, "exact", streams, requests),
        Phase("busy", 0.39, "exact", streams, requests, busy=True),
        Phase("flood", 0.09, "flood", streams=2, requests=1),
        Phase("paced", 0.13, "paced", streams=2, requests=1),
    )
    findings = measure_clients(subjects, phases, seconds)
    client = findings["client"].figures()
    return Instrument(
        **{one.name: getattr(client, one.name) for one in fields(client)},
        control=findings["control"].figures(),
        session=session,
        when=when,
        seconds=round(time.monotonic() - started, 1),
        load_before=round(load_before, 2),
        load_after=round(os.getloadavg()[0], 2),
        machine=machine,
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
            pairs: dict[str, list[tuple[Seen, StreamLog]]] = defaultdict(list)
            for prompt, seen in one.seen.items():
                if prompt not in sent:
                    raise ValueError(f"the server's log has no answer to {prompt}")
                pairs[prompt.partition("/")[0]].append((seen, sent[prompt]))
            one.errors = {phase: errors_of(of_phase) for phase, of_phase in pairs.items()}
    except (OSError, ValueError) as error:
        raise TandemError(
            f"the instrument cannot be calibrated ({error})",
            where="calibrate",
            fix="free what is missing and run it again; if that does not help, report it",
            exit_code=EXIT_ENVIRONMENT,
        ) from error
    return findings


def errors_of(pairs: Sequence[tuple[Seen, StreamLog]]) -> dict[str, Spread]:
    """The errors of all ``pairs`` by figure (as in `Figures`), tokens matched by their order.

    ValueError if a client saw more or fewer tokens than were sent, or there is no gap at all.
    """
    errors_ns: dict[str, list[float]] = {
        name: [] for name in ("token_stamp", "ttft", "gap", "duration")
    }
    for seen, log in pairs:
        if len(seen.chunk_ns) != len(log.sent_ns) or not log.sent_ns or log.end_ns is None:
            raise ValueError(f"{len(seen.chunk_ns)} tokens seen of {len(log.sent_ns)} sent")
        late = [at - sent for at, sent in zip(seen.chunk_ns, log.sent_ns, strict=True)]
        asked = seen.request_ns - log.begun_ns
        errors_ns["token_stamp"] += late
        errors_ns["ttft"].append(late[0] - asked)
        errors_ns["gap"] += [later - earlier for earlier, later in pairwise(late)]
        errors_ns["duration"].append(seen.end_ns - log.end_ns - asked)
    sizes = {name: [abs(error) / 1e3 for error in of] for name, of in errors_ns.items()}
    return {
        name: Spread(statistics.median(of), percentile(of, 0.99), len(of))
        for name, of in sizes.items()
    }


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

    burner = asyncio.create_task(_burn()) if phase.busy else None
    cpu = time.process_time()
    answers = await asyncio.gather(*map(in_turn, range(phase.streams), prompts))
    cpu = time.process_time() - cpu
    if burner:
        burner.cancel()
    seen = {prompt: one for answer in answers for prompt, one in answer.items()}
    tokens = sum(len(one.chunk_ns) for one in seen.values())
    expected = SCHEDULES[phase.schedule].tokens * len(bodies)
    if tokens != expected:
        raise ValueError(f"{tag}: the client saw {tokens} tokens of {expected}")
    if phase.schedule == "exact":
        findings.seen |= seen
    elif phase.schedule == "flood":
        first = min(one.chunk_ns[0] for one in seen.values())
        findings.rates.append(tokens / (max(one.end_ns for one in seen.values()) - first) * 1e9)
    else:
        findings.cpu.append(cpu / tokens * 1e4)


async def _burn() -> None:
    """Keep this event loop for 5 ms of every 20, as bad callers do."""
    while True:
        end = time.monotonic() + _BUSY_S
        while time.monotonic() < end:
            pass
        await asyncio.sleep(_BUSY_EVERY_S - _BUSY_S)


def _body(prompt: str, tokens: int = -1) -> bytes:
    ask = {"model": "fake", "prompt": prompt, "stream": True, "options": {"num_predict": tokens}}
    return json.dumps(ask).encode()
