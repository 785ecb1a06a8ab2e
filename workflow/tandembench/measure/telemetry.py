"""Telemetry of a block: a process beside it that samples CPU, memory, clocks and GPUs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

from tandembench.measure.block import Execution

_PROGRAM = "tandembench.measure.sampler"
STOP_TIMEOUT_S = 10.0
Samples = list[dict[str, Any]]


class Telemetry:
    """A sampler that waits to be told what to watch; ``pid`` is its process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def watch(self, servers: Sequence[int | None]) -> None:
        """Begin to sample this process and ``servers`` (pids; None where one is not known)."""
        known = {f"server {i}": pid for i, pid in enumerate(servers) if pid is not None}
        order = {
            "processes": {"client": os.getpid(), **known},
            "every": 0 < len(servers) == len(known),
        }
        if self._process.stdin:
            with suppress(BrokenPipeError):  # it died: the block counts without telemetry
                self._process.stdin.write(f"{json.dumps(order)}\n")
                self._process.stdin.flush()

    def stop(self) -> Samples:
        """End it, and what it saw; nothing if it died, whose reason is then in the log."""
        try:
            said, _ = self._process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return []
        return [json.loads(line) for line in said.splitlines()] if not self._process.poll() else []


@contextmanager
def telemetry(log: IO[str]) -> Iterator[Telemetry]:
    """A sampler, started while there is still nothing to disturb, and gone at the end."""
    process = subprocess.Popen(  # noqa: S603 - our own program, no shell
        [sys.executable, "-m", _PROGRAM, str(os.getpid())],
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


def by_execution(samples: Samples, executions: Sequence[Execution]) -> Mapping[int, Samples]:
    """Samples by position in the block's order, ``t_ns`` after that position's t0.

    A sample tells of the time since the one before it, and counts where all of that lies between
    t0 and the last byte; what was sampled between two executions is left out.
    """
    stamps = sorted({one["t_ns"] for one in samples})
    begins = dict(zip(stamps[1:], stamps, strict=False))
    ends: dict[int, tuple[int, int]] = {}
    for execution in executions:
        end_ns = max(step.end_ns for step in execution.steps)
        _, known = ends.get(execution.position, (0, 0))
        ends[execution.position] = execution.t0_ns, max(end_ns, known)
    return {
        position: [
            {**one, "t_ns": one["t_ns"] - t0_ns}
            for one in samples
            if begins.get(one["t_ns"], -1) >= t0_ns and one["t_ns"] <= end_ns
        ]
        for position, (t0_ns, end_ns) in ends.items()
    }
