"""Intervals, verdicts and summaries against scipy and others, by hand, and by what they promise."""

import math
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats

from tandembench.analysis.intervals import (
    Interval,
    difference_equivalence_p,
    difference_family,
    difference_p,
    difference_verdict,
    exponential,
    holm,
    logarithm,
    mean_interval,
    moments,
    ratio_interval,
    ratio_verdict,
    session_means,
    smallest_detectable_difference,
    welch_from_moments,
    within,
)
from tandembench.analysis.summaries import bounds_of, summary

DRAWS = 4000
MARGIN = 0.05
TURNED = {"better": "worse", "worse": "better"}


def interval(log_mean: float, error: float, n: int = 10) -> Interval:
    half = float(stats.t.ppf(0.975, n - 1)) * error
    return exponential(Interval(log_mean, log_mean - half, log_mean + half, n))


def often(count: int, share: float, draws: int = DRAWS) -> bool:
    """Whether so many of the draws are, with 99 %, such a share of them."""
    low, high = stats.binom.interval(0.99, draws, share)
    return bool(low <= count <= high)


@pytest.mark.parametrize("n", [2, 3, 200])
def test_intervals_agree_with_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(5, 2, n).tolist()
    low, high = stats.t.interval(0.95, n - 1, loc=fmean(values), scale=stdev(values) / math.sqrt(n))
    found = mean_interval(values)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.mean, found.n) == (pytest.approx(fmean(values)), n)


def test_one_value_equal_values_and_none() -> None:
    assert mean_interval([1.5]) == Interval(1.5, None, None, 1)
    assert ratio_interval([1.5]) == Interval(pytest.approx(1.5), None, None, 1)
    assert mean_interval([0.1] * 3) == Interval(*[pytest.approx(0.1)] * 3, 3)
    for values in ([], [math.nan], [1.0, math.inf]):
        with pytest.raises(ValueError, match="finite values"):
            mean_interval(values)


def test_an_interval_stays_within_what_is_possible() -> None:
    shares = [0.99, 0.999, 0.97]
    free, cut = mean_interval(shares), within(mean_interval(shares), (0.0, 1.0))
    assert free.high > 1
    assert cut == replace(free, high=1.0)
    assert within(mean_interval([0.01, 0.0]), (0.0, 1.0)).low == 0.0
    # A mean beyond the bounds was measured; its interval still holds it.
    beyond = within(mean_interval([1.01, 1.02]), (0.0, 1.0))
    assert beyond.high == beyond.mean == pytest.approx(1.015)
    assert within(mean_interval([0.5]), (0.0, 1.0)) == Interval(0.5, None, None, 1)


def test_ratios_have_a_geometric_mean_and_an_inverse() -> None:
    ratios = [0.8, 1.1, 1.3, 0.95]
    found, inverse = ratio_interval(ratios), ratio_interval([1 / ratio for ratio in ratios])
    assert found == exponential(mean_interval([math.log(ratio) for ratio in ratios]))
    assert found.mean == pytest.approx(stats.gmean(ratios)) == pytest.approx(1 / inverse.mean)
    assert found.low == pytest.approx(1 / inverse.high)


def test_sessions_are_the_unit_from_three_on() -> None:
    values, two, three = [1.0, 2.0, 6.0, 4.0], ["a", "b", "a", "b"], ["a", "b", "a", "c"]
    assert session_means(values, two) == values
    assert mean_interval(values, two) == mean_interval(values)
    assert session_means(values, three) == [3.5, 2.0, 4.0]
    assert mean_interval(values, three) == replace(mean_interval([3.5, 2.0, 4.0]), basis="sessions")
    assert ratio_interval(values, three).mean == pytest.approx((6**0.5 * 2 * 4) ** (1 / 3))
    with pytest.raises(ValueError, match="one session"):
        session_means([1.0, 2.0], ["a"])


def test_welch_agrees_with_scipy() -> None:
    random = np.random.default_rng(3)
    a, b = random.normal(5, 2, 12).tolist(), random.normal(4, 0.5, 30).tolist()
    expected = stats.ttest_ind(a, b, equal_var=False)
    low, high = expected.confidence_interval(0.95)
    found = welch_from_moments(moments(a), moments(b))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.mean == pytest.approx(fmean(a) - fmean(b))
    assert difference_p(found) == pytest.approx(expected.pvalue)
    single, pair = moments([1.0]), moments([2.0, 3.0])
    assert welch_from_moments(single, pair) == Interval(-1.5, None, None, 1)
    assert welch_from_moments((1.0, 0.0, 2), (2.0, 0.0, 2)) == Interval(-1.0, -1.0, -1.0, 2)


VERDICTS = {
    "better": [(1.10, 1.30), (1.01, 1.30)],  # also past the margin, all on one side
    "worse": [(0.70, 0.90), (0.90, 0.99)],
    "equivalent": [(0.96, 1.04), (1.01, 1.04), (0.96, 0.99), (1.0, 1.0)],  # too small to matter
    "inconclusive": [(0.96, 1.06), (0.94, 1.04), (0.5, 2.0), (1.0, 1.3), (0.7, 1.0)],
}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(*ends, verdict) for verdict, every in VERDICTS.items() for ends in every],
)
def test_the_verdict_on_a_ratio(low: float, high: float, verdict: str) -> None:
    found = Interval(math.sqrt(low * high), low, high, 5)
    turned = Interval(1 / found.mean, 1 / high, 1 / low, 5)
    assert ratio_verdict(found, MARGIN) == verdict
    assert ratio_verdict(turned, MARGIN) == TURNED.get(verdict, verdict)
    assert ratio_verdict(turned, MARGIN, more_is_better=False) == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 3.0, "better"),
        (-0.4, 0.4, "equivalent"),
        (0.1, 0.4, "equivalent"),
        (0.1, 0.5, "better"),  # the margin itself is not within the margin
        (-0.5, 0.4, "inconclusive"),
        (0.0, 3.0, "inconclusive"),
        (None, None, "inconclusive"),
    ],
)
def test_the_verdict_on_a_difference(low: float | None, high: float | None, verdict: str) -> None:
    found = Interval(0.2, low, high, 5)
    assert difference_verdict(found, 0.5) == verdict
    assert difference_verdict(found, 0.5, more_is_better=False) == TURNED.get(verdict, verdict)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_what_a_study_says_to_be_detectable_is_found_by_the_next(n: int) -> None:
    random = np.random.default_rng(117)
    spreads = random.normal(0, 0.05, (20000, n)).std(axis=1, ddof=1)
    half = stats.t.ppf(0.975, n - 1) / math.sqrt(n)
    detectable = smallest_detectable_difference(Interval(0.0, -half, half, n))  # by a spread of 1
    draws = random.normal(0, 0.05, (20000, n)) + np.reshape(detectable * spreads, (-1, 1))
    statistic = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / math.sqrt(n))
    assert often(int((statistic > stats.t.ppf(0.975, n - 1)).sum()), 0.8, 20000)


@pytest.mark.parametrize("n", [2, 5, 30])
def test_p_agrees_with_scipy_and_pingouin(n: int) -> None:
    values = np.random.default_rng(n).normal(0.3, 1, n).tolist()
    found = difference_p(mean_interval(values))
    assert found == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    expected = stats.ttest_1samp(values, 0.2).pvalue
    assert difference_p(mean_interval(values), same=0.2) == pytest.approx(expected)
    theirs = pingouin.ttest(values, 0)
    assert found == pytest.approx(float(theirs.filter(regex="^p.?val$").iloc[0, 0]))


@pytest.mark.parametrize("n", [3, 8])
def test_the_p_of_equivalence_agrees_with_statsmodels_and_pingouin(n: int) -> None:
    from statsmodels.stats.weightstats import DescrStatsW  # noqa: PLC0415 - slow to import

    values = np.random.default_rng(n).normal(0.05, 0.2, n)
    found = difference_equivalence_p(mean_interval(values.tolist()), 0.3)
    expected = DescrStatsW(values).ttost_mean(-0.3, 0.3)[0]
    assert found == pytest.approx(min(1.0, 2 * expected))
    theirs = pingouin.tost(values, np.zeros(n), bound=0.3, paired=True)
    assert found == pytest.approx(min(1.0, 2 * float(theirs.filter(regex="^p.?val$").iloc[0, 0])))


def test_p_and_verdict_never_disagree() -> None:
    random = np.random.default_rng(6)
    for _ in range(300):
        ratios = np.exp(random.normal(random.choice([0, 0.03, 0.3]), 0.05, 5)).tolist()
        ratio = ratio_interval(ratios)
        verdict, logs = ratio_verdict(ratio, 0.1), logarithm(ratio)
        differs, equal = difference_p(logs), difference_equivalence_p(logs, math.log1p(0.1))
        assert (verdict == "equivalent") == (equal < 0.05)
        if verdict != "equivalent":
            assert (verdict != "inconclusive") == (differs < 0.05)


def test_without_bounds_or_spread() -> None:
    one, same = Interval(2.0, None, None, 1), Interval(2.0, 2.0, 2.0, 3)
    assert difference_p(one) is None
    assert smallest_detectable_difference(one) is None
    assert difference_equivalence_p(one, 0.1) is None
    assert (difference_p(same), difference_p(same, same=2.0)) == (0.0, 1.0)
    assert (difference_equivalence_p(same, 3.0), difference_equivalence_p(same, 1.0)) == (0.0, 1.0)
    assert smallest_detectable_difference(same) == 0.0


@pytest.mark.parametrize("m", [1, 2, 7, 40])
def test_holm_agrees_with_statsmodels(m: int) -> None:
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415 - slow to import

    ps = (np.random.default_rng(m).uniform(0, 1, m) ** 3).tolist()
    expected = multipletests(ps, alpha=0.05, method="holm")[1].tolist()
    assert holm(ps) == pytest.approx(expected)
    # What has no p is not counted.
    assert holm([None, *ps, None]) == [None, *pytest.approx(expected).expected, None]


def family(*ratios: Interval, margin: float = MARGIN) -> list[str]:
    return [*difference_family([logarithm(one) for one in ratios], math.log1p(margin))]


def test_a_lone_small_p_does_not_hold_among_many_unless_others_are_clear() -> None:
    doubtful, clear = interval(0.1, 0.1 / 2.5), interval(0.5, 0.01)  # t = 2.5, p = 0.034
    assert family(doubtful) == ["better"]
    assert family(*[interval(0.01, 0.1)] * 4, doubtful) == ["inconclusive"] * 5
    assert family(clear, doubtful, clear) == ["better"] * 3


def test_equivalence_is_a_family_of_its_own() -> None:
    """Clear differences do not lend their level to a doubtful equivalence."""
    doubtful, clear = interval(0.0, math.log(1.05) / 2.4), interval(0.5, 0.01)  # within by a hair
    assert family(doubtful) == ["equivalent"]
    assert family(doubtful, clear, clear, clear)[0] == "inconclusive"
    assert family(interval(0.0, 0.005), clear, clear, clear)[0] == "equivalent"


def test_families_of_what_is_better_where_there_is_less_of_it() -> None:
    values = [[1.0, 1.1, 0.9], [0.0, 0.01, -0.01], [-5.0, 5.0, 1.0], [2.0]]
    known = [mean_interval(one) for one in values]
    rest = ["equivalent", "inconclusive", "inconclusive"]
    assert difference_family(known, 0.5) == ["better", *rest]
    assert difference_family(known, 0.5, more_is_better=False) == ["worse", *rest]


def some_runs(sessions: int = 1, blocks: int = 4, rounds: int = 1, **columns: Any) -> pd.DataFrame:
    """Runs of one config; a column is a list of values, or one for all."""
    places = [
        (f"s{s}", f"i{s}", "c", "dual", block, round_, 1)
        for s in range(sessions)
        for block in range(blocks)
        for round_ in range(rounds)
    ]
    names = ["session", "invocation", "comparison", "config_id", "repetition", "round", "attempt"]
    return pd.DataFrame(places, columns=names).assign(**columns)


def summed(runs: pd.DataFrame, metric: str) -> Any:
    return summary(runs, metric)


def test_the_numbers_of_some_runs() -> None:
    runs = some_runs(blocks=4, ttft_s=[1.0, 2.0, None, 6.0], speedup_true=[1.2, 1.5, 1.8, 1.2])
    first = summed(runs, "ttft_s")
    assert (first.metric, first.n) == ("ttft_s", 3)
    assert (first.mean.mean, first.sd) == (3.0, pytest.approx(math.sqrt(7)))
    assert (first.minimum, first.p50, first.maximum) == (1.0, 2.0, 6.0)
    assert summed(runs, "speedup_true").mean == ratio_interval([1.2, 1.5, 1.8, 1.2])
    # One value has no spread; what is not known of any run has no summary.
    alone = summed(runs[:1], "ttft_s")
    assert (alone.sd, alone.mean.low) == (None, None)
    assert summary(runs[2:3], "ttft_s") is None


def test_an_interval_rests_on_sessions_else_on_blocks() -> None:
    values = np.random.default_rng(1).normal(5, 1, 24)
    by_sessions = some_runs(4, 2, 3, decode_s=values)
    found = summed(by_sessions, "decode_s")
    assert found.mean == mean_interval(values.tolist(), by_sessions["session"].tolist())
    assert (found.mean.basis, found.mean.n, found.n) == ("sessions", 4, 24)
    found = summed(some_runs(1, 8, 3, decode_s=values), "decode_s")
    means = values.reshape(8, 3).mean(axis=1)
    assert (found.mean.basis, found.mean.n) == ("within", 8)
    assert found.mean.low == pytest.approx(stats.ttest_1samp(means, 0).confidence_interval().low)
    # Two blocks show no spread worth the name: then rounds are all there is.
    found = summed(some_runs(1, 2, 12, decode_s=values), "decode_s")
    assert found.mean.n == 24


@pytest.mark.parametrize(
    ("metric", "values"),
    [("jain", [1.0, 0.999, 0.95]), ("efficiency_true", [0.999, 0.9, 0.99])]
    + [("orchestration_loss", [0.0, 0.001, 0.01]), ("ttft_s", [0.1, 0.1, 4.0])],
)
def test_no_interval_holds_what_is_impossible(metric: str, values: list[float]) -> None:
    """No Jain index of 1.006, no efficiency of 100.3 %, no wait of less than nothing."""
    free, (low, high) = mean_interval(values), bounds_of(metric)
    found = summed(some_runs(blocks=3, **{metric: values}), metric)
    assert (found.mean.low, found.mean.high) == (max(free.low, low), min(free.high, high))
    assert (found.mean.low, found.mean.high) != (free.low, free.high)


def test_what_may_be_negative_has_no_bounds() -> None:
    for metric in ("ttft_delta_s", "throughput_delta_tokens_per_s", "contention", "antt"):
        assert bounds_of(metric) is None
