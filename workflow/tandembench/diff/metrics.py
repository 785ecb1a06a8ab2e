"""Metrics of two sides: ratios with their intervals, and what they allow to be said."""

import math
from dataclasses import dataclass, replace
from functools import cache
from operator import itemgetter

import numpy as np

from tandembench.analysis.family import difference_family
from tandembench.analysis.intervals import Interval, exponential
from tandembench.analysis.verdicts import smallest_detectable_difference
from tandembench.dataset.opened import OpenDataset, column_names
from tandembench.diff.grouped import Cells, Floats, Values, ratios
from tandembench.diff.rows import (
    Bools,
    Codes,
    Matched,
    Row,
    Sides,
    codes,
    distinct,
    numbers,
    read_both,
)

# Metric -> whether more is better.
METRICS = {
    "wall_s": False,
    "makespan_ratio": True,
    "speedup_true": True,
    "efficiency_estimate": True,
    "aggregate_tokens_per_s": True,
    "antt": False,
}
_BASE = ("valid", "session", "config_id", "scenario", "work_effective", "started_at")


@dataclass(frozen=True, slots=True)
class _Grouping:
    """Rows of A, then of B, by the values of a column; which of these did only fixed work."""

    column: str
    values: list[str]
    groups: Codes
    cell: Codes
    cells: Cells
    all_fixed: Bools


def of_runs(
    a: OpenDataset, b: OpenDataset, matched: Matched, margin: float
) -> tuple[list[Row], list[Row]]:
    """B over A for every config and every scenario that both hold, by each metric that both know.

    Sessions of two datasets are the same one if it has a block that is in both. Wall times only
    where both did fixed work: a shorter answer is no faster server. Scenarios by the configs that
    both hold. The verdicts of one metric are a family.
    """
    sides = read_both(a, b, _BASE)
    n = sides[0].num_rows
    kept = _of_configs_in_both(sides)
    blocks = _same_blocks(sides, matched)
    sessions = _sessions(sides, blocks)
    groupings = [_grouping(column, sides, sessions, kept) for column in ("config_id", "scenario")]
    del sides, sessions
    known = set(column_names(a, "runs")) & set(column_names(b, "runs"))
    found: tuple[list[Row], list[Row]] = [], []
    for metric, more in METRICS.items():
        if metric in known:
            logs, there = _logs(read_both(a, b, [metric]), metric)
            there &= kept
            for by, rows in zip(groupings, found, strict=True):
                own = there & by.all_fixed[by.groups] if metric == "wall_s" else there
                rows.extend(_compared(by, metric, logs, own, n, blocks, more, margin))
    for by, rows in zip(groupings, found, strict=True):
        rows.sort(key=itemgetter(by.column))  # metrics stay in their order
    return found


def _compared(
    by: _Grouping,
    metric: str,
    logs: Floats,
    own: Bools,
    n: int,
    blocks: Matched,
    more_is_better: bool,
    margin: float,
) -> list[Row]:
    """A row for every group; ``own`` are the rows that count, ``n`` of all are A's."""
    left = by.cell[:n][blocks.left]
    pairs = own[:n][blocks.left] & own[n:][blocks.right] & (left == by.cell[n:][blocks.right])
    told = list(
        ratios(
            Values(logs[:n][own[:n]], by.cell[:n][own[:n]]),
            Values(logs[n:][own[n:]], by.cell[n:][own[n:]]),
            Values((logs[n:][blocks.right] - logs[:n][blocks.left])[pairs], left[pairs]),
            by.cells,
        )
    )
    judged = difference_family([one.logs for one in told], math.log1p(margin), more_is_better)
    return [
        {
            by.column: by.values[one.group],
            "metric": metric,
            "ratio": exponential(one.logs),
            "verdict": verdict.verdict,
            "detectable": _detectable(one.logs),
            "reason": one.reason,
        }
        for one, verdict in zip(told, judged, strict=True)
    ]


def _of_configs_in_both(sides: Sides) -> Bools:
    """Which rows of A, then of B, are valid and of a config that both have measured."""
    n = sides[0].num_rows
    configs, names = codes([side["config_id"] for side in sides])
    valid = np.concatenate([numbers(side["valid"])[0] for side in sides])
    in_both = _there(configs[:n][valid[:n]], len(names)) & _there(
        configs[n:][valid[n:]], len(names)
    )
    found: Bools = valid & in_both[configs]
    return found


def _same_blocks(sides: Sides, matched: Matched) -> Matched:
    """The matched rows that are one block, and not the same repetition of another day."""
    one, other = (numbers(side["started_at"])[0] for side in sides)
    same = one[matched.left] == other[matched.right]
    if same.all():
        return matched
    rows = [
        np.flatnonzero(same) if isinstance(side, slice) else side[same]
        for side in (matched.left, matched.right)
    ]
    return replace(matched, left=rows[0], right=rows[1])


def _sessions(sides: Sides, blocks: Matched) -> Codes:
    """Numbers of the sessions in A's rows, then B's: equal where they are the same one."""
    n = sides[0].num_rows
    found, labels = codes([side["session"] for side in sides])
    shared = _there(found[:n][blocks.left], len(labels))
    found[n:] += np.where(shared[found[n:]], 0, len(labels)).astype(np.int32)
    return found


def _grouping(column: str, sides: Sides, sessions: Codes, kept: Bools) -> _Grouping:
    groups, values = codes([side[column] for side in sides])
    width = int(sessions.max(initial=0)) + 1
    cell, cells = distinct(groups.astype(np.int64) * width + sessions)
    work, kinds = codes([side["work_effective"] for side in sides])
    other = np.asarray([*(kind != "fixed" for kind in kinds), True])[work]
    all_fixed = ~_there(groups[kept & other], len(values))
    return _Grouping(column, values, groups, cell, Cells(cells // width, len(values)), all_fixed)


def _there(found: Codes, n: int) -> Bools:
    """Which of the codes below ``n`` are among those ``found``."""
    there = np.zeros(n, dtype=np.bool_)
    there[found] = True
    return there


def _logs(sides: Sides, metric: str) -> tuple[Floats, Bools]:
    """Logarithms of A's values, then B's, and where there is one."""
    values = np.concatenate([numbers(side[metric])[0] for side in sides])
    there = values > 0
    return np.log(values, out=np.zeros_like(values), where=there), there


def _detectable(logs: Interval) -> float | None:
    """`smallest_detectable`, for many ratios with few degrees of freedom among them."""
    if logs.low is None or logs.high is None:
        return None
    freedom = logs.n - 1 if logs.freedom is None else logs.freedom
    # Cut to tenths, which only makes it larger.
    return math.exp(_of_half_width(int(10 * freedom) / 10) * (logs.high - logs.low) / 2)


@cache
def _of_half_width(freedom: float) -> float:
    unit = Interval(0.0, -1.0, 1.0, 2, freedom)
    return smallest_detectable_difference(unit) or 0.0
