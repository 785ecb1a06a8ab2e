"""Whether the machine held still: planted changes and drifts are found, equal values left alone."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_blocks import START, block, scaled, write_dataset
from scipy import stats

from tandembench.analysis.stability import Stability, drift_slope, stability, steadiness
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
    ("pace", "verdict", "begins"),
    [
        (lambda _: 1.0, "equivalent", ()),
        (lambda x: 1.3 if x < 0.3 else 1.0, "better", (8,)),
        (lambda x: 1.3 if x > 0.5 else 1.0, "worse", (13,)),
    ],
)
def test_what_is_planted_is_found(
    tmp_path: Path, pace: Callable[[float], float], verdict: str, begins: tuple[int, ...]
) -> None:
    (one,) = held(tmp_path, session(pace))
    assert (one.n, one.verdict, one.level_starts) == (24, verdict, begins)


def test_the_drift_is_that_from_first_to_last_of_each_session(tmp_path: Path) -> None:
    blocks = [*session(lambda x: 1.2**x, noise=0.0), *session(lambda _: 1.0, name="s2", noise=0.0)]
    first, second = held(tmp_path, blocks)
    assert (first.drift.mean, first.verdict) == (pytest.approx(1.2, rel=1e-4), "worse")
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


def levels(seed: int, *parts: tuple[int, float]) -> list[float]:
    random = np.random.default_rng(seed)
    means = np.concatenate([np.full(n, mean) for n, mean in parts])
    return (means + random.normal(0, 0.03, len(means))).tolist()


@pytest.mark.parametrize(
    ("parts", "state"),
    [
        ([(40, 0.0)], "flat"),
        ([(10, 0.3), (30, 0.0)], "warm-up"),
        ([(20, 0.0), (20, 0.3)], "slowdown"),
        ([(10, 0.3), (15, 0.0), (15, 0.2)], "slowdown"),
        ([(34, 0.0), (6, 0.3)], "no steady state"),
        ([(10, 0.3), (20, 0.0), (7, 0.3)], "no steady state"),
    ],
)
def test_planted_levels_are_found(parts: list[tuple[int, float]], state: str) -> None:
    states = Counter(steadiness(levels(seed, *parts), 0.05).state for seed in range(20))
    assert states.most_common(1)[0][0] == state
    assert states[state] >= 17


def test_equal_values_are_called_unsteady_one_time_in_twenty() -> None:
    states = [steadiness(levels(seed, (30, 0.0)), 0.0).state for seed in range(600)]
    assert 0 < sum(state != "flat" for state in states) <= stats.binom.ppf(0.999, 600, 0.05)


@pytest.mark.parametrize(
    ("values", "margin", "state", "starts"),
    [
        (levels(2, (30, 0.0), (30, 0.04)), 0.0, "slowdown", None),
        (levels(2, (30, 0.0), (30, 0.04)), 0.10, "flat", (0,)),
        ([0.0] * 20 + [0.03] * 20 + [0.5] * 20, 0.0, "slowdown", (0, 20, 40)),
        ([0.0] * 20 + [0.03] * 20 + [0.5] * 20, 0.10, "slowdown", (0, 40)),
        ([0.1] * 20, 0.05, "flat", (0,)),
        ([0.0] * 10 + [1.0] * 10, 0.05, "slowdown", (0, 10)),
    ],
)
def test_a_change_that_does_not_matter_is_none(
    values: list[float], margin: float, state: str, starts: tuple[int, ...] | None
) -> None:
    found = steadiness(values, margin)
    assert found.state == state
    assert starts in (found.starts, None)


@pytest.mark.parametrize("n", [0, 1, 11])
def test_too_few_values_have_no_state(n: int) -> None:
    assert steadiness([0.0] * n, 0.05).state == "too few"


def test_the_slope_is_that_of_a_regression_with_a_dummy_for_each_group() -> None:
    import statsmodels.api as sm  # noqa: PLC0415 - slow to import

    random = np.random.default_rng(2)
    groups = random.integers(0, 4, 40)
    x = random.uniform(0, 1, 40)
    y = 0.3 * x + groups + random.normal(0, 0.1, 40)
    design = np.column_stack([x, *(groups == one for one in range(4))]).astype(float)
    expected = sm.OLS(y, design).fit()
    found = drift_slope(y.tolist(), x.tolist(), groups.tolist())
    assert found.mean == pytest.approx(expected.params[0])
    assert (found.low, found.high) == pytest.approx(tuple(expected.conf_int(0.05)[0]))
    assert (found.n, found.freedom) == (40, expected.df_resid)


@pytest.mark.parametrize(
    ("order", "groups"),
    [
        *(([], ""), ([0.0, 0.5, 1.0], "aaa"), ([0.5] * 6, "aaaaaa")),
        *(([0.0] * 3 + [1.0] * 3, "aaabbb"), ([0.0, 0.3, 0.6, 1.0], "abcd")),
    ],
)
def test_no_slope_of_too_few_or_of_an_order_that_does_not_vary(
    order: list[float], groups: str
) -> None:
    assert drift_slope([1.0] * len(order), order, groups) is None
