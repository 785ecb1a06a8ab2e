"""What an interval allows to be said. Pure."""

from typing import Literal

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
