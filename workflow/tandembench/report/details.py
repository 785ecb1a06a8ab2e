"""The second page: everything that page one does not show, as plain values, section by section."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tandembench.analysis.numbers import MOST_CONFIGS, Values, plain_columns
from tandembench.analysis.settings import checks, settings
from tandembench.analysis.stability import stability
from tandembench.dataset.load import Dataset
from tandembench.dataset.versions import ROOT
from tandembench.report.attribution import attribution_section
from tandembench.report.baselines import beside_baselines
from tandembench.report.cold import cold
from tandembench.report.derived import with_derived
from tandembench.report.environment import environment
from tandembench.report.estimator import estimator
from tandembench.report.gaps import gap_rows
from tandembench.report.hardware import hardware
from tandembench.report.instrument import TIE, instrument
from tandembench.report.options import options_section
from tandembench.report.phases import phase_tables
from tandembench.report.questions import hypotheses_section
from tandembench.report.results import config_rows, rate_rows, summary
from tandembench.report.scenarios import scenario_rows
from tandembench.report.timeline import timeline
from tandembench.study.hypotheses import Hypothesis


def details(dataset: Dataset, hypotheses: Sequence[Hypothesis] = (), root: Path = ROOT) -> Values:
    """The content of the details; ``root`` is the folder of the baselines. Twins are left out."""
    descriptor, executions = dataset.descriptor, plain_columns(_once(dataset.executions))
    study = descriptor["study"]
    margin = float(study["margin"])
    runs = with_derived(plain_columns(_once(dataset.runs)))
    found = checks(executions, study.get("threads_total"))
    beside = beside_baselines(dataset, root, margin)
    return {
        "title": descriptor["title"],
        "name": descriptor["name"],
        "study": study,
        "margin": margin,
        "measured": _measured(runs),
        "environment": environment(descriptor, executions),
        "estimator": estimator(runs, margin),
        "phases": phase_tables(study["phases"], runs, margin),
        "scenarios": scenario_rows(runs, margin),
        "options": options_section(runs, executions, found, study["phases"], margin),
        "baselines": {key: beside[key] for key in ("stored", "entries")},
        "beside": beside["comparisons"],
        "hypotheses": hypotheses_section(dataset, hypotheses, root),
        "attribution": attribution_section(runs, executions, margin),
        "cold": cold(runs),
        "factors": settings(found),
        "stability": stability(runs, margin, study["order"]),
        "failures": _failures(runs),
        "results": config_rows(runs, executions),
        "summary": summary(runs),
        "rates": rate_rows(dataset.rates, margin),
        "gaps": gap_rows(dataset.tokens, runs),
        "timeline": timeline(runs, study["phases"]),
        "hardware": hardware(dataset.telemetry, runs),
        "instrument": instrument(descriptor, runs),
        "tie": TIE,
        # What only the whole report has: every comparison in words, and its figures.
        "compared": [],
        "figures": [],
        "most_configs": MOST_CONFIGS,
        "fingerprints": descriptor["fingerprints"],
        "resources": descriptor["resources"],
    }


def _once(table: pd.DataFrame) -> pd.DataFrame:
    """Without the second runs of twins, which are there for the controls alone."""
    return table[~table["twin"].astype(bool)] if len(table) else table


def _measured(runs: pd.DataFrame) -> Values:
    """``gains``: valid runs with a speedup_true."""
    valid = runs[runs["valid"]]
    return {
        "when": _when(runs["started_at"]),
        "attempts": len(runs),
        "valid": len(valid),
        "configs": int(runs["config_id"].nunique()),
        "void_configs": sorted(set(runs["config_id"]) - set(valid["config_id"])),
        "sessions": sorted(runs["session"].unique()),
        "gains": int(valid["speedup_true"].notna().sum()),
        "cold": int(valid["cold"].fillna(value=False).astype(bool).sum()),
    }


def _when(started: "pd.Series[Any]") -> str | None:
    """First and last start, as "2026-11-22 17:56 to 18:12 UTC"."""
    if started.empty:
        return None
    first, last = started.min(), started.max()
    same_day = first.date() == last.date()
    until = last.strftime("%H:%M" if same_day else "%Y-%m-%d %H:%M")
    return f"{first.strftime('%Y-%m-%d %H:%M')} to {until} UTC"


def _failures(runs: pd.DataFrame) -> Values:
    """The first MOST_CONFIGS failed attempts, and how many there are."""
    columns = ["config_id", "session", "repetition", "round", "attempt", "reason"]
    failed = runs.loc[~runs["valid"], columns]
    rows = failed.head(MOST_CONFIGS).to_dict("records")
    return {
        "n": len(failed),
        "rows": [{str(key): value for key, value in row.items()} for row in rows],
    }
