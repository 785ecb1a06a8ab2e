"""The sampler as a process of its own, and where its samples go."""

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

import pytest

from tandembench.measure.bench import Done
from tandembench.measure.execution import Execution
from tandembench.measure.plan import Turn
from tandembench.measure.sampler import INTERVAL_S
from tandembench.measure.telemetry import Samples, by_position, telemetry
from tandembench.servers.model import Server
from tandembench.wire import Final, StreamRecord

SECOND = 10**9


@contextmanager
def busy_process() -> Iterator[int]:
    """A process that computes all the time."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def standing(*pids: int | None) -> dict[str, list[Server]]:
    """One deployment, of the key "k", whose servers are these processes."""
    return {"k": [Server(i, "embedded", "", None, {}, pid=pid) for i, pid in enumerate(pids)]}


def compute(seconds: float) -> None:
    """So many CPU seconds of this process."""
    until = process_time() + seconds
    while process_time() < until:
        sum(range(1000))


def watched(pids: list[int | None], seconds: float) -> Samples:
    """What a sampler saw while this process computed for so many CPU seconds."""
    with telemetry(sys.stderr) as sampler:
        sampler.watch(standing(*pids))
        compute(seconds)
        return sampler.stop()


def of(samples: Samples, subject: str) -> Samples:
    return [one for one in samples if one["subject"] == subject]


def test_a_busy_server_is_told_from_the_client_and_from_others() -> None:
    with busy_process() as pid:
        samples = watched([pid], 1.5)
    subjects = {one["subject"] for one in samples}
    assert {"client", "k/0", "telemetry", "others", "machine"} <= subjects
    for subject in ("client", "k/0"):
        later = of(samples, subject)[1:]
        assert later
        # Others share the cores: a busy process has some of one, and never more than one.
        assert 0.1 < sum(one["cores"] for one in later) / len(later) <= 1.05
        assert all(one["memory_bytes"] > 1_000_000 for one in later)
    machine = of(samples, "machine")
    assert all(0 <= one["cores"] <= os.cpu_count() + 0.5 for one in machine[1:])
    assert all(one["memory_bytes"] > 10_000_000 for one in machine)
    stamps = sorted({one["t_ns"] for one in samples})
    assert stamps[-1] <= monotonic_ns()
    gaps = [(b - a) / SECOND for a, b in itertools.pairwise(stamps)]
    assert min(gaps) > INTERVAL_S * 0.5  # one that came late is not followed by a burst


def test_it_costs_less_than_a_hundredth_of_a_core() -> None:
    best = 1.0
    for _ in range(3):  # others may take its turn, never give it CPU
        own = of(watched([os.getpid()], 2.0), "telemetry")[2:]
        best = min(best, sum(one["cores"] for one in own) / len(own))
    assert 0 < best < 0.01


def test_others_are_not_known_where_a_server_is_not() -> None:
    samples = watched([os.getpid(), None], 0.3)
    assert not of(samples, "others")
    assert of(samples, "k/0")
    assert not of(samples, "k/1")


def test_a_server_that_ends_is_sampled_no_more() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with telemetry(sys.stderr) as sampler:
        sampler.watch(standing(process.pid))
        process.communicate(b"\n")
        compute(0.5)
        samples = sampler.stop()
    assert len(of(samples, "client")) > len(of(samples, "k/0"))


def test_what_is_watched_may_change() -> None:
    with telemetry(sys.stderr) as sampler, busy_process() as pid:
        sampler.watch(standing(os.getpid()))
        compute(0.5)
        sampler.watch({"other": standing(pid)["k"]})
        compute(0.5)
        samples = sampler.stop()
    first, second = of(samples, "k/0"), of(samples, "other/0")
    assert first
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
    pid = int(starter.stdout.readline())
    descriptor = os.pidfd_open(pid)
    starter.kill()
    starter.communicate()
    assert select.select([descriptor], [], [], 20)[0], "the sampler lives on"
    os.close(descriptor)


def a_turn(position: int | None, key: str, t0_s: float, *ends_s: float) -> Done:
    """A turn on the deployment ``key`` whose agents end at ``ends_s``."""
    executions = [
        Execution(
            agent="a",
            mode="concurrent",
            t0_ns=int(t0_s * SECOND),
            cpu_s=0.0,
            loop_lag_s=0.0,
            foreign_cores=None,
            nonce="",
            seed=0,
            steps=(
                StreamRecord(
                    request_ns=int(t0_s * SECOND),
                    chunk_ns=(int(end_s * SECOND),),
                    end_ns=int(end_s * SECOND),
                    coalesced=0,
                    text="",
                    final=Final(),
                    raw_final="",
                    clock="kernel",
                ),
            ),
        )
        for end_s in ends_s
    ]
    now = datetime.now(UTC)
    return Done(1, Turn(0), key, now, position=position, executions=tuple(executions))


@pytest.mark.parametrize("backwards", [False, True])
def test_a_sample_counts_where_all_of_its_time_lies_in_one_turn(backwards: bool) -> None:
    # A sample at 0.5, 1.5 ... 9.5 s of the second before it.
    samples = [{"t_ns": int((n + 0.5) * SECOND), "subject": "client", "n": n} for n in range(10)]
    # the longer of two agents counts
    turns = [a_turn(0, "k", 1.0, 3.6), a_turn(1, "k", 4.5, 6.4, 8.5), a_turn(None, "k", 9.0)]
    by = by_position(samples, turns[::-1] if backwards else turns)
    assert [one["n"] for one in by[0]] == [2, 3]
    assert [one["n"] for one in by[1]] == [5, 6, 7, 8]
    assert [one["t_ns"] for one in by[1]] == [SECOND, 2 * SECOND, 3 * SECOND, 4 * SECOND]
    assert samples[5]["t_ns"] == int(5.5 * SECOND), "the samples themselves stay as they are"


def test_a_turn_has_the_samples_of_its_own_servers() -> None:
    subjects = ("client", "k/0", "k/1", "k-twin/0", "other/0", "gpu 0")
    samples = [{"t_ns": n * SECOND, "subject": one} for n in range(1, 4) for one in subjects]
    by = by_position(samples, [a_turn(0, "k", 1.0, 2.5), a_turn(1, "k-twin", 1.0, 2.5)])
    assert [one["subject"] for one in by[0]] == ["client", "server 0", "server 1", "gpu 0"]
    assert [one["subject"] for one in by[1]] == ["client", "server 0", "gpu 0"]


def test_without_samples_there_is_nothing_to_share_out() -> None:
    assert by_position([], [a_turn(0, "k", 0, 1)]) == {0: []}
