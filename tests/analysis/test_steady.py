"""Steady or not: planted changes are found, equal values are left alone."""

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from tandembench.analysis.steady import steadiness

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


@pytest.mark.parametrize("n", [0, 1, 11])
def test_too_few_is_a_verdict(n: int) -> None:
    assert steadiness([0.0] * n, 0.05).state == "too few"


def test_values_without_noise() -> None:
    assert steadiness([0.1] * 20, 0.05).state == "flat"
    assert steadiness([0.0] * 10 + [1.0] * 10, 0.05).starts == (0, 10)


def test_the_same_values_give_the_same_verdict() -> None:
    values = levels(3, (15, 0.05), (25, 0.0))
    assert steadiness(values, 0.01) == steadiness(values, 0.01)
