"""Whether somebody else uses this machine: the CPU that is not spent on this block."""

import asyncio
import contextlib
import math
import os
import time
from collections import deque
from collections.abc import Iterable

import psutil

from tandembench.measure.machine import busy_cpu_s, process_cpu_s

# Others that use more than this disturb: a round that meets them is measured once more.
DISTURBED_CORES = 0.1
# A round waits so long at most until the machine is quiet.
PATIENCE_S = 3.0
# Quiet means: over as long as this at least. The kernel counts in steps of 10 ms a core.
_SPAN_S = 0.25
_STEP_S = 0.05
# More looks than a wait takes: what came before it is of no use.
_LOOKS = 100


class Others:
    """What this machine does besides this process and ``pids``, which belong to the block."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._ours: dict[psutil.Process, float] = {}  # and what each has used when last seen
        for pid in (os.getpid(), *pids):
            with contextlib.suppress(psutil.NoSuchProcess):
                self._ours[psutil.Process(pid)] = 0.0
        self._looks: deque[tuple[float, float]] = deque(maxlen=_LOOKS)

    def look(self) -> float:
        """The cores that others have used since the last look; 0 at the first."""
        now = self._now()
        cores = _cores(self._looks[-1], now) if self._looks else 0.0
        self._looks.append(now)
        return cores

    async def wait_until_quiet(self) -> float:
        """Wait until others use next to nothing, PATIENCE_S at most; the seconds it took.

        What earlier looks saw counts: after a run that met nobody there is no wait.
        """
        began = time.monotonic()
        while True:
            self.look()
            waited_s = time.monotonic() - began
            if self._quiet() or waited_s > PATIENCE_S:
                return waited_s
            await asyncio.sleep(_STEP_S)

    def _quiet(self) -> bool:
        now = self._looks[-1]
        before = next((one for one in reversed(self._looks) if now[0] - one[0] >= _SPAN_S), None)
        return before is not None and _cores(before, now) < DISTURBED_CORES

    def _now(self) -> tuple[float, float]:
        """(monotonic clock, CPU that others have used since boot), both in seconds."""
        busy = busy_cpu_s()
        for process in self._ours:
            # One that has ended stays known: what it used was ours.
            with contextlib.suppress(psutil.NoSuchProcess):
                self._ours[process] = process_cpu_s(process)
        return time.monotonic(), busy - math.fsum(self._ours.values())


def _cores(before: tuple[float, float], now: tuple[float, float]) -> float:
    elapsed_s = now[0] - before[0]
    return max(0.0, now[1] - before[1]) / elapsed_s if elapsed_s > 0 else 0.0
