"""Steady or not: planted changes and drifts are found, equal values are left alone."""

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from tandembench.analysis.stability import drift_slope, steadiness

NOISE = 0.03


def levels(seed: int, *parts: tuple[int, float]) -> list[float]:
    random = np.random.default_rng(seed)
    means = np.concatenate([np.full(n, mean) for n, mean in parts])
    return [float(value) for value in means + random.normal(0, NOISE, len(means))]


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
    found: Counter[str] = Counter(
        steadiness(levels(seed, *parts), 0.05).state for seed in range(20)
    )
    assert found.most_common(1)[0][0] == state
    assert found[state] >= 17


def test_where_a_level_begins_is_told() -> None:
    found = steadiness(levels(1, (12, 0.4), (20, 0.0)), 0.05)
    assert found.starts == (0, 12)
    assert found.means == pytest.approx((0.4, 0.0), abs=0.03)


def test_equal_values_are_called_unsteady_one_time_in_twenty() -> None:
    found = [steadiness(levels(seed, (30, 0.0)), 0.0).state for seed in range(600)]
    unsteady = sum(state != "flat" for state in found)
    assert unsteady <= stats.binom.ppf(0.999, 600, 0.05)
    assert unsteady > 0


def test_a_change_that_does_not_matter_is_none() -> None:
    values = levels(2, (30, 0.0), (30, 0.04))
    assert steadiness(values, 0.0).state == "slowdown"
    assert steadiness(values, 0.10).state == "flat"
    three = [0.0] * 20 + [0.03] * 20 + [0.5] * 20
    assert steadiness(three, 0.0).starts == (0, 20, 40)
    assert steadiness(three, 0.10).starts == (0, 40)


def test_too_few_values_and_values_without_noise() -> None:
    for n in (0, 1, 11):
        assert steadiness([0.0] * n, 0.05).state == "too few"
    assert steadiness([0.1] * 20, 0.05).state == "flat"
    assert steadiness([0.0] * 10 + [1.0] * 10, 0.05).starts == (0, 10)


def test_the_slope_is_that_of_a_regression_with_a_dummy_for_each_group() -> None:
    import statsmodels.api as sm  # noqa: PLC0415 - slow to import

    random = np.random.default_rng(2)
    groups = random.integers(0, 4, 40)
    x = random.uniform(0, 1, 40)
    y = 0.3 * x + groups + random.normal(0, 0.1, 40)
    design = np.column_stack([x, *(groups == one for one in range(4))]).astype(float)
    expected = sm.OLS(y, design).fit()
    found = drift_slope(y.tolist(), x.tolist(), groups.tolist())
    assert found is not None
    assert found.mean == pytest.approx(expected.params[0])
    assert (found.low, found.high) == pytest.approx(tuple(expected.conf_int(0.05)[0]))
    assert (found.n, found.freedom) == (40, expected.df_resid)


def test_a_config_that_is_slower_and_later_is_no_drift() -> None:
    x = [0.0, 0.1, 0.2, 0.7, 0.8, 0.9]
    found = drift_slope([1.0, 1.1, 1.0, 5.0, 5.1, 5.0], x, "aaabbb")
    assert found is not None
    assert found.mean == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("order", "groups"),
    [
        ([], ""),
        ([0.0, 0.5, 1.0], "aaa"),
        ([0.5] * 6, "aaaaaa"),
        ([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], "aaabbb"),
        ([0.0, 0.3, 0.6, 1.0], "abcd"),
    ],
)
def test_no_slope_of_too_few_or_of_an_order_that_does_not_vary(
    order: list[float], groups: str
) -> None:
    assert drift_slope([1.0] * len(order), order, groups) is None
