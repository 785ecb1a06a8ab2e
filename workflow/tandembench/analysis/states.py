"""Whether a machine had two speeds while it was measured, and what the ratio was in each. Pure."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from tandembench.analysis.findings import Estimate, Mode, States
from tandembench.analysis.levels import LEVEL
from tandembench.analysis.location import Floats, hodges_lehmann
from tandembench.analysis.rounds import Rounds

# Fewer rounds, or rarer ones, are a stall or chance and no state.
_FEWEST, _RAREST = 12, 0.12
# Two speeds are told apart by 6 % at least, and by four times the spread within each.
_GAP, _CLEAR = 0.06, 4.0
# How much better two normal distributions must describe the walls than one (Raftery 1995).
_BIC = 10.0
# Configs share a state where so many rounds agree which it is.
_AGREE = 0.8
_STALL = 0.4


def states(table: Rounds, shown: str, reference: str) -> States | None:
    """Two modes of the walls that configs have in common, and the ratio of ``shown`` in each.

    ``table`` holds logarithms, more is better. For each config a mixture of two normal
    distributions of equal spread (EM) against one, by BIC; two modes must lie 6 % and four standard
    deviations apart and hold an eighth of the rounds each. The clearest config splits the rounds;
    those that split alike in four of five share its state. None where no config has two modes, or
    a mode has no three rounds with both configs. Source: McLachlan & Peel 2000.
    """
    splits = {str(name): _split(table.logs[name].to_numpy()) for name in table.logs.columns}
    clear = {name: split for name, split in splits.items() if split is not None}
    if not clear:
        return None
    leader = max(clear, key=lambda name: clear[name][1])
    fast = clear[leader][0]
    walls = np.exp(-table.logs[leader].to_numpy())
    known = ~np.isnan(walls)
    ratio = (table.logs[shown] - table.logs[reference]).to_numpy()
    parts = [_ratio(ratio[known & side]) for side in (fast, ~fast)]
    if parts[0] is None or parts[1] is None:
        return None
    modes = tuple(
        Mode(float(np.median(walls[known & side])), float((known & side).sum() / known.sum()))
        for side in (fast, ~fast)
    )
    sharing = []
    for name, (group, _) in clear.items():
        both = known & table.logs[name].notna().to_numpy()
        if both.any() and (group == fast)[both].mean() >= _AGREE:
            sharing.append(name)
    return States((modes[0], modes[1]), tuple(sharing), (parts[0], parts[1]))


def _split(logs: Floats) -> tuple[NDArray[np.bool_], float] | None:
    """Which rounds are in the fast mode, and how clearly; None where there is one mode."""
    known = ~np.isnan(logs)
    values = logs[known]
    if len(values) < _FEWEST:
        return None
    values = values[np.abs(values - hodges_lehmann(values)) < _STALL]
    if len(values) < _FEWEST or values.std() == 0:
        return None
    low, high, spread, share, gain = _mixture(values)
    if not (gain > _BIC and high - low > max(_GAP, _CLEAR * spread)):
        return None
    if not _RAREST <= share <= 1 - _RAREST:
        return None
    fast = np.zeros(len(logs), dtype=bool)
    fast[known] = logs[known] > (low + high) / 2
    return fast, (high - low) / spread


def _mixture(values: Floats) -> tuple[float, float, float, float, float]:
    """Means, common sd and the share of the higher of two normal modes, and the gain in BIC."""
    n = len(values)
    low, high = np.quantile(values, [0.2, 0.8])
    spread, share = max(float(values.std()) / 2, 1e-4), 0.5
    for _ in range(200):
        densities = np.array(
            [
                weight * np.exp(-0.5 * ((values - mean) / spread) ** 2)
                for mean, weight in ((low, 1 - share), (high, share))
            ]
        )
        belongs = densities[1] / np.maximum(densities.sum(axis=0), 1e-300)
        share = float(belongs.mean())
        if not 0 < share < 1:
            break
        low = float(((1 - belongs) @ values) / (1 - belongs).sum())
        high = float((belongs @ values) / belongs.sum())
        squares = (1 - belongs) * (values - low) ** 2 + belongs * (values - high) ** 2
        spread = max(math.sqrt(float(squares.sum()) / n), 1e-4)
    densities = sum(
        weight * np.exp(-0.5 * ((values - mean) / spread) ** 2) / spread
        for mean, weight in ((low, 1 - share), (high, share))
    )
    two = float(np.log(np.maximum(densities, 1e-300)).sum())
    one = -n * math.log(float(values.std())) - n / 2
    return low, high, spread, share, 2 * (two - one) - 2 * math.log(n)


def _ratio(logs: Floats) -> Estimate | None:
    """The ratio of these rounds, taken for independent: they describe one state of one machine."""
    known = logs[~np.isnan(logs)]
    if len(known) < 3:
        return None
    middle = hodges_lehmann(known)
    spread = 1.4826 * float(np.median(np.abs(known - middle))) / math.sqrt(len(known))
    half = float(stdtrit(len(known) - 1, (1 + LEVEL) / 2)) * spread
    return Estimate(math.exp(middle), math.exp(middle - half), math.exp(middle + half))
