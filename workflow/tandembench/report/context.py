"""Dataset -> everything that the report says, as plain values. Every sentence has its condition."""

from typing import Any

import pandas as pd

from tandembench.dataset.load import Dataset
from tandembench.report.controls import controls
from tandembench.report.environment import environment
from tandembench.report.estimator import estimator
from tandembench.report.factors import factors
from tandembench.report.hardware import hardware
from tandembench.report.instrument import TIE, instrument
from tandembench.report.levels import option_comparisons
from tandembench.report.numbers import Values
from tandembench.report.phases import phase_table
from tandembench.report.results import config_rows, rate_rows, summary
from tandembench.report.scenarios import scenario_rows
from tandembench.report.stability import stability
from tandembench.report.timeline import timeline
from tandembench.report.topologies import headline, topology_groups

# Above this many cores of foreign work a run is called disturbed: 0.1 of a core can already
# stretch a server whose threads wait for each other.
DISTURBED_CORES = 0.1


def report_context(dataset: Dataset) -> Values:
    """The report's content, section by section, first to last."""
    descriptor, executions = dataset.descriptor, dataset.executions
    study = descriptor["study"]
    margin = float(study["margin"])
    runs = dataset.runs.assign(
        overstated=dataset.runs["speedup_estimate"] / dataset.runs["speedup_true"]
    )
    groups = topology_groups(runs, executions, study["reference"], margin)
    return {
        "title": descriptor["title"],
        "study": study,
        "margin": margin,
        "measured": _measured(runs),
        "environment": environment(descriptor, executions),
        "topology_groups": groups,
        "headline": headline(groups, study["reference"]),
        "estimator": estimator(runs, margin),
        "phases": [phase_table(phase, runs) for phase in study["phases"]],
        "scenarios": scenario_rows(runs, margin),
        "options": option_comparisons(runs, executions, margin),
        "controls": controls(runs, margin),
        "stability": stability(runs, margin, study["order"]),
        "factors": factors(executions),
        "failures": _failures(runs),
        "disturbed": _disturbed(runs),
        "results": config_rows(runs, executions),
        "summary": summary(runs),
        "rates": rate_rows(dataset.rates),
        "timeline": timeline(runs, study["phases"]),
        "hardware": hardware(dataset.telemetry, runs),
        "instrument": instrument(descriptor, runs),
        "tie": TIE,
        "fingerprints": descriptor["fingerprints"],
        "resources": descriptor["resources"],
    }


def _measured(runs: pd.DataFrame) -> Values:
    valid = runs[runs["valid"]]
    return {
        "when": _when(runs["started_at"]),
        "attempts": len(runs),
        "valid": len(valid),
        "configs": int(runs["config_id"].nunique()),
        "void_configs": sorted(set(runs["config_id"]) - set(valid["config_id"])),
        "sessions": sorted(runs["session"].unique()),
        "agents_max": int(runs["n_agents"].max()) if len(runs) else 0,
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


def _failures(runs: pd.DataFrame) -> list[Values]:
    columns = ["config_id", "session", "repetition", "attempt", "reason"]
    failed = runs.loc[~runs["valid"], columns]
    return [{str(key): value for key, value in row.items()} for row in failed.to_dict("records")]


def _disturbed(runs: pd.DataFrame) -> Values | None:
    """Blocks beside which others used the CPU; None where that is not known."""
    known = runs["foreign_cores"].dropna()
    if known.empty:
        return None
    return {
        "limit": DISTURBED_CORES,
        "n": int((known > DISTURBED_CORES).sum()),
        "of": len(known),
        "median": float(known.median()),
        "max": float(known.max()),
    }
