"""Whether a metric depends on the level of an option, by permutation. Pure."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import permutation_test

_RESAMPLES = 9999


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

    result = permutation_test(
        (np.asarray(values, dtype=float) - np.mean(values),),
        between,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=_RESAMPLES,
        alternative="greater",
        rng=np.random.default_rng(0),
        batch=500,
    )
    return float(result.pvalue)
