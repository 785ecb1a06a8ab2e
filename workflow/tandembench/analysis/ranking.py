"""Whether any of several configs or levels differs, and then which is best. Pure."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution
from scipy.stats import permutation_test

from tandembench.analysis.intervals import ratio_interval

LEVEL = 0.95
_RESAMPLES, _FEWEST = 9999, 1000
# Values that are exchanged in all: a second.
_EXCHANGED = 3_000_000


@dataclass(frozen=True, slots=True)
class Ranking:
    """``best`` is a column, None where none may be named; ``rivals`` are not shown to be worse.

    ``p`` is that of the global test that no column differs; None with fewer than two rows.
    """

    p: float | None
    best: int | None
    rivals: tuple[int, ...]


def ranking(logs: Sequence[Sequence[float]]) -> Ranking:
    """Rank the columns of ``logs``: one row per round (or session), one column per config.

    Values are logarithms of a metric in which more is better. First a permutation test of all
    columns at once, labels exchanged inside each row (Fisher 1935, Good 2005): without p < 0.05
    no best is named, since the best of k equal configs always looks better. Then the best by mean
    against each other column, by the t interval of their paired ratio at Bonferroni's level.
    """
    if len(logs) == 0:
        return Ranking(None, None, ())
    table = np.asarray(logs, dtype=float)
    rows, columns = table.shape
    if columns == 1:
        return Ranking(None, 0, ())
    if rows < 2:
        return Ranking(None, None, ())
    p = no_column_differs(table)
    if p >= 1 - LEVEL:
        return Ranking(p, None, ())
    best = int(np.argmax(table.mean(axis=0)))
    level = 1 - (1 - LEVEL) / (columns - 1)
    rivals = tuple(
        column
        for column in range(columns)
        if column != best and not _surely_above(table[:, best] - table[:, column], level)
    )
    return Ranking(p, best, rivals)


def no_column_differs(table: NDArray[np.float64]) -> float:
    """p of the permutation test that no column differs, labels exchanged inside each row.

    Two rows and two columns at least. Every permutation if they are few, else a fixed sample of
    them: 9,999, fewer for more than 300 values. Of more than 3,000 values 1,000 permutations take
    seconds: then p is that of what they approach, `block_f_p`. Source: Fisher 1935, Good 2005.
    """
    resamples = min(_RESAMPLES, _EXCHANGED // table.size)
    if resamples < _FEWEST:
        return block_f_p(table)

    def spread(*columns: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        # A row keeps its values, so that its mean is the same in every permutation.
        means = np.stack([column.mean(axis=axis) for column in columns])
        return np.asarray(means.var(axis=0), dtype=np.float64)

    found = permutation_test(
        tuple(table.T),
        spread,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        alternative="greater",
        rng=np.random.default_rng(0),
        batch=500,
    )
    return float(found.pvalue)


def no_level_differs(values: Sequence[float], levels: Sequence[Hashable]) -> float | None:
    """p of the permutation test that ``values`` do not depend on their ``levels``, without rows.

    The statistic is the sum of squares between levels, which orders permutations as F does. Up to
    seven values: every order; else 9,999 of them from a fixed seed. None with one level, or with
    one value each. Source: Fisher 1935, Phipson & Smyth 2010.
    """
    names = list(dict.fromkeys(levels))
    if not 1 < len(names) < len(values):
        return None
    belongs = np.equal.outer([names.index(level) for level in levels], range(len(names)))

    def between(rows: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        sums = np.moveaxis(rows, axis, -1) @ belongs.astype(float)
        return np.asarray((sums**2 / belongs.sum(axis=0)).sum(axis=-1), dtype=np.float64)

    found = permutation_test(
        (np.asarray(values, dtype=float) - np.mean(values),),
        between,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=_RESAMPLES,
        alternative="greater",
        rng=np.random.default_rng(0),
        batch=500,
    )
    return float(found.pvalue)


def block_f_p(table: NDArray[np.float64]) -> float:
    """p of equal columns in a randomised block design, blocks as rows, normal spread.

    F = MS(columns) / MS(rest), with (k-1) and (n-1)(k-1) degrees. Source: Fisher 1935.
    """
    rows, columns = table.shape
    by_column, by_row, mean = table.mean(axis=0), table.mean(axis=1), table.mean()
    between = rows * np.square(by_column - mean).sum() / (columns - 1)
    rest = np.square(table - by_column - by_row[:, None] + mean).sum()
    within = rest / ((rows - 1) * (columns - 1))
    if within == 0:
        return 1.0 if between == 0 else 0.0
    return float(f_distribution.sf(between / within, columns - 1, (rows - 1) * (columns - 1)))


def _surely_above(differences: NDArray[np.float64], level: float) -> bool:
    low = ratio_interval([float(np.exp(one)) for one in differences], level=level).low
    return low is not None and low > 1
