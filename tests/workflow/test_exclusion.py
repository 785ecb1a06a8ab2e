"""Two measurements never share the machine, whatever the flags: neither by Snakemake's threads nor
by the lock alone."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from checkouts import simulated_checkout, snakemake
from raw_servers import QUICK, Request, faked_thread

pytestmark = pytest.mark.usefixtures("simulated")
FILE = "config/crowd.yaml"
STUDY = """\
name: crowd
title: "Blocks that would all start at once (simulated)"
repetitions: 1
engine: ollama
model: tiny
servers: {{single: [{0}]}}
work: {{policy: fixed, tokens: 5}}
agents:
  collector: {{task: inventory, steps: [collector.j2]}}
  insight: {{task: figures, steps: [insight.j2]}}
phases:
  only:
    configs:
      - {{id: crowd-a, scenario: chimera_homo, topology: single, options: {{num_ctx: 2048}}}}
      - {{id: crowd-b, scenario: chimera_homo, topology: single, options: {{num_ctx: 3072}}}}
      - {{id: crowd-c, scenario: chimera_homo, topology: single, options: {{num_ctx: 4096}}}}
      - {{id: crowd-d, scenario: chimera_homo, topology: single, options: {{num_ctx: 5120}}}}
"""
# Warm-up, solos and the run: both agents ask once in each.
REQUESTS_OF_A_BLOCK = 6
Requests = list[Request]


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Iterator[tuple[Path, Requests]]:
    """A checkout of the study, and the requests that its server has seen."""
    requests: Requests = []
    with faked_thread(behaviour=replace(QUICK, gap_s=0.01), requests=requests) as url:
        yield (
            simulated_checkout(repository, tmp_path / "checkout", FILE, STUDY.format(url)),
            requests,
        )


def waited_for_another(folder: Path) -> list[str]:
    """Which blocks found the lock taken by another of this study."""
    logs = folder.glob("results/crowd/logs/s1/*.log")
    waiting = re.compile(r"^waiting: crowd-\w r\d \(process \d+\) is measuring", re.MULTILINE)
    return [log.name for log in logs if waiting.search(log.read_text(encoding="utf-8"))]


def assert_apart(folder: Path, requests: Requests) -> None:
    """By the recorded times, and by what the server saw, no block began inside another."""
    executions = pd.read_parquet(folder / "results/crowd/dataset/executions.parquet")
    assert executions["comparison"].nunique() == 4
    assert executions["valid"].all(), executions["reason"].unique()
    ends = executions["started_at"] + pd.to_timedelta(executions["duration_s"], unit="s")
    blocks = executions.assign(ended_at=ends).groupby("comparison")
    spans = sorted(zip(blocks["started_at"].min(), blocks["ended_at"].max(), strict=True))
    for (_, ended), (following, _) in pairwise(spans):
        assert following >= ended
    seen = [one.json["options"]["num_ctx"] for one in requests]
    assert len(seen) == 4 * REQUESTS_OF_A_BLOCK
    for first in range(0, len(seen), REQUESTS_OF_A_BLOCK):
        assert len(set(seen[first : first + REQUESTS_OF_A_BLOCK])) == 1, seen


def test_snakemake_starts_one_block_at_a_time_on_many_cores(
    checkout: tuple[Path, Requests],
) -> None:
    folder, requests = checkout
    snakemake(folder, FILE, "--cores", "8")
    assert_apart(folder, requests)
    assert waited_for_another(folder) == []


def test_the_lock_alone_keeps_blocks_apart(checkout: tuple[Path, Requests]) -> None:
    folder, requests = checkout
    snakemake(folder, FILE, "--cores", "8", "--set-threads", "run_block=1")
    assert waited_for_another(folder), "no two blocks were started at once: nothing was tested"
    assert_apart(folder, requests)
