"""The telemetry process: samples five times a second until its stdin closes, then writes all.

A process of its own, so that reading counters takes no time from the one that stamps tokens. In:
lines of JSON, the servers to watch from then on by subject: [process, port where it listens or
null]. Out, at the end: one line of JSON per sample and subject. It keeps everything in memory: a
block lasts a minute. GPUs are asked through NVML (NVIDIA's API reference; nvidia-ml-py is its
binding by NVIDIA).
"""

import json
import math
import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import psutil
import pynvml

from tandembench.measure.machine import HOT, Sample, busy_cpu_s
from tandembench.system import Family, die_with

INTERVAL_S = 0.2
# To look for the children of a server takes longer than to read what it uses.
_LOOK_S = 1.0
_CPUS = Path("/sys/devices/system/cpu")
# By bit: two of the names mean the same.
_REASONS = {
    value: name.removeprefix("nvmlClocksEventReason")
    for name, value in vars(pynvml).items()
    if name.startswith("nvmlClocksEventReason") and isinstance(value, int)
    # neither slows a GPU that has work to do
    if not name.endswith(("All", "None", "GpuIdle"))
}


@contextmanager
def open_gpus() -> Iterator[Callable[[], list[Sample]]]:
    """A function that samples every GPU; it finds none where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield list
        return
    try:
        count = pynvml.nvmlDeviceGetCount()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        yield lambda: [_of_gpu(index, handle) for index, handle in enumerate(handles)]
    finally:
        pynvml.nvmlShutdown()


def _of_gpu(index: int, handle: object) -> Sample:
    def asked(question: Callable[..., Any], *arguments: int) -> Any:  # noqa: ANN401 - of NVML
        with suppress(pynvml.NVMLError):  # not supported by this GPU: not known
            return question(handle, *arguments)
        return None

    use = asked(pynvml.nvmlDeviceGetUtilizationRates)
    memory = asked(pynvml.nvmlDeviceGetMemoryInfo)
    milliwatts = asked(pynvml.nvmlDeviceGetPowerUsage)
    bits = asked(pynvml.nvmlDeviceGetCurrentClocksEventReasons)
    return {
        "subject": f"gpu {index}",
        "utilisation": None if use is None else use.gpu / 100,
        "memory_bytes": None if memory is None else int(memory.used),
        "power_w": None if milliwatts is None else milliwatts / 1000,
        "clock_mhz": asked(pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_SM),
        "temperature_c": asked(pynvml.nvmlDeviceGetTemperature, pynvml.NVML_TEMPERATURE_GPU),
        # what holds the clocks down, by NVML's names
        "throttle": None
        if bits is None
        else ", ".join(sorted(name for bit, name in _REASONS.items() if bits & bit)),
    }


def watch(asked: int, output: TextIO) -> None:
    """Sample what the last line from the descriptor ``asked`` names until it ends, then write."""
    families: dict[str, Family] = {}
    every = False
    samples: list[Sample] = []
    before: dict[str, float] = {}
    heard = b""
    due = time.monotonic()
    with open_gpus() as gpus:
        while True:
            # Without an order there is nothing to sample, and nothing to wake up for.
            wait_s = max(0.0, due - time.monotonic()) if families else None
            if select.select([asked], [], [], wait_s)[0]:
                data = os.read(asked, 1 << 16)
                if not data:
                    break
                *lines, heard = (heard + data).split(b"\n")
                for line in lines:
                    order = json.loads(line)
                    every = order["every"]
                    families = {
                        name: Family(*one, look_s=_LOOK_S) for name, one in order["servers"].items()
                    }
                    clients = {"client": os.getppid(), "telemetry": os.getpid()}
                    families |= {name: Family(pid, alone=True) for name, pid in clients.items()}
                    before.pop("others", None)  # whose they are has changed
                continue
            now_ns = time.monotonic_ns()
            of_now = (*_of_cpu(families, every, now_ns, before), *gpus())
            samples += [{**one, "t_ns": now_ns} for one in of_now]
            due = max(due + INTERVAL_S, time.monotonic())
    output.writelines(f"{json.dumps(one)}\n" for one in samples)


def _of_cpu(
    families: Mapping[str, Family], every: bool, now_ns: int, before: dict[str, float]
) -> Iterator[Sample]:
    """One sample of each family and of the machine.

    ``before`` holds the CPU seconds that the last one read, by subject, and when; it is updated.
    ``every`` says that ``families`` names all servers of the block, so that what is left of the
    machine's CPU is other people's.
    """
    elapsed_s = (now_ns - before.get("t_ns", now_ns)) / 1e9
    before["t_ns"] = now_ns

    def cores(subject: str, cpu_s: float) -> float | None:
        then = before.get(subject)
        before[subject] = cpu_s
        return None if then is None or elapsed_s <= 0 else max(0.0, cpu_s - then) / elapsed_s

    busy = busy_cpu_s()
    ours = 0.0
    for subject, family in families.items():
        used = time.process_time() if subject == "telemetry" else family.cpu_s()
        ours += used
        if resident := family.memory_bytes():
            yield {"subject": subject, "cores": cores(subject, used), "memory_bytes": resident}
    if every:
        yield {"subject": "others", "cores": cores("others", busy - ours)}
    throttles = _cpu_throttles()
    hotter = throttles > before.get("throttles", throttles)
    before["throttles"] = throttles
    memory = psutil.virtual_memory()
    yield {
        "subject": "machine",
        "cores": cores("machine", busy),
        "memory_bytes": memory.total - memory.available,
        "clock_mhz": _clock_mhz(),
        "throttle": HOT if hotter else None,
    }


def _cpu_throttles() -> int:
    """How often the CPU has slowed itself down against heat since boot; 0 where nobody counts.

    Source: Linux, Documentation/ABI/testing/sysfs-devices-system-cpu, thermal_throttle.
    """
    counts = 0
    for file in _throttle_files():
        with suppress(OSError, ValueError):
            counts += int(file.read_text(encoding="ascii"))
    return counts


@cache
def _throttle_files() -> list[Path]:
    return sorted(_CPUS.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))


@cache
def _clock_files() -> list[Path]:
    return sorted(_CPUS.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))


def _clock_mhz() -> float | None:
    """Mean clock of the cores; None where the kernel does not tell (most virtual machines)."""
    clocks = []
    for file in _clock_files():
        with suppress(OSError, ValueError):
            clocks.append(int(file.read_text(encoding="ascii")) / 1000)
    return math.fsum(clocks) / len(clocks) if clocks else None


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    watch(sys.stdin.fileno(), sys.stdout)
