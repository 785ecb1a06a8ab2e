"""Intervals against scipy, by hand, and by simulation of what they promise."""

import math
from dataclasses import replace
from statistics import fmean, stdev

import numpy as np
import pytest
from scipy import stats

from tandembench.analysis.intervals import (
    Interval,
    exponential,
    mean_interval,
    ratio_interval,
    session_means,
    welch_from_moments,
    welch_interval,
)

DRAWS = 4000


def test_an_interval_by_hand() -> None:
    # mean 2, sd 1, t(2, 97.5 %) = 4.302653
    found = mean_interval([1.0, 2.0, 3.0])
    assert (found.mean, found.n) == (2.0, 3)
    assert found.low == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-6)
    assert found.high == pytest.approx(2 + 4.302653 / math.sqrt(3), abs=1e-6)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 10, 200])
def test_intervals_agree_with_scipy(n: int, level: float) -> None:
    values = np.random.default_rng(n).normal(5, 2, n).tolist()
    low, high = stats.t.interval(
        level, n - 1, loc=fmean(values), scale=stdev(values) / math.sqrt(n)
    )
    found = mean_interval(values, level=level)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.mean, found.n) == (pytest.approx(fmean(values)), n)


def test_one_value_has_no_interval() -> None:
    assert mean_interval([1.5]) == Interval(1.5, None, None, 1)
    assert ratio_interval([1.5]) == Interval(pytest.approx(1.5), None, None, 1)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert mean_interval([0.1] * 3) == Interval(*[pytest.approx(0.1)] * 3, 3)


@pytest.mark.parametrize("values", [[], [math.nan], [1.0, math.inf]])
def test_no_number_has_no_interval(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite values"):
        mean_interval(values)


def test_ratios_have_a_geometric_mean() -> None:
    found = ratio_interval([1.0, 4.0])
    assert found.mean == pytest.approx(2.0)
    logs = mean_interval([0.0, math.log(4)])
    assert logs.low is not None
    assert found.low == pytest.approx(math.exp(logs.low))
    assert found == exponential(logs)


def test_a_ratio_and_its_inverse_say_the_same() -> None:
    ratios = [0.8, 1.1, 1.3, 0.95]
    found, inverse = ratio_interval(ratios), ratio_interval([1 / ratio for ratio in ratios])
    assert None not in (found.low, found.high, inverse.low, inverse.high)
    assert found.mean == pytest.approx(1 / inverse.mean)
    assert found.low == pytest.approx(1 / inverse.high)  # type: ignore[operator]
    assert found.high == pytest.approx(1 / inverse.low)  # type: ignore[operator]


def test_sessions_are_the_unit_from_three_on() -> None:
    values, two = [1.0, 2.0, 6.0, 4.0], ["a", "b", "a", "b"]
    assert session_means(values, two) == values
    assert mean_interval(values, two) == mean_interval(values)
    three = ["a", "b", "a", "c"]
    assert session_means(values, three) == [3.5, 2.0, 4.0]
    found = mean_interval(values, three)
    assert found == replace(mean_interval([3.5, 2.0, 4.0]), basis="sessions")
    assert (mean_interval(values, two).basis, mean_interval(values).basis) == ("within", "within")
    assert ratio_interval(values, three).n == 3
    assert ratio_interval(values, three).mean == pytest.approx((6**0.5 * 2 * 4) ** (1 / 3))


def test_every_value_needs_its_session() -> None:
    with pytest.raises(ValueError, match="one session"):
        session_means([1.0, 2.0], ["a"])


@pytest.mark.parametrize("n", [3, 5, 10])
def test_a_t_interval_covers_as_often_as_it_says(n: int) -> None:
    draws = np.random.default_rng(114).normal(1.0, 0.05, (DRAWS, n))
    found = [mean_interval(draw.tolist()) for draw in draws]
    covered = sum(i.low <= 1.0 <= i.high for i in found if i.low and i.high)
    low, high = stats.binom.interval(0.99, DRAWS, 0.95)
    assert low <= covered <= high


def test_sessions_cover_where_pooled_repetitions_do_not() -> None:
    # 4 sessions of 5 repetitions: 3 % between sessions, 4 % within
    random = np.random.default_rng(115)
    between = random.normal(0, 0.03, (DRAWS, 4, 1))
    ratios = np.exp(between + random.normal(0, 0.04, (DRAWS, 4, 5))).reshape(DRAWS, 20)
    sessions = [label for label in "abcd" for _ in range(5)]

    def coverage(by: list[str] | None) -> int:
        found = [ratio_interval(draw.tolist(), by) for draw in ratios]
        return sum(i.low <= 1.0 <= i.high for i in found if i.low and i.high)

    low, high = stats.binom.interval(0.99, DRAWS, 0.95)
    assert low <= coverage(sessions) <= high
    assert coverage(None) < 0.8 * DRAWS


def test_welch_agrees_with_scipy_and_needs_moments_only() -> None:
    random = np.random.default_rng(3)
    a, b = random.normal(5, 2, 12).tolist(), random.normal(4, 0.5, 30).tolist()
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    found = welch_interval(a, b)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert found.mean == pytest.approx(fmean(a) - fmean(b))
    moments = [(fmean(side), stdev(side), len(side)) for side in (a, b)]
    again = welch_from_moments(moments[0], moments[1])
    assert again.low == pytest.approx(found.low)
    assert welch_interval([1.0], [2.0, 3.0]) == Interval(-1.5, None, None, 1)
    assert welch_interval([1.0, 1.0], [2.0, 2.0]) == Interval(-1.0, -1.0, -1.0, 2)
