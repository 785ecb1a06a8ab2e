"""Means with their intervals. Pure.

With one session an interval describes that session, not the machine: repetitions inside a
session are not independent. The report says so wherever it prints one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student_t


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean of ``n`` values with the bounds of its interval; bounds are None for n = 1."""

    mean: float
    low: float | None
    high: float | None
    n: int


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Mean and t interval, mean +- t(n-1, (1+level)/2) * sd / sqrt(n).

    Unit of ``values``; ``level`` in (0, 1). Source: Student 1908. ValueError without values.
    """
    n = len(values)
    mean = math.fsum(values) / n if n else math.nan
    if n == 0 or not all(map(math.isfinite, values)):
        raise ValueError("an interval needs finite values, one at least")
    if n == 1:
        return Interval(mean, None, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    half = float(student_t.ppf((1 + level) / 2, n - 1)) * math.sqrt(variance / n)
    return Interval(mean, mean - half, mean + half, n)


def ratio_interval(ratios: Sequence[float], level: float = 0.95) -> Interval:
    """Geometric mean of paired ratios, with the t interval of their logarithms.

    Dimensionless, above 0. Source: Kalibera & Jones 2013, section 7, on the log scale, where a
    ratio and its inverse are treated alike.
    """
    logs = mean_interval([math.log(ratio) for ratio in ratios], level)
    low = None if logs.low is None else math.exp(logs.low)
    high = None if logs.high is None else math.exp(logs.high)
    return Interval(math.exp(logs.mean), low, high, logs.n)
