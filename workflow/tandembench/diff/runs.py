"""Runs of two datasets: which came, went or changed, and the ratio of every metric they share."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tandembench.analysis.findings import Verdict
from tandembench.analysis.intervals import Interval, Moments, difference_family, exponential
from tandembench.analysis.sides import DIFFERENT_ROUNDS, DIFFERENT_SESSIONS, difference
from tandembench.dataset.descriptor import corrupt
from tandembench.dataset.load import Dataset, column_names, read_part
from tandembench.tables.columns import KEYS

Floats = npt.NDArray[np.float64]
Scope = Literal["scenario", "config"]
# It is shown beside the metrics, and no verdict on a dataset rests on it.
ESTIMATOR = "efficiency_estimate"
# Metric -> whether more is better.
METRICS = {
    "wall_s": False,
    "makespan_ratio": True,
    "speedup_true": True,
    ESTIMATOR: True,
    "aggregate_tokens_per_s": True,
    "antt": False,
}
_COLUMNS: Mapping[Scope, str] = {"scenario": "scenario", "config": "config_id"}
_KEYS = [column.name for column in KEYS]
_BASE = ("valid", "session", *_COLUMNS.values(), "work_effective", "started_at")


@dataclass(frozen=True, slots=True)
class Matched:
    """Rows with equal keys, ``left`` of A and ``right`` of B; how many there are elsewhere."""

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    removed: int
    added: int


@dataclass(frozen=True, slots=True)
class Changes:
    """How many runs are only in B (``added``), only in A, in both and unlike, and equal."""

    added: int
    removed: int
    changed: int
    equal: int
    changed_columns: dict[str, int]


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


def frames(a: Dataset, b: Dataset, names: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """Columns of A's runs, then B's, verified; and how many are A's."""
    tables = [read_part(side, "runs", names, coded=True) for side in (a, b)]
    return pa.concat_tables(
        tables, promote_options="default"
    ).unify_dictionaries().to_pandas(), tables[0].num_rows


def match(a: Dataset, b: Dataset) -> Matched:
    """Which runs of A and B have the same key; of one side each has another."""
    keys, n = frames(a, b, _KEYS)
    ids = keys.groupby(_KEYS, sort=False, observed=True).ngroup().to_numpy()
    place = np.full(len(ids) + 1, -1)
    for side, group, rows in ((a, ids[:n], keys[:n]), (b, ids[n:], keys[n:])):
        if (group < 0).any():
            empty = next(name for name in _KEYS if rows[name].isna().any())
            raise corrupt(f"a run without {empty}", side.folder / "runs.parquet")
    place[ids[n:]] = np.arange(len(ids) - n)
    right = place[ids[:n]]
    left = np.flatnonzero(right >= 0)
    return Matched(left, right[left], n - len(left), len(ids) - n - len(left))


def changes(a: Dataset, b: Dataset, matched: Matched) -> Changes:
    """How many runs are new, gone, changed and equal; changes by column, one read at a time."""
    others = set(column_names(b, "runs"))
    changed = np.zeros(len(matched.left), dtype=np.bool_)
    by_column: dict[str, int] = {}
    for name in column_names(a, "runs"):
        if name in others and name not in _KEYS:
            one, other = (read_part(side, "runs", [name])[name] for side in (a, b))
            unlike = _unlike(one.take(matched.left), other.take(matched.right))
            if unlike.any():
                by_column[name] = int(unlike.sum())
                changed |= unlike
    n = int(changed.sum())
    return Changes(matched.added, matched.removed, n, len(changed) - n, by_column)


def _unlike(one: pa.ChunkedArray, other: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Where two columns differ; what is not known, or no number, is equal to its like."""
    if one.type != other.type:
        return np.ones(len(one), dtype=np.bool_)
    if pa.types.is_floating(one.type):
        one, other = (pc.if_else(pc.is_nan(each), None, each) for each in (one, other))
    only_one = pc.xor(pc.is_null(one), pc.is_null(other))
    return np.asarray(pc.coalesce(pc.not_equal(one, other), only_one), dtype=np.bool_)


def metric_changes(a: Dataset, b: Dataset, matched: Matched, margin: float) -> tuple[Change, ...]:
    """Scenarios, then configs that both hold, by each metric that both know.

    Sessions of two datasets are the same one if it has a block that is in both. Wall times only
    where both did fixed work: a shorter answer is no faster server. Scenarios by the configs that
    both hold. The verdicts of one metric are a family.
    """
    runs, n = frames(a, b, _BASE)
    in_b = np.arange(len(runs)) >= n
    valid = runs["valid"].to_numpy(dtype=bool)
    configs = runs["config_id"]
    both = set(configs[valid & in_b]) & set(configs[valid & ~in_b])
    kept = valid & configs.isin(both).to_numpy()
    # The same repetition of another day is no block of both.
    started = runs["started_at"].astype("int64").to_numpy()
    same = started[matched.left] == started[n + matched.right]
    pairs = matched.left[same], n + matched.right[same]
    apart = in_b & ~runs["session"].isin(runs["session"].iloc[pairs[0]].unique()).to_numpy()
    groupings = [_grouping(scope, runs, apart, kept) for scope in _COLUMNS]
    del runs
    known = set(column_names(a, "runs")) & set(column_names(b, "runs"))
    result: list[Change] = []
    for metric in (name for name in METRICS if name in known):
        values = frames(a, b, [metric])[0][metric].to_numpy(dtype=float)
        logs = np.log(np.where((values > 0) & kept, values, np.nan))
        for by in groupings:
            group = np.where(by.fixed, logs, np.nan) if metric == "wall_s" else logs
            result += _of_metric(by, metric, group, in_b, pairs, margin)
    order = list(_COLUMNS)
    # Metrics stay in their order.
    return tuple(sorted(result, key=lambda one: (order.index(one.scope), one.subject)))


@dataclass(frozen=True, slots=True)
class _Grouping:
    """The cell of each row: its subject in its session. ``cells`` of each subject.

    ``fixed``: rows of subjects that did only fixed work on both sides.
    """

    scope: Scope
    cell: npt.NDArray[np.int64]
    cells: dict[str, list[int]]
    fixed: npt.NDArray[np.bool_]


def _grouping(
    scope: Scope, runs: pd.DataFrame, apart: npt.NDArray[np.bool_], kept: npt.NDArray[np.bool_]
) -> _Grouping:
    subject = runs[_COLUMNS[scope]]
    groups = runs.groupby([subject, runs["session"], apart], observed=True)
    cells: dict[str, list[int]] = defaultdict(list)
    for place, (name, _, _) in enumerate(groups.size().index):
        cells[str(name)].append(place)
    unfixed = subject[kept & (runs["work_effective"] != "fixed").to_numpy()].unique()
    cell = np.asarray(groups.ngroup(), dtype=np.int64)
    return _Grouping(scope, cell, cells, ~subject.isin(unfixed).to_numpy())


def _of_metric(
    by: _Grouping,
    metric: str,
    logs: Floats,
    in_b: npt.NDArray[np.bool_],
    pairs: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    margin: float,
) -> list[Change]:
    """A change for every subject that both sides know; ``pairs`` are rows of the same blocks."""
    a, b = (_moments(by.cell, np.where(here, logs, np.nan)) for here in (~in_b, in_b))
    paired = _moments(by.cell[pairs[0]], logs[pairs[1]] - logs[pairs[0]])
    compared, ratios = [], []
    for subject, cells in by.cells.items():
        before, after = ({cell: side[cell] for cell in cells if cell in side} for side in (a, b))
        if before and after:
            one = difference(
                {cell: group[0] for cell, group in after.items()},
                {cell: group[0] for cell, group in before.items()},
                {cell: paired[cell] for cell in cells if cell in paired},
                DIFFERENT_ROUNDS if before.keys() & after.keys() else DIFFERENT_SESSIONS,
            )
            compared.append((subject, one))
            ratios.append(one.interval or _without_bounds(before, after))
    verdicts = difference_family(ratios, math.log1p(margin), METRICS[metric])
    return [
        Change(
            scope=by.scope,
            subject=subject,
            metric=metric,
            ratio=exponential(ratio),
            verdict=verdict,
            detectable=None if one.detectable is None else math.exp(one.detectable),
            reason=one.reason,
        )
        for (subject, one), ratio, verdict in zip(compared, ratios, verdicts, strict=True)
    ]


def _moments(cells: npt.NDArray[np.int64], logs: Floats) -> dict[int, Moments]:
    """Mean, sd and n of each cell, of what is known."""
    known = ~np.isnan(logs)
    cells, logs = cells[known], logs[known]
    n = np.bincount(cells)
    mean = np.bincount(cells, logs) / np.maximum(n, 1)
    sd = np.sqrt(np.bincount(cells, (logs - mean[cells]) ** 2) / np.maximum(n - 1, 1))
    there = np.flatnonzero(n)
    columns = (column[there].tolist() for column in (mean, sd, n))
    return dict(zip(there.tolist(), zip(*columns, strict=True), strict=True))


def _without_bounds(a: Mapping[int, Moments], b: Mapping[int, Moments]) -> Interval:
    """B less A by all of their runs, where nothing says how sure that is."""
    counts = [sum(one[2] for one in side.values()) for side in (a, b)]
    means = [
        math.fsum(mean * k for mean, _, k in side.values()) / count
        for side, count in zip((a, b), counts, strict=True)
    ]
    return Interval(means[1] - means[0], None, None, min(counts))
