"""Whether the machine held still: what is planted is found, session by session."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_blocks import START, block, scaled, write_dataset

from tandembench.analysis.stability import Stability, stability
from tandembench.dataset.load import load_dataset

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


def held(folder: Path, blocks: list[list[Row]]) -> tuple[Stability, ...]:
    runs = load_dataset(write_dataset(folder, blocks)).runs
    assert stability(runs, 0.05, "by_config") is None
    return stability(runs, 0.05, "random") or ()


@pytest.mark.parametrize(
    ("pace", "verdict", "state", "begins"),
    [
        (lambda _: 1.0, "equivalent", "flat", ()),
        (lambda x: 1 + 0.3 * x, "worse", None, None),
        (lambda x: 1.3 if x < 0.3 else 1.0, "better", "warm-up", (8,)),
        (lambda x: 1.3 if x > 0.5 else 1.0, "worse", "slowdown", (13,)),
        (lambda x: 1.5 if x > 0.85 else 1.0, "worse", "no steady state", None),
    ],
)
def test_what_is_planted_is_found(
    tmp_path: Path,
    pace: Callable[[float], float],
    verdict: str,
    state: str | None,
    begins: tuple[int, ...] | None,
) -> None:
    (one,) = held(tmp_path, session(pace))
    assert (one.n, one.verdict) == (24, verdict)
    assert state in (one.state, None)
    assert begins in (one.level_starts, None)


def test_the_drift_is_that_from_first_to_last_of_each_session(tmp_path: Path) -> None:
    blocks = [*session(lambda x: 1.2**x, noise=0.0), *session(lambda _: 1.0, name="s2", noise=0.0)]
    first, second = held(tmp_path, blocks)
    assert first.drift.mean == pytest.approx(1.2, rel=1e-4)
    assert (second.session, second.verdict) == ("s2", "equivalent")


def test_cold_runs_and_configs_measured_once_are_no_drift(tmp_path: Path) -> None:
    blocks = session(lambda _: 1.0, rounds=3)
    blocks[-1] = [row | {"cold": True} for row in scaled(blocks[-1], 5.0)]
    once = [row | {"started_at": START} for row in scaled(block("single_parallel"), 9.0)]
    (one,) = held(tmp_path / "a", [*blocks, once])
    assert (one.n, one.state) == (5, "too few")
    assert one.drift.mean == pytest.approx(1.0, abs=0.05)
    (alone,) = held(tmp_path / "b", [block("dual"), block("single")])
    assert (alone.n, alone.drift, alone.verdict, alone.state) == (0, None, None, "too few")
