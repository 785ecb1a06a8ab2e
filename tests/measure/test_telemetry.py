"""The sampler as a process of its own, the GPUs that it asks, and where its samples go."""

import itertools
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic_ns, process_time
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from tandembench.measure import sampler as sampler_module
from tandembench.measure.block import Done
from tandembench.measure.execution import Execution
from tandembench.measure.machine import HOT, Sample
from tandembench.measure.plan import Turn
from tandembench.measure.sampler import INTERVAL_S, open_gpus
from tandembench.measure.telemetry import by_position, telemetry, throttled
from tandembench.servers.deployment import Server
from tandembench.wire import Final, StreamRecord

SECOND = 10**9


@contextmanager
def busy_process() -> Iterator[int]:
    """A process that computes all the time."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def standing(*pids: int | None, key: str = "k") -> dict[str, list[Server]]:
    """One deployment whose servers are these processes."""
    return {key: [Server(i, "embedded", "", None, {}, pid=pid) for i, pid in enumerate(pids)]}


def compute(seconds: float) -> None:
    """So many CPU seconds of this process."""
    until = process_time() + seconds
    while process_time() < until:
        sum(range(1000))


def watched(pids: list[int | None], seconds: float) -> list[Sample]:
    """What a sampler saw while this process computed for so many CPU seconds."""
    with telemetry(sys.stderr) as sampler:
        sampler.watch(standing(*pids))
        compute(seconds)
        return sampler.stop()


def of(samples: list[Sample], subject: str) -> list[Any]:
    return [one for one in samples if one["subject"] == subject]


def test_a_busy_server_is_told_from_the_client_and_from_others() -> None:
    with busy_process() as pid:
        samples = watched([pid], 1.5)
    assert {one["subject"] for one in samples} >= {"client", "k/0", "telemetry", "others"}
    for subject in ("client", "k/0"):
        later = of(samples, subject)[1:]
        assert later
        # Others share the cores: a busy process has some of one, and never more than one.
        assert 0.02 < sum(one["cores"] for one in later) / len(later) <= 1.05
        assert all(one["memory_bytes"] > 1_000_000 for one in later)
    machine = of(samples, "machine")
    assert all(0 <= one["cores"] <= os.cpu_count() + 0.5 for one in machine[1:])
    assert all(one["memory_bytes"] > 10_000_000 for one in machine)
    stamps = sorted({one["t_ns"] for one in samples})
    assert stamps[-1] <= monotonic_ns()
    # one that came late is not followed by a burst
    assert min(b - a for a, b in itertools.pairwise(stamps)) > INTERVAL_S * 0.5 * SECOND


def test_it_costs_less_than_a_hundredth_of_a_core() -> None:
    best = 1.0
    for _ in range(3):  # others may take its turn, never give it CPU
        sampler = of(watched([os.getpid()], 2.0), "telemetry")[2:]
        best = min(best, sum(one["cores"] for one in sampler) / len(sampler))
    assert 0 < best < 0.01


def test_others_are_not_known_where_a_server_is_not() -> None:
    samples = watched([os.getpid(), None], 0.3)
    assert not of(samples, "others")
    assert of(samples, "k/0")
    assert not of(samples, "k/1")


def test_what_is_watched_may_change_and_end() -> None:
    with telemetry(sys.stderr) as sampler, busy_process() as pid:
        ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        sampler.watch(standing(os.getpid(), ended.pid))
        ended.communicate(b"\n")
        compute(0.5)
        sampler.watch(standing(pid, key="other"))
        compute(0.5)
        samples = sampler.stop()
    first, second = of(samples, "k/0"), of(samples, "other/0")
    assert len(first) > len(of(samples, "k/1"))
    assert second
    assert max(one["t_ns"] for one in first) < min(one["t_ns"] for one in second)
    # nobody's CPU counts as others' because it was not watched before
    assert all((one["cores"] or 0) < os.cpu_count() + 0.5 for one in of(samples, "others"))


def test_a_sampler_that_dies_takes_nothing_with_it(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log, telemetry(log) as sampler:
        os.kill(sampler.pid, 9)
        os.waitid(os.P_PID, sampler.pid, os.WEXITED | os.WNOWAIT)
        sampler.watch({})
        assert sampler.stop() == []


def test_it_does_not_outlive_who_started_it() -> None:
    program = (
        "import sys\n"
        "from tandembench.measure.telemetry import telemetry\n"
        "with telemetry(sys.stderr) as sampler:\n"
        "    sampler.watch({})\n"
        "    print(sampler.pid, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    descriptor = os.pidfd_open(int(starter.stdout.readline()))
    starter.kill()
    starter.communicate()
    assert select.select([descriptor], [], [], 20)[0], "the sampler lives on"
    os.close(descriptor)


# GPUs: no GPU of any kind was at hand; what a real driver answers is not tested here.

ANSWERS: dict[str, Any] = {
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=37),
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=5_000_000_000),
    "nvmlDeviceGetPowerUsage": 123_456,
    "nvmlDeviceGetClockInfo": 1980,
    "nvmlDeviceGetTemperature": 61,
    "nvmlDeviceGetCurrentClocksEventReasons": (
        pynvml.nvmlClocksEventReasonHwSlowdown
        | pynvml.nvmlClocksEventReasonSwThermalSlowdown
        | pynvml.nvmlClocksEventReasonGpuIdle
    ),
}
SAMPLE = {
    "utilisation": 0.37,
    "memory_bytes": 5_000_000_000,
    "power_w": 123.456,
    "clock_mhz": 1980,
    "temperature_c": 61,
    "throttle": "HwSlowdown, SwThermalSlowdown",
}
IDLE = {"nvmlDeviceGetCurrentClocksEventReasons": pynvml.nvmlClocksEventReasonGpuIdle}


@pytest.mark.parametrize(
    ("answers", "sample"),
    [(ANSWERS, SAMPLE), (ANSWERS | IDLE, SAMPLE | {"throttle": ""}), ({}, dict.fromkeys(SAMPLE))],
    ids=["all", "idle", "none supported"],
)
def test_a_gpu_tells_in_the_units_of_the_table_what_it_supports(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any], sample: dict[str, Any]
) -> None:
    opened: list[str] = []

    def asked(name: str, handle: str) -> Any:
        assert handle == "handle 0"
        if name not in answers:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return answers[name]

    for name in ANSWERS:
        monkeypatch.setattr(pynvml, name, lambda handle, *_, name=name: asked(name, handle))
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: opened.append("open"))
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: opened.append("shut"))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 1)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: f"handle {index}")
    with open_gpus() as gpus:
        assert gpus() == [{"subject": "gpu 0", **sample}]
    assert opened == ["open", "shut"]


def test_without_a_driver_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", no_driver)
    with open_gpus() as gpus:
        assert gpus() == []


# Whose samples are whose


def a_turn(position: int | None, key: str, t0_s: float, *ends_s: float) -> Done:
    """A turn on the deployment ``key`` whose agents end at ``ends_s``."""
    t0_ns = int(t0_s * SECOND)
    ends = [int(end_s * SECOND) for end_s in ends_s]
    executions = tuple(
        Execution(
            *("a", "concurrent", t0_ns, 0.0, 0.0, None, "", 0),
            steps=(StreamRecord(t0_ns, (end,), None, end, "", Final(), "kernel"),),
        )
        for end in ends
    )
    return Done(1, Turn(0), key, datetime.now(UTC), position=position, executions=executions)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_sample_counts_where_all_of_its_time_lies_in_one_turn(backwards: bool) -> None:
    # A sample at 0.5, 1.5 ... 9.5 s of the second before it.
    samples: list[Sample] = [
        {"t_ns": int((n + 0.5) * SECOND), "subject": "client", "cores": n} for n in range(10)
    ]
    # the longer of two agents counts
    turns = [a_turn(0, "k", 1.0, 3.6), a_turn(1, "k", 4.5, 6.4, 8.5), a_turn(None, "k", 9.0)]
    by = by_position(samples, turns[::-1] if backwards else turns)
    assert [one["cores"] for one in by[0]] == [2, 3]
    assert [one["cores"] for one in by[1]] == [5, 6, 7, 8]
    assert [one["t_ns"] for one in by[1]] == [SECOND, 2 * SECOND, 3 * SECOND, 4 * SECOND]
    assert by_position([], turns) == {0: [], 1: []}


def test_a_turn_has_the_samples_of_its_own_servers() -> None:
    subjects = ("client", "k/0", "k/1", "k-twin/0", "other/0", "gpu 0")
    samples: list[Sample] = [
        {"t_ns": n * SECOND, "subject": one} for n in range(1, 4) for one in subjects
    ]
    by = by_position(samples, [a_turn(0, "k", 1.0, 2.5), a_turn(1, "k-twin", 1.0, 2.5)])
    assert [one["subject"] for one in by[0]] == ["client", "server 0", "server 1", "gpu 0"]
    assert [one["subject"] for one in by[1]] == ["client", "server 0", "gpu 0"]


def test_a_cpu_that_slows_itself_down_against_heat_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    count = tmp_path / "cpu0/thermal_throttle/core_throttle_count"
    count.parent.mkdir(parents=True)
    monkeypatch.setattr(sampler_module, "_CPUS", tmp_path)
    sampler_module._throttle_files.cache_clear()
    before: dict[str, float] = {}
    said = []
    for number, counted in enumerate(("3", "3", "5")):
        count.write_text(counted)
        samples = list(sampler_module._of_cpu({}, False, number, before))
        said.append(samples[-1]["throttle"])
    sampler_module._throttle_files.cache_clear()
    assert said == [None, None, HOT]
    assert throttled(samples) == HOT
