"""Which load times are those of a load: one rule, for what is measured and what is imported. Pure.

A server that has its model loaded also states a load time, of its bookkeeping: 0.001 to 0.35 s
were seen, and 0.42 s for a load of 98 MB. No limit in seconds parts the two on every server.
"""

import math
from collections.abc import Iterable
from itertools import pairwise

# What a load takes, over what a loaded model takes, at least.
_FACTOR = 2.0
# Times below say nothing: bookkeeping differs by any factor there.
FLOOR_S = 0.1


def gap(times_s: Iterable[float]) -> tuple[float, float] | None:
    """The lowest gap between ``times_s`` (in s, of one server and model, one of them of a model
    that was loaded), whose ends differ by a factor of two or more; None if there is none.
    """
    known = sorted(max(time, FLOOR_S) for time in times_s)
    return next((pair for pair in pairwise(known) if pair[1] >= _FACTOR * pair[0]), None)


def limit_s(times_s: Iterable[float]) -> float:
    """The seconds above which one of ``times_s`` is of a load: the middle of `gap`, on the log
    scale; infinite where there is none.
    """
    ends = gap(times_s)
    return math.sqrt(ends[0] * ends[1]) if ends else math.inf
