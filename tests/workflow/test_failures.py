"""Failures: one config that always fails, a server that is gone, a lock that was left behind."""

import re
import socket
import time
from pathlib import Path

import pandas as pd
import pytest
from checkouts import command, command_said, simulated_checkout, snakemake
from raw_servers import OOM, RESET_AFTER_THREE, Parts, Request, faked_thread

pytestmark = pytest.mark.usefixtures("simulated")
# The README's example, so that its commands can be tried as they stand there.
FILE = "config/quick.yaml"
UNLOCK = "snakemake --unlock --configfile config/quick.yaml"
GO = "snakemake --cores 1 --configfile config/quick.yaml"
STUDY = """\
name: quick
title: "A study in which something fails (simulated)"
repetitions: {repetitions}
order: by_config
engine: ollama
model: tiny
servers: {{single: [{one}], dual: [{one}, {other}]}}
work: {{policy: fixed, tokens: 5}}
agents:
  collector: {{task: inventory, steps: [collector.j2]}}
  insight: {{task: figures, steps: [insight.j2]}}
phases:
  only:
    configs:
"""
CONFIG = "      - {{id: {}, scenario: chimera_homo, topology: {}, options: {{num_ctx: {}}}}}\n"
BROKEN_CTX, SHAKY_CTX = 3072, 5120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
        # Two warm-ups, then the first execution: only that one breaks off.
        of_shaky = [one for one in requests[: n + 1] if one.json["options"]["num_ctx"] == SHAKY_CTX]
        breaks = num_ctx == SHAKY_CTX and len(of_shaky) == 3
        return RESET_AFTER_THREE if breaks else None

    configs = (
        CONFIG.format("broken", "single", BROKEN_CTX)
        + CONFIG.format("shaky", "single", SHAKY_CTX)
        + CONFIG.format("sound", "single", 2048)
    )
    with faked_thread(requests=requests, script=script) as one:
        study = STUDY.format(repetitions=2, one=one, other="http://127.0.0.1:9") + configs
        folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
        told = snakemake(folder, FILE)  # a failure is a result: it ends well
    for label in ("broken r1", "broken r2"):
        # each of the two attempts, by the agent (or agents) that failed
        assert len(re.findall(rf"^{label}.*failed \(oom\)", told, re.MULTILINE)) >= 2
    dataset = folder / "results/quick/dataset"
    runs = pd.read_parquet(dataset / "runs.parquet")
    valid = runs.groupby(["config_id", "repetition"])["valid"].agg(list)
    assert valid.to_dict() == {
        ("broken", 1): [False, False],
        ("broken", 2): [False, False],
        ("shaky", 1): [False, True],
        ("shaky", 2): [True],
        ("sound", 1): [True],
        ("sound", 2): [True],
    }
    reasons = runs.loc[~runs["valid"]].groupby("config_id")["reason"].agg(set)
    assert all(reason.endswith(": oom") for reason in reasons["broken"])
    assert all(reason.endswith(": reset") for reason in reasons["shaky"])
    report = (folder / "reports/quick/technical_report.md").read_text(encoding="utf-8")
    assert "oom" in report


def test_a_topology_that_fails_leaves_the_others_of_its_block(
    repository: Path, tmp_path: Path
) -> None:
    entry = (
        "      - {scenario: chimera_homo, axes: {topology: [serial, single, dual]}, rounds: 2}\n"
    )
    with faked_thread() as one, faked_thread(script=lambda *_: [OOM]) as other:
        study = STUDY.format(repetitions=1, one=one, other=other) + entry
        folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
        snakemake(folder, FILE, "--until", "dataset")
    runs = pd.read_parquet(folder / "results/quick/dataset/runs.parquet")
    valid = runs.groupby("topology")["valid"]
    assert valid.all().to_dict() == {"dual": False, "serial": True, "single": True}
    assert not valid.any()["dual"]
    assert {1, 2} <= set(runs.loc[runs["topology"] == "single", "round"])


def test_a_server_that_is_gone_stops_the_study_and_the_same_command_finishes_it(
    repository: Path, tmp_path: Path
) -> None:
    port = free_port()
    gone = f"http://127.0.0.1:{port}"
    configs = CONFIG.format("here", "single", 2048) + CONFIG.format("there", "dual", 2048)
    with faked_thread() as one:
        study = STUDY.format(repetitions=1, one=one, other=gone) + configs
        folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
        told = command_said(folder, GO, ok=False)
        lines = [line for line in told.splitlines() if line.startswith("tandembench: ")]
        assert len(lines) == 1
        assert lines[0].startswith(f"tandembench: {gone}")
        assert "Traceback" not in told
        kept = run_files(folder)
        assert [name.split(".")[0] for name in kept] == ["here"]
        with faked_thread(port=port):
            command_said(folder, GO)
    assert run_files(folder).items() > kept.items()
    runs = pd.read_parquet(folder / "results/quick/dataset/runs.parquet")
    assert dict(zip(runs["config_id"], runs["valid"], strict=True)) == {"here": True, "there": True}


def test_a_stale_lock_is_explained_and_the_readmes_command_mends_it(
    repository: Path, tmp_path: Path
) -> None:
    configs = CONFIG.format("here", "single", 2048)
    with faked_thread() as one:
        study = STUDY.format(repetitions=2, one=one, other="http://127.0.0.1:9") + configs
        folder = simulated_checkout(repository, tmp_path / "checkout", FILE, study)
        with command(folder, GO) as workflow:
            deadline = time.monotonic() + 60
            while not run_files(folder):
                assert workflow.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            workflow.kill()
        told = command_said(folder, GO, ok=False)
        assert "LockException" in told
        # Snakemake's words: what happened, and what to do
        assert "caused by a kill signal or a power loss" in told
        assert "--unlock" in told
        command_said(folder, UNLOCK)
        command_said(folder, f"{GO} --until run_block")
    assert len(run_files(folder)) == 2
