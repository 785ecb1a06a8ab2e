"""Families: Holm against statsmodels, and what becomes of a verdict."""

import math

import numpy as np
import pytest
from scipy import stats

from tandembench.analysis.family import difference_family, holm, kept, ratio_family
from tandembench.analysis.intervals import Interval, mean_interval, ratio_interval
from tandembench.analysis.verdicts import difference_p

MARGIN = 0.05


@pytest.mark.parametrize("m", [1, 2, 7, 40])
def test_holm_agrees_with_statsmodels(m: int) -> None:
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415 - slow to import

    ps = (np.random.default_rng(m).uniform(0, 1, m) ** 3).tolist()
    expected = multipletests(ps, alpha=0.05, method="holm")
    assert holm(ps) == pytest.approx(expected[1].tolist())
    assert [p < 0.05 for p in holm(ps) if p is not None] == expected[0].tolist()


def test_holm_by_hand() -> None:
    assert holm([0.03, 0.01, 0.04]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.02, 0.02]) == pytest.approx([0.04, 0.04])
    assert holm([]) == []


def test_what_has_no_p_is_not_counted() -> None:
    assert holm([None, 0.03, None]) == [None, 0.03, None]


@pytest.mark.parametrize(
    ("verdict", "adjusted", "becomes"),
    [
        ("better", 0.049, "better"),
        ("better", 0.05, "inconclusive"),
        ("worse", 0.2, "inconclusive"),
        ("equivalent", 0.01, "equivalent"),
        ("inconclusive", 0.01, "inconclusive"),
        ("better", None, "inconclusive"),
    ],
)
def test_a_verdict_that_does_not_hold_becomes_inconclusive(
    verdict: str, adjusted: float | None, becomes: str
) -> None:
    assert kept(verdict, adjusted) == becomes  # type: ignore[arg-type]


def interval(log_mean: float, error: float, n: int = 10) -> Interval:
    half = float(stats.t.ppf(0.975, n - 1)) * error
    return Interval(math.exp(log_mean), math.exp(log_mean - half), math.exp(log_mean + half), n)


def test_a_family_of_one_is_judged_alone() -> None:
    for mean, error in ((0.2, 0.03), (-0.2, 0.03), (0.0, 0.01), (0.0, 0.1)):
        (found,) = ratio_family([interval(mean, error)], MARGIN)
        assert found.verdict == found.alone
        assert found.p == found.adjusted_p


def test_a_lone_small_p_does_not_hold_among_many() -> None:
    doubtful = interval(0.1, 0.1 / 2.5)  # t = 2.5 with 9 degrees: p = 0.034
    (alone,) = ratio_family([doubtful], MARGIN)
    assert alone.verdict == "better"
    noise = [interval(0.01, 0.1)] * 4
    family = ratio_family([*noise, doubtful], MARGIN)
    assert family[-1].verdict == "inconclusive"
    assert family[-1].alone == "better"
    assert family[-1].adjusted_p == pytest.approx(5 * 0.0339, rel=0.01)
    assert [one.verdict for one in family[:-1]] == ["inconclusive"] * 4


def test_clear_differences_hold_and_open_the_way_for_the_next() -> None:
    clear, next_ = interval(0.5, 0.01), interval(0.1, 0.1 / 2.5)
    found = ratio_family([clear, next_, clear], MARGIN)
    assert [one.verdict for one in found] == ["better", "better", "better"]


def test_equivalence_is_a_family_of_its_own() -> None:
    """Clear differences do not lend their level to a doubtful equivalence."""
    doubtful = interval(0.0, math.log(1.05) / 2.4)  # within the margins by a hair
    assert ratio_family([doubtful], MARGIN)[0].verdict == "equivalent"
    found = ratio_family([doubtful, *[interval(0.5, 0.01)] * 3], MARGIN)
    assert (found[0].alone, found[0].verdict) == ("equivalent", "inconclusive")
    sure = interval(0.0, 0.005)
    assert ratio_family([sure, *[interval(0.5, 0.01)] * 3], MARGIN)[0].verdict == "equivalent"


def test_what_was_not_measured_stays_in_its_place() -> None:
    found = ratio_family([None, ratio_interval([2.0]), interval(0.5, 0.01)], MARGIN)
    assert [one.verdict for one in found] == ["inconclusive", "inconclusive", "better"]
    assert [one.adjusted_p is None for one in found] == [True, True, False]
    assert found[2].adjusted_p == found[2].p


def test_less_can_be_better() -> None:
    (found,) = ratio_family([interval(0.5, 0.01)], MARGIN, more_is_better=False)
    assert found.verdict == "worse"
    (found,) = difference_family([mean_interval([-1.0, -1.1, -0.9])], 0.2, more_is_better=False)
    assert found.verdict == "better"


def test_differences_have_families_too() -> None:
    values = [[1.0, 1.1, 0.9], [0.0, 0.01, -0.01], [-5.0, 5.0, 1.0]]
    intervals = [mean_interval(one) for one in values]
    found = difference_family(intervals, 0.5)
    assert [one.verdict for one in found] == ["better", "equivalent", "inconclusive"]
    assert [one.p for one in found] == [difference_p(one) for one in intervals]


def test_equal_configs_are_called_different_in_one_family_of_twenty() -> None:
    random = np.random.default_rng(118)
    false = 0
    for _ in range(1000):
        reference = random.normal(0, 0.03, 5)
        draws = random.normal(0, 0.03, (6, 5)) - reference
        family = ratio_family(
            [ratio_interval(np.exp(draw).tolist()) for draw in draws], margin=0.001
        )
        false += any(one.verdict in ("better", "worse") for one in family)
    # at most 5 %: 72 or more of 1000 come less than once in 500 times
    assert false < 72
