"""Decode rates from how long agents decoded beside each other and alone. Pure.

For runs without solos: what one agent gets while another decodes too, against what it gets alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tandembench.analysis.intervals import Interval, critical


@dataclass(frozen=True, slots=True)
class OverlapRates:
    """Rates in tokens/s and ``gain`` = 2 r_shared / r_solo, each with its 95 % interval.

    ``runs`` is how many runs they rest on; ``alone_share`` the part of all decode seconds that
    an agent decoded alone: without any, r_solo is not known.
    """

    shared: Interval
    solo: Interval
    gain: Interval
    runs: int
    alone_share: float


def overlap_rates(
    intervals: Sequence[int],
    overlap_s: Sequence[float],
    alone_s: Sequence[float],
    run: Sequence[object],
) -> OverlapRates | None:
    """Least squares of tokens - 1 = r_shared * overlap + r_solo * alone, over executions.

    ``run`` names the run of each execution: the agents of one are not independent, so that the
    covariance is that of clusters (Liang & Zeger 1986, small-sample factor G/(G-1)), t with G - 1
    degrees of freedom. The gain's interval is that of its logarithm by the delta method. A rate
    that depends on anything else (options, answer length, drift) is averaged over. None with
    fewer than three runs, or where they do not show that both rates are above 0: agents hardly
    ever decoded alone, or together.
    """
    x = np.column_stack([np.asarray(overlap_s, float), np.asarray(alone_s, float)])
    y = np.asarray(intervals, float)
    groups = {name: number for number, name in enumerate(dict.fromkeys(run))}
    g = len(groups)
    if g < 3 or np.linalg.matrix_rank(x) < 2:
        return None
    bread = np.linalg.inv(x.T @ x)
    rates = bread @ x.T @ y
    if not (rates > 0).all():
        return None
    scores = np.zeros((g, 2))
    np.add.at(scores, [groups[name] for name in run], x * (y - x @ rates)[:, None])
    covariance = bread @ (scores.T @ scores) @ bread * g / (g - 1)
    shared, solo = float(rates[0]), float(rates[1])
    # Rounding can leave a variance of nothing a hair below 0.
    halves = critical(g - 1, 0.95) * np.sqrt(np.maximum(np.diag(covariance), 0))
    slope = np.array([1 / shared, -1 / solo])
    half = critical(g - 1, 0.95) * math.sqrt(max(float(slope @ covariance @ slope), 0.0))
    if (rates - halves <= 0).any():
        return None
    gain = 2 * shared / solo
    return OverlapRates(
        shared=Interval(shared, shared - float(halves[0]), shared + float(halves[0]), g),
        solo=Interval(solo, solo - float(halves[1]), solo + float(halves[1]), g),
        gain=Interval(gain, gain * math.exp(-half), gain * math.exp(half), g),
        runs=g,
        alone_share=float(x[:, 1].sum() / x.sum()),
    )
