"""Metrics of two datasets: the ratio of every config and scenario, and what it allows to be said.

The rule is that of `analysis.sides.difference`; only sums over rows are arrays.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from tandembench.analysis.findings import Verdict
from tandembench.analysis.intervals import Interval, Moments, difference_family, exponential
from tandembench.analysis.sides import DIFFERENT_ROUNDS, DIFFERENT_SESSIONS, difference
from tandembench.dataset.load import OpenDataset, column_names
from tandembench.diff.rows import (
    Bools,
    Codes,
    Matched,
    Sides,
    codes,
    distinct,
    numbers,
    read_both,
)

Floats = npt.NDArray[np.float64]
Scope = Literal["scenario", "config"]
# Metric -> whether more is better.
METRICS = {
    "wall_s": False,
    "makespan_ratio": True,
    "speedup_true": True,
    "efficiency_estimate": True,
    "aggregate_tokens_per_s": True,
    "antt": False,
}
_COLUMNS: dict[Scope, str] = {"scenario": "scenario", "config": "config_id"}
_BASE = ("valid", "session", *_COLUMNS.values(), "work_effective", "started_at")


@dataclass(frozen=True, slots=True)
class Change:
    """B over A in one metric of a scenario or config that both hold; the verdict is on B.

    ``ratio``: of geometric means, without bounds where ``reason`` says why. ``detectable``: the
    ratio that so few values show with a chance of 80 %.
    """

    scope: Scope
    subject: str
    metric: str
    ratio: Interval
    verdict: Verdict
    detectable: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class _Grouping:
    """The cell, a subject in a session, of each row of A, then of B.

    Cells of subject k run from ``starts[k]`` to ``starts[k + 1]``. ``fixed``: rows of subjects
    that did only fixed work on both sides.
    """

    scope: Scope
    subjects: list[str]
    cell: Codes
    starts: list[int]
    fixed: Bools


def metric_changes(
    a: OpenDataset, b: OpenDataset, matched: Matched, margin: float
) -> tuple[Change, ...]:
    """Scenarios, then configs that both hold, by each metric that both know.

    Sessions of two datasets are the same one if it has a block that is in both. Wall times only
    where both did fixed work: a shorter answer is no faster server. Scenarios by the configs that
    both hold. The verdicts of one metric are a family.
    """
    sides = read_both(a, b, _BASE)
    kept = _of_configs_in_both(sides)
    blocks = _same_blocks(sides, matched)
    sessions = _sessions(sides, blocks)
    groupings = [_grouping(scope, sides, sessions, kept) for scope in _COLUMNS]
    del sides, sessions
    known = set(column_names(a, "runs")) & set(column_names(b, "runs"))
    changes: list[Change] = []
    for metric in (name for name in METRICS if name in known):
        left, right = (numbers(side[metric])[0] for side in read_both(a, b, [metric]))
        values = np.concatenate([left, right])
        there = (values > 0) & kept
        logs = np.log(values, out=np.zeros_like(values), where=there)
        for by in groupings:
            own = there & by.fixed if metric == "wall_s" else there
            changes += _of_metric(by, metric, logs, own, len(left), blocks, margin)
    order = list(_COLUMNS)
    # Metrics stay in their order.
    return tuple(sorted(changes, key=lambda one: (order.index(one.scope), one.subject)))


def _of_metric(
    by: _Grouping, metric: str, logs: Floats, own: Bools, n: int, blocks: Matched, margin: float
) -> list[Change]:
    """A change for every subject; ``own`` are the rows that count, ``n`` of all are A's."""
    cells = by.starts[-1]
    a = _moments(by.cell[:n][own[:n]], logs[:n][own[:n]], cells)
    b = _moments(by.cell[n:][own[n:]], logs[n:][own[n:]], cells)
    left = by.cell[:n][blocks.left]
    both = own[:n][blocks.left] & own[n:][blocks.right] & (left == by.cell[n:][blocks.right])
    pairs = _moments(left[both], (logs[n:][blocks.right] - logs[:n][blocks.left])[both], cells)
    subjects, ratios, reasons = [], [], []
    for place, subject in enumerate(by.subjects):
        mine = range(by.starts[place], by.starts[place + 1])
        before, after = ({cell: side[cell] for cell in mine if cell in side} for side in (a, b))
        if not before or not after:
            continue
        compared = difference(
            {cell: one[0] for cell, one in after.items()},
            {cell: one[0] for cell, one in before.items()},
            {cell: pairs[cell] for cell in mine if cell in pairs},
            DIFFERENT_ROUNDS if before.keys() & after.keys() else DIFFERENT_SESSIONS,
        )
        subjects.append(subject)
        ratios.append(compared.interval or _without_bounds(before, after))
        reasons.append((compared.detectable, compared.reason))
    judged = difference_family(ratios, math.log1p(margin), METRICS[metric])
    return [
        Change(
            scope=by.scope,
            subject=subject,
            metric=metric,
            ratio=exponential(ratio),
            verdict=one.verdict,
            detectable=None if detectable is None else math.exp(detectable),
            reason=reason,
        )
        for subject, ratio, one, (detectable, reason) in zip(
            subjects, ratios, judged, reasons, strict=True
        )
    ]


def _without_bounds(a: dict[int, Moments], b: dict[int, Moments]) -> Interval:
    """B less A by all of their runs, where nothing says how sure that is."""
    counts = [sum(one[2] for one in side.values()) for side in (a, b)]
    means = [
        math.fsum(mean * k for mean, _, k in side.values()) / count
        for side, count in zip((a, b), counts, strict=True)
    ]
    return Interval(means[1] - means[0], None, None, min(counts))


def _moments(cells: Codes, values: Floats, n_cells: int) -> dict[int, Moments]:
    """Mean, sd and n of each cell that has values."""
    n = np.bincount(cells, minlength=n_cells)
    mean = np.bincount(cells, weights=values, minlength=n_cells) / np.maximum(n, 1)
    squares = np.bincount(cells, weights=(values - mean[cells]) ** 2, minlength=n_cells)
    sd = np.sqrt(squares / np.maximum(n - 1, 1))
    there = np.flatnonzero(n)
    columns = (column[there].tolist() for column in (mean, sd, n))
    return dict(zip(there.tolist(), zip(*columns, strict=True), strict=True))


def _of_configs_in_both(sides: Sides) -> Bools:
    """Which rows of A, then of B, are valid and of a config that both have measured."""
    n = sides[0].num_rows
    configs, names = codes([side["config_id"] for side in sides])
    valid = np.concatenate([numbers(side["valid"])[0] for side in sides])
    a, b = (_present(configs[rows][valid[rows]], len(names)) for rows in (slice(n), slice(n, None)))
    kept: Bools = valid & (a & b)[configs]
    return kept


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
    sessions, labels = codes([side["session"] for side in sides])
    shared = _present(sessions[:n][blocks.left], len(labels))
    sessions[n:] += np.where(shared[sessions[n:]], 0, len(labels)).astype(np.int32)
    return sessions


def _grouping(scope: Scope, sides: Sides, sessions: Codes, kept: Bools) -> _Grouping:
    groups, subjects = codes([side[_COLUMNS[scope]] for side in sides])
    width = int(sessions.max(initial=0)) + 1
    cell, ids = distinct(groups.astype(np.int64) * width + sessions)
    order = np.argsort(ids)
    rank = np.empty(len(ids), dtype=np.int32)
    rank[order] = np.arange(len(ids))
    starts = np.searchsorted(ids[order] // width, np.arange(len(subjects) + 1))
    work, kinds = codes([side["work_effective"] for side in sides])
    other = np.asarray([*(kind != "fixed" for kind in kinds), True])[work]
    fixed = ~_present(groups[kept & other], len(subjects))
    return _Grouping(scope, subjects, rank[cell], starts.tolist(), fixed[groups])


def _present(numbered: Codes, n: int) -> Bools:
    """Which of the codes below ``n`` are there."""
    there = np.zeros(n, dtype=np.bool_)
    there[numbered] = True
    return there
