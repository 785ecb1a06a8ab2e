"""The dataset beside stored baselines: what may be compared with it, and what comes of it.

A baseline that is not there, or is damaged, is one line of the report and stops nothing.
"""

from pathlib import Path

import pandas as pd

from tandembench.analysis.findings import Verdict
from tandembench.analysis.groups import Row
from tandembench.analysis.summaries import summary
from tandembench.audit.beside import Baseline, beside_published
from tandembench.audit.sides import open_side
from tandembench.dataset.load import Dataset
from tandembench.dataset.versions import PUBLISHED, find
from tandembench.diff.compare import compare_runs
from tandembench.diff.runs import Change
from tandembench.errors import TandemError

# Rows of one baseline: all scenarios, the most different configs.
_MOST = 40
_DIFFERENT: tuple[Verdict, ...] = ("worse", "better", "inconclusive", "equivalent")


def beside_baselines(dataset: Dataset, root: Path, margin: float) -> tuple[Baseline, ...]:
    """One for each baseline that the study names, in its order."""
    names = dataset.descriptor["study"].get("baselines", PUBLISHED)
    return tuple(_beside(name, dataset, root, margin) for name in names)


def _beside(name: str, ours: Dataset, root: Path, margin: float) -> Baseline:
    try:
        folder = find(name, root)
    except TandemError as error:
        return Baseline(name, "missing", fault=str(error))
    try:
        # By version: which one it was must stand in the report.
        side = open_side(folder.label, root)
        # Tables are read when they are needed: here, where a damaged one is a line of the report.
        theirs = side.dataset
        result = compare_runs(theirs, ours, margin) if theirs else None
    except TandemError as error:
        return Baseline(folder.label, "damaged", fault=str(error))
    if theirs is None or result is None:
        return beside_published(side, ours)
    title = str(side.descriptor["title"])
    with_ = [one for one in result.fingerprints if one.name in ("machines", "models", "servers")]
    if result.same:
        return Baseline(side.label, "same", title, "runs", measured_with=with_)
    if result.measured is None:
        reasons = result.obstacles
        return Baseline(
            side.label, "not_comparable", title, "runs", reasons=reasons, measured_with=with_
        )
    unknown = [one.name.removesuffix("s") for one in with_ if one.same is None]
    verdicts = [one.verdict for one in result.measured.metrics]
    changes = sorted(
        result.measured.metrics,
        key=lambda one: (one.scope != "scenario", _DIFFERENT.index(one.verdict)),
    )
    return Baseline(
        label=side.label,
        state="unsure" if unknown else "compared",
        title=title,
        kind="runs",
        unknown=unknown,
        rows=[_row(one, theirs.runs, ours.runs) for one in changes[:_MOST]],
        left_out=max(len(changes) - _MOST, 0),
        counts={one: verdicts.count(one) for one in _DIFFERENT},
        measured_with=with_,
    )


def _row(one: Change, theirs: pd.DataFrame, ours: pd.DataFrame) -> Row:
    column = "scenario" if one.scope == "scenario" else "config_id"
    means = {}
    for name, runs in (("ours", ours), ("theirs", theirs)):
        group = summary(runs[runs["valid"] & (runs[column] == one.subject)], one.metric)
        means[name] = group.mean if group else None
    return {
        "metric": one.metric,
        "scope": one.scope,
        "subject": one.subject,
        "ratio": one.ratio,
        "detectable": one.detectable,
        "verdict": one.verdict,
        **means,
    }
