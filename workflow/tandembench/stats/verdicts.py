"""What an interval allows to be said. Pure."""

import math
from typing import Literal

from scipy.optimize import brentq
from scipy.stats import nct
from scipy.stats import t as student_t

from tandembench.stats.intervals import Interval

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]


def ratio_verdict(ratio: Interval, margin: float) -> Verdict:
    """Verdict on a ratio in which more is better, against 1.

    ``margin`` is the ratio that does not matter: within 1/(1+margin) and 1+margin two things are
    equivalent (two one-sided tests, Schuirmann 1987, here by the 95 % interval, which is the
    stricter reading). Beyond it, better or worse needs the whole interval on one side of 1.
    """
    if ratio.low is None or ratio.high is None:
        return "inconclusive"
    if 1 / (1 + margin) < ratio.low and ratio.high < 1 + margin:
        return "equivalent"
    if ratio.low > 1:
        return "better"
    return "worse" if ratio.high < 1 else "inconclusive"


def smallest_detectable(ratio: Interval, level: float = 0.95, power: float = 0.8) -> float | None:
    """The ratio above 1 that as many values with the same spread would show with ``power``.

    exp(nc * se), with se the standard error of the mean log ratio and nc the noncentrality at
    which a two-sided t test at 1 - ``level`` has that power. Dimensionless, 1 or more; its
    inverse is the ratio below 1. None without an interval. Source: Cohen 1988, noncentral t.
    """
    if ratio.low is None or ratio.high is None:
        return None
    freedom = ratio.n - 1
    critical = float(student_t.ppf((1 + level) / 2, freedom))
    error = math.log(ratio.high / ratio.low) / 2 / critical
    # 0 gives less than any power asked for, 1000 gives all of it, even for two values.
    needed = brentq(lambda nc: float(nct.sf(critical, freedom, nc)) - power, 0, 1000)
    return math.exp(float(needed) * error)
