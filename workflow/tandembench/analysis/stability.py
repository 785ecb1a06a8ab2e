"""Whether the machine held still: drift and levels within each session. Pure.

"No steady state" is a verdict: a mean over a machine that changed half-way describes neither half.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tandembench.analysis.findings import Verdict
from tandembench.analysis.intervals import Interval, critical, exponential, ratio_verdict

State = Literal["flat", "warm-up", "slowdown", "no steady state", "too few"]
FEWEST = 12
SHORTEST = 3
# The last level must hold for so much of the whole to be called steady, as in Barrett et al.
SETTLED_SHARE = 0.25
ALPHA = 0.05
_PERMUTATIONS = 999
# Values that are tested for levels; more of them are averaged first.
_MOST = 2000


@dataclass(frozen=True, slots=True)
class Steadiness:
    """``state`` and the ``starts`` of the levels that were told apart."""

    state: State
    starts: tuple[int, ...]


def steadiness(logs: Sequence[float], margin: float) -> Steadiness:
    """What the logarithms of times, in the order in which they were measured, do.

    Each less the mean of its config. The sequence is cut in two where the scaled difference of
    means, |m_1 - m_2| sqrt(k (n-k) / n), is largest, if a permutation test says that no order of
    equal values is as likely as 5 % to look like that; so on in each part (binary segmentation,
    Scott & Knott 1974). Neighbouring levels less than ``margin`` (a ratio less 1) apart are one.
    "flat": one level. "no steady state": the last level holds for less than a quarter of all
    values. Else "warm-up" where the last level is the fastest, "slowdown" where it is not. "too
    few": fewer than 12 values. Source: Barrett et al. 2017, who use PELT and these classes; a
    gradual drift is the business of `drift_slope`.
    """
    values = np.asarray(logs, dtype=float)
    if len(values) < FEWEST:
        return Steadiness("too few", ())
    starts = _merged(values, [0, *_cuts(values, 0, np.random.default_rng(0))], np.log1p(margin))
    means = tuple(float(part.mean()) for part in np.split(values, starts[1:]))
    return Steadiness(_state(starts, means, len(values)), tuple(starts))


def _state(starts: Sequence[int], means: Sequence[float], n: int) -> State:
    if len(starts) == 1:
        return "flat"
    if n - starts[-1] < SETTLED_SHARE * n:
        return "no steady state"
    return "warm-up" if means[-1] == min(means) else "slowdown"


def _cuts(values: NDArray[np.float64], start: int, random: np.random.Generator) -> list[int]:
    """Where the level changes, in order; ``start`` is the place of the first value."""
    n = len(values)
    if n < 2 * SHORTEST:
        return []
    result = _contrasts(values[None, :])[0]
    shuffled = random.permuted(np.tile(values, (_PERMUTATIONS, 1)), axis=1)
    # Rounding must not make an equal order look less than equal.
    as_large = int((_contrasts(shuffled).max(axis=1) >= result.max() * (1 - 1e-12)).sum())
    if (as_large + 1) / (_PERMUTATIONS + 1) >= ALPHA:
        return []
    cut = SHORTEST + int(result.argmax())
    before = _cuts(values[:cut], start, random)
    return [*before, start + cut, *_cuts(values[cut:], start + cut, random)]


def _contrasts(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scaled differences of means of each row, cut after its 3rd to its (n - 3)th value."""
    n = rows.shape[1]
    before = np.arange(SHORTEST, n - SHORTEST + 1)
    sums = rows.cumsum(axis=1)
    first = sums[:, before - 1]
    means = first / before - (sums[:, -1:] - first) / (n - before)
    return np.asarray(np.abs(means) * np.sqrt(before * (n - before) / n), dtype=np.float64)


def _merged(values: NDArray[np.float64], starts: list[int], room: float) -> list[int]:
    """The levels without those cuts across which the means differ less than ``room``."""
    while len(starts) > 1:
        means = [part.mean() for part in np.split(values, starts[1:])]
        steps = np.abs(np.diff(means))
        if steps.min() >= room:
            break
        del starts[int(steps.argmin()) + 1]
    return starts


def drift_slope(
    values: Sequence[float], order: Sequence[float], groups: Sequence[Hashable]
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
    half = critical(freedom) * math.sqrt(float(rest @ rest) / freedom / spread)
    return Interval(slope, slope - half, slope + half, len(values), freedom)


def _centred(column: NDArray[np.float64], place: NDArray[np.int_]) -> NDArray[np.float64]:
    means = np.bincount(place, column) / np.bincount(place)
    return np.asarray(column - means[place], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Stability:
    """A session: ``n`` runs of configs that it repeats, in the order in which they were measured.

    ``drift``: time per token of the last run over that of the first, by a straight line; None
    where too few runs were repeated. ``verdict``: "worse" is a machine that got slower. ``state``
    as `steadiness` has it; ``level_starts``: the runs, from 1, with which a new level begins.
    """

    session: str
    n: int
    drift: Interval | None
    verdict: Verdict | None
    state: State
    level_starts: tuple[int, ...]


def stability(runs: pd.DataFrame, margin: float, order: str | None) -> tuple[Stability, ...] | None:
    """One for each session, from its valid warm runs: wall time over answer tokens.

    Each run is taken against the mean of its config in the session. None unless ``order`` is
    "random": otherwise a drift of the machine may be a difference of configs.
    """
    if order != "random":
        return None
    warm = runs[runs["valid"] & ~runs["cold"].fillna(value=False).astype(bool)]
    known = warm[warm["makespan_per_token_s"].notna()]
    return tuple(_of(str(session), group, margin) for session, group in known.groupby("session"))


def _of(session: str, runs: pd.DataFrame, margin: float) -> Stability:
    ordered = runs.sort_values("started_at")
    repeated = ordered[ordered.duplicated("config_id", keep=False)]
    logs = repeated["makespan_per_token_s"].astype(float).map(math.log)
    about_mean = logs - logs.groupby(repeated["config_id"]).transform("mean")
    places = np.linspace(0, 1, len(repeated)).tolist()
    slope = drift_slope(logs.to_list(), places, repeated["config_id"].to_list())
    drift = exponential(slope) if slope else None
    # Of very many, stretches of equal length: levels of a machine last longer than a few runs.
    stretch = 1 + len(about_mean) // _MOST
    means = about_mean.groupby(np.arange(len(about_mean)) // stretch).mean()
    result = steadiness(means.to_list(), margin)
    return Stability(
        session=session,
        n=len(repeated),
        drift=drift,
        verdict=ratio_verdict(drift, margin, more_is_better=False) if drift else None,
        state=result.state,
        level_starts=tuple(stretch * start + 1 for start in result.starts[1:]),
    )
