"""kill -9 of Snakemake, as the OOM killer would: nothing goes on, and two commands finish it.

Two moments in every run, twenty under the marker ``full``: one in each twentieth of the study.
"""

import random
import shutil
import subprocess
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
MOMENTS = 20
# The first comes while Snakemake is still starting.
ALWAYS = (0, 11)
# What a client had sent when it was killed may still arrive: one request of each agent.
UNDERWAY = 2


@pytest.fixture(scope="module")
def served(
    simulated: None, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, list[Any], float]]:
    """A checkout to copy, the requests to its server, and how long its whole study takes, in s."""
    requests: list[Any] = []
    with faked_thread(behaviour=replace(QUICK, gap_s=0.02), requests=requests) as url:
        folder = tmp_path_factory.mktemp("checkout")
        study = attached_study("quick", [url], *CONFIGS, repetitions=2)
        simulated_checkout(repository, folder, FILE, study)
        whole = copied(folder, tmp_path_factory.mktemp("whole") / "checkout")
        started = time.monotonic()
        command_said(whole, GO)
        took_s = time.monotonic() - started
        assert_finished(whole)
        yield folder, requests, took_s


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


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(moment, marks=() if moment in ALWAYS else pytest.mark.full)
        for moment in range(MOMENTS)
    ],
)
def test_a_killed_study_is_finished_by_the_readmes_commands(
    served: tuple[Path, list[Any], float], tmp_path: Path, moment: int
) -> None:
    original, requests, took_s = served
    folder = copied(original, tmp_path / "checkout")
    share = (moment + random.Random(moment).random()) / MOMENTS  # noqa: S311 - a moment, no secret
    with command(folder, GO) as workflow:
        try:
            told, _ = workflow.communicate(timeout=share * took_s)
            pytest.skip(f"the study had ended before its moment: {told[-200:]}")
        except subprocess.TimeoutExpired:
            workflow.kill()
            asked = len(requests)
            wait_until_nothing_works(folder)
            workflow.communicate()
    assert len(requests) - asked <= UNDERWAY
    kept = run_files(folder)
    command_said(folder, UNLOCK)
    command_said(folder, GO)
    assert_finished(folder)
    after = run_files(folder)
    assert len(after) == len(BLOCKS)
    # Snakemake measures again what was not yet written down as finished: the last block, if any.
    again = [name for name in kept if after[name] != kept[name]]
    assert again in ([], [max(kept, key=lambda name: kept[name][0], default="")])
