"""What a metric comes to in some runs: of a scenario, a phase, an agent or a config. Pure."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tandembench.analysis.intervals import (
    MIN_SESSIONS,
    Bounds,
    Interval,
    exponential,
    mean_interval,
    means_by,
    within,
)

# Ratios of times and of speeds: their mean is the geometric one.
RATIOS = frozenset({"speedup_true", "makespan_ratio", "slowdown", "overstated", "gain_overlap"})
# Shares that lie between nothing and all by definition. No true efficiency is above 1 but by
# noise; the parts of a loss may be negative, and differences of times have no bounds.
_SHARES = frozenset(
    {
        *("efficiency_estimate", "efficiency_true", "jain"),
        *("imbalance_loss", "orchestration_loss", "sequencing_loss", "work_imbalance"),
    }
)
_POSITIVE = ("_s", "_tokens", "_bytes", "_tokens_per_s")
_BLOCK = ["session", "invocation", "comparison", "config_id", "repetition", "attempt"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What the ``n`` known values of ``metric`` come to in some runs, in its unit.

    ``mean`` is geometric for a ratio; its interval rests on sessions or lies within one or two.
    ``sd`` (n - 1) is None for one value.
    """

    metric: str
    n: int
    mean: Interval
    sd: float | None
    p50: float
    minimum: float
    maximum: float


def summary(runs: pd.DataFrame, metric: str) -> Summary | None:
    """One metric of these runs, or executions; None where it is not known of any.

    Takes the rows as they are: leave out what is not valid, twins and solos before.
    """
    values = runs[metric].to_numpy(dtype=float, na_value=np.nan)
    known = ~np.isnan(values)
    if not known.any():
        return None
    values = values[known]
    return Summary(
        metric=metric,
        n=len(values),
        mean=_mean(metric, values.tolist(), runs[known]),
        sd=float(values.std(ddof=1)) if len(values) > 1 else None,
        p50=float(np.median(values)),
        minimum=float(values.min()),
        maximum=float(values.max()),
    )


def _mean(metric: str, values: list[float], runs: pd.DataFrame) -> Interval:
    """The mean with its interval, over the widest of sessions and blocks of which there are three.

    Rounds of one block share its start, and so say less than as many blocks would.
    """
    if metric in RATIOS:
        values = [math.log(value) for value in values]
    sessions = runs["session"].tolist()
    blocks = [*runs[_BLOCK].itertuples(index=False, name=None)]
    if len(set(sessions)) < MIN_SESSIONS <= len(set(blocks)):
        result = mean_interval(means_by(values, blocks))
    else:
        result = mean_interval(values, sessions)
    if metric in RATIOS:
        return exponential(result)
    bounds = bounds_of(metric)
    return within(result, bounds) if bounds else result


def bounds_of(metric: str) -> Bounds | None:
    """What a metric can be at least and at most; None where that is not known."""
    if metric in _SHARES:
        return 0.0, 1.0
    if metric.endswith(_POSITIVE) and "delta" not in metric:
        return 0.0, math.inf
    return None
