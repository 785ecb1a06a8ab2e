"""Intervals of means and ratios, and what they allow to be said: alone, and in a family. Pure.

For what is not measured side by side (that is the business of `compare`): means of a table, two
datasets, hypotheses. The session is the unit of inference: repetitions inside one are not
independent. With one or two sessions an interval describes those sessions, not the machine; from
three on it rests on the means of the sessions. ``basis`` says which.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr, stdtr, stdtrit

from tandembench.analysis.findings import Verdict

MIN_SESSIONS = 3
ALPHA = 0.05
POWER = 0.8
Basis = Literal["sessions", "within"]
Moments = tuple[float, float, int]
Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean of ``n`` values with the bounds of its interval; bounds are None for n = 1.

    ``freedom``: degrees of freedom, None is n - 1. ``basis``: the values are means of sessions,
    or lie within one or two sessions, of which alone the interval then speaks.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    freedom: float | None = None
    basis: Basis = "within"

    @property
    def degrees(self) -> float:
        """Degrees of freedom."""
        return self.n - 1 if self.freedom is None else self.freedom

    @property
    def error(self) -> float | None:
        """The standard error of the mean, from the width of the interval; None without bounds."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2 / critical(self.degrees)


@lru_cache
def critical(freedom: float, level: float = 1 - ALPHA) -> float:
    """What a t of ``freedom`` degrees exceeds, on both sides, with probability 1 - ``level``."""
    return float(stdtrit(freedom, (1 + level) / 2))


def moments(values: Sequence[float]) -> Moments:
    """Mean, sd (n - 1; 0 for one value) and n. ValueError unless there are finite values."""
    n = len(values)
    if n == 0 or not all(map(math.isfinite, values)):
        raise ValueError("an interval needs finite values, one at least")
    mean = math.fsum(values) / n
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (n - 1)) if n > 1 else 0.0, n


def together(parts: Sequence[Moments]) -> Moments:
    """The moments of all values, from those of parts of them."""
    n = sum(part[2] for part in parts)
    mean = math.fsum(part[0] * part[2] for part in parts) / n
    squares = math.fsum(sd**2 * (k - 1) + (group - mean) ** 2 * k for group, sd, k in parts)
    return mean, math.sqrt(squares / (n - 1)) if n > 1 else 0.0, n


def mean_interval(values: Sequence[float], sessions: Sequence[str] | None = None) -> Interval:
    """Mean and 95 % interval, mean +- t(n-1) * sd / sqrt(n), in the unit of the values.

    Taken by session if ``sessions`` are given. ValueError without values. Source: Student 1908.
    """
    units = list(values) if sessions is None else session_means(values, sessions)
    by_session = sessions is not None and len(set(sessions)) >= MIN_SESSIONS
    return interval_of_moments(moments(units), "sessions" if by_session else "within")


def session_means(values: Sequence[float], sessions: Sequence[str]) -> list[float]:
    """The values that may be taken for independent, in the order in which they came.

    The means of the sessions if there are three or more, else ``values`` themselves. ``sessions``
    names the session of each value. With as much spread between sessions as within, a 95 %
    interval over pooled repetitions covers two thirds. Source: Kalibera & Jones 2013.
    """
    if len(values) != len(sessions):
        raise ValueError("one session for each value")
    if len(set(sessions)) < MIN_SESSIONS:
        return list(values)
    return means_by(values, sessions)


def means_by(values: Sequence[float], labels: Sequence[Hashable]) -> list[float]:
    """The mean of the values of each label, in the order in which labels first came."""
    by_label: dict[Hashable, list[float]] = {}
    for value, label in zip(values, labels, strict=True):
        by_label.setdefault(label, []).append(value)
    return [math.fsum(group) / len(group) for group in by_label.values()]


def interval_of_moments(of: Moments, basis: Basis = "within") -> Interval:
    """The same from mean, sd and n."""
    mean, sd, n = of
    if n == 1:
        return Interval(mean, None, None, 1, basis=basis)
    half = critical(n - 1) * sd / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, basis=basis)


def within(interval: Interval, bounds: Bounds) -> Interval:
    """The interval cut at the ``bounds`` of its quantity, but never short of its own mean.

    The truth lies within them, so that it covers as often as before. A mean beyond them was
    measured (a gain above the ideal one, say), and stays what it is.
    """
    if interval.low is None or interval.high is None:
        return interval
    low = min(max(interval.low, bounds[0]), interval.mean)
    return replace(interval, low=low, high=max(min(interval.high, bounds[1]), interval.mean))


def ratio_interval(ratios: Sequence[float], sessions: Sequence[str] | None = None) -> Interval:
    """Geometric mean of ratios, with the t interval of their logarithms: `mean_interval` of them.

    Dimensionless, above 0; a ratio and its inverse are treated alike.
    """
    return exponential(mean_interval([math.log(ratio) for ratio in ratios], sessions))


def welch_from_moments(a: Moments, b: Moments) -> Interval:
    """Mean of ``a`` less mean of ``b`` for independent values of unequal spread, 95 %.

    Unit of the values. ``n`` is Welch's degrees of freedom, cut off, plus one; no bounds where one
    side has a single value. Source: Welch 1947.
    """
    difference = a[0] - b[0]
    if min(a[2], b[2]) < 2:
        return Interval(difference, None, None, 1)
    variances = [sd**2 / count for _, sd, count in (a, b)]
    variance = math.fsum(variances)
    if variance == 0:
        return Interval(difference, difference, difference, min(a[2], b[2]))
    freedom = variance**2 / math.fsum(
        group**2 / (count - 1) for group, (_, _, count) in zip(variances, (a, b), strict=True)
    )
    half = critical(freedom) * math.sqrt(variance)
    return Interval(difference, difference - half, difference + half, int(freedom) + 1, freedom)


def exponential(logs: Interval) -> Interval:
    """The interval of a geometric mean, from that of the mean of logarithms."""
    return _mapped(logs, math.exp)


def logarithm(ratio: Interval) -> Interval:
    """The interval of the mean of logarithms, from that of a geometric mean."""
    return _mapped(ratio, math.log)


def _mapped(one: Interval, rising: Callable[[float], float]) -> Interval:
    low, high = (None if end is None else rising(end) for end in (one.low, one.high))
    return replace(one, mean=rising(one.mean), low=low, high=high)


def negative(difference: Interval) -> Interval:
    """The same difference, seen from the other side."""
    low, high = (None if one is None else -one for one in (difference.high, difference.low))
    return replace(difference, mean=-difference.mean, low=low, high=high)


def inverse(ratio: Interval) -> Interval:
    """The same ratio, seen from the other side."""
    return exponential(negative(logarithm(ratio)))


def ratio_verdict(ratio: Interval, margin: float, more_is_better: bool = True) -> Verdict:
    """Verdict on a ratio against 1; within 1/(1 + margin) and 1 + margin it is equivalent."""
    return difference_verdict(logarithm(ratio), math.log1p(margin), more_is_better)


def difference_verdict(difference: Interval, margin: float, more_is_better: bool = True) -> Verdict:
    """Verdict on a difference against 0; within -margin and +margin, in its unit, equivalent.

    Two one-sided tests (Schuirmann 1987), here by the 95 % interval, which is the stricter
    reading. Beyond it, better or worse needs the whole interval on one side of 0.
    """
    if difference.low is None or difference.high is None:
        return "inconclusive"
    if -margin < difference.low and difference.high < margin:
        return "equivalent"
    if difference.low <= 0 <= difference.high:
        return "inconclusive"
    return "better" if (difference.low > 0) is more_is_better else "worse"


def difference_p(difference: Interval, same: float = 0.0) -> float | None:
    """Two-sided p of the t test that the difference is ``same``; None without bounds.

    It belongs to the interval: below 0.05 exactly where the interval leaves ``same`` out.
    """
    error = difference.error
    if error is None:
        return None
    if error == 0:
        return float(difference.mean == same)
    return 2 * float(stdtr(difference.degrees, -abs(difference.mean - same) / error))


def difference_equivalence_p(difference: Interval, margin: float) -> float | None:
    """p of "equivalent": twice the larger p of the two one-sided tests against -+ ``margin``.

    Twice, so that it is below 0.05 exactly where the 95 % interval lies within the margins. None
    without bounds; at most 1. Source: Schuirmann 1987.
    """
    error, room = difference.error, margin - abs(difference.mean)
    if error is None:
        return None
    if error == 0:
        return float(room <= 0)
    return min(1.0, 2 * float(stdtr(difference.degrees, -room / error)))


def smallest_detectable_difference(difference: Interval) -> float | None:
    """The difference that a study like this one, done afresh, would show with a chance of 80 %.

    c * se, with se the standard error of the mean and c such that the two-sided t test at 0.05
    has that power on average over what se may be off: it is an estimate too, and the
    noncentrality of a known spread, which is smaller, would be found in 63 % at n = 3, 74 % at 10.
    Unit of the difference, 0 or more; None without an interval. Source: Julious & Owen 2006;
    noncentral t: Cohen 1988.
    """
    error = difference.error
    # Welch's degrees are cut to tenths, so that thousands of comparisons share what is slow to
    # find; it only makes the difference larger.
    tenths = math.floor(10 * difference.degrees) / 10
    return None if error is None else _errors_to_find(max(tenths, 1.0)) * error


@lru_cache(maxsize=4096)
def _errors_to_find(freedom: float) -> float:
    """The same in standard errors that are themselves estimated with ``freedom`` degrees.

    c with P(Z + c s1 > critical s2) = power, for a standard normal Z and independent s1, s2 =
    sqrt(chi2(freedom) / freedom): those of the study that showed the spread, and of the next one.
    """
    middles = (np.arange(100) + 0.5) / 100
    estimated = np.sqrt(chdtri(freedom, middles) / freedom)
    limits = critical(freedom) * estimated[:, None]
    return float(brentq(lambda c: float(ndtr(c * estimated - limits).mean()) - POWER, 0, 1000))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values: max over j <= i of min(1, (m - j + 1) p_(j)), p in ascending order.

    m counts the p-values that are known; None stays None. Rejecting where the adjusted p is below
    alpha makes any false rejection in the family at most alpha likely, whatever their dependence.
    Source: Holm 1979.
    """
    known = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = highest
    return adjusted


def difference_family(
    differences: Sequence[Interval], margin: float, more_is_better: bool = True
) -> list[Verdict]:
    """Verdicts on differences that are judged together; one that does not hold is "inconclusive".

    Claims of a difference and claims of equivalence are two families of as many tests each: in
    one, a handful of clear differences would lend their levels to a false equivalence.
    """
    differs = holm([difference_p(one) for one in differences])
    equal = holm([difference_equivalence_p(one, margin) for one in differences])
    verdicts: list[Verdict] = []
    for place, one in enumerate(differences):
        alone = difference_verdict(one, margin, more_is_better)
        p = (equal if alone == "equivalent" else differs)[place]
        verdicts.append(alone if p is not None and p < ALPHA else "inconclusive")
    return verdicts
