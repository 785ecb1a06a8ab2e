"""Others on this machine: who counts, when it is quiet, and how long a round waits for that."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tandembench.measure import machine
from tandembench.measure.machine import PATIENCE_S, Others
from tandembench.study.spec import DISTURBED_CORES
from tandembench.system import Family


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


@pytest.mark.parametrize(
    ("steps", "ran_s", "at_least", "at_most"),
    [
        ([(0.0, 0.0)], 0, 0.2, 0.4),
        ([(0.0, 0.05)], 0, 0.2, 0.4),
        ([(0.0, 1.0), (1.0, 0.0)], 0, 1.1, 1.4),
        ([(0.0, 0.5)], 0, PATIENCE_S, PATIENCE_S + 0.1),
        ([(0.0, 2.0), (PATIENCE_S, 0.0)], 0, PATIENCE_S, PATIENCE_S + 0.1),
        ([(0.0, 0.01)], 1.2, 0.0, 0.0),
        ([(0.0, 0.5), (1.2, 0.0)], 1.2, 0.2, 0.4),
    ],
    ids=["quiet", "nearly", "soon", "never", "too late", "met nobody", "met somebody"],
)
def test_a_round_waits_for_a_quiet_machine_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
    steps: list[tuple[float, float]],
    ran_s: float,
    at_least: float,
    at_most: float,
) -> None:
    clock = Clock(monkeypatch, *steps)
    watcher = Others([])
    if ran_s:  # what earlier looks saw counts
        watcher.look()
        clock.go(ran_s)
        assert watcher.look() == pytest.approx(steps[0][1])
    assert at_least <= asyncio.run(watcher.wait_until_quiet()) <= at_most


@contextmanager
def busy_process() -> Iterator[int]:
    program = "print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as busy:
        try:
            assert busy.stdout is not None
            busy.stdout.readline()
            yield busy.pid
        finally:
            busy.kill()


@pytest.mark.parametrize("ours", [True, False])
def test_a_process_counts_unless_it_belongs_to_the_block(
    monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    with busy_process() as busy:
        both = [Family(os.getpid(), alone=True), Family(busy)]
        watchers = {"real": Others([]), "of two": Others([Family(busy)] if ours else [])}
        watchers["real"].look()
        with monkeypatch.context() as patch:
            # a machine with two processes: this one is never another
            patch.setattr(machine, "busy_cpu_s", lambda: sum(map(Family.cpu_s, both)))
            watchers["of two"].look()
            until = both[1].cpu_s() + 0.3
            while both[1].cpu_s() < until:
                sum(range(1000))
            cores = watchers["of two"].look()
        assert watchers["real"].look() > DISTURBED_CORES
    if ours:
        assert cores == pytest.approx(0, abs=DISTURBED_CORES)  # it goes on while it is read
    else:
        assert cores > DISTURBED_CORES


def test_what_an_ended_process_of_ours_has_used_does_not_become_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "busy_cpu_s", lambda: 10.0)
    words = [sys.executable, "-c", "print(sum(range(10**7)), flush=True); input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ours:
        assert ours.stdout
        ours.stdout.readline()
        watcher = Others([Family(ours.pid)])
        watcher.look()
        ours.communicate(b"\n")
    assert watcher.look() == 0.0
