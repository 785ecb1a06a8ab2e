"""Studies on Ollama servers that the workflow starts, whatever is killed meanwhile; for real."""

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import psutil
import pytest
from checkouts import attached_study, command, copy_checkout, edit, tandembench
from processes import until

from tandembench.project import open_plan

FILE = "config/mine.yaml"


def a_study(**changes: object) -> str:
    keys = {"rounds": 2, "model": "smollm2-135m-instruct-q4_1", "telemetry": "false", **changes}
    axes = "axes: {topology: [serial, dual]}, options: {num_ctx: 512}"
    return attached_study("mine", [], axes, work="{policy: fixed, tokens: 8}", **keys)


@pytest.fixture(scope="module")
def locked(repository: Path, model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The lock with the entry of this Ollama, which the command makes."""
    assert model_file.exists()
    folder = copy_checkout(repository, tmp_path_factory.mktemp("lock") / "checkout")
    (folder / FILE).write_text(a_study())
    done = tandembench(folder, "servers", "lock", FILE, "--write")
    assert done.returncode == 0, done.stderr
    return (folder / "config/servers.lock.yaml").read_text()


@pytest.fixture
def checkout(repository: Path, tmp_path: Path, locked: str) -> Path:
    folder = copy_checkout(repository, tmp_path / "checkout")
    (folder / "config/servers.lock.yaml").write_text(locked)
    return folder


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What stands in the environment of all that a test starts; none of it is left behind."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv("TANDEMBENCH_TEST", mark)
    yield mark
    assert until(lambda: not marked(mark)), marked(mark)


def marked(mark: str, what: str = "") -> list[psutil.Process]:
    """The processes of a test other than itself in whose command ``what`` stands."""
    there = []
    for one in psutil.process_iter():
        try:
            ours = one.environ().get("TANDEMBENCH_TEST") == mark and one.pid != os.getpid()
            if ours and what in " ".join(one.cmdline()) and one.status() != "zombie":
                there.append(one)
        except psutil.Error:
            continue
    return there


@contextmanager
def measuring(folder: Path, **changes: object) -> Iterator["subprocess.Popen[str]"]:
    """A snakemake that measures a block, from its first run on or from when it ended."""
    (folder / FILE).write_text(a_study(**changes))
    (target,) = open_plan(FILE, root=folder).run_files()
    go = f"snakemake --cores 1 {target} --configfile {FILE}"
    with command(folder, go, process_group=0) as workflow:
        logs = folder / "results/mine/logs/s1"
        assert until(
            lambda: (
                any(" concurrent: " in log.read_text(errors="replace") for log in logs.glob("*"))
                or workflow.poll() is not None
            ),
            within_s=60,
        )
        yield workflow


def measured(folder: Path, workflow: "subprocess.Popen[str]") -> pd.DataFrame:
    """The executions of the block, once its workflow has ended well."""
    told, _ = workflow.communicate()
    assert workflow.returncode == 0, told
    (file,) = (folder / "results/mine/runs/s1").glob("*.parquet")
    rows = pd.read_parquet(file)
    return rows.assign(valid=rows["error"].isna() & rows["invalid"].isna())


@pytest.mark.parametrize("victim", ["snakemake", "tandembench run"])
def test_nothing_outlives_a_workflow_that_is_killed(checkout: Path, mark: str, victim: str) -> None:
    with measuring(checkout, rounds=20) as workflow:
        assert len(marked(mark, "ollama serve")) == len(marked(mark, "--model ")) > 3
        marked(mark, victim)[0].send_signal(signal.SIGKILL)
        assert until(lambda: not marked(mark, "ollama"), within_s=10)
        workflow.communicate()


@pytest.mark.parametrize("victim", ["ollama serve", "ollama_process", "--model "])
def test_a_server_that_is_killed_costs_its_runs_alone(
    checkout: Path, mark: str, victim: str
) -> None:
    with measuring(checkout) as workflow:
        marked(mark, victim)[0].send_signal(signal.SIGKILL)
        rows = measured(checkout, workflow)
    # rounds after those planned repeat what other work disturbed
    planned = rows[(rows["mode"] == "concurrent") & (rows["round"] <= 2)]
    runs = planned[~planned["twin"] & planned["valid"]]
    assert set(runs.groupby("config_id")["round"].nunique()) == {2}, rows
    # Ollama starts a runner again by itself, when it is asked again
    assert not rows["valid"].all() or victim == "--model "


def test_each_run_starts_its_own_servers_in_turn(checkout: Path, mark: str) -> None:
    with measuring(checkout, servers="in_turn") as workflow:
        assert len(marked(mark, "ollama serve")) <= 2
        rows = measured(checkout, workflow)
    assert rows["valid"].all()
    assert set(rows["num_ctx_effective"]) == {512}
    threads = rows.groupby("topology")["threads"].agg(set)
    assert threads["serial"] == {2 * one for one in threads["dual"]}


def test_another_version_than_the_locked_one_is_one_line(checkout: Path, mark: str) -> None:
    edit(checkout / "config/servers.lock.yaml", "  version: 0.", "  version: 9.")
    with measuring(checkout) as workflow:
        told, _ = workflow.communicate()
    assert workflow.returncode != 0
    (line,) = {one for one in told.splitlines() if "the server's version is" in one}
    assert "9." in line
    # what it advises works
    advice = line.rpartition("tandembench ")[2].replace("STUDY", FILE)
    fixed = tandembench(checkout, *advice.split())
    assert fixed.returncode == 0, fixed.stderr
