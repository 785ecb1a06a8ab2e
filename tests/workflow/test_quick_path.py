"""The whole way, for real: a small study through Snakemake, on real servers, to its report."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
from checkouts import calibrated, copy_checkout, snakemake

STUDY = """\
name: tiny
title: "A tiny study"
seed: 7
repetitions: 2
model: smollm2-135m-instruct-q4_1
work: {policy: fixed, tokens: 8}
agents:
  collector: {task: inventory, steps: [collector.j2]}
  insight: {task: figures, steps: [insight.j2]}
phases:
  servers:
    configs:
      - scenario: chimera_homo
        axes: {topology: [serial, single]}
        options: {num_ctx: 512, temperature: 0.8}
  sharing:
    configs:
      - scenario: chimera_homo
        axes: {topology: [single_parallel, dual]}
        options: {num_ctx: 512, temperature: 0.8}
"""
FILE = "config/tiny.yaml"


@pytest.fixture(scope="module")
def measured(repository: Path, model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which the tiny study has been measured."""
    assert model_file.exists()
    # Spaces and letters beyond ASCII: a user's folder may be called anything.
    folder = copy_checkout(repository, tmp_path_factory.mktemp("a checköut"))
    (folder / FILE).write_text(STUDY, encoding="utf-8")
    snakemake(folder, FILE)
    return folder


def test_the_study_is_measured_and_told(measured: Path) -> None:
    runs = pd.read_parquet(measured / "results/tiny/dataset/runs.parquet")
    assert len(runs) == 8
    assert runs["valid"].all(), runs[["config_id", "reason"]]
    by_topology = runs.groupby("topology")
    estimate = by_topology["speedup_estimate"].mean()
    # What TR114's number says follows from the topology alone, whatever the machine does.
    assert 0.95 < estimate["serial"] <= 1.0
    assert 1.3 < estimate["single"] < 1.7
    assert 1.7 < estimate["single_parallel"] <= 2.0
    # One server has no more to give than one agent uses. A noisy machine may stretch the solos
    # of a block, but hardly of both.
    truth = by_topology["speedup_true"].min()
    assert all(truth[name] < 1.5 for name in ("serial", "single", "single_parallel")), truth
    assert (runs["answer_tokens"] == 16).all()
    assert (runs["work_effective"] == "fixed").all()
    assert (runs["start_skew_s"].dropna() < 0.05).all()

    report = (measured / "reports/tiny/technical_report.md").read_text(encoding="utf-8")
    assert report.startswith("# A tiny study")
    for row in runs.itertuples():
        assert str(row.config_id) in report
    assert "What the estimator cannot see" in report
    descriptor = json.loads((measured / "results/tiny/dataset/datapackage.json").read_text())
    assert descriptor["name"] == "tiny"
    # calibrated once, before the first block
    assert descriptor["instrument"].keys() == {"s1"}
    when = pd.Timestamp(descriptor["instrument"]["s1"]["when"])
    assert when < runs["started_at"].min()
    assert "**Instrument error**: a token's arrival" in report


def test_every_invocation_is_noted_from_its_start_to_its_end(measured: Path) -> None:
    text = (measured / "results/tiny/invocations.ndjson").read_text(encoding="utf-8")
    start, end = (json.loads(line) for line in text.splitlines()[:2])
    runs = pd.read_parquet(measured / "results/tiny/dataset/runs.parquet")
    assert (start["event"], end["event"]) == ("start", "done")
    assert {start["invocation"]} == {end["invocation"]} == set(runs["invocation"])
    assert pd.Timestamp(start["at"]) < runs["started_at"].min()
    assert pd.Timestamp(end["at"]) > runs["started_at"].max()


def test_telemetry_tells_the_servers_from_the_rest(measured: Path) -> None:
    telemetry = pd.read_parquet(measured / "results/tiny/dataset/telemetry.parquet")
    assert {"client", "server 0", "telemetry", "others", "machine"} <= set(telemetry["subject"])
    busy = telemetry[telemetry["subject"] == "server 0"]["cores"].dropna().mean()
    assert busy > telemetry[telemetry["subject"] == "telemetry"]["cores"].dropna().mean()
    assert (telemetry.loc[telemetry["mode"] == "concurrent", "agent"].isna()).all()
    assert set(telemetry.loc[telemetry["mode"] == "solo", "agent"]) <= {"collector", "insight"}


def test_a_reader_can_recompute_a_run_from_its_raw_file(measured: Path) -> None:
    runs = pd.read_parquet(measured / "results/tiny/dataset/runs.parquet")
    (path,) = (measured / "results/tiny/runs/s1").glob("homo-c512-dual.r1.*.parquet")
    raw = pd.read_parquet(path).set_index(["mode", "agent"])
    (row,) = runs[(runs["config_id"] == "homo-c512-dual") & (runs["repetition"] == 1)].itertuples()

    def duration(mode: str, agent: str) -> float:
        (step,) = raw.loc[(mode, agent), "steps"]
        return float(step["end_ns"] - step["request_ns"]) / 1e9

    ends = [raw.loc[("concurrent", a), "steps"][0]["end_ns"] for a in ("collector", "insight")]
    wall_s = max(ends) / 1e9
    solos = duration("solo", "collector") + duration("solo", "insight")
    shared = duration("concurrent", "collector") + duration("concurrent", "insight")
    assert row.wall_s == pytest.approx(wall_s)
    assert row.speedup_true == pytest.approx(solos / wall_s)
    assert row.speedup_estimate == pytest.approx(shared / wall_s)


def test_no_two_blocks_overlap(measured: Path) -> None:
    runs = pd.read_parquet(measured / "results/tiny/dataset/runs.parquet")
    ordered = runs.sort_values("started_at")
    ends = ordered["started_at"] + pd.to_timedelta(ordered["block_s"], unit="s")
    assert (ordered["started_at"].iloc[1:].to_numpy() >= ends.iloc[:-1].to_numpy()).all()
    # rounds: every config once before any comes again
    assert ordered["repetition"].tolist() == [1] * 4 + [2] * 4


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (lambda text: text.replace("repetitions:", "repetitons:"), 4, "did you mean 'repetitions'"),
        (lambda text: text.replace("seed: 7", "seed: 7\nseed: 8"), None, "seed"),
        (lambda text: text.replace("repetitions: 2", "repetitions: many"), 4, "1 to 1000"),
    ],
    ids=["unknown key", "duplicate key", "bad value"],
)
def test_a_mistake_in_the_study_is_one_line_before_anything_runs(
    measured: Path, tmp_path: Path, change: Callable[[str], str], line: int | None, words: str
) -> None:
    checkout = Path(shutil.copytree(measured, tmp_path / "checkout", symlinks=True))
    (checkout / FILE).write_text(change(STUDY), encoding="utf-8")
    told = snakemake(checkout, FILE, "--dry-run", ok=False).splitlines()[-1]
    assert FILE in told
    assert words in told
    if line is not None:
        assert told.startswith(f"tandembench: {FILE}:{line}: ")


@pytest.mark.full
def test_kill_9_of_snakemake_leaves_nothing_measuring_and_one_command_to_go_on(
    repository: Path, model_file: Path, tmp_path: Path
) -> None:
    assert model_file.exists()
    folder = copy_checkout(repository, tmp_path / "checkout")
    calibrated(folder, "tiny")
    short = STUDY.replace("[serial, single]", "[serial]").replace(
        "[single_parallel, dual]", "[dual]"
    )
    short = short.replace("repetitions: 2", "repetitions: 1").replace("tokens: 8", "tokens: 40")
    (folder / FILE).write_text(short, encoding="utf-8")
    arguments = ["-m", "snakemake", "--cores", "1", "--configfile", FILE]
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as workflow:
        family = _servers_up(workflow.pid)
        os.kill(workflow.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
    assert not list(folder.glob("results/tiny/runs/*/*.parquet"))
    # as the README says
    snakemake(folder, FILE, "--unlock")
    snakemake(folder, FILE)
    assert len(list(folder.glob("results/tiny/runs/*/*.parquet"))) == 2
    assert (folder / "reports/tiny/technical_report.md").exists()


def _servers_up(pid: int) -> list[psutil.Process]:
    """All descendants of Snakemake, as soon as a model server is among them."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        family = psutil.Process(pid).children(recursive=True)
        try:
            if any("tandembench.servers.llama_process" in p.cmdline() for p in family):
                return family
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.05)
    raise AssertionError("no server ever came up")
