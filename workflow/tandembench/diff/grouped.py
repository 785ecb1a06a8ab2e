"""Many comparisons at once: what `stats.comparison` says of two sides, for each of many groups.

Pure. The rule is that of `paired_difference`; only sums over rows are arrays.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tandembench.analysis.comparison import DIFFERENT_ROUNDS, DIFFERENT_SESSIONS
from tandembench.analysis.intervals import (
    MIN_SESSIONS,
    Basis,
    Interval,
    Moments,
    critical,
    welch_from_moments,
)

Codes = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Values:
    """Logarithms of a metric, each with its cell: its group in its session."""

    logs: Floats
    cells: Codes


@dataclass(frozen=True, slots=True)
class Cells:
    """The group of each cell, and how many groups there are."""

    groups: Ints
    n_groups: int


@dataclass(frozen=True, slots=True)
class Told:
    """Logarithm of B over A for one group, and why it has no bounds, if it is not by n = 1."""

    group: int
    logs: Interval
    reason: str | None


def ratios(a: Values, b: Values, pairs: Values, cells: Cells) -> Iterator[Told]:
    """B over A for each group that both hold.

    ``pairs``: differences B - A of the blocks that are in both. A cell with values of both is a
    session that both hold. Where nothing may be compared it is the ratio of geometric means.
    """
    sides = [_sums(side, len(cells.groups)) for side in (a, b)]
    there = [side.n > 0 for side in sides]
    n_sessions = [np.bincount(cells.groups[one], minlength=cells.n_groups) for one in there]
    shared = there[0] & there[1]
    paired = _sums(pairs, len(cells.groups))
    of_shared = np.where(paired.n > 0, paired.mean, sides[1].mean - sides[0].mean)
    together = _moments(cells.groups[shared], of_shared[shared], cells.n_groups)
    apart = [
        _moments(cells.groups[one], side.mean[one], cells.n_groups)
        for one, side in zip(there, sides, strict=True)
    ]
    n_shared = np.bincount(cells.groups[shared], minlength=cells.n_groups)
    by_session = (n_shared >= MIN_SESSIONS) | (np.minimum(*n_sessions) >= MIN_SESSIONS)
    by_round = ~by_session[cells.groups][pairs.cells]
    rounds = _moments(cells.groups[pairs.cells[by_round]], pairs.logs[by_round], cells.n_groups)
    pooled = [_pooled(side, cells) for side in sides]
    for group in np.flatnonzero((n_sessions[0] > 0) & (n_sessions[1] > 0)).tolist():
        if together[group][2] >= MIN_SESSIONS:
            yield Told(group, _mean_interval(together[group], "sessions"), None)
        elif by_session[group]:
            one = welch_from_moments(apart[1][group], apart[0][group])
            held = apart[0][group][2] + apart[1][group][2] - together[group][2]
            told = Interval(one.mean, one.low, one.high, held, one.freedom, "sessions")
            yield Told(group, told, None)
        elif rounds[group][2]:
            yield Told(group, _mean_interval(rounds[group], "within"), None)
        else:
            difference = pooled[1].mean[group] - pooled[0].mean[group]
            n = min(side.n[group] for side in pooled)
            reason = DIFFERENT_ROUNDS if together[group][2] else DIFFERENT_SESSIONS
            yield Told(group, Interval(float(difference), None, None, int(n)), reason)


def _mean_interval(moments: Moments, basis: Basis) -> Interval:
    mean, sd, n = moments
    if n == 1:
        return Interval(mean, None, None, 1, basis=basis)
    half = critical(n - 1, 0.95) * sd / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, basis=basis)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Number and mean of the values in each cell, or each group."""

    n: Ints
    mean: Floats


def _sums(values: Values, n_cells: int) -> _Sums:
    n = np.bincount(values.cells, minlength=n_cells)
    sums = np.bincount(values.cells, weights=values.logs, minlength=n_cells)
    return _Sums(n, sums / np.maximum(n, 1))


def _pooled(side: _Sums, cells: Cells) -> _Sums:
    n = np.bincount(cells.groups, weights=side.n, minlength=cells.n_groups)
    sums = np.bincount(cells.groups, weights=side.n * side.mean, minlength=cells.n_groups)
    return _Sums(n.astype(np.int64), sums / np.maximum(n, 1))


def _moments(groups: Ints, values: Floats, n_groups: int) -> list[Moments]:
    """Mean, sd and n by group."""
    n = np.bincount(groups, minlength=n_groups)
    mean = np.bincount(groups, weights=values, minlength=n_groups) / np.maximum(n, 1)
    squares = np.bincount(groups, weights=(values - mean[groups]) ** 2, minlength=n_groups)
    sd = np.sqrt(squares / np.maximum(n - 1, 1))
    return list(zip(mean.tolist(), sd.tolist(), n.tolist(), strict=True))
