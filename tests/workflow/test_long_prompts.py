"""Prompts of any length reach the measurement: a RunSpec goes there as a file."""

from pathlib import Path

import pytest
from checkouts import simulated_checkout, snakemake
from raw_servers import Request, faked_thread

pytestmark = pytest.mark.usefixtures("simulated")
FILE = "config/long.yaml"
STUDY = """\
name: long
repetitions: 1
engine: ollama
model: tiny
servers: {{single: [{0}]}}
work: {{policy: fixed, tokens: 5}}
agents:
  collector: {{task: inventory, steps: [long.j2]}}
  insight: {{task: figures, steps: [long.j2]}}
phases:
  only:
    configs:
      - {{scenario: chimera_homo, axes: {{topology: [serial, single]}}}}
"""
# Two of them are more than Linux takes as one argument, 128 KiB.
LONG = "word " * 14_200


def test_two_agents_with_long_prompts_are_measured(repository: Path, tmp_path: Path) -> None:
    requests: list[Request] = []
    with faked_thread(requests=requests) as url:
        folder = simulated_checkout(repository, tmp_path / "checkout", FILE, STUDY.format(url))
        (folder / "config/agents/long.j2").write_text(LONG, encoding="utf-8")
        snakemake(folder, FILE, "--until", "run_block")
    assert len(list(folder.glob("results/long/runs/s1/*.parquet"))) == 1
    (spec,) = folder.glob("results/long/specs/*.json")
    assert spec.stat().st_size > 128 * 1024
    asked = [one for one in requests if LONG.strip() in one.json["prompt"]]
    assert len(asked) >= 4
