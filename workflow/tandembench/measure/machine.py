"""What a block was measured on: hardware, system and client versions. Names no host or user."""

import math
import os
import platform
import uuid
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

# Guest time is contained in user time already.
_NOT_BUSY = ("idle", "iowait", "guest", "guest_nice")


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


def busy_cpu_s() -> float:
    """CPU seconds that the machine has spent since boot; what a hypervisor stole counts."""
    times = psutil.cpu_times()._asdict()
    return math.fsum(value for name, value in times.items() if name not in _NOT_BUSY)


def process_cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process so far, in steps of 10 ms; psutil.NoSuchProcess if it is gone."""
    times = process.cpu_times()
    return times.user + times.system


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
