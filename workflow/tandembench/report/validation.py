"""Configs that were measured in two phases: does the later one say the same as the earlier?"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tandembench.analysis.comparison import paired_ratio
from tandembench.analysis.numbers import Values, by_config, ratio, verdict
from tandembench.analysis.observations import observations

# In this order: the first that both know is compared.
_METRICS = ("speedup_true", "efficiency_estimate")


def validation(
    runs: pd.DataFrame, phases: Sequence[Mapping[str, Any]], margin: float
) -> list[Values]:
    """Each config of a later phase beside the config of equal content in the first that has one.

    ``ratio``: later over earlier of ``metric``, and of wall times where both did fixed work;
    ``outcome`` is the verdict on it: "equivalent", "higher", "lower" or "inconclusive", and
    "unknown" where there is nothing to compare.
    """
    valid = by_config(runs[runs["valid"]])
    contents = runs.drop_duplicates("config_id").set_index("config_id")["content"].to_dict()
    earlier: dict[str, tuple[str, str]] = {}
    found = []
    for phase in phases:
        listed = [id_ for id_ in phase["configs"] if contents.get(id_)]
        for id_ in listed:
            before = earlier.get(contents[id_])
            if before is not None:
                row = _row(valid.get(before[1]), valid.get(id_), margin)
                names = {"first": before[1], "first_phase": before[0], "later": id_}
                found.append({**names, "later_phase": phase["name"], **row})
        for id_ in listed:
            earlier.setdefault(contents[id_], (phase["name"], id_))
    return found


def _row(first: pd.DataFrame | None, later: pd.DataFrame | None, margin: float) -> Values:
    row: Values = {"metric": None, "ratio": None, "wall": None, "pairs": 0, "outcome": "unknown"}
    if first is None or later is None:
        return row
    for metric in _METRICS:
        if first[metric].notna().any() and later[metric].notna().any():
            compared = paired_ratio(observations(later, metric), observations(first, metric))
            told = verdict(compared.interval, margin)
            fixed = {*first["work_effective"], *later["work_effective"]} == {"fixed"}
            walls = paired_ratio(observations(later, "wall_s"), observations(first, "wall_s"))
            return row | {
                "metric": metric,
                "first_mean": ratio(first, metric),
                "later_mean": ratio(later, metric),
                "ratio": compared.interval,
                "reason": compared.reason,
                "pairs": compared.pairs,
                "wall": walls.interval if fixed else None,
                "outcome": {"better": "higher", "worse": "lower"}.get(told, told)
                if compared.interval
                else "unknown",
            }
    return row
