"""Means with their intervals. Pure.

The session is the unit of inference: repetitions inside one are not independent. With one or two
sessions an interval describes those sessions, not the machine, and the report says so wherever
it prints one; from three on it rests on the means of the sessions. ``basis`` says which.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import stdtrit

MIN_SESSIONS = 3
Basis = Literal["sessions", "within"]
Moments = tuple[float, float, int]


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


@lru_cache
def critical(freedom: float, level: float) -> float:
    """What a t of ``freedom`` degrees exceeds, on both sides, with probability 1 - ``level``."""
    return float(stdtrit(freedom, (1 + level) / 2))


def session_means(values: Sequence[float], sessions: Sequence[str]) -> list[float]:
    """The values that may be taken for independent, in the order in which they came.

    The means of the sessions if there are three or more, else ``values`` themselves. ``sessions``
    names the session of each value. Source: Kalibera & Jones 2013; with as much spread between
    sessions as within, a 95 % interval over pooled repetitions covers two thirds.
    """
    if len(values) != len(sessions):
        raise ValueError("one session for each value")
    if len(set(sessions)) < MIN_SESSIONS:
        return list(values)
    by_session: dict[str, list[float]] = {}
    for value, session in zip(values, sessions, strict=True):
        by_session.setdefault(session, []).append(value)
    return [math.fsum(own) / len(own) for own in by_session.values()]


def mean_interval(
    values: Sequence[float], sessions: Sequence[str] | None = None, level: float = 0.95
) -> Interval:
    """Mean and t interval, mean +- t(n-1, (1+level)/2) * sd / sqrt(n).

    Unit of ``values``, taken by session if ``sessions`` are given; ``level`` in (0, 1). Source:
    Student 1908. ValueError without values.
    """
    units = list(values) if sessions is None else session_means(values, sessions)
    by_session = sessions is not None and len(set(sessions)) >= MIN_SESSIONS
    basis: Basis = "sessions" if by_session else "within"
    mean, sd, n = moments(units)
    if n == 1:
        return Interval(mean, None, None, 1, basis=basis)
    half = critical(n - 1, level) * sd / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, basis=basis)


def welch_interval(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Interval:
    """Mean of ``a`` less mean of ``b`` for independent values of unequal spread.

    Unit of the values. ``n`` is Welch's degrees of freedom, cut off, plus one; no bounds where one
    side has a single value. Source: Welch 1947.
    """
    return welch_from_moments(moments(a), moments(b), level)


def moments(values: Sequence[float]) -> Moments:
    """Mean, sd (n - 1; 0 for one value) and n. ValueError unless there are finite values."""
    array = np.asarray(values, dtype=float)
    n = array.size
    if n == 0 or not np.isfinite(array).all():
        raise ValueError("an interval needs finite values, one at least")
    mean = math.fsum(array.tolist()) / n
    squares = math.fsum(np.square(array - mean).tolist())
    return mean, math.sqrt(squares / (n - 1)) if n > 1 else 0.0, n


def welch_from_moments(a: Moments, b: Moments, level: float = 0.95) -> Interval:
    """The same from (mean, sd, n) of each side, as reports print them."""
    difference = a[0] - b[0]
    if min(a[2], b[2]) < 2:
        return Interval(difference, None, None, 1)
    variances = [sd**2 / count for _, sd, count in (a, b)]
    variance = math.fsum(variances)
    if variance == 0:
        return Interval(difference, difference, difference, min(a[2], b[2]))
    freedom = variance**2 / math.fsum(
        own**2 / (count - 1) for own, (_, _, count) in zip(variances, (a, b), strict=True)
    )
    half = critical(freedom, level) * math.sqrt(variance)
    return Interval(difference, difference - half, difference + half, int(freedom) + 1, freedom)


def ratio_interval(
    ratios: Sequence[float], sessions: Sequence[str] | None = None, level: float = 0.95
) -> Interval:
    """Geometric mean of paired ratios, with the t interval of their logarithms.

    Dimensionless, above 0. Source: Kalibera & Jones 2013, section 7, on the log scale, where a
    ratio and its inverse are treated alike.
    """
    return exponential(mean_interval([math.log(ratio) for ratio in ratios], sessions, level))


def exponential(logs: Interval) -> Interval:
    """The interval of a geometric mean, from that of the mean of logarithms."""
    if logs.low is None or logs.high is None:
        return replace(logs, mean=math.exp(logs.mean))
    return replace(logs, mean=math.exp(logs.mean), low=math.exp(logs.low), high=math.exp(logs.high))


def logarithm(ratio: Interval) -> Interval:
    """The interval of the mean of logarithms, from that of a geometric mean."""
    if ratio.low is None or ratio.high is None:
        return replace(ratio, mean=math.log(ratio.mean))
    return replace(
        ratio, mean=math.log(ratio.mean), low=math.log(ratio.low), high=math.log(ratio.high)
    )


def inverse(ratio: Interval) -> Interval:
    """The same comparison the other way round: 1 / ratio."""
    low = None if ratio.high is None else 1 / ratio.high
    high = None if ratio.low is None else 1 / ratio.low
    return replace(ratio, mean=1 / ratio.mean, low=low, high=high)
