"""A published report beside a dataset: what it prints, and what was measured here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, get_args

import pandas as pd

from tandembench.analysis.findings import Verdict
from tandembench.analysis.groups import Row
from tandembench.analysis.intervals import (
    Interval,
    difference_verdict,
    interval_of_moments,
    mean_interval,
    moments,
    session_means,
    welch_from_moments,
)
from tandembench.audit.figures import agrees
from tandembench.audit.publications import printed_means
from tandembench.audit.published import checks
from tandembench.audit.sides import Cell, Side
from tandembench.dataset.load import Dataset
from tandembench.study.ids import SCENARIO_SHORT
from tandembench.tables.columns import TOPOLOGIES

METRIC = "efficiency_estimate"
# How a report says what served its agents, and the topologies that are the same here.
_SERVED = {"dual instance": ("dual",), "single instance": ("single", "single_parallel")}
_SCENARIOS = {short: scenario for scenario, short in SCENARIO_SHORT.items()}
_LANGUAGES = ("python", "rust")
_SCOPES = ("overall", "phase", "scenario")


class BesideRow(TypedDict):
    """A printed mean beside that of the runs; ``averaged``: of the means of printed configs.

    ``ours_sd`` is over the ``ours_runs`` runs, as print has it; intervals rest on sessions where
    they can. The verdict is on ours, None where none may be given.
    """

    metric: str
    scope: str
    subject: str
    ours: Interval
    theirs: Interval
    theirs_sd: float | None
    averaged: bool
    ours_sd: float | None
    ours_runs: int
    difference: Interval
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Baseline:
    """``state``: "missing", "damaged" (``fault``), "same" (the dataset itself), "not_comparable"
    (``reasons``), "unsure" (comparable if what is ``unknown`` was the same), or "compared".

    ``rows`` hold ``ours`` and ``theirs``, a mean with interval each, and the ``verdict`` on ours.
    ``measured_with`` is of runs. Of a publication: what ``ours`` and ``theirs`` were measured with,
    and ``printed_values``, how many runs could give (checked) and these do (agree), None where the
    report is of others.
    """

    label: str
    state: str
    title: str | None = None
    kind: str | None = None
    fault: str | None = None
    reasons: Sequence[str] = ()
    unknown: Sequence[str] = ()
    rows: Sequence[Row | BesideRow] = ()
    left_out: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    measured_with: Sequence[object] = ()
    ours: Mapping[str, str | None] | None = None
    theirs: Mapping[str, str | None] | None = None
    printed_values: Mapping[str, int] | None = None


def beside_published(side: Side, dataset: Dataset) -> Baseline:
    """Printed means of efficiency_estimate beside those of runs of the same topology.

    Where a scenario's mean is not printed, that of its printed configs stands for it. Without a
    topology in common all of ours stand there.
    """
    said = {
        row["subject"]: row["printed"]
        for row in reversed(side.printed)
        if row["scope"] == "hardware" and row["metric"] == "specification"
    }
    ours, theirs = _measured_with(dataset, said)
    reasons, unknown = [], []
    for what, other, printed in (
        ("model", "another model", said.get("model", "")),
        ("hardware", "other hardware", said.get("cpu", "")),
    ):
        if not printed or not ours[what]:
            unknown.append(what)
        elif not any(printed.casefold().startswith(one.casefold()) for one in ours[what]):
            there = printed.partition(" (")[0]
            reasons.append(f"{other} ({there} there, {', '.join(ours[what])} here)")
    if set(dataset.runs["work_policy"]) == {"fixed"}:
        reasons.append("other work (answers end by themselves there, all are of fixed length here)")
    runs = dataset.runs[dataset.runs["valid"] & ~dataset.runs["twin"].astype(bool)]
    measured = [one for one in TOPOLOGIES if one in set(runs["topology"])]
    served = next((words for words in _SERVED if words in said.get("ollama", "")), None)
    alike = [one for one in measured if served is None or one in _SERVED[served]]
    if measured and not alike:
        reasons.append(f"another architecture ({served} there, {', '.join(measured)} here)")
    rows = [
        row
        for topology in alike or measured
        for row in _rows(side, runs[runs["topology"] == topology], topology, not reasons)
    ]
    verdicts = [row["verdict"] for row in rows]
    # A mean that is ours, to the three digits that such reports print, is of these runs.
    overall = [row["difference"].mean for row in rows if row["scope"] == "overall"]
    values = None
    if not reasons and any(agrees((one, one), (0.0, 0.0), 0.0005) for one in overall):
        checked = checks(side.printed, dataset.runs, dataset.executions)
        values = {"checked": len(checked), "agree": sum(row["agrees"] for row in checked)}
    return Baseline(
        label=side.label,
        title=str(side.descriptor["title"]),
        kind="published",
        ours={what: "; ".join(texts) or None for what, texts in ours.items()},
        theirs={what: "; ".join(texts) or None for what, texts in theirs.items()},
        reasons=reasons,
        unknown=unknown,
        state="not_comparable" if reasons else "unsure" if unknown else "compared",
        rows=rows,
        counts={one: verdicts.count(one) for one in get_args(Verdict)},
        printed_values=values,
    )


def _rows(side: Side, runs: pd.DataFrame, topology: str, verdicts: bool) -> list[BesideRow]:
    result = []
    runs = runs[(runs["n_agents"] == 2) & runs[METRIC].notna()]
    for (scope, subject), (theirs, sd) in _means(side.printed).items():
        group = runs if scope == "overall" else runs[runs[scope] == subject]
        if group.empty:
            continue
        values, sessions = group[METRIC].tolist(), group["session"].tolist()
        ours = moments(session_means(values, sessions))
        difference = Interval(ours[0] - theirs.mean, None, None, 1)
        if sd and theirs.low is not None:
            difference = welch_from_moments(ours, (theirs.mean, sd, theirs.n))
        result.append(
            BesideRow(
                metric=METRIC,
                scope=scope,
                subject=f"{subject}, {topology}".removeprefix(", "),
                ours=mean_interval(values, sessions),
                theirs=theirs,
                theirs_sd=sd,
                averaged=sd is None and theirs.low is not None,
                ours_sd=moments(values)[1] if len(values) > 1 else None,
                ours_runs=len(values),
                difference=difference,
                verdict=difference_verdict(difference, 0.0) if verdicts else None,
            )
        )
    return result


def _means(cells: Sequence[Cell]) -> dict[tuple[str, str], tuple[Interval, float | None]]:
    """By (scope, subject): the mean with its interval, as far as one is printed, and the sd.

    A scenario's mean may also be that of its configs, which has an interval and no sd.
    """
    result: dict[tuple[str, str], tuple[Interval, float | None]] = {}
    configs: dict[str, list[float]] = {}
    for (scope, subject, metric), (mean, sd, n) in printed_means(cells).items():
        word = subject.removeprefix("validation-").partition("-")[0]
        if metric == METRIC and scope == "config" and word in _SCENARIOS:
            configs.setdefault(_SCENARIOS[word], []).append(mean)
        elif metric == METRIC and scope != "config":
            known = interval_of_moments((mean, sd, n)) if sd else Interval(mean, None, None, n)
            result[scope, subject] = known, sd or None
    for scenario, values in configs.items():
        if len(values) > 1:
            result.setdefault(("scenario", scenario), (mean_interval(values), None))
    return dict(sorted(result.items(), key=lambda item: (_SCOPES.index(item[0][0]), item[0][1])))


def _measured_with(
    dataset: Dataset, said: Mapping[str, str]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """What this dataset knows of what it was measured with, and what the report says of it."""
    fingerprints = dataset.descriptor["fingerprints"]
    machines, servers = fingerprints["machines"], fingerprints["servers"]
    ours = {
        "model": {one["model"] for one in fingerprints["models"]},
        "hardware": {str(one["cpu"]) for one in machines},
        "servers": {f"{one['engine']} {one['engine_version'] or ''}".strip() for one in servers},
        "client": {f"tandembench, Python {one['python']}" for one in machines},
    }
    keys = (("model", "model"), ("hardware", "gpu", "cpu"), ("servers", "ollama"))
    theirs = {
        what: [said[key] for key in group if key in said]
        for what, *group in (*keys, ("client", "framework"))
    }
    theirs["client"] += [f"{one.capitalize()} {said[one]}" for one in _LANGUAGES if one in said]
    return {what: sorted(texts) for what, texts in ours.items()}, theirs
