"""Verdicts: what an interval allows, and what so few values could have shown."""

import math

import numpy as np
import pingouin
import pytest
from scipy import stats

from tandembench.analysis.intervals import (
    Interval,
    inverse,
    logarithm,
    mean_interval,
    ratio_interval,
    welch_interval,
)
from tandembench.analysis.verdicts import (
    difference_equivalence_p,
    difference_p,
    difference_verdict,
    ratio_verdict,
    smallest_detectable_difference,
)

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
    random = np.random.default_rng(117)
    spreads = random.normal(0, 0.05, (20000, n)).std(axis=1, ddof=1)
    half = stats.t.ppf(0.975, n - 1) / math.sqrt(n)
    detectable = smallest_detectable_difference(Interval(0.0, -half, half, n))  # by a spread of 1
    assert detectable is not None
    draws = random.normal(0, 0.05, (20000, n)) + np.reshape(detectable * spreads, (-1, 1))
    statistic = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / math.sqrt(n))
    shown = int((statistic > stats.t.ppf(0.975, n - 1)).sum())
    low, high = stats.binom.interval(0.99, 20000, 0.8)
    assert low <= shown <= high


def test_nothing_is_detectable_from_one_value() -> None:
    assert smallest_detectable_difference(mean_interval([1.2])) is None


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 3.0, "better"),
        (-3.0, -0.1, "worse"),
        (-0.4, 0.4, "equivalent"),
        (0.1, 0.4, "equivalent"),
        (0.1, 0.5, "better"),  # the margin itself is not within the margin
        (-0.5, 0.4, "inconclusive"),
        (0.0, 3.0, "inconclusive"),
    ],
)
def test_the_verdict_on_a_difference(low: float, high: float, verdict: str) -> None:
    found = Interval((low + high) / 2, low, high, 5)
    assert difference_verdict(found, 0.5) == verdict
    turned = {"better": "worse", "worse": "better"}.get(verdict, verdict)
    assert difference_verdict(found, 0.5, more_is_better=False) == turned


def test_a_margin_of_nothing_allows_no_equivalence() -> None:
    assert difference_verdict(Interval(0.0, 0.0, 0.0, 3), 0.0) == "inconclusive"
    assert difference_verdict(Interval(0.0, None, None, 1), 0.5) == "inconclusive"


def test_less_can_be_better() -> None:
    slower = ratio_interval([1.2, 1.3, 1.25])
    assert ratio_verdict(slower, MARGIN, more_is_better=False) == "worse"
    assert ratio_verdict(inverse(slower), MARGIN, more_is_better=False) == "better"


@pytest.mark.parametrize("n", [2, 5, 30])
def test_p_agrees_with_scipy_and_pingouin(n: int) -> None:
    values = np.random.default_rng(n).normal(0.3, 1, n).tolist()
    found = difference_p(mean_interval(values))
    assert found == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert difference_p(mean_interval(values), same=0.2) == pytest.approx(
        stats.ttest_1samp(values, 0.2).pvalue
    )
    theirs = pingouin.ttest(values, 0)
    assert found == pytest.approx(float(theirs.filter(regex="^p.?val$").iloc[0, 0]))


def test_the_p_of_welch_agrees_with_scipy() -> None:
    random = np.random.default_rng(5)
    a, b = random.normal(0, 1, 6).tolist(), random.normal(1, 3, 9).tolist()
    expected = stats.ttest_ind(a, b, equal_var=False).pvalue
    assert difference_p(welch_interval(a, b)) == pytest.approx(expected)


@pytest.mark.parametrize("n", [3, 8])
def test_the_p_of_equivalence_agrees_with_statsmodels_and_pingouin(n: int) -> None:
    from statsmodels.stats.weightstats import DescrStatsW  # noqa: PLC0415 - slow to import

    values = np.random.default_rng(n).normal(0.05, 0.2, n)
    found = difference_equivalence_p(mean_interval(values.tolist()), 0.3)
    assert found is not None
    expected = DescrStatsW(values).ttost_mean(-0.3, 0.3)[0]
    assert found == pytest.approx(min(1.0, 2 * expected))
    theirs = pingouin.tost(values, np.zeros(n), bound=0.3, paired=True)
    assert found == pytest.approx(min(1.0, 2 * float(theirs.filter(regex="^p.?val$").iloc[0, 0])))


def test_p_and_verdict_never_disagree() -> None:
    random = np.random.default_rng(6)
    for _ in range(300):
        ratios = np.exp(random.normal(random.choice([0, 0.03, 0.3]), 0.05, 5)).tolist()
        ratio = ratio_interval(ratios)
        verdict = ratio_verdict(ratio, 0.1)
        logs = logarithm(ratio)
        differs, equal = difference_p(logs), difference_equivalence_p(logs, math.log1p(0.1))
        assert differs is not None
        assert equal is not None
        assert (verdict == "equivalent") == (equal < 0.05)
        if verdict != "equivalent":
            assert (verdict != "inconclusive") == (differs < 0.05)


def test_without_bounds_or_spread() -> None:
    one, same = Interval(2.0, None, None, 1), Interval(2.0, 2.0, 2.0, 3)
    for p in (difference_p, smallest_detectable_difference):
        assert p(one) is None
    assert difference_equivalence_p(one, 0.1) is None
    assert (difference_p(same), difference_p(same, same=2.0)) == (0.0, 1.0)
    assert (difference_equivalence_p(same, 3.0), difference_equivalence_p(same, 1.0)) == (0.0, 1.0)
    assert smallest_detectable_difference(same) == 0.0
