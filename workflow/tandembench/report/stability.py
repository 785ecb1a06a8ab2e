"""Whether the machine held still: drift and levels within each session."""

import math

import numpy as np
import pandas as pd

from tandembench.analysis.drift import drift_slope
from tandembench.analysis.intervals import exponential
from tandembench.analysis.numbers import Values
from tandembench.analysis.steady import steadiness
from tandembench.analysis.verdicts import ratio_verdict

# Values that are tested for levels; more of them are averaged first.
MOST = 2000


def stability(runs: pd.DataFrame, margin: float, order: str | None) -> list[Values] | None:
    """A row per session, from its valid warm runs in the order in which they were measured.

    None unless ``order`` is "random": otherwise a drift of the machine may be a difference of
    configs. Wall time over answer tokens, each against its config's mean in the session:
    ``drift`` is that of the last block over the first by a straight line, ``verdict`` what that
    is ("worse" is slower), None where too few runs were repeated; ``state`` as `steadiness` has
    it, and ``level_starts`` the blocks, from 1, with which a new level begins.
    """
    if order != "random":
        return None
    warm = runs[runs["valid"] & ~runs["cold"].fillna(value=False).astype(bool)]
    known = warm[warm["makespan_per_token_s"].notna()]
    return [_row(str(session), own, margin) for session, own in known.groupby("session")]


def _row(session: str, runs: pd.DataFrame, margin: float) -> Values:
    ordered = runs.sort_values("started_at")
    repeated = ordered[ordered.duplicated("config_id", keep=False)]
    logs = repeated["makespan_per_token_s"].astype(float).map(math.log)
    about_mean = logs - logs.groupby(repeated["config_id"]).transform("mean")
    order = np.linspace(0, 1, len(repeated)).tolist()
    slope = drift_slope(logs.to_list(), order, repeated["config_id"].to_list())
    drift = exponential(slope) if slope else None
    # Of very many, stretches of equal length: levels of a machine last longer than a few runs.
    stretch = 1 + len(about_mean) // MOST
    places = np.arange(len(about_mean)) // stretch
    found = steadiness(about_mean.groupby(places).mean().to_list(), margin)
    return {
        "session": session,
        "n": len(repeated),
        "drift": drift,
        "verdict": ratio_verdict(drift, margin, more_is_better=False) if drift else None,
        "state": found.state,
        "level_starts": [stretch * start + 1 for start in found.starts[1:]],
    }
