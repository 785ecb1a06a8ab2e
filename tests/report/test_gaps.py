"""Gaps pooled by config: by hand, and percentiles only where there are values enough."""

from pathlib import Path

import numpy as np
import pytest
from raw_blocks import block, failed, rounds, write_dataset

from tandembench.dataset.load import load_dataset
from tandembench.report.details import details
from tandembench.report.gaps import gap_rows, gaps


def test_gaps_are_between_the_chunks_of_one_step(tmp_path: Path) -> None:
    # two steps of 1 s, 5 s apart: three chunks each, from 0.2 to 0.9 s
    rows = block("dual", (2.0, 2.0), tokens=3, steps=2, between_s=5.0)
    lost = [row | {"repetition": 2} for row in failed(rows, "insight", "concurrent", "reset")]
    data = load_dataset(write_dataset(tmp_path, [rows, lost]))
    found = gaps(data.tokens, data.runs)
    assert found["gap_s"].to_list() == pytest.approx([0.35] * (2 * 2 * 2 * 2))
    assert set(found["agent"]) == {"collector", "insight"}


def test_rows_by_hand(tmp_path: Path) -> None:
    blocks = rounds(2, block("dual", (1.0, 2.0), (2.0, 4.0), tokens=8))
    data = load_dataset(write_dataset(tmp_path, blocks))
    alone, together = gap_rows(data.tokens, data.runs)
    # 0.7 d over 7 gaps, 14 gaps an agent and mode
    assert (alone["config_id"], alone["mode"], alone["n"]) == ("dual", "solo", 28)
    assert alone["p50_s"] == pytest.approx(0.15)
    assert (alone["p90_s"], alone["p99_s"]) == (None, None)
    assert alone["max_s"] == pytest.approx(0.2)
    assert (together["mode"], together["max_s"]) == ("concurrent", pytest.approx(0.4))
    assert details(data)["gaps"] == [alone, together]


def test_p99_needs_662_gaps_of_a_config(tmp_path: Path) -> None:
    # 661 and 662 gaps in the run, one agent each
    blocks = [block(f"dual-{n}", (1.0,), tokens=n + 1) for n in (661, 662)]
    data = load_dataset(write_dataset(tmp_path, blocks))
    few, enough = gap_rows(data.tokens, data.runs)
    assert (few["n"], few["p99_s"]) == (661, None)
    values = gaps(data.tokens, data.runs).query("config_id == 'dual-662'")["gap_s"]
    assert enough["p99_s"] == pytest.approx(np.quantile(values, 0.99))


def test_without_tokens_there_are_no_gaps(tmp_path: Path) -> None:
    data = load_dataset(write_dataset(tmp_path, [block()]))
    assert gap_rows(data.tokens.iloc[:0], data.runs) == []
    older = data.tokens.iloc[:0, :0]  # a dataset from before there was such a table
    assert gap_rows(older, data.runs) == []
