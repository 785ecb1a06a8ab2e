"""Whether levels of a factor differ at all, before one of them is called the best. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
_RESAMPLES = 9999
_BATCH = 1000


def no_level_differs(values: Sequence[float], levels: Sequence[object]) -> float | None:
    """p of the permutation test that ``values`` do not depend on their ``levels``.

    The statistic is the sum of squares between levels, which orders permutations as F does; the
    values are shuffled over all levels 9999 times from a fixed seed, p = (1 + as large) / 10000.
    None with one level, or with one value each. Source: Fisher 1935; Phipson & Smyth 2010 (the 1).
    SciPy's own refuses a level with a single value.
    """
    names = list(dict.fromkeys(levels))
    if not 1 < len(names) < len(values):
        return None
    label = np.array([names.index(level) for level in levels])
    order = np.argsort(label, kind="stable")
    sizes = np.bincount(label)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def between(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.add.reduceat(rows, starts, axis=1)
        return np.asarray((sums**2 / sizes).sum(axis=1), dtype=np.float64)

    centred = np.asarray(values, float)[order]
    centred = centred - centred.mean()
    measured = float(between(centred[None, :])[0])
    # Equal sums in another order differ in their last digits.
    bar = measured - 1e-12 * float((centred**2).sum())
    rng = np.random.default_rng(0)
    larger = 0
    for done in range(0, _RESAMPLES, _BATCH):
        rows = np.tile(centred, (min(_BATCH, _RESAMPLES - done), 1))
        larger += int((between(rng.permuted(rows, axis=1)) >= bar).sum())
    return (1 + larger) / (1 + _RESAMPLES)
