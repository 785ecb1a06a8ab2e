"""A study on running Ollama servers, from the lock to the report, with fake servers."""

from pathlib import Path

import pandas as pd
import pytest
from checkouts import calibrated, copy_checkout, snakemake, tandembench
from raw_servers import digest_of, faked_thread

from tandembench.fake_server.server import VERSION

FILE = "config/attached.yaml"
STUDY = """\
name: attached
title: "Stand-ins for Ollama (simulated)"
repetitions: 1
engine: ollama
model: tiny
servers: {{dual: [{0}, {1}], single: [{0}]}}
work: {{policy: fixed, tokens: 5}}
agents:
  collector: {{task: inventory, steps: [collector.j2]}}
  insight: {{task: figures, steps: [insight.j2]}}
phases:
  servers:
    configs:
      - scenario: chimera_homo
        axes: {{topology: [serial, single, dual]}}
        options: {{num_ctx: 512, temperature: 0.8}}
"""


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    folder = copy_checkout(repository, tmp_path / "checkout")
    calibrated(folder, "attached")
    return folder


def test_from_the_lock_to_the_report(checkout: Path) -> None:
    with faked_thread() as one, faked_thread() as other:
        (checkout / FILE).write_text(STUDY.format(one, other), encoding="utf-8")
        unlocked = snakemake(checkout, FILE, "--dry-run", ok=False).splitlines()[-1]
        assert "run: tandembench servers lock config/attached.yaml --write" in unlocked
        assert tandembench(checkout, "servers", "lock", FILE, "--write").returncode == 0
        lock = (checkout / "config/servers.lock.yaml").read_text(encoding="utf-8")
        assert digest_of("tiny:latest") in lock
        assert "# of the xllamacpp package" in lock  # comments stay
        snakemake(checkout, FILE)
    executions = pd.read_parquet(checkout / "results/attached/dataset/executions.parquet")
    assert executions["valid"].all(), executions["reason"].unique()
    assert set(executions["model_digest"]) == {digest_of("tiny:latest")}
    assert set(executions["engine"]) == {"ollama"}
    # the fake server, like Ollama, raises a small context
    assert set(executions["num_ctx_effective"]) == {2048}
    dual = executions[executions["topology"] == "dual"]
    assert set(dual["endpoint"]) == {one, other}
    runs = pd.read_parquet(checkout / "results/attached/dataset/runs.parquet")
    # every answer reached its cap, so the work was equal and topologies can be compared
    assert set(runs["work_effective"]) == {"fixed"}
    assert runs["makespan_ratio"].notna().all()
    report = (checkout / "reports/attached/technical_report.md").read_text(encoding="utf-8")
    assert "ollama" in report
    assert "512" in report
    assert "2048" in report


def test_another_server_than_the_locked_one_stops_the_study_with_both_values(
    checkout: Path,
) -> None:
    with faked_thread() as one, faked_thread() as other:
        (checkout / FILE).write_text(STUDY.format(one, other), encoding="utf-8")
        tandembench(checkout, "servers", "lock", FILE, "--write")
        lock = checkout / "config/servers.lock.yaml"
        text = lock.read_text(encoding="utf-8")
        lock.write_text(text.replace(VERSION, "0.11.0"), encoding="utf-8")
        said = snakemake(checkout, FILE, ok=False)
    assert f"the server's version is {VERSION}, but config/servers.lock.yaml says 0.11.0" in said
    assert not list(checkout.glob("results/attached/runs/*/*.parquet"))


def test_a_server_that_is_not_there_stops_the_study_and_names_its_url(checkout: Path) -> None:
    with faked_thread() as one, faked_thread() as other:
        (checkout / FILE).write_text(STUDY.format(one, other), encoding="utf-8")
        tandembench(checkout, "servers", "lock", FILE, "--write")
    said = snakemake(checkout, FILE, ok=False)
    assert f"tandembench: {one}" in said
    assert "Traceback" not in said
