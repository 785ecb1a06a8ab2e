"""What to choose: topologies that do the same work, by every criterion that was measured.

One global test a criterion, Holm over the criteria; only then a best, against which each other
topology is judged at Bonferroni's level. Without that, the best of several equals is chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tandembench.report.copied import ollama_servers, study_entry
from tandembench.report.derived import SERVER_MEMORY, TTFT_FROM_START, TTFT_MEAN
from tandembench.report.numbers import Values, by_config, mean_with_interval, ratio
from tandembench.report.rounds import round_table
from tandembench.stats.family import ALPHA, holm
from tandembench.stats.intervals import ratio_interval
from tandembench.stats.ranking import no_column_differs
from tandembench.stats.verdicts import ratio_verdict


@dataclass(frozen=True, slots=True)
class Criterion:
    """``column`` of the runs; ``shown`` is the column whose values a table shows, in ``unit``."""

    name: str
    title: str
    column: str
    more_is_better: bool
    shown: str
    unit: str


CRITERIA = (
    Criterion("throughput", "throughput", "wall_s", False, "makespan_ratio", "times the reference"),
    Criterion("first_token", "first token", TTFT_MEAN, False, TTFT_MEAN, "s, from the request"),
    Criterion(
        "first_token_from_start",
        "first token from the start",
        TTFT_FROM_START,
        False,
        TTFT_FROM_START,
        "s, from the start of the run",
    ),
    Criterion("fairness", "fairness", "jain", True, "jain", "Jain index, 1 is fair"),
    Criterion("memory", "memory", SERVER_MEMORY, False, "memory_gib", "GiB, servers together"),
)
# Without a reference there is no ratio to show; without fixed work, wall times are of unlike
# answers, and the rate stands for throughput.
_WALL = Criterion("throughput", "throughput", "wall_s", False, "wall_s", "s, makespan")
_RATE = Criterion(
    "throughput",
    "throughput",
    "aggregate_tokens_per_s",
    True,
    "aggregate_tokens_per_s",
    "tokens/s, all agents",
)
# A verdict on the best against another: what the other is.
_BESIDE = {
    "better": "worse",
    "equivalent": "as_good",
    "inconclusive": "not_shown",
    "worse": "not_shown",
}


def decision(
    groups: Sequence[Values],
    runs: pd.DataFrame,
    executions: pd.DataFrame,
    margin: float,
    engine: str,
) -> Values | None:
    """The matrix of one group of topologies; None where no two can be compared.

    It is the first group that has a reference, else the first. ``criteria`` say what each comes
    to: ``outcome`` is "best", "several", "none" (not shown to differ), "too_little" or
    "not_measured"; cells hold ``status``: best, as_good, not_shown, worse, none or not_measured.
    """
    group = _group(groups)
    if group is None:
        return None
    rows = [row for row in group["rows"] if row["replicate_of"] is None]
    ids = [row["config_id"] for row in rows]
    valid = runs[runs["valid"] & runs["config_id"].isin(ids)]
    valid = valid.assign(memory_gib=valid[SERVER_MEMORY] / 2**30)
    # In the order of the rows, which is that of the tables' columns.
    own = by_config(valid)
    valid = pd.concat([own[id_] for id_ in ids if id_ in own]) if own else valid
    fixed = bool((valid["work_effective"] == "fixed").all())
    first = CRITERIA[0] if group["has_reference"] else _WALL
    wanted = (first if fixed else _RATE, *CRITERIA[1:])
    tested = [_tested(one, valid) for one in wanted]
    adjusted = holm([p for _, p in tested])
    found = [
        _judged(one, table, p, adjusted_p, rows, own, margin)
        for one, (table, p), adjusted_p in zip(wanted, tested, adjusted, strict=True)
    ]
    cells = [one.pop("cells") for one in found]
    of_config = by_config(executions[executions["config_id"].isin(ids)])
    return {
        "scenario": group["scenario"],
        "n_agents": group["n_agents"],
        "equal_threads": group["equal_threads"],
        "fixed": fixed,
        "tests": sum(p is not None for p in adjusted),
        "criteria": found,
        "rows": [
            {
                "topology": row["topology"],
                "config_id": row["config_id"],
                "is_reference": row["is_reference"],
                "cells": [one[row["config_id"]] for one in cells],
                "servers": ollama_servers(row["topology"], group["n_agents"])
                if engine == "ollama"
                else [],
                "entry": study_entry(row["config_id"], of_config[row["config_id"]])
                if row["config_id"] in of_config
                else [],
            }
            for row in rows
        ],
    }


def _group(groups: Sequence[Values]) -> Values | None:
    measured = [
        group for group in groups if len({row["topology"] for row in group["rows"] if row["n"]}) > 1
    ]
    with_reference = [group for group in measured if group["has_reference"]]
    return next(iter([*with_reference, *measured]), None)


def _tested(criterion: Criterion, valid: pd.DataFrame) -> tuple[pd.DataFrame, float | None]:
    """Logarithms by round, more is better, and the p of no difference at all."""
    known = valid[valid[criterion.column].notna()]
    if known.empty:
        return pd.DataFrame(), None
    table = round_table(known, criterion.column)
    table = table if criterion.more_is_better else -table
    if min(table.shape) < 2:
        return table, None
    return table, no_column_differs(table.to_numpy())


def _judged(
    criterion: Criterion,
    table: pd.DataFrame,
    p: float | None,
    adjusted_p: float | None,
    rows: Sequence[Values],
    own: Mapping[str, pd.DataFrame],
    margin: float,
) -> Values:
    best = None
    if adjusted_p is not None and adjusted_p < ALPHA:
        best = str(table.mean().idxmax())
    cells = {}
    for row in rows:
        id_ = row["config_id"]
        cell = _cell(criterion, own.get(id_), is_reference=row["is_reference"])
        status = _status(id_, best, table, margin) if cell else "not_measured"
        cells[id_] = {"status": status, **(cell or {"value": None, "is_reference": False})}
    statuses = {id_: cell["status"] for id_, cell in cells.items()}
    known = [id_ for id_, status in statuses.items() if status != "not_measured"]

    def having(*wanted: str) -> list[Values]:
        return [
            {"topology": row["topology"], "config_id": row["config_id"]}
            for row in rows
            if statuses[row["config_id"]] in wanted
        ]

    return {
        "name": criterion.name,
        "title": criterion.title,
        "unit": criterion.unit,
        "p": p,
        "adjusted_p": adjusted_p,
        "rounds": len(table),
        "outcome": _outcome(known, best, adjusted_p, statuses),
        "best": having("best"),
        "as_good": having("as_good"),
        "not_shown": having("not_shown"),
        "worse": having("worse"),
        "cells": cells,
    }


def _outcome(
    known: Sequence[str], best: str | None, adjusted_p: float | None, statuses: Mapping[str, str]
) -> str:
    if len(known) < 2:
        return "not_measured"
    if adjusted_p is None:
        return "too_little"
    if best is None:
        return "none"
    others = [statuses[id_] for id_ in known if id_ != best]
    return "best" if set(others) == {"worse"} else "several"


def _cell(criterion: Criterion, own: pd.DataFrame | None, *, is_reference: bool) -> Values | None:
    """The config's mean with its interval; the reference's ratio to itself is no measurement."""
    if own is None or own[criterion.column].isna().all():
        return None
    if criterion.shown == "makespan_ratio" and is_reference:
        return {"value": None, "is_reference": True}
    mean_of = mean_with_interval if criterion.shown == "jain" else ratio
    value = mean_of(own, criterion.shown)
    return {"value": value, "is_reference": False} if value else None


def _status(id_: str, best: str | None, table: pd.DataFrame, margin: float) -> str:
    if best is None or id_ not in table:
        return "none"
    if id_ == best:
        return "best"
    level = 1 - ALPHA / (table.shape[1] - 1)
    ratios = np.exp((table[best] - table[id_]).to_numpy()).tolist()
    return _BESIDE[ratio_verdict(ratio_interval(ratios, level=level), margin)]
