"""What a block was measured on: hardware, system and client versions. Names no host or user."""

import contextlib
import math
import os
import platform
import uuid
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil


@cache
def boot_id() -> str:
    """The kernel's id of this boot, or an id of this process where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid4())


def fingerprint() -> dict[str, Any]:
    """Hardware, system and versions; ``load_1min`` is the load average before the block."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "clients": {name: version(name) for name in ("httpx", "httpcore", "h11")},
        "load_1min": round(os.getloadavg()[0], 2),
    }


def foreign_cpu_s(servers: Iterable[int]) -> float:
    """CPU seconds that this machine has spent on neither this process nor ``servers`` (pids).

    Counted since boot, so a difference of two calls is what others used in between. Resolution
    is the kernel's tick, 10 ms a core. Time that a hypervisor stole counts as used by others.
    """
    times = psutil.cpu_times()._asdict()
    # guest time is contained in user time already
    idle = ("idle", "iowait", "guest", "guest_nice")
    busy = math.fsum(value for name, value in times.items() if name not in idle)
    for process in (os.getpid(), *servers):
        with contextlib.suppress(psutil.NoSuchProcess):
            own = psutil.Process(process).cpu_times()
            busy -= own.user + own.system
    return busy


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
