"""The machine: what it is, what others do on it meanwhile, and this process's own garbage."""

import asyncio
import gc
import math
import os
import platform
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TypedDict

import psutil

from tandembench.study.spec import DISTURBED_CORES
from tandembench.system import Family, boot_clock_ns, cores, cpu_name
from tandembench.wire.clocks import ahead_ns

# A round waits so long at most until the machine is quiet.
PATIENCE_S = 3.0
# Quiet means: over as long as this at least. The kernel counts in steps of 10 ms a core.
_SPAN_S = 0.25
_STEP_S = 0.05
# More looks than a wait takes: what came before it is of no use.
_LOOKS = 100
# Guest time is contained in user time already.
_NOT_BUSY = ("idle", "iowait", "guest", "guest_nice")


def fingerprint() -> dict[str, object]:
    """Hardware, system and client versions, and ``load_1min``, the load average now.

    Names no host and no user.
    """
    return {
        "cpu": cpu_name(),
        "cores": cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "clients": {name: version(name) for name in ("httpx", "httpcore", "h11")},
        "load_1min": round(os.getloadavg()[0], 2),
    }


@contextmanager
def no_collection() -> Iterator[None]:
    """No garbage collection by itself; what is there already is never looked at again inside."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


@dataclass(frozen=True, slots=True)
class Clocks:
    """How far other clocks are ahead of CLOCK_MONOTONIC, seconds.

    ``wall`` changes when the clock is set and when the machine sleeps, ``boot`` only when it
    sleeps; ``boot`` is None where no clock goes on meanwhile (Linux has one).
    """

    wall: float
    boot: float | None

    @classmethod
    def now(cls) -> "Clocks":
        """Read them."""
        can_tell = boot_clock_ns() is not None
        boot = ahead_ns(lambda: boot_clock_ns() or 0) / 1e9 if can_tell else None
        return cls(ahead_ns(time.time_ns) / 1e9, boot)

    def slept_s(self, later: "Clocks") -> float | None:
        """Seconds that the machine slept until ``later``; None where no clock tells."""
        return None if self.boot is None or later.boot is None else later.boot - self.boot

    def set_s(self, later: "Clocks") -> float:
        """By how many seconds the wall clock was set until ``later``; negative: back."""
        return later.wall - self.wall - (self.slept_s(later) or 0.0)


# What the samples of the machine say where its CPU slowed itself down since the one before.
HOT = "CpuThermalThrottle"


class Sample(TypedDict, total=False):
    """One sample of one subject, in the units of the table ``telemetry``; what is not known: None.

    ``t_ns`` is CLOCK_MONOTONIC here, and counts from t0 in a run's rows.
    """

    t_ns: int
    subject: str
    cores: float | None
    memory_bytes: int | None
    clock_mhz: float | None
    utilisation: float | None
    power_w: float | None
    temperature_c: float | None
    throttle: str | None


def busy_cpu_s() -> float:
    """CPU seconds that the machine has spent since boot; what a hypervisor stole counts."""
    times = psutil.cpu_times()._asdict()
    return math.fsum(value for name, value in times.items() if name not in _NOT_BUSY)


class Others:
    """What this machine does besides this process and ``families``, which belong to the block."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._ours = [Family(os.getpid(), alone=True), *families]
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
        return time.monotonic(), busy - math.fsum(one.cpu_s() for one in self._ours)


def _cores(before: tuple[float, float], now: tuple[float, float]) -> float:
    elapsed_s = now[0] - before[0]
    return max(0.0, now[1] - before[1]) / elapsed_s if elapsed_s > 0 else 0.0
