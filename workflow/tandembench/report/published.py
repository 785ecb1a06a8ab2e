"""A published report beside the dataset: what it prints, and what was measured here."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tandembench.analysis.intervals import (
    Interval,
    critical,
    mean_interval,
    moments,
    session_means,
    welch_from_moments,
)
from tandembench.analysis.numbers import Values, mean_with_interval
from tandembench.analysis.rounding import agrees
from tandembench.analysis.verdicts import difference_verdict
from tandembench.dataset.load import Dataset
from tandembench.diff.printed import checks
from tandembench.diff.publications import printed_means
from tandembench.diff.sides import Row, Side
from tandembench.study.ids import SCENARIO_SHORT
from tandembench.tables.columns import TOPOLOGIES

METRIC = "efficiency_estimate"
# How a report says what served its agents, and the topologies that are the same here.
_SERVED = {
    "dual instance": ("dual",),
    "single instance": ("single", "single_parallel"),
}
_SCENARIOS = {short: scenario for scenario, short in SCENARIO_SHORT.items()}
_SUBJECTS = {"phase": "phase", "scenario": "scenario"}
_LANGUAGES = ("python", "rust")


def beside_published(side: Side, dataset: Dataset) -> Values:
    """``rows``: printed means of efficiency_estimate beside those of runs of the same topology.

    Only the overall mean is printed with its n and sd; elsewhere "theirs" is the mean over the
    printed configs of a scenario (``theirs.n`` configs), if no mean is printed. Without a topology
    in common all of ours stand there. ``printed_values`` counts the printed values that runs could
    give, and those that these do, if the overall mean is theirs: else it is a report of others.
    """
    specification = {
        row["subject"]: row["printed"]
        for row in reversed(side.printed)
        if row["scope"] == "hardware" and row["metric"] == "specification"
    }
    reasons, unknown = _comparable(specification, dataset)
    valid = dataset.runs[dataset.runs["valid"]]
    measured = [one for one in TOPOLOGIES if one in set(valid["topology"])]
    alike = [one for one in measured if one in _served(specification)]
    if measured and not alike:
        said = next(words for words in _SERVED if words in specification["ollama"])
        reasons.append(f"another architecture ({said} there, {', '.join(measured)} here)")
    rows = [
        row
        for topology in alike or measured
        for row in _rows(side, valid[valid["topology"] == topology], topology, not reasons)
    ]
    found: Values = {
        "kind": "published",
        **_told(specification, dataset),
        "reasons": reasons,
        "unknown": unknown,
        "state": "not_comparable" if reasons else "unsure" if unknown else "compared",
        "rows": rows,
        "counts": {
            word: sum(row["verdict"] == word for row in rows)
            for word in ("worse", "better", "inconclusive", "equivalent")
        },
        "printed_values": None,
    }
    if not reasons and _may_be_of_these(rows):
        checked = checks(side.printed, dataset.runs, dataset.executions)
        found["printed_values"] = {
            "checked": len(checked),
            "agree": sum(row["agrees"] for row in checked),
        }
    return found


def _comparable(specification: Mapping[str, str], dataset: Dataset) -> tuple[list[str], list[str]]:
    """(why the two must not be compared, what must have been the same but is not known)."""
    reasons, unknown = [], []
    fingerprints = dataset.descriptor["fingerprints"]
    models = sorted(one["model"] for one in fingerprints["models"])
    printed = specification.get("model")
    if not printed or not models:
        unknown.append("model")
    elif not any(_names(model, printed) for model in models):
        reasons.append(f"another model ({_short(printed)} there, {', '.join(models)} here)")
    cpus = sorted({str(machine["cpu"]) for machine in fingerprints["machines"]})
    printed = specification.get("cpu")
    if not printed or not cpus:
        unknown.append("hardware")
    elif not any(_names(cpu, printed) for cpu in cpus):
        reasons.append(f"other hardware ({_short(printed)} there, {', '.join(cpus)} here)")
    works = set(dataset.runs["work_policy"])
    if works == {"fixed"}:
        reasons.append("other work (answers end by themselves there, all are of fixed length here)")
    return reasons, unknown


def _names(ours: str, printed: str) -> bool:
    """Whether a printed specification begins with our name of the thing."""
    return printed.casefold().startswith(ours.casefold())


def _short(printed: str) -> str:
    """A specification without what it says in brackets."""
    return printed.partition(" (")[0]


def _served(specification: Mapping[str, str]) -> Sequence[str]:
    """The topologies that serve agents as the report's servers did; all if it does not say."""
    said = specification.get("ollama", "")
    return next((own for words, own in _SERVED.items() if words in said), TOPOLOGIES)


def _may_be_of_these(rows: Sequence[Values]) -> bool:
    """Whether an overall mean is ours, to the three digits that such reports print."""
    return any(
        row["scope"] == "overall" and agrees((row["difference"].mean,) * 2, (0.0, 0.0), 0.0005)
        for row in rows
    )


def _rows(side: Side, runs: pd.DataFrame, topology: str, verdicts: bool) -> list[Values]:
    rows = []
    runs = runs[runs["n_agents"] == 2]
    for (scope, subject), printed in _printed(side.printed).items():
        own = runs if scope == "overall" else runs[runs[_SUBJECTS[scope]] == subject]
        ours = mean_with_interval(own, METRIC)
        if ours is None:
            continue
        theirs = _interval(printed)
        difference = _difference(own, printed)
        rows.append(
            {
                "label": side.label,
                "metric": METRIC,
                "scope": scope,
                "subject": f"{subject}, {topology}".removeprefix(", "),
                "ours": ours,
                "theirs": theirs,
                "theirs_sd": printed.get("sd"),
                "averaged": bool(printed.get("averaged")),
                # Over the runs, as print has them; intervals rest on sessions where they can.
                "ours_sd": float(own[METRIC].std()) if own[METRIC].count() > 1 else None,
                "ours_runs": int(own[METRIC].count()),
                "difference": difference,
                "verdict": difference_verdict(difference, 0.0) if verdicts else None,
            }
        )
    return rows


def _printed(printed: Sequence[Row]) -> dict[tuple[str, str], dict[str, Any]]:
    """By (scope, subject): mean, and sd and n where they are printed or follow from configs."""
    found: dict[tuple[str, str], dict[str, Any]] = {
        (scope, subject): dict(values)
        for (scope, subject, metric), values in printed_means(printed).items()
        if metric == METRIC and scope != "config"
    }
    by_scenario: dict[str, dict[str, float]] = {}
    for row in printed:
        if (row["scope"], row["metric"]) == ("config", METRIC) and row["value"] is not None:
            word = row["subject"].removeprefix("validation-").partition("-")[0]
            if word in _SCENARIOS and row["statistic"] in ("mean", "value"):
                by_scenario.setdefault(_SCENARIOS[word], {}).setdefault(
                    row["subject"], row["value"]
                )
    for scenario, values in by_scenario.items():
        key = ("scenario", scenario)
        if key not in found and len(values) > 1:
            found[key] = {"averaged": True, "configs": list(values.values())}
    order = ("overall", "phase", "scenario")
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0][0]), item[0][1])))


def _interval(printed: Mapping[str, Any]) -> Interval:
    if "configs" in printed:
        return mean_interval(printed["configs"])
    n = int(printed.get("n") or 1)
    if not printed.get("sd") or n < 2:
        return Interval(printed["mean"], None, None, n)
    half = critical(n - 1, 0.95) * printed["sd"] / n**0.5
    return Interval(printed["mean"], printed["mean"] - half, printed["mean"] + half, n)


def _difference(own: pd.DataFrame, printed: Mapping[str, Any]) -> Interval:
    """Ours less theirs; without bounds where sd or n is not printed."""
    known = own[own[METRIC].notna()]
    ours = moments(session_means(known[METRIC].tolist(), known["session"].tolist()))
    if not printed.get("sd") or not printed.get("n"):
        return Interval(ours[0] - _interval(printed).mean, None, None, 1)
    return welch_from_moments(ours, (printed["mean"], printed["sd"], int(printed["n"])))


def _told(specification: Mapping[str, str], dataset: Dataset) -> Values:
    """What a report says of itself (``theirs``) beside what this dataset knows of the same."""
    fingerprints = dataset.descriptor["fingerprints"]
    machines = fingerprints["machines"]
    languages = [
        f"{name.capitalize()} {specification[name]}" for name in _LANGUAGES if name in specification
    ]
    ours = {
        "model": sorted(one["model"] for one in fingerprints["models"]),
        "hardware": sorted({str(machine["cpu"]) for machine in machines}),
        "servers": [
            f"{one['engine']} {one['engine_version'] or ''}".strip()
            for one in fingerprints["servers"]
        ],
        "client": sorted({f"tandembench, Python {machine['python']}" for machine in machines}),
    }
    theirs = {
        "model": [specification.get("model")],
        "hardware": [specification.get(name) for name in ("gpu", "cpu")],
        "servers": [specification.get("ollama")],
        "client": [specification.get("framework"), *languages],
    }
    return {
        side: {name: "; ".join(filter(None, texts)) or None for name, texts in told.items()}
        for side, told in (("ours", ours), ("theirs", theirs))
    }
