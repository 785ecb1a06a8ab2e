"""Telemetry of a block: a process beside it that samples CPU, memory, clocks and GPUs.

It knows a server by its deployment's key and its place there ("KEY/0"); a run's samples keep those
of its own servers, as "server 0" and so on.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from tandembench.measure.block import Done
from tandembench.measure.machine import HOT, Sample
from tandembench.servers.deployment import Server

_STOP_TIMEOUT_S = 10.0
_THROTTLES = {"HwSlowdown", "HwThermalSlowdown", "SwThermalSlowdown", "HwPowerBrakeSlowdown", HOT}


class Telemetry:
    """A sampler that waits to be told what to watch; ``pid`` is its process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def watch(self, standing: Mapping[str, Sequence[Server]]) -> None:
        """Sample this process and the servers that are ``standing`` (by key) from now on."""
        servers = {f"{key}/{one.index}": one for key, of in standing.items() for one in of}
        known = {name: (one.pid, one.port) for name, one in servers.items() if one.pid is not None}
        order = {"servers": known, "every": 0 < len(servers) == len(known)}
        if self._process.stdin:
            with suppress(BrokenPipeError):  # it died: the block counts without telemetry
                self._process.stdin.write(f"{json.dumps(order)}\n")
                self._process.stdin.flush()

    def stop(self) -> list[Sample]:
        """End it, and what it saw; nothing if it died, whose reason is then in the log."""
        with suppress(subprocess.TimeoutExpired):
            output, _ = self._process.communicate(timeout=_STOP_TIMEOUT_S)
            if self._process.returncode == 0:
                return [json.loads(line) for line in output.splitlines()]
        return []


@contextmanager
def telemetry(log: IO[str]) -> Iterator[Telemetry]:
    """A sampler, started while there is still nothing to disturb, and gone at the end."""
    process = subprocess.Popen(  # noqa: S603 - our own program, no shell
        [sys.executable, "-m", "tandembench.measure.sampler", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    with process:
        try:
            yield Telemetry(process)
        finally:
            process.kill()


def by_position(samples: Sequence[Sample], done: Sequence[Done]) -> dict[int, list[Sample]]:
    """Samples by position in the block's order, ``t_ns`` after that position's t0.

    A sample tells of the time since the one before it, and counts where all of that lies between
    t0 and the last byte; what was sampled between two runs is left out, and so is what servers
    did that the config does not use.
    """
    stamps = sorted({one["t_ns"] for one in samples})
    begins = dict(zip(stamps[1:], stamps, strict=False))
    positions: dict[int, list[Sample]] = {}
    for turn in done:
        if turn.position is None:
            continue
        t0_ns = turn.executions[0].t0_ns
        end_ns = max(step.end_ns for each in turn.executions for step in each.steps)
        positions[turn.position] = [
            {**one, "t_ns": one["t_ns"] - t0_ns, "subject": subject}
            for one in samples
            if begins.get(one["t_ns"], -1) >= t0_ns and one["t_ns"] <= end_ns
            if (subject := _subject(one["subject"], turn.deployment))
        ]
    return positions


def throttled(samples: Iterable[Sample]) -> str | None:
    """What the hardware says that it slowed itself down for, to stay whole; None if nothing.

    A limit of power is no such thing: a GPU at work is always at it. Source: NVML,
    nvmlClocksEventReasons.
    """
    said = {part for one in samples for part in (one.get("throttle") or "").split(", ")}
    return ", ".join(sorted(said & _THROTTLES)) or None


def _subject(subject: str, key: str) -> str | None:
    """The subject as a run on the deployment ``key`` has it; None if it is not of that run."""
    deployment, of_server, index = subject.rpartition("/")
    if not of_server:
        return subject
    return f"server {index}" if deployment == key else None
