"""Whether the machine held still: what is planted is told, session by session."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_blocks import START, block, scaled, write_dataset

from tandembench.dataset.load import load_dataset
from tandembench.report.details import details

Row = dict[str, Any]


def session(
    pace: Callable[[float], float], name: str = "s1", rounds: int = 12, noise: float = 0.01
) -> list[list[Row]]:
    """Rounds of two configs, one twice as slow, at a ``pace`` that depends on where they stand."""
    random = np.random.default_rng(5)
    blocks = []
    for number in range(2 * rounds):
        config, times = (("dual", 1.0), ("single", 2.0))[number % 2]
        factor = times * pace(number / (2 * rounds - 1)) * float(np.exp(random.normal(0, noise)))
        key = {"session": name, "repetition": number // 2 + 1}
        key["started_at"] = START + timedelta(minutes=number)
        blocks.append([row | key for row in scaled(block(config), factor)])
    # The order in which files are read is not that of time.
    return blocks[::-1]


def told(folder: Path, blocks: list[list[Row]]) -> list[Row]:
    rows: list[Row] = details(load_dataset(write_dataset(folder, blocks)))["stability"]
    return rows


@pytest.mark.parametrize(
    ("pace", "verdict", "state", "begins"),
    [
        (lambda _: 1.0, "equivalent", "flat", []),
        (lambda x: 1 + 0.3 * x, "worse", None, None),
        (lambda x: 1.3 if x < 0.3 else 1.0, "better", "warm-up", [8]),
        (lambda x: 1.3 if x > 0.5 else 1.0, "worse", "slowdown", [13]),
        (lambda x: 1.5 if x > 0.85 else 1.0, "worse", "no steady state", None),
    ],
)
def test_what_is_planted_is_told(
    tmp_path: Path,
    pace: Callable[[float], float],
    verdict: str,
    state: str | None,
    begins: list[int] | None,
) -> None:
    (row,) = told(tmp_path, session(pace))
    assert (row["n"], row["verdict"]) == (24, verdict)
    assert row["state"] == state or state is None
    assert begins is None or row["level_starts"] == begins


def test_the_drift_is_that_from_first_to_last(tmp_path: Path) -> None:
    (row,) = told(tmp_path, session(lambda x: 1.2**x, noise=0.0))
    assert row["drift"].mean == pytest.approx(1.2, rel=1e-4)
    assert row["drift"].n == 24


def test_sessions_have_rows_of_their_own(tmp_path: Path) -> None:
    blocks = [*session(lambda _: 1.0), *session(lambda x: 1 + x, name="s2")]
    rows = told(tmp_path, blocks)
    assert [(row["session"], row["verdict"]) for row in rows] == [
        ("s1", "equivalent"),
        ("s2", "worse"),
    ]


def test_cold_runs_and_configs_measured_once_are_no_drift(tmp_path: Path) -> None:
    blocks = session(lambda _: 1.0, rounds=3)
    blocks[-1] = [row | {"cold": True} for row in scaled(blocks[-1], 5.0)]
    once = [row | {"started_at": START} for row in scaled(block("single_parallel"), 9.0)]
    (row,) = told(tmp_path, [*blocks, once])
    assert (row["n"], row["state"]) == (5, "too few")
    assert row["drift"].mean == pytest.approx(1.0, abs=0.05)


def test_config_by_config_a_drift_is_no_drift(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, session(lambda x: 1 + x), order="by_config")
    context = details(load_dataset(folder))
    assert context["stability"] is None


def test_without_a_repetition_nothing_is_told(tmp_path: Path) -> None:
    (row,) = told(tmp_path, [block("dual"), block("single")])
    assert (row["n"], row["drift"], row["verdict"], row["state"]) == (0, None, None, "too few")
