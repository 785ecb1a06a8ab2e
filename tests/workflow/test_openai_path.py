"""A study on running servers of OpenAI's protocol, from the lock to the report, on fake ones."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from checkouts import calibrated, copy_checkout, snakemake, tandembench

from tandembench.fake_server import Behaviour, fake_process

FILE = "config/attached.yaml"
STUDY = """\
name: attached
title: "Fake servers (simulated)"
repetitions: 1
engine: openai
model: fake
servers: {{dual: [{0}, {1}], single: [{0}]}}
work: {{policy: fixed, tokens: 5}}
agents:
  collector: {{task: inventory, steps: [collector.j2]}}
  insight: {{task: figures, steps: [insight.j2]}}
phases:
  servers:
    configs:
      - scenario: chimera_homo
        axes: {{topology: [serial, dual]}}
        options: {{temperature: 0.8}}
"""
QUICK = Behaviour(first_token_s=0.005, gap_s=0.001, jitter_s=0.0)
# Put together here, since the checkout under test has this file too.
KEY = "-".join(("sk", "not", "to", "be", "written", "anywhere"))


def test_from_the_lock_to_the_report_and_the_key_is_in_no_file(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = copy_checkout(repository, tmp_path / "checkout")
    calibrated(checkout, "attached")
    monkeypatch.setenv("TANDEMBENCH_API_KEY", KEY)
    with fake_process(QUICK) as one, fake_process(QUICK) as other:
        (checkout / FILE).write_text(STUDY.format(one, other), encoding="utf-8")
        locked = tandembench(checkout, "servers", "lock", FILE, "--write")
        assert locked.returncode == 0, locked.stderr
        said = locked.stdout + snakemake(checkout, FILE)
    dataset = checkout / "results/attached/dataset"
    executions = pd.read_parquet(dataset / "executions.parquet")
    assert executions["valid"].all(), executions["reason"].unique()
    assert set(executions["engine"]) == {"openai"}
    assert set(executions["engine_version"]) == {"0.0.0-fake"}
    assert set(executions["answer_tokens"]) == {5}
    runs = pd.read_parquet(dataset / "runs.parquet")
    assert set(runs["work_effective"]) == {"fixed"}
    # no server of this protocol tells a digest, nor what it samples with
    assert executions["model_digest"].isna().all()
    assert not any("temperature" in options for options in executions["options_effective"])
    details = (checkout / "reports/attached/details.md").read_text(encoding="utf-8")
    assert "0.0.0-fake" in details
    assert KEY not in said
    files = [file for file in checkout.rglob("*") if file.is_file()]
    assert len(files) > 50
    assert [file for file in files if KEY.encode() in file.read_bytes()] == []
    tables = [pq.read_table(file) for file in files if file.suffix == ".parquet"]
    assert len(tables) >= 4  # two run files and two tables, which are compressed
    assert not any(KEY in f"{table.schema.metadata}{table.to_pylist()}" for table in tables)


@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["plain", "debug"])
def test_a_key_that_is_none_is_told_without_showing_it(
    debug: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text(STUDY.format("http://h:1", "http://h:2"), encoding="utf-8")
    monkeypatch.setenv("TANDEMBENCH_API_KEY", f"{KEY}\nX-Injected: yes")
    done = tandembench(tmp_path, *debug, "servers", "lock", "mine.yaml")
    assert "TANDEMBENCH_API_KEY: not a key" in done.stderr
    assert ("Traceback" in done.stderr) is bool(debug)
    assert KEY not in done.stdout + done.stderr
