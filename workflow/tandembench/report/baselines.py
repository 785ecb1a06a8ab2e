"""The dataset beside stored baselines: what may be compared with it, and what comes of it.

A baseline that is not there, or is damaged, is one line of the report and stops nothing.
"""

from dataclasses import dataclass
from pathlib import Path

from tandembench.analysis.intervals import Interval
from tandembench.analysis.numbers import Values, mean_with_interval
from tandembench.audit.beside import beside_published
from tandembench.audit.sides import Side, open_side
from tandembench.dataset.load import Dataset
from tandembench.dataset.versions import PUBLISHED, baselines, find
from tandembench.diff.compare import compare_runs
from tandembench.diff.runs import Change
from tandembench.errors import TandemError

# Rows of one baseline: the most different configs, all scenarios.
_MOST = 40
_DIFFERENT = {"worse": 0, "better": 1, "inconclusive": 2, "equivalent": 3}


@dataclass(frozen=True, slots=True)
class _Opened:
    """``side``, or why there is none; ``missing``: no folder of that name is there."""

    name: str
    side: Side | None
    fault: str | None
    missing: bool


def beside_baselines(dataset: Dataset, root: Path, margin: float) -> Values:
    """``baselines``: one entry each, in the study's order; ``comparisons``: their rows together.

    An entry's ``state`` is "missing", "damaged", "same" (the dataset itself), "not_comparable"
    (``reasons``), "unsure" (comparable if what ``unknown`` lists was the same), or "compared".
    Rows hold ``ours`` and ``theirs``, a mean with interval each, and the ``verdict`` on ours;
    None where none may be given. ``stored``: whether there is any baseline at all.
    """
    names = dataset.descriptor["study"].get("baselines", PUBLISHED)
    entries = [_entry(_opened(name, root), dataset, margin) for name in names]
    return {
        "stored": bool(baselines(root)),
        "entries": entries,
        "comparisons": [row for entry in entries for row in entry["rows"]],
    }


def _opened(name: str, root: Path) -> _Opened:
    try:
        folder = find(name, root)
    except TandemError as error:
        return _Opened(name, None, str(error), missing=True)
    try:
        # By version: which one it was must stand in the report.
        side = open_side(folder.label, root)
        # Tables are read when first asked for: here, where a damaged one is a line of the report.
        _ = side.dataset
        return _Opened(name, side, None, missing=False)
    except TandemError as error:
        return _Opened(folder.label, None, str(error), missing=False)


def _entry(opened: _Opened, dataset: Dataset, margin: float) -> Values:
    entry: Values = {"label": opened.name, "kind": None, "title": None, "measured_with": []}
    entry |= {
        "reasons": [],
        "unknown": [],
        "rows": [],
        "counts": {},
        "left_out": 0,
        "printed_values": None,
    }
    return entry | _found(opened, dataset, margin)


def _found(opened: _Opened, dataset: Dataset, margin: float) -> Values:
    if opened.side is None:
        state = "missing" if opened.missing else "damaged"
        return {"state": state, "fault": opened.fault}
    side = opened.side
    if side.dataset is None:
        found: Values = dict(beside_published(side, dataset))
    else:
        found = _beside_runs(side, side.dataset, dataset, margin)
    # Reasons have their details in brackets.
    short = ", ".join(reason.partition(" (")[0] for reason in found.get("reasons", ()))
    about = {"label": side.label, "title": side.descriptor["title"], "fault": None}
    return about | found | {"short": short}


def _beside_runs(side: Side, theirs: Dataset, ours: Dataset, margin: float) -> Values:
    found = compare_runs(theirs.opened, ours.opened, margin)
    measured_with = [
        {"name": one.name, "ours": one.b, "theirs": one.a, "same": one.same}
        for one in found.fingerprints
        if one.name in ("machines", "models", "servers")
    ]
    about = {"kind": "runs", "measured_with": measured_with}
    if found.same:
        return about | {"state": "same"}
    if found.measured is None:
        return about | {"state": "not_comparable", "reasons": list(found.obstacles)}
    unknown = [str(one["name"]).removesuffix("s") for one in measured_with if one["same"] is None]
    rows = [_row(side.label, one, theirs, ours) for one in found.measured.metrics]
    scenarios = [row for row in rows if row["scope"] == "scenario"]
    configs = [row for row in rows if row["scope"] == "config"]
    configs.sort(key=lambda row: _DIFFERENT[row["verdict"]])
    kept = [*scenarios, *configs][:_MOST]
    return about | {
        "state": "unsure" if unknown else "compared",
        "unknown": unknown,
        "rows": kept,
        "left_out": len(rows) - len(kept),
        "counts": {word: sum(row["verdict"] == word for row in rows) for word in _DIFFERENT},
    }


def _row(label: str, one: Change, theirs: Dataset, ours: Dataset) -> Values:
    column = "scenario" if one.scope == "scenario" else "config_id"
    sides = [_of(side, column, one.subject, one.metric) for side in (ours, theirs)]
    return {
        "label": label,
        "metric": one.metric,
        "scope": one.scope,
        "subject": one.subject,
        "ours": sides[0],
        "theirs": sides[1],
        "ratio": one.ratio,
        "detectable": one.detectable,
        "verdict": one.verdict,
    }


def _of(side: Dataset, column: str, subject: str, metric: str) -> Interval | None:
    runs = side.runs
    return mean_with_interval(runs[runs["valid"] & (runs[column] == subject)], metric)
