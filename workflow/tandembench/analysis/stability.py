"""Whether the machine held still: drift and levels within each session. Pure."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tandembench.analysis.findings import Verdict
from tandembench.analysis.intervals import Interval, exponential, ratio_verdict
from tandembench.analysis.steady import State, drift_slope, steadiness

# Values that are tested for levels; more of them are averaged first.
_MOST = 2000


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
    return tuple(_of(str(session), own, margin) for session, own in known.groupby("session"))


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
    found = steadiness(means.to_list(), margin)
    return Stability(
        session=session,
        n=len(repeated),
        drift=drift,
        verdict=ratio_verdict(drift, margin, more_is_better=False) if drift else None,
        state=found.state,
        level_starts=tuple(stretch * start + 1 for start in found.starts[1:]),
    )
