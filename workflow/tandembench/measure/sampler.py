"""The telemetry process: samples five times a second until its stdin closes, then tells all.

A process of its own, so that reading counters takes no time from the one that stamps tokens. In:
one line of JSON, the processes to watch by subject. Out, at the end: one line of JSON per sample
and subject. It keeps everything in memory: a block lasts seconds.
"""

import contextlib
import json
import math
import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import psutil

from tandembench.measure.gpu import open_gpus
from tandembench.measure.machine import busy_cpu_s, process_cpu_s
from tandembench.servers.lifeline import die_with

INTERVAL_S = 0.2
Sample = dict[str, Any]


def sample(
    processes: Mapping[str, psutil.Process],
    every: bool,
    gpus: Callable[[], list[Sample]],
    before: Sample,
) -> Iterator[Sample]:
    """One sample of each subject; ``before`` holds what the last one read, and is updated.

    ``processes`` is by subject. ``every`` says that it names all servers of the block, so that
    what is left of the machine's CPU is other people's.
    """
    now_ns = time.monotonic_ns()
    elapsed_s = (now_ns - before.get("t_ns", now_ns)) / 1e9

    def cores(subject: str, cpu_s: float) -> float | None:
        then = before.get(subject)
        before[subject] = cpu_s
        return None if then is None or elapsed_s <= 0 else max(0.0, cpu_s - then) / elapsed_s

    busy = busy_cpu_s()
    ours = 0.0
    for subject, process in processes.items():
        with contextlib.suppress(psutil.Error):
            own = time.process_time() if process.pid == os.getpid() else process_cpu_s(process)
            ours += own
            memory = process.memory_info().rss
            yield {"subject": subject, "cores": cores(subject, own), "memory_bytes": memory}
    if every:
        yield {"subject": "others", "cores": cores("others", busy - ours)}
    yield {
        "subject": "machine",
        "cores": cores("machine", busy),
        "memory_bytes": _memory_used(),
        "clock_mhz": _clock_mhz(),
    }
    yield from gpus()
    before["t_ns"] = now_ns


def watch(asked: TextIO, told: TextIO) -> None:
    """Sample what the first line of ``asked`` names until it ends, then write to ``told``."""
    line = asked.readline()
    if not line:
        return
    order = json.loads(line)
    processes = {}
    for subject, pid in {**order["processes"], "telemetry": os.getpid()}.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            processes[subject] = psutil.Process(pid)
    samples: list[Sample] = []
    before: Sample = {}
    with open_gpus() as gpus:
        due = time.monotonic()
        while True:
            of_now = list(sample(processes, order["every"], gpus, before))
            samples += [{"t_ns": before["t_ns"], **one} for one in of_now]
            due = max(due + INTERVAL_S, time.monotonic())
            ready, _, _ = select.select([asked], [], [], due - time.monotonic())
            if ready:
                break
    told.writelines(f"{json.dumps(one)}\n" for one in samples)


def _memory_used() -> int:
    memory = psutil.virtual_memory()
    return int(memory.total - memory.available)


@cache
def _clock_files() -> list[Path]:
    return sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))


def _clock_mhz() -> float | None:
    """Mean clock of the cores; None where the kernel does not tell (most virtual machines)."""
    found = []
    for file in _clock_files():
        with contextlib.suppress(OSError, ValueError):
            found.append(int(file.read_text(encoding="ascii")) / 1000)
    return math.fsum(found) / len(found) if found else None


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    watch(sys.stdin, sys.stdout)
