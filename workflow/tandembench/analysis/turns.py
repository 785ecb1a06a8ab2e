"""Whether agents decoded at once or took turns, and what loading a model cost their runs. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd

from tandembench.analysis.numbers import RUN
from tandembench.measure.loads import FLOOR_S

# "server": they waited for each other inside of their durations, as in a server's queue; "client":
# outside of them, as for a lock or a queue of the client.
Turns = Literal["at_once", "server", "client"]
# Less of the decoding beside another agent than this is none: stamps are a little off.
_TOGETHER = 0.05
# Under this share of decoding in the agents' time, windows that miss each other say nothing.
_ENOUGH = 0.2
# Durations that add up to the wall time, to within this, follow each other.
_ADD_UP = 0.05


@dataclass(frozen=True, slots=True)
class Loads:
    """``runs`` in which a model was loaded while no agent was served: ``loads`` times in all.

    ``each_s``: their median; ``share``: of the wall time of all runs, these and others.
    """

    runs: int
    loads: int
    each_s: float
    share: float


def turns(runs: pd.DataFrame, shared: pd.DataFrame) -> dict[str, Turns | None]:
    """By config, how its agents shared the time; None where the data does not tell.

    ``shared`` are the executions of the valid ``runs`` of two agents or more. In the client they
    waited where their durations add up to the wall time, which has more than the longest of them.
    """
    together = decoded_at_once(shared)
    columns = ["speedup_estimate", "orchestration_loss"]
    result: dict[str, Turns | None] = {}
    for name, total, outside in runs.groupby("config_id")[columns].median().itertuples():
        at_once = together.get(str(name))
        adds_up = abs(total - 1) <= _ADD_UP < outside
        waits: Turns | None = "client" if adds_up else "server" if at_once is False else None
        result[str(name)] = "at_once" if at_once else waits
    return result


def decoded_at_once(together: pd.DataFrame) -> dict[str, bool | None]:
    """By config, whether agents decoded beside each other; None where stamps show too little."""
    columns = ["overlap_s", "alone_s", "duration_s"]
    sums = together.dropna(subset=columns).groupby("config_id")[columns].sum()
    return {
        str(config): beside > _TOGETHER * (beside + alone)
        or (False if beside + alone > _ENOUGH * duration else None)
        for config, beside, alone, duration in sums.itertuples()
    }


def load_times(runs: pd.DataFrame, shared: pd.DataFrame) -> list[tuple[float, ...]] | None:
    """Of each run, parallel to ``runs``, the seconds of each load in which nobody was served.

    A server's figure holds the wait for an agent that it serves first, which is no load. Where a
    source does not tell when an agent began, all of them began with the run. None where no load
    times are known.
    """
    if shared["load_s"].isna().all():
        return None
    cold = shared[shared["cold"].fillna(value=False).astype(bool) & shared["load_s"].notna()]
    group = shared.merge(cold[RUN].drop_duplicates(), on=RUN)
    begin = (group["first_token_start_s"] - group["ttft_s"]).fillna(0.0)
    loaded = (begin + group["load_s"]).where(group["cold"].fillna(value=False).astype(bool))
    # What has its model is served, if it does not decode yet.
    served, end = loaded.fillna(begin), begin + group["duration_s"]
    group = group.assign(begin=begin, loaded=loaded, served=served, end=end)
    columns = ["begin", "loaded", "served", "end"]
    times = {key: _loads(rows[columns].to_numpy(float)) for key, rows in group.groupby(RUN)}
    return [times.get(key, ()) for key in runs[RUN].itertuples(index=False, name=None)]


def _loads(agents: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> tuple[float, ...]:
    """Stretches in which one of ``agents`` (begin, loaded, served from, end) loads, none is served.

    Unit: s. ``loaded`` is NaN for one that did not wait for a load.
    """
    edges = sorted({float(edge) for edge in agents.ravel() if not np.isnan(edge)})
    stretches = [0.0]
    for low, high in pairwise(edges):
        begin, loaded, served, end = agents.T
        loads = ((begin <= low) & (high <= loaded)).any()
        if loads and not ((served <= low) & (high <= end)).any():
            stretches[-1] += high - low
        else:
            stretches.append(0.0)
    return tuple(one for one in stretches if one > FLOOR_S)


def loads(times: Sequence[Sequence[float]], walls: Sequence[float]) -> Loads:
    """What `load_times` of some runs come to, whose wall times are ``walls``."""
    every = [one for run in times for one in run]
    runs = sum(bool(run) for run in times)
    each_s = float(np.median(every)) if every else 0.0
    return Loads(runs, len(every), each_s, float(sum(every) / sum(walls)))
