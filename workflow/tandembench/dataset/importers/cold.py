"""Which runs loaded a model: judged by a gap in the load times of the data itself."""

import math
from collections.abc import Iterable, Sequence

from tandembench.dataset.importers.source import SourceRun
from tandembench.measure.loads import gap, limit_s

# Where no gap parts them, all are of one kind: loads if half of them take longer.
_LOAD_S = 1.0


def cold_limits(
    runs: Iterable[SourceRun], above_s: float | None = None
) -> tuple[dict[str, float], tuple[str, ...]]:
    """By model the seconds above which a load time is that of a load, and a sentence on each.

    ``above_s`` is the user's own limit, in place of the data's. A model without load times has
    none: whether it was loaded is not known.
    """
    loads: dict[str, list[float]] = {}
    for run in runs:
        for agent in run.agents:
            if agent.load_s is not None:
                loads.setdefault(agent.model, []).append(agent.load_s)
    limits, notes = {}, []
    for model, times in loads.items():
        limits[model], why = (above_s, "as asked for") if above_s is not None else _limit(times)
        n = sum(time > limits[model] for time in times)
        notes.append(f"{n} of {len(times)} executions loaded {model}: {why}.")
    return limits, tuple(notes)


def _limit(times: Sequence[float]) -> tuple[float, str]:
    """The limit between load times, and the words for it."""
    ends = gap(times)
    if ends:
        return limit_s(times), f"no load time lies between {ends[0]:.3g} and {ends[1]:.3g} s"
    all_load = sorted(times)[len(times) // 2] > _LOAD_S
    span = f"{min(times):.3g} to {max(times):.3g} s"
    return (0.0 if all_load else math.inf), f"load times have no gap ({span})"
