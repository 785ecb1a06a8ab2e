"""kill -9 and Ctrl-C of Snakemake: nothing goes on, and two commands finish it.

A handful of moments in every run, twenty under the marker ``full``. A moment is what has happened
by then: how many of its requests the server has seen, or which files are there.
"""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from checkouts import attached_study, command, command_said, simulated_checkout
from raw_servers import QUICK, faked_thread

pytestmark = pytest.mark.usefixtures("simulated")
# As the README has them, so that they can be tried as they stand there.
FILE = "config/quick.yaml"
UNLOCK = "snakemake --unlock --configfile config/quick.yaml"
GO = "snakemake --cores 1 --configfile config/quick.yaml"
CONFIGS = (
    "axes: {topology: [serial, single]}, options: {num_ctx: 2048}",
    "id: beta, topology: single, options: {num_ctx: 2048}",
)
BLOCKS = {(name, r) for name in ("homo-c2048-by-topology", "beta") for r in (1, 2)}
# Shares of all requests, and files of the steps around the blocks.
REQUESTED = [k / 16 for k in range(16)]
WRITTEN = [".snakemake/locks/*", "results/quick/phases/*.parquet"]
WRITTEN += ["results/quick/dataset/runs.parquet", "reports/quick/report.json"]
ALWAYS = (WRITTEN[0], REQUESTED[3], REQUESTED[10], REQUESTED[15], WRITTEN[1])
# What a client had sent when it was killed may still arrive: one request of each agent.
UNDERWAY = 2


@pytest.fixture(scope="module")
def served(
    simulated: None, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, list[Any], int]]:
    """A checkout to copy, the requests to its server, and how many its whole study makes.

    It lies where a shell or a format would stumble.
    """
    requests: list[Any] = []
    with faked_thread(behaviour=replace(QUICK, gap_s=0.02), requests=requests) as url:
        folder = tmp_path_factory.mktemp("it's [für] $HOME")
        study = attached_study("quick", [url], *CONFIGS, repetitions=2)
        simulated_checkout(repository, folder, FILE, study)
        whole = copied(folder, tmp_path_factory.mktemp("whole") / folder.name)
        command_said(whole, GO)
        assert_finished(whole)
        yield folder, requests, len(requests)


def copied(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target, symlinks=True))


def assert_finished(folder: Path) -> None:
    runs = pd.read_parquet(folder / "results/quick/dataset/runs.parquet")
    assert runs["valid"].all(), runs["reason"].unique()
    assert set(zip(runs["comparison"], runs["repetition"], strict=True)) == BLOCKS
    assert (folder / "reports/quick/technical_report.md").exists()


def at_work(folder: Path) -> list[str]:
    """Commands of the processes that run in the checkout."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return found


def wait_until_nothing_works(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while left := at_work(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def run_files(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = folder.glob("results/quick/runs/s1/*.parquet")
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def test_the_readme_names_the_commands(repository: Path) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    assert f"`{UNLOCK}`" in readme
    assert f"\n{GO} " in readme


def stopped_at(
    folder: Path, moment: float | str, requests: list[Any], whole: int, *signals: int
) -> None:
    """Start the study in ``folder``, and send ``signals`` at ``moment`` as a terminal does."""
    before = len(requests)

    def has_come() -> bool:
        if isinstance(moment, str):
            return any(folder.glob(moment))
        return len(requests) - before > moment * whole

    with command(folder, GO, process_group=0) as workflow:
        while not has_come():
            assert workflow.poll() is None, "it ended before its moment"
            time.sleep(0.002)
        for number in signals:
            # the kernel kills one process, a terminal interrupts all that run in it
            (os.kill if number == signal.SIGKILL else os.killpg)(workflow.pid, number)
        asked = len(requests)
        wait_until_nothing_works(folder)
        workflow.communicate()
    assert len(requests) - asked <= UNDERWAY


def assert_the_rest_is_measured(folder: Path) -> None:
    kept = run_files(folder)
    command_said(folder, GO)
    assert_finished(folder)
    after = run_files(folder)
    assert len(after) == len(BLOCKS)
    # Snakemake measures again what was not yet written down as finished: the last block, if any.
    again = [name for name in kept if after[name] != kept[name]]
    assert again in ([], [max(kept, key=lambda name: kept[name][0], default="")])
    assert not [*folder.glob("results/**/.*")], "temporary files are left"


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(moment, marks=() if moment in ALWAYS else pytest.mark.full)
        for moment in (*REQUESTED, *WRITTEN)
    ],
)
def test_a_killed_study_is_finished_by_the_readmes_commands(
    served: tuple[Path, list[Any], int], tmp_path: Path, moment: float | str
) -> None:
    original, *seen = served
    folder = copied(original, tmp_path / original.name)
    stopped_at(folder, moment, *seen, signal.SIGKILL)
    command_said(folder, UNLOCK)
    assert_the_rest_is_measured(folder)


@pytest.mark.parametrize("times", [1, 2])
def test_a_study_is_interrupted_and_finished(
    served: tuple[Path, list[Any], int], tmp_path: Path, times: int
) -> None:
    original, *seen = served
    folder = copied(original, tmp_path / original.name)
    stopped_at(folder, 0.6, *seen, *[signal.SIGINT] * times)
    # the second block was under way
    assert [len(run_files(folder)), len([*folder.glob("results/quick/logs/s1/*")])] == [2, 3]
    assert_the_rest_is_measured(folder)
