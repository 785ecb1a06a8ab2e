"""Failures: one config, or topology, that always fails, and a server that is gone."""

import re
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest
from checkouts import attached_study, command_said, simulated_checkout, snakemake
from raw_servers import OOM, RESET_AFTER_THREE, Parts, Request, faked_thread, free_port

pytestmark = pytest.mark.usefixtures("simulated")
# The README's example, so that its commands can be tried as they stand there.
FILE = "config/quick.yaml"
GO = "snakemake --cores 1 --configfile config/quick.yaml"
CONFIG = "id: {}, topology: {}, options: {{num_ctx: {}}}"
BROKEN_CTX, SHAKY_CTX = 3072, 5120


def run_files(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = folder.glob("results/quick/runs/s1/*.parquet")
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def test_a_config_that_fails_is_told_and_the_others_are_measured(
    repository: Path, tmp_path: Path
) -> None:
    requests: list[Request] = []

    def script(n: int, request: Request) -> Parts | None:
        num_ctx = request.json["options"]["num_ctx"]
        if num_ctx == BROKEN_CTX:
            return [OOM]
        # Only the first execution breaks off, and no warm-up.
        measured = [one for one in requests[: n + 1] if "Warm up." not in one.json["prompt"]]
        of_shaky = [one for one in measured if one.json["options"]["num_ctx"] == SHAKY_CTX]
        breaks = of_shaky == [request]
        return RESET_AFTER_THREE if breaks else None

    configs = [
        CONFIG.format(name, "single", num_ctx)
        for name, num_ctx in (("broken", BROKEN_CTX), ("shaky", SHAKY_CTX), ("sound", 2048))
    ]
    with faked_thread(requests=requests, script=script) as one:
        study = attached_study("quick", [one], *configs, repetitions=2, order="by_config")
        folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
        told = snakemake(folder, FILE)  # a failure is a result: it ends well
    # each of two tries, by the agent (or agents) that failed, alone or together; that is enough
    assert len(re.findall(r"^broken r1.*failed \(oom\)", told, re.MULTILINE)) >= 2
    assert len(re.findall(r"^broken r2.*failed \(unsafe\)", told, re.MULTILINE)) == 1
    dataset = folder / "results/quick/dataset"
    runs = pd.read_parquet(dataset / "runs.parquet")
    valid = runs.groupby(["config_id", "repetition"])["valid"].agg(list)
    assert valid.to_dict() == {
        ("broken", 1): [False],
        ("broken", 2): [False],
        ("shaky", 1): [False, True],
        ("shaky", 2): [True],
        ("sound", 1): [True],
        ("sound", 2): [True],
    }
    reasons = runs.loc[~runs["valid"]].groupby("config_id")["reason"].agg(set)
    assert {reason.rpartition(": ")[2] for reason in reasons["broken"]} == {"oom", "unsafe"}
    executions = pd.read_parquet(dataset / "executions.parquet")
    assert (executions.loc[executions["config_id"] == "broken", "error"] == "oom").sum() >= 2
    assert all(reason.endswith(": reset") for reason in reasons["shaky"])
    report = (folder / "reports/quick/technical_report.md").read_text(encoding="utf-8")
    assert "unsafe" in report


def test_a_topology_that_fails_leaves_the_others_of_its_block(
    repository: Path, tmp_path: Path
) -> None:
    entry = "axes: {topology: [serial, single, dual]}, rounds: 2"
    fake, broken = faked_thread, faked_thread(script=lambda *_: [OOM])
    with fake() as shared, fake() as one, broken as other:
        study = attached_study("quick", [shared, one, other], entry)
        folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
        snakemake(folder, FILE, "--until", "dataset")
    runs = pd.read_parquet(folder / "results/quick/dataset/runs.parquet")
    valid = runs.groupby("topology")["valid"]
    assert valid.all().to_dict() == {"dual": False, "serial": True, "single": True}
    assert not valid.any()["dual"]
    assert {1, 2} <= set(runs.loc[runs["topology"] == "single", "round"])


def test_a_server_that_is_gone_at_the_start_stops_the_study_and_the_same_command_finishes_it(
    repository: Path, tmp_path: Path
) -> None:
    port = free_port()
    gone = f"http://127.0.0.1:{port}"
    configs = [CONFIG.format(*one, 2048) for one in (("here", "single"), ("there", "dual"))]
    with faked_thread() as shared, faked_thread() as one:
        study = attached_study("quick", [shared, one, gone], *configs, order="by_config")
        folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
        told = command_said(folder, GO, ok=False)
        lines = [line for line in told.splitlines() if line.startswith("tandembench: ")]
        assert len(lines) == 1
        assert lines[0].startswith(f"tandembench: {gone}")
        assert "Traceback" not in told
        # not even what could have been
        assert run_files(folder) == {}
        with faked_thread(port=port):
            command_said(folder, GO)
    runs = pd.read_parquet(folder / "results/quick/dataset/runs.parquet")
    assert dict(zip(runs["config_id"], runs["valid"], strict=True)) == {"here": True, "there": True}


def test_a_server_that_goes_in_mid_study_fails_its_own_blocks_and_no_other(
    repository: Path, tmp_path: Path
) -> None:
    configs = [
        CONFIG.format(*one, 2048)
        for one in (("here", "single"), ("there", "dual"), ("more", "single"))
    ]
    with ExitStack() as stack:
        # the server that all share ends the other one when it is asked first
        one = stack.enter_context(faked_thread(script=lambda *_: other_stack.close()))
        other_stack = stack.enter_context(ExitStack())
        other = other_stack.enter_context(faked_thread())
        partner = stack.enter_context(faked_thread())
        study = attached_study("quick", [one, partner, other], *configs, order="by_config")
        folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
        snakemake(folder, FILE, "--until", "dataset")
    runs = pd.read_parquet(folder / "results/quick/dataset/runs.parquet")
    valid = runs.groupby("config_id")["valid"].all().to_dict()
    assert valid == {"here": True, "there": False, "more": True}
    assert set(runs.loc[~runs["valid"], "reason"].str.rpartition(": ")[2]) == {"conn_refused"}
