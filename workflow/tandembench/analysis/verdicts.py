"""What an interval allows to be said. Pure."""

from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr, stdtr

from tandembench.analysis.intervals import Interval, critical, inverse

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]
POWER = 0.8


def ratio_verdict(ratio: Interval, margin: float, more_is_better: bool = True) -> Verdict:
    """Verdict on a ratio against 1.

    ``margin`` is the ratio that does not matter: within 1/(1+margin) and 1+margin two things are
    equivalent (two one-sided tests, Schuirmann 1987, here by the 95 % interval, which is the
    stricter reading). Beyond it, better or worse needs the whole interval on one side of 1.
    """
    told = ratio if more_is_better else inverse(ratio)
    return _verdict(told.low, told.high, 1.0, (1 / (1 + margin), 1 + margin))


def difference_verdict(difference: Interval, margin: float, more_is_better: bool = True) -> Verdict:
    """Verdict on a difference against 0; within -margin and +margin, in its unit, equivalent.

    A margin of 0 allows no equivalence. Source: as `ratio_verdict`.
    """
    low, high = difference.low, difference.high
    if not more_is_better and low is not None and high is not None:
        low, high = -high, -low
    return _verdict(low, high, 0.0, (-margin, margin))


def _verdict(
    low: float | None, high: float | None, same: float, margins: tuple[float, float]
) -> Verdict:
    if low is None or high is None:
        return "inconclusive"
    if margins[0] < low and high < margins[1]:
        return "equivalent"
    if low > same:
        return "better"
    return "worse" if high < same else "inconclusive"


def difference_p(difference: Interval, same: float = 0.0, level: float = 0.95) -> float | None:
    """Two-sided p of the t test that the difference is ``same``; None without bounds.

    It belongs to the interval: below 1 - ``level`` exactly where the interval leaves ``same`` out.
    """
    error = _error(difference, level)
    if error is None:
        return None
    if error == 0:
        return 1.0 if difference.mean == same else 0.0
    return 2 * float(stdtr(_freedom(difference), -abs(difference.mean - same) / error))


def difference_equivalence_p(
    difference: Interval, margin: float, level: float = 0.95
) -> float | None:
    """p of "equivalent": twice the larger p of the two one-sided tests against -+ ``margin``.

    Twice, so that it is below 1 - ``level`` exactly where the interval at ``level`` lies within
    the margins. None without bounds; at most 1. Source: Schuirmann 1987.
    """
    error = _error(difference, level)
    if error is None:
        return None
    room = margin - abs(difference.mean)
    if error == 0:
        return 0.0 if room > 0 else 1.0
    return min(1.0, 2 * float(stdtr(_freedom(difference), -room / error)))


def smallest_detectable_difference(
    difference: Interval, level: float = 0.95, power: float = POWER
) -> float | None:
    """The difference that a study like this one, done afresh, would show with ``power``.

    c * se, with se the standard error of the mean and c such that the two-sided t test at 1 -
    ``level`` has that power on average over what se may be off: it is an estimate too, and the
    noncentrality of a known spread, which is smaller, would be found in 63 % at n = 3, 74 % at 10.
    Unit of the difference, 0 or more; None without an interval. Source: Julious & Owen 2006;
    noncentral t: Cohen 1988.
    """
    error = _error(difference, level)
    return None if error is None else _errors_to_find(_freedom(difference), level, power) * error


def _freedom(found: Interval) -> float:
    return found.n - 1 if found.freedom is None else found.freedom


def _error(found: Interval, level: float) -> float | None:
    """The standard error of the mean, from the width of its interval at ``level``."""
    if found.low is None or found.high is None:
        return None
    return (found.high - found.low) / 2 / critical(_freedom(found), level)


@lru_cache
def _errors_to_find(freedom: float, level: float, power: float) -> float:
    """The same in standard errors that are themselves estimated with ``freedom`` degrees.

    c with P(Z + c s1 > critical s2) = power, for a standard normal Z and independent s1, s2 =
    sqrt(chi2(freedom) / freedom): those of the study that told the spread, and of the next one.
    """
    middles = (np.arange(100) + 0.5) / 100
    estimated = np.sqrt(chdtri(freedom, middles) / freedom)
    limits = critical(freedom, level) * estimated[:, None]
    return float(brentq(lambda c: float(ndtr(c * estimated - limits).mean()) - power, 0, 1000))
