"""Where a handful of noisy, sometimes stalled rounds lie. Pure.

A stall makes a run two to four times longer, one in ten on a busy machine. Its round weighs
little, and nothing at all when it is far off; how many stalled is reported beside the ratio.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# 95 % as efficient as a mean where noise is normal (Mosteller & Tukey 1977).
_TUNING = 4.685
# MAD of a normal distribution times this is its standard deviation.
_NORMAL = 1.4826
# However alike the others are, rounds are far off only beyond 60 %: a machine's states, and its
# sessions, lie 10 to 20 % apart and count in full, stalls take twice as long and more.
_FINEST = 0.10
_STEPS = 20
# Below this the values have no middle that most of them lie about.
_LEAST_SLOPE = 0.3


def hodges_lehmann(values: Floats) -> float:
    """Median of all pairwise means, each value with itself included. Unit of ``values``.

    Holds as long as fewer than 29 % of the values are off (Hodges & Lehmann 1963). ValueError
    without values.
    """
    if not len(values):
        raise ValueError("no values")
    first, second = np.triu_indices(len(values))
    return float(np.median((values[first] + values[second]) / 2))


def scale(residuals: Floats) -> float:
    """Standard deviation of normal ``residuals`` about 0, by their MAD; at least 10 %."""
    return max(_NORMAL * float(np.median(np.abs(residuals))), _FINEST)


def pseudo_values(values: Floats) -> Floats:
    """The values as a robust mean sees them: their mean is its estimate, their spread its error.

    z = m + psi(y - m) / mean psi', with Tukey's biweight psi(r) = r (1 - u^2)^2 for u = r /
    (4.685 s) inside -1 to 1, else 0; m solves mean psi = 0 (from `hodges_lehmann`), s is the
    `scale` about it. A stalled value lies at m, the others make up for it. Up to three values come
    back as they are: so few do not show which of them is off. Unit of ``values``. Sources: Beaton
    & Tukey 1974 (biweight), Huber 1981 (pseudo-values).
    """
    if len(values) < 4:
        return values
    centre = hodges_lehmann(values)
    reach = _TUNING * scale(values - centre)
    for _ in range(_STEPS):
        weight = np.clip(1 - ((values - centre) / reach) ** 2, 0.0, None) ** 2
        step = float(weight @ (values - centre) / weight.sum())
        centre += step
        if abs(step) < 1e-9:
            break
    u = (values - centre) / reach
    inside = np.abs(u) < 1
    psi = np.where(inside, (values - centre) * (1 - u**2) ** 2, 0.0)
    slope = float(np.where(inside, (1 - u**2) * (1 - 5 * u**2), 0.0).mean())
    return np.asarray(centre + psi / max(slope, _LEAST_SLOPE), dtype=np.float64)
