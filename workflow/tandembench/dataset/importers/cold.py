"""Which runs loaded a model: judged by a gap in the load times of the data itself."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from tandembench.dataset.importers.source import SourceRun

# A loaded model answers a server's question whether it is there; loads differ from that by more.
_GAP = 2.0
# Times below say nothing: a server's bookkeeping differs by any factor there.
_FLOOR_S = 0.1
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
    """The middle, on the log scale, of the widest gap between load times, and the words for it."""
    known = sorted(max(time, _FLOOR_S) for time in times)
    low, high = max(pairwise(known), key=lambda pair: pair[1] / pair[0], default=(1.0, 1.0))
    if high / low >= _GAP:
        return math.sqrt(low * high), f"no load time lies between {low:.3g} and {high:.3g} s"
    all_load = known[len(known) // 2] > _LOAD_S
    span = f"{min(times):.3g} to {max(times):.3g} s"
    return (0.0 if all_load else math.inf), f"load times have no gap ({span})"
