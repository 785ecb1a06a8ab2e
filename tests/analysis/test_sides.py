"""Two sides: what may be paired, what each basis gives, and when nothing may be said."""

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tandembench.analysis.intervals import Interval, logarithm, smallest_detectable_difference
from tandembench.analysis.sides import (
    Observation,
    observations,
    paired_difference,
    paired_ratio,
)


def side(
    *values: float, session: str = "s1", invocation: str | None = "i1", first: int = 1
) -> list[Observation]:
    """Values in rounds one after the other."""
    return [
        Observation(value, session, invocation, number)
        for number, value in enumerate(values, start=first)
    ]


def sessions(*by_session: Sequence[float], prefix: str = "s") -> list[Observation]:
    return [
        one
        for number, values in enumerate(by_session)
        for one in side(*values, session=f"{prefix}{number}", invocation=f"{prefix}{number}")
    ]


def bounds(interval: Interval | None) -> tuple[float, float, float]:
    assert interval is not None
    assert interval.low is not None
    assert interval.high is not None
    return interval.mean, interval.low, interval.high


def test_one_invocation_is_paired_by_round() -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(1.5, 0.2, 6).tolist(), random.normal(1.2, 0.2, 6).tolist()
    found = paired_ratio(side(*a), side(*b))
    expected = stats.ttest_rel(np.log(a), np.log(b))
    low, high = expected.confidence_interval(0.95)
    mean = math.exp(fmean(np.log(a)) - fmean(np.log(b)))
    assert bounds(found.interval) == pytest.approx((mean, math.exp(low), math.exp(high)))
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.basis, found.pairs, found.sessions) == ("within", 6, 1)
    assert found.interval is not None
    assert found.interval.n == 6
    logs = smallest_detectable_difference(logarithm(found.interval))
    assert logs is not None
    assert found.detectable == pytest.approx(math.exp(logs))
    assert found.reason is None


def test_rounds_are_matched_by_what_they_are_not_by_their_place() -> None:
    a, b = side(2.0, 4.0, 8.0), side(4.0, 1.0, 5.0, first=2)
    found = paired_ratio(a, b[::-1])
    assert found.pairs == 2
    assert bounds(found.interval)[0] == pytest.approx(math.sqrt(1.0 * 8.0))


def test_values_of_one_side_in_one_round_are_averaged() -> None:
    two_configs = [*side(1.0, 2.0, 4.0), *side(4.0, 2.0, 1.0)]
    found = paired_ratio(two_configs, side(1.0, 1.0, 1.0))
    assert bounds(found.interval) == pytest.approx((2.0, 2.0, 2.0))
    assert found.pairs == 3
    assert bounds(paired_difference(two_configs, side(0.0, 1.0, 2.0)).interval)[0] == (
        pytest.approx((2.5 + 1.0 + 0.5) / 3)
    )


def test_two_sessions_are_described_by_their_rounds() -> None:
    a, b = sessions([1.1, 1.2], [1.5, 1.6]), sessions([1.0, 1.0], [1.0, 1.0])
    found = paired_ratio(a, b)
    assert (found.basis, found.pairs, found.sessions) == ("within", 4, 2)
    assert found.interval is not None
    assert found.interval.n == 4


def test_three_sessions_are_the_unit() -> None:
    random = np.random.default_rng(2)
    a, b = np.exp(random.normal(0.1, 0.1, (4, 5))), np.exp(random.normal(0, 0.1, (4, 5)))
    found = paired_ratio(sessions(*a.tolist()), sessions(*b.tolist()))
    expected = stats.ttest_1samp((np.log(a) - np.log(b)).mean(axis=1), 0)
    low, high = expected.confidence_interval(0.95)
    assert bounds(found.interval)[1:] == pytest.approx((math.exp(low), math.exp(high)))
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.basis, found.pairs, found.sessions) == ("sessions", 20, 4)
    assert found.interval is not None
    assert found.interval.n == 4


def test_a_session_with_pairs_counts_by_them_and_one_without_by_its_means() -> None:
    """In s0 the subject's 9.0 has no partner; in s1 no round is shared, in s2 no invocation."""
    a = [*side(2.0, 2.0, 9.0, session="s0"), *side(3.0, session="s1", first=7)]
    a += side(5.0, 5.0, session="s2", invocation="later")
    b = [*side(1.0, 1.0, session="s0"), *side(1.0, 1.0, session="s1"), *side(1.0, session="s2")]
    found = paired_difference(a, b)
    assert bounds(found.interval)[0] == pytest.approx((1.0 + 2.0 + 4.0) / 3)
    assert (found.basis, found.pairs, found.sessions) == ("sessions", 2, 3)


def test_sessions_that_are_not_shared_are_compared_by_welch() -> None:
    random = np.random.default_rng(3)
    a, b = random.normal(1.0, 0.1, (4, 3)), random.normal(0.8, 0.02, (5, 3))
    found = paired_difference(sessions(*a.tolist()), sessions(*b.tolist(), prefix="t"))
    expected = stats.ttest_ind(a.mean(axis=1), b.mean(axis=1), equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert bounds(found.interval)[1:] == pytest.approx((low, high))
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.basis, found.pairs, found.sessions) == ("sessions", 0, 9)
    assert found.interval is not None
    assert (found.interval.n, found.interval.freedom) == (9, pytest.approx(expected.df))


@pytest.mark.parametrize(
    ("subject", "reference", "reason"),
    [
        (side(1.0), side(1.0, session="s2"), "different sessions"),
        (side(1.0), side(1.0, invocation="i2"), "different sessions"),
        (side(1.0), side(1.0, invocation=None), "different sessions"),
        (side(1.0), side(1.0, first=2), "different rounds"),
        ([], side(1.0), "nothing measured"),
        (side(1.0), [], "nothing measured"),
        # two sessions each, none of both in one invocation
        (sessions([1.0], [1.0]), sessions([1.0], [1.0], prefix="t"), "different sessions"),
        # three of one side are not three of both
        (sessions([1.0], [1.0], [1.0]), side(1.0), "different sessions"),
    ],
)
def test_what_cannot_be_compared_says_why(
    subject: list[Observation], reference: list[Observation], reason: str
) -> None:
    found = paired_ratio(subject, reference)
    assert found.interval is None
    assert (found.p, found.detectable, found.basis, found.pairs) == (None, None, None, 0)
    assert found.reason == reason


def test_an_unknown_invocation_is_one_for_the_session() -> None:
    found = paired_ratio(side(1.0, 2.0, invocation=None), side(1.0, 1.0, invocation=None))
    assert found.pairs == 2


def test_a_single_pair_has_no_interval_and_no_p() -> None:
    found = paired_ratio(side(2.0), side(1.0))
    assert found.interval == Interval(pytest.approx(2.0), None, None, 1)
    assert (found.p, found.detectable, found.reason, found.pairs) == (None, None, None, 1)


def test_a_comparison_turned_round_says_the_same() -> None:
    random = np.random.default_rng(4)
    a, b = (np.exp(random.normal(0, 0.1, 5)).tolist() for _ in "ab")
    found, turned = paired_ratio(side(*a), side(*b)), paired_ratio(side(*b), side(*a))
    mean, low, high = bounds(found.interval)
    assert bounds(turned.interval) == pytest.approx((1 / mean, 1 / high, 1 / low))
    assert turned.p == pytest.approx(found.p)
    assert turned.detectable == pytest.approx(found.detectable)


def test_differences_are_in_the_unit_of_the_values() -> None:
    found = paired_difference(side(3.0, 5.0, 6.0), side(1.0, 2.0, 2.0))
    expected = stats.ttest_1samp([2.0, 3.0, 4.0], 0)
    assert bounds(found.interval)[1:] == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.interval is not None
    assert found.detectable == pytest.approx(smallest_detectable_difference(found.interval))
    scaled = paired_difference(side(30.0, 50.0, 60.0), side(10.0, 20.0, 20.0))
    assert scaled.p == pytest.approx(found.p)


def test_the_drift_of_a_machine_is_not_in_the_ratio() -> None:
    drift = [1.0, 2.0, 4.0]
    a, b = side(*(1.25 * d for d in drift)), side(*drift)
    assert bounds(paired_ratio(a, b).interval) == pytest.approx((1.25, 1.25, 1.25))
    # not so over sessions in which no round holds both
    apart = [one._replace(round=("other", one.round)) for one in a]
    assert paired_ratio(apart, b).reason == "different rounds"


def test_rows_of_runs_are_observations_where_a_value_is_known() -> None:
    runs = pd.DataFrame(
        {
            "session": ["s1", "s1", "s2"],
            "invocation": ["i1", None, "i2"],
            "repetition": [1, 2, 1],
            "wall_s": [2.0, 3.0, None],
        }
    )
    expected = [
        Observation(2.0, "s1", "i1", ("cell", 1)),
        Observation(3.0, "s1", None, ("cell", 2)),
    ]
    types = {"wall_s": "Float64", "repetition": "Int64", "invocation": "string"}
    assert observations(runs, "wall_s", "cell") == expected
    assert observations(runs.astype(types), "wall_s", "cell") == expected
