"""What the first version of this project made of the same rounds: its rules, in a few lines each.

It stands beside the present rules in simulations.py, and in tests of what it got wrong.
"""

import itertools
import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from tandembench.analysis.intervals import holm

Floats = NDArray[np.float64]
# From so many sessions on, their means alone counted.
_SESSIONS = 3
# Beside the makespan, fairness, memory and first tokens were tested; one of them had a p as well.
_TESTED = 2


def interval(logs: Sequence[float], sessions: Sequence[Hashable]) -> tuple[float, float]:
    """Mean and half width of log ratios: t over all rounds, from three sessions on over means."""
    names = list(dict.fromkeys(sessions))
    values = np.asarray(logs, dtype=float)
    if len(names) >= _SESSIONS:
        belongs = np.array([names.index(one) for one in sessions])
        values = np.bincount(belongs, values) / np.bincount(belongs)
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()), float(stdtrit(len(values) - 1, 0.975)) * error


def no_config_differs(table: Floats) -> float:
    """p of a permutation test of all configs (columns) in all rounds (rows), by every order.

    The first row may stay as it is, so that n rows of k columns have (k!)^(n-1) orders.
    """
    orders = [list(order) for order in itertools.permutations(range(table.shape[1]))]
    rows = [table[number][orders] for number in range(1, len(table))]
    sums = table[0]
    for row in rows:
        sums = sums[..., None, :] + row
    spread = np.square(sums - table.sum() / table.shape[1]).sum(axis=-1)
    seen = np.square(table.sum(axis=0) - table.sum() / table.shape[1]).sum()
    return float((spread >= seen * (1 - 1e-9)).mean())


def any_config_differs(table: Floats, others: Sequence[float] = (1.0,) * (_TESTED - 1)) -> bool:
    """Whether the headline said so: the makespan's p with those of the ``others``, by Holm."""
    (makespan, *_) = holm([no_config_differs(table), *others])
    return makespan is not None and makespan < 0.05


def more_sessions(means: Sequence[float], half: float) -> int:
    """How many more sessions its plan asked for, to know a mean of logarithms to within ``half``.

    Stein's rule: (t s / half)^2 sessions in all, by the spread s of the means that are there.
    """
    n = len(means)
    s = float(np.std(means, ddof=1))
    return max(0, math.ceil((float(stdtrit(n - 1, 0.975)) * s / half) ** 2) - n)


def control_passes(low: float, high: float) -> bool:
    """Its controls passed unless the interval excluded no difference."""
    return low <= 1 <= high
