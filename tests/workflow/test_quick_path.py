"""The whole way, for real: a small study through Snakemake, on real servers, to its report."""

import json
from pathlib import Path

import pandas as pd
import pytest
from checkouts import copy_checkout, edit, snakemake, tandembench

pytestmark = pytest.mark.alone
STUDY = """\
name: tiny
title: "A tiny study"
seed: 7
repetitions: 2
rounds: 2
model: smollm2-135m-instruct-q4_1
work: {policy: fixed, tokens: 8}
agents:
  collector: {task: inventory, steps: [collector.j2]}
  insight: {task: figures, steps: [insight.j2]}
phases:
  topologies:
    configs:
      - scenario: chimera_homo
        axes: {topology: [serial, single, single_parallel, dual]}
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
    # how exact a calibration is has tests of its own: as short as the command allows
    edit(folder / "workflow/rules/calibrate.smk", "calibrate ", "calibrate --seconds 4 ")
    (folder / "said.txt").write_text(snakemake(folder, FILE), encoding="utf-8")
    return folder


def test_the_study_is_measured_and_told(measured: Path) -> None:
    runs = pd.read_parquet(measured / "results/tiny/dataset/runs.parquet")
    planned = runs[runs["round"] <= 2]
    # 2 blocks of 2 rounds of four topologies, of which one runs twice
    assert len(planned) == 2 * 2 * 5
    assert runs["valid"].all(), runs[["config_id", "reason"]]
    assert runs.groupby(["repetition", "round"])["twin"].sum().eq(1).all()
    by_topology = runs.groupby("topology")
    estimate = by_topology["speedup_estimate"].mean()
    # What TR114's number says follows from the topology alone, whatever the machine does.
    assert 0.95 < estimate["serial"] <= 1.0
    assert 1.3 < estimate["single"] < 1.7
    assert 1.7 < estimate["single_parallel"] <= 2.0
    # One server has no more to give than one agent uses.
    truth = by_topology["makespan_ratio"].median()
    assert all(truth[name] < 1.5 for name in ("single", "single_parallel")), truth
    assert (runs.loc[(runs["topology"] == "serial") & ~runs["twin"], "makespan_ratio"] == 1).all()
    assert (runs["answer_tokens"] == 16).all()
    assert (runs["work_effective"] == "fixed").all()
    assert runs["start_skew_s"].median() < 0.01  # one run may meet a busy moment
    descriptor = json.loads((measured / "results/tiny/dataset/datapackage.json").read_text())
    assert descriptor["name"] == "tiny"
    # calibrated once, before the first block
    assert descriptor["instrument"].keys() == {"s1"}
    when = pd.Timestamp(descriptor["instrument"]["s1"]["when"])
    assert when < runs["started_at"].min()

    report = (measured / "reports/tiny/technical_report.md").read_text(encoding="utf-8")
    assert report.startswith("# A tiny study")
    assert (measured / "reports/tiny/technical_report.html").stat().st_size > len(report)


def test_the_answer_ends_the_study_and_can_be_asked_for_again(measured: Path) -> None:
    again = tandembench(measured, "show", "results/tiny").stdout
    assert 5 <= len(again.splitlines()) <= 15
    assert again in (measured / "said.txt").read_text(encoding="utf-8")


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
    (path,) = (measured / "results/tiny/runs/s1").glob("homo-c512-by-topology.r1.*.parquet")
    raw = pd.read_parquet(path)
    keys = ["config_id", "round", "twin", "attempt"]
    of_raw = raw[raw["mode"] == "concurrent"].groupby(keys)
    walls = {
        key: max(step["end_ns"] for steps in rows["steps"] for step in steps) / 1e9
        for key, rows in of_raw
    }
    shared = {
        key: sum(steps[0]["end_ns"] - steps[0]["request_ns"] for steps in rows["steps"]) / 1e9
        for key, rows in of_raw
    }
    first = runs[runs["repetition"] == 1].set_index(keys)
    assert set(first.index) == set(walls)
    for key, row in first.iterrows():
        assert row["wall_s"] == pytest.approx(walls[key])
        assert row["speedup_estimate"] == pytest.approx(shared[key] / walls[key])
        _, number, twin, attempt = key
        if not twin:
            of_serial = walls["homo-c512-serial", number, twin, attempt]
            assert row["makespan_ratio"] == pytest.approx(of_serial / walls[key])


def test_no_two_runs_overlap(measured: Path) -> None:
    executions = pd.read_parquet(measured / "results/tiny/dataset/executions.parquet")
    ends = executions["started_at"] + pd.to_timedelta(executions["duration_s"], unit="s")
    serial = executions["topology"].eq("serial") & executions["mode"].eq("concurrent")
    turns = executions[~serial].assign(ended_at=ends).groupby(["repetition", "position"])
    ordered = turns.agg({"started_at": "min", "ended_at": "max"}).sort_values("started_at")
    assert ordered.index.is_monotonic_increasing  # block by block, in the order that it says
    assert (ordered["started_at"].iloc[1:].to_numpy() >= ordered["ended_at"].iloc[:-1]).all()
