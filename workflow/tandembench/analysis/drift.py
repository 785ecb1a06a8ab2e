"""How far a machine drifts while it is measured. Pure."""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from tandembench.analysis.intervals import Interval, critical


def drift_slope(
    values: Sequence[float],
    order: Sequence[float],
    groups: Sequence[Hashable],
    level: float = 0.95,
) -> Interval | None:
    """Slope of ``values`` over ``order``, each group (a config in a session) about its own mean.

    Least squares of y - mean_g(y) = b (x - mean_g(x)), b = Sxy / Sxx, with the t interval of
    n - G - 1 degrees of freedom for n values in G groups. Unit of the values per unit of the
    order: of logarithms over an order from 0 to 1, the relative change from a session's first
    block to its last. Neighbours are taken for independent; where they are not, the interval is
    too narrow. None with fewer than three values more than groups, or an order that does not
    vary inside them. Source: Frisch & Waugh 1933 for the groups.
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    place = np.array([numbers[group] for group in groups], dtype=int)
    freedom = len(values) - len(numbers) - 1
    if freedom < 2:
        return None
    x, y = (_centred(np.asarray(column, dtype=float), place) for column in (order, values))
    spread = float(x @ x)
    if spread == 0:
        return None
    slope = float(x @ y) / spread
    rest = y - slope * x
    half = critical(freedom, level) * math.sqrt(float(rest @ rest) / freedom / spread)
    return Interval(slope, slope - half, slope + half, len(values), freedom)


def _centred(column: NDArray[np.float64], place: NDArray[np.int_]) -> NDArray[np.float64]:
    means = np.bincount(place, column) / np.bincount(place)
    return np.asarray(column - means[place], dtype=np.float64)
