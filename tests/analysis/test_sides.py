"""Two sides: what may be paired, what each basis gives, and when nothing may be said."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tandembench.analysis.intervals import Interval, logarithm, smallest_detectable_difference
from tandembench.analysis.sides import Observation, observations, paired_difference, paired_ratio


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
    return interval.mean, interval.low, interval.high


def test_a_session_with_pairs_counts_by_them_and_one_without_by_its_means() -> None:
    """In s0 the subject's 9.0 has no partner; in s1 no round is shared, in s2 no invocation."""
    a = [*side(2.0, 2.0, 9.0, session="s0"), *side(3.0, session="s1", first=7)]
    a += side(5.0, 5.0, session="s2", invocation="later")
    b = [*side(1.0, 1.0, session="s0"), *side(1.0, 1.0, session="s1"), *side(1.0, session="s2")]
    found = paired_difference(a, b)
    assert bounds(found.interval)[0] == pytest.approx((1.0 + 2.0 + 4.0) / 3)
    assert (found.basis, found.pairs, found.sessions) == ("sessions", 2, 3)


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


def test_the_drift_of_a_machine_is_not_in_the_ratio() -> None:
    drift = [1.0, 2.0, 4.0]
    a, b = side(*(1.25 * d for d in drift)), side(*drift)
    assert bounds(paired_ratio(a, b).interval) == pytest.approx((1.25, 1.25, 1.25))
    # not so over sessions in which no round holds both
    apart = [one._replace(round=("other", one.round)) for one in a]
    assert paired_ratio(apart, b).reason == "different rounds"


def test_rows_of_runs_are_observations_where_a_value_is_known() -> None:
    columns = ["session", "invocation", "repetition", "wall_s"]
    rows = [("s1", "i1", 1, 2.0), ("s1", None, 2, 3.0), ("s2", "i2", 1, None)]
    runs = pd.DataFrame(rows, columns=columns)
    first = Observation(2.0, "s1", "i1", ("cell", 1))
    expected = [first, Observation(3.0, "s1", None, ("cell", 2))]
    types = {"wall_s": "Float64", "repetition": "Int64", "invocation": "string"}
    assert observations(runs, "wall_s", "cell") == expected
    assert observations(runs.astype(types), "wall_s", "cell") == expected


RATIO, DIFFERENCE = (paired_ratio, np.log, np.exp), (paired_difference, np.array, np.array)


@pytest.mark.parametrize(("paired", "scale", "back"), [RATIO, DIFFERENCE])
@pytest.mark.parametrize("shape", [(1, 6), (2, 3), (4, 5)])
def test_rounds_are_paired_and_three_sessions_are_the_unit(
    paired: Any, scale: Any, back: Any, shape: tuple[int, int]
) -> None:
    random = np.random.default_rng(1)
    a, b = np.exp(random.normal(0.1, 0.1, shape)), np.exp(random.normal(0, 0.1, shape))
    left, right = sessions(*a.tolist()), sessions(*b.tolist())
    found, turned = paired(left, right), paired(right, left)
    units = scale(a) - scale(b)
    units = units.mean(axis=1) if shape[0] > 2 else units.ravel()
    expected = stats.ttest_1samp(units, 0)
    logs = (units.mean(), *expected.confidence_interval(0.95))
    assert bounds(found.interval) == pytest.approx(tuple(back(logs)))
    assert (found.p, turned.p) == (pytest.approx(expected.pvalue),) * 2
    mean, low, high = -np.array(logs)
    assert bounds(turned.interval) == pytest.approx(tuple(back([mean, high, low])))
    basis = "sessions" if shape[0] > 2 else "within"
    assert (found.basis, found.pairs, found.sessions) == (basis, a.size, shape[0])
    assert (found.interval.n, found.reason) == (len(units), None)
    plain = logarithm(found.interval) if paired is paired_ratio else found.interval
    detectable = back([smallest_detectable_difference(plain)])[0]
    assert (found.detectable, turned.detectable) == (pytest.approx(detectable),) * 2


@pytest.mark.parametrize(
    ("a", "b", "mean", "pairs"),
    [
        # matched by what rounds are, not by their place
        (side(2.0, 4.0, 8.0), side(4.0, 1.0, 5.0, first=2)[::-1], math.sqrt(8), 2),
        # two configs in one round are averaged
        ([*side(1.0, 2.0, 4.0), *side(4.0, 2.0, 1.0)], side(1.0, 1.0, 1.0), 2.0, 3),
        # an unknown invocation is one for the session
        (side(2.0, 2.0, invocation=None), side(1.0, 1.0, invocation=None), 2.0, 2),
        # a single pair
        (side(2.0), side(1.0), 2.0, 1),
    ],
)
def test_which_rounds_are_pairs(
    a: list[Observation], b: list[Observation], mean: float, pairs: int
) -> None:
    found = paired_ratio(a, b)
    assert (found.interval.mean, found.pairs) == (pytest.approx(mean), pairs)
    assert (found.p is None) == (found.interval.low is None) == (pairs == 1)


def test_sessions_that_are_not_shared_are_compared_by_welch() -> None:
    random = np.random.default_rng(3)
    a, b = random.normal(1.0, 0.1, (4, 3)), random.normal(0.8, 0.02, (5, 3))
    found = paired_difference(sessions(*a.tolist()), sessions(*b.tolist(), prefix="t"))
    expected = stats.ttest_ind(a.mean(axis=1), b.mean(axis=1), equal_var=False)
    assert bounds(found.interval)[1:] == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.basis, found.pairs, found.sessions) == ("sessions", 0, 9)
    assert (found.interval.n, found.interval.freedom) == (9, pytest.approx(expected.df))
