"""Two measurements never share the machine, whatever the flags: neither by Snakemake's threads nor
by the lock alone."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from checkouts import attached_study, simulated_checkout, snakemake
from raw_servers import QUICK, Request, faked_thread

pytestmark = pytest.mark.usefixtures("simulated")
FILE = "config/crowd.yaml"
CONFIGS = [
    f"id: crowd-{name}, topology: single, options: {{num_ctx: {num_ctx}}}"
    for name, num_ctx in (("a", 2048), ("b", 3072), ("c", 4096), ("d", 5120))
]
# Warm-up, solos and the run: both agents ask once in each, and the warm server once more.
REQUESTS_OF_A_BLOCK = 7
Requests = list[Request]


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Iterator[tuple[Path, Requests]]:
    """A checkout of the study, and the requests that its server has seen."""
    requests: Requests = []
    with faked_thread(behaviour=replace(QUICK, gap_s=0.01), requests=requests) as url:
        study = attached_study("crowd", [url], *CONFIGS)
        yield simulated_checkout(repository, tmp_path / "checkout", FILE, study), requests


def waited_for_another(folder: Path) -> list[str]:
    """Which blocks found the lock taken by another of this study."""
    logs = folder.glob("results/crowd/logs/s1/*.log")
    waiting = re.compile(
        r"^waiting: results/crowd/runs/s1/crowd-\S+ \(process \d+, since [^)]+\) is", re.MULTILINE
    )
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


@pytest.mark.parametrize("threads", [(), ("--set-threads", "run_block=1")])
def test_blocks_are_kept_apart_by_threads_or_by_the_lock_alone(
    checkout: tuple[Path, Requests], threads: tuple[str, ...]
) -> None:
    folder, requests = checkout
    snakemake(folder, FILE, "--cores", "8", "--until", "dataset", *threads)
    assert bool(waited_for_another(folder)) is bool(threads), "nothing was tested"
    assert_apart(folder, requests)
