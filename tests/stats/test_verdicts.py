"""Verdicts: what an interval allows, and what so few values could have shown."""

import math

import numpy as np
import pytest
from scipy import stats

from tandembench.stats.intervals import Interval, ratio_interval
from tandembench.stats.verdicts import noncentrality, ratio_verdict, smallest_detectable

MARGIN = 0.05
INVERSE = 1 / 1.05


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.10, 1.30, "better"),
        (1.01, 1.30, "better"),  # reaches past the margin, all on one side
        (1.01, 1.05, "better"),  # the margin itself is not within the margin
        (0.70, 0.90, "worse"),
        (0.90, 0.99, "worse"),
        (INVERSE, 0.99, "worse"),
        (0.96, 1.04, "equivalent"),
        (1.01, 1.04, "equivalent"),  # a difference, and too small to matter
        (0.96, 0.99, "equivalent"),
        (1.00, 1.00, "equivalent"),
        (0.96, 1.06, "inconclusive"),
        (0.94, 1.04, "inconclusive"),
        (0.50, 2.00, "inconclusive"),
        (1.00, 1.30, "inconclusive"),  # 1 is still possible
        (0.70, 1.00, "inconclusive"),
    ],
)
def test_the_verdict_on_an_interval(low: float, high: float, verdict: str) -> None:
    assert ratio_verdict(Interval(math.sqrt(low * high), low, high, 5), MARGIN) == verdict


@pytest.mark.parametrize("mean", [0.1, 1.0, 10.0])
def test_one_value_is_inconclusive(mean: float) -> None:
    assert ratio_verdict(Interval(mean, None, None, 1), MARGIN) == "inconclusive"


def test_a_wider_margin_calls_more_equivalent() -> None:
    found = Interval(1.05, 0.95, 1.15, 5)
    assert [ratio_verdict(found, margin) for margin in (0.05, 0.1, 0.2)] == [
        "inconclusive",
        "inconclusive",
        "equivalent",
    ]


def test_a_ratio_and_its_inverse_get_opposite_verdicts() -> None:
    opposite = {"better": "worse", "worse": "better"}
    for low, high in [(1.1, 1.3), (0.7, 0.9), (0.96, 1.04), (0.9, 1.2), (1.0, 1.05)]:
        verdict = ratio_verdict(Interval(1.0, low, high, 5), MARGIN)
        inverse = ratio_verdict(Interval(1.0, 1 / high, 1 / low, 5), MARGIN)
        assert inverse == opposite.get(verdict, verdict)


def test_equal_configs_are_called_different_one_time_in_twenty() -> None:
    draws = np.exp(np.random.default_rng(116).normal(0, 0.2, (4000, 5)))
    verdicts = [ratio_verdict(ratio_interval(draw.tolist()), MARGIN) for draw in draws]
    different = verdicts.count("better") + verdicts.count("worse")
    low, high = stats.binom.interval(0.99, 4000, 0.05)
    assert low <= different <= high


@pytest.mark.parametrize("n", [2, 3, 10])
def test_what_a_study_says_to_be_detectable_is_found_by_the_next(n: int) -> None:
    """Its spread is an estimate: the noncentrality of a known one is found too seldom."""
    random = np.random.default_rng(117)
    spreads = random.normal(0, 0.05, (20000, n)).std(axis=1, ddof=1)
    half = stats.t.ppf(0.975, n - 1) / math.sqrt(n)
    one = Interval(1.0, math.exp(-half), math.exp(half), n)
    detectable = smallest_detectable(one)  # by a spread of 1
    assert detectable is not None
    for said, bar in (
        (math.log(detectable) * spreads, 0.8),
        (noncentrality(n - 1, 0.95, 0.8) / math.sqrt(n) * 0.05, 0.8),
    ):
        draws = random.normal(0, 0.05, (20000, n)) + np.reshape(said, (-1, 1))
        statistic = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / math.sqrt(n))
        shown = int((statistic > stats.t.ppf(0.975, n - 1)).sum())
        low, high = stats.binom.interval(0.99, 20000, bar)
        assert low <= shown <= high


def test_the_mean_does_not_matter_to_what_is_detectable() -> None:
    spread = [0.9, 1.0, 1.1]
    found = smallest_detectable(ratio_interval(spread))
    assert found == pytest.approx(smallest_detectable(ratio_interval([3 * r for r in spread])))
    # 3 values: 8.77 standard errors of the logarithms
    error = np.log(spread).std(ddof=1) / math.sqrt(3)
    assert found == pytest.approx(math.exp(8.775 * error), rel=1e-3)


def test_nothing_is_detectable_from_one_value() -> None:
    assert smallest_detectable(ratio_interval([1.2])) is None


def test_without_spread_everything_is_detectable() -> None:
    assert smallest_detectable(ratio_interval([1.5] * 4)) == pytest.approx(1.0)
