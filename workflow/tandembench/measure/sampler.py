"""The telemetry process: samples five times a second until its stdin closes, then tells all.

A process of its own, so that reading counters takes no time from the one that stamps tokens. In:
lines of JSON, the processes to watch from then on by subject. Out, at the end: one line of JSON
per sample and subject. It keeps everything in memory: a block lasts a minute.
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
            used = time.process_time() if process.pid == os.getpid() else process_cpu_s(process)
            ours += used
            memory = process.memory_info().rss
            yield {"subject": subject, "cores": cores(subject, used), "memory_bytes": memory}
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


def watch(asked: int, output: TextIO) -> None:
    """Sample what the last line from the descriptor ``asked`` names until it ends, then write."""
    processes: dict[str, psutil.Process] = {}
    every = False
    samples: list[Sample] = []
    before: Sample = {}
    heard = b""
    due = time.monotonic()
    with open_gpus() as gpus:
        while True:
            # Without an order there is nothing to sample, and nothing to wake up for.
            wait_s = max(0.0, due - time.monotonic()) if processes else None
            if select.select([asked], [], [], wait_s)[0]:
                data = os.read(asked, 1 << 16)
                if not data:
                    break
                *lines, heard = (heard + data).split(b"\n")
                for line in lines:
                    processes, every = _ordered(json.loads(line))
                    before.pop("others", None)  # whose they are has changed
                continue
            of_now = list(sample(processes, every, gpus, before))
            samples += [{"t_ns": before["t_ns"], **one} for one in of_now]
            due = max(due + INTERVAL_S, time.monotonic())
    output.writelines(f"{json.dumps(one)}\n" for one in samples)


def _ordered(order: Mapping[str, Any]) -> tuple[dict[str, psutil.Process], bool]:
    """The processes that ``order`` names and that are there, and whether they are all servers."""
    processes = {}
    for subject, pid in {**order["processes"], "telemetry": os.getpid()}.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            processes[subject] = psutil.Process(pid)
    return processes, bool(order["every"])


def _memory_used() -> int:
    memory = psutil.virtual_memory()
    return int(memory.total - memory.available)


@cache
def _clock_files() -> list[Path]:
    return sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))


def _clock_mhz() -> float | None:
    """Mean clock of the cores; None where the kernel does not tell (most virtual machines)."""
    clocks = []
    for file in _clock_files():
        with contextlib.suppress(OSError, ValueError):
            clocks.append(int(file.read_text(encoding="ascii")) / 1000)
    return math.fsum(clocks) / len(clocks) if clocks else None


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    watch(sys.stdin.fileno(), sys.stdout)
