"""Others on this machine: who counts, when it is quiet, and how long a round waits for that."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterable
from time import monotonic

import psutil
import pytest

from tandembench.measure import machine as others
from tandembench.measure.machine import PATIENCE_S, Others, process_cpu_s
from tandembench.study.spec import DISTURBED_CORES


class Clock:
    """A clock that goes on with every sleep, and the cores that others use from when on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: tuple[float, float]) -> None:
        self.now_s = 100.0
        self.cpu_s = 0.0
        self.steps = steps

        async def sleep(seconds: float) -> None:
            self.go(seconds)

        monkeypatch.setattr(Others, "_now", lambda _: (self.now_s, self.cpu_s))
        monkeypatch.setattr("tandembench.measure.machine.time.monotonic", lambda: self.now_s)
        monkeypatch.setattr("tandembench.measure.machine.asyncio.sleep", sleep)

    def go(self, seconds: float) -> None:
        cores = [cores for since_s, cores in self.steps if self.now_s - 100.0 >= since_s - 1e-9]
        self.cpu_s += seconds * cores[-1]
        self.now_s += seconds


def waited(*steps: tuple[float, float]) -> Callable[[pytest.MonkeyPatch], float]:
    """Seconds that a first round waits where others use these cores from these seconds on."""

    def wait(monkeypatch: pytest.MonkeyPatch) -> float:
        Clock(monkeypatch, *steps)
        return asyncio.run(Others([]).wait_until_quiet())

    return wait


@pytest.mark.parametrize(
    ("steps", "at_least", "at_most"),
    [
        ([(0.0, 0.0)], 0.2, 0.4),
        ([(0.0, 0.05)], 0.2, 0.4),
        ([(0.0, 1.0), (1.0, 0.0)], 1.1, 1.4),
        ([(0.0, 0.5)], PATIENCE_S, PATIENCE_S + 0.1),
        ([(0.0, 2.0), (PATIENCE_S, 0.0)], PATIENCE_S, PATIENCE_S + 0.1),
    ],
    ids=["quiet", "nearly", "soon", "never", "too late"],
)
def test_a_round_waits_for_a_quiet_machine_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
    steps: Iterable[tuple[float, float]],
    at_least: float,
    at_most: float,
) -> None:
    assert at_least <= waited(*steps)(monkeypatch) <= at_most


def test_after_a_run_that_met_nobody_there_is_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, (0.0, 0.01))
    watcher = Others([])
    watcher.look()
    clock.go(1.2)
    assert watcher.look() == pytest.approx(0.01)
    assert asyncio.run(watcher.wait_until_quiet()) == 0.0


def test_after_a_run_that_met_somebody_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, (0.0, 0.5), (1.2, 0.0))
    watcher = Others([])
    watcher.look()
    clock.go(1.2)
    assert watcher.look() == pytest.approx(0.5)
    assert 0.2 <= asyncio.run(watcher.wait_until_quiet()) <= 0.4


@pytest.mark.parametrize("ours", [True, False])
def test_a_process_counts_unless_it_belongs_to_the_block(
    monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    program = "print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as busy:
        try:
            assert busy.stdout is not None
            busy.stdout.readline()
            # a machine with two processes: this one is never another
            both = [psutil.Process(), psutil.Process(busy.pid)]
            monkeypatch.setattr(others, "busy_cpu_s", lambda: sum(map(process_cpu_s, both)))
            watcher = Others([busy.pid] if ours else [])
            watcher.look()
            until = process_cpu_s(both[1]) + 0.3
            while process_cpu_s(both[1]) < until:
                sum(range(1000))
            cores = watcher.look()
        finally:
            busy.kill()
    if ours:
        assert cores == pytest.approx(0, abs=DISTURBED_CORES)  # it goes on while it is read
    else:
        assert cores > DISTURBED_CORES


def test_what_others_do_on_this_machine_is_seen() -> None:
    program = "print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as busy:
        try:
            assert busy.stdout is not None
            busy.stdout.readline()
            watcher = Others([])
            watcher.look()
            end = monotonic() + 0.5
            while monotonic() < end:
                sum(range(1000))
            assert watcher.look() > DISTURBED_CORES
        finally:
            busy.kill()


def _three_seconds(process: psutil.Process) -> float:
    process.cpu_times()  # which an ended process does not have
    return 3.0


def test_what_an_ended_process_of_ours_has_used_does_not_become_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(others, "busy_cpu_s", lambda: 10.0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as ours:
        watcher = Others([ours.pid])
        monkeypatch.setattr(
            others, "process_cpu_s", lambda process: 3.0 + 0 * process.cpu_times()[0]
        )
        watcher.look()
        ours.communicate(b"\n")
    assert watcher.look() == 0.0
