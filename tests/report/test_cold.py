"""Cold runs apart from warm ones, and how many of the best are cold."""

from pathlib import Path
from typing import Any

import pytest
from raw_blocks import block, write_dataset
from scipy import stats

from tandembench.dataset.load import load_dataset
from tandembench.report.cold import cold
from tandembench.report.render import render


def rows(folder: Path, cold_ones: int, warm: int, faster: float) -> list[dict[str, Any]]:
    """Runs whose second agent takes part of the first one's time: ``faster`` where cold."""
    blocks = []
    for number in range(cold_ones + warm):
        is_cold = number < cold_ones
        second = (faster if is_cold else 0.5) + 0.001 * number
        one = block("dual", (1.0, 1.0), (1.0, second), cold=is_cold)
        blocks.append([row | {"repetition": number + 1} for row in one])
    return cold(load_dataset(write_dataset(folder, blocks)).runs)


def test_both_are_described_and_the_best_are_counted(tmp_path: Path) -> None:
    (found,) = rows(tmp_path, cold_ones=5, warm=45, faster=0.9)
    assert (found["topology"], found["best"], found["best_cold"]) == ("dual", 6, 5)
    assert (found["cold"]["n"], found["warm"]["n"], found["share"]) == (5, 45, 0.1)
    assert found["cold"]["mean"] == pytest.approx((1.9 + 0.002) / 2)
    # Fisher's exact test of the same table, one-sided
    table = [[5, 1], [0, 44]]
    assert found["p"] == pytest.approx(stats.fisher_exact(table, "greater").pvalue)
    text = render({"cold": [found]}, "cold.md.j2")
    assert "5 of the best 6" in text
    assert "| dual | warm | 45 | 76.4 % ± 0.7 %" in text


def test_without_surprise_no_sentence_draws_a_conclusion(tmp_path: Path) -> None:
    (found,) = rows(tmp_path, cold_ones=5, warm=5, faster=0.4)
    assert found["best_cold"] == 1
    assert found["p"] > 0.9
    assert "of the best 6," not in render({"cold": [found]}, "cold.md.j2")


def test_where_all_are_alike_there_is_nothing_to_set_apart(tmp_path: Path) -> None:
    assert rows(tmp_path / "a", cold_ones=0, warm=3, faster=0.9) == []
    assert rows(tmp_path / "b", cold_ones=3, warm=0, faster=0.9) == []
    unknown = load_dataset(write_dataset(tmp_path / "c", [block("dual", cold=None)])).runs
    assert cold(unknown) == []
    assert render({"cold": []}, "cold.md.j2").strip() == ""
