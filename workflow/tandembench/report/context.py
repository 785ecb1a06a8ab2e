"""Dataset -> everything that the report says, as plain values. Every sentence has its condition."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tandembench.dataset.load import Dataset
from tandembench.dataset.versions import ROOT
from tandembench.report.agents import agent_rows
from tandembench.report.attribution import attribution
from tandembench.report.baselines import beside_baselines
from tandembench.report.cold import cold
from tandembench.report.controls import controls
from tandembench.report.decision import decision
from tandembench.report.derived import with_derived
from tandembench.report.environment import environment
from tandembench.report.estimator import estimator
from tandembench.report.factors import checks, factors
from tandembench.report.gaps import gap_rows
from tandembench.report.hardware import hardware
from tandembench.report.hypotheses import questions
from tandembench.report.instrument import TIE, instrument
from tandembench.report.levels import option_comparisons
from tandembench.report.numbers import MOST_CONFIGS, Values, plain_columns
from tandembench.report.phases import phase_tables
from tandembench.report.results import config_rows, rate_rows, summary
from tandembench.report.scenarios import scenario_rows
from tandembench.report.sensitivity import sensitivity
from tandembench.report.stability import stability
from tandembench.report.timeline import timeline
from tandembench.report.topologies import headline, topology_groups
from tandembench.report.validation import validation
from tandembench.study.hypotheses import Hypothesis

# Above this many cores of foreign work a run is called disturbed: 0.1 of a core can already
# stretch a server whose threads wait for each other.
DISTURBED_CORES = 0.1


def report_context(
    dataset: Dataset, hypotheses: Sequence[Hypothesis] = (), root: Path = ROOT
) -> Values:
    """The report's content, section by section; ``root`` is the folder of the baselines."""
    descriptor, executions = dataset.descriptor, plain_columns(dataset.executions)
    study = descriptor["study"]
    margin = float(study["margin"])
    runs = with_derived(plain_columns(dataset.runs), executions, dataset.telemetry)
    settings = checks(executions, study.get("threads_total"))
    groups, more_groups = topology_groups(runs, executions, study["reference"], margin)
    chosen = decision(groups, runs, executions, margin, study["engine"])
    options = option_comparisons(runs, executions, settings, margin)
    beside = beside_baselines(dataset, root, margin)
    return {
        "title": descriptor["title"],
        "name": descriptor["name"],
        "study": study,
        "margin": margin,
        "measured": _measured(runs, executions),
        "environment": environment(descriptor, executions),
        "topology_groups": groups,
        "topology_groups_left_out": more_groups,
        "headline": headline(groups, study["reference"]),
        "decision": chosen,
        "agents": agent_rows(runs, executions, margin),
        "estimator": estimator(runs, margin),
        "phases": phase_tables(study["phases"], runs, margin),
        "scenarios": scenario_rows(runs, margin),
        "options": options,
        "validation": validation(runs, study["phases"], margin),
        "sensitivity": sensitivity(runs, options),
        "baselines": {key: beside[key] for key in ("stored", "entries")},
        "comparisons": beside["comparisons"],
        "plan": _plan(runs, chosen, margin),
        "hypotheses": questions(dataset, hypotheses, root),
        "attribution": attribution(runs, executions, margin),
        "controls": controls(runs, margin),
        "cold": cold(runs),
        "factors": factors(settings),
        "stability": stability(runs, margin, study["order"]),
        "failures": _failures(runs),
        "disturbed": _disturbed(runs),
        "results": config_rows(runs, executions),
        "summary": summary(runs),
        "rates": rate_rows(dataset.rates, margin),
        "gaps": gap_rows(dataset.tokens, runs),
        "timeline": timeline(runs, study["phases"]),
        "hardware": hardware(dataset.telemetry, runs),
        "instrument": instrument(descriptor, runs),
        "tie": TIE,
        "most_configs": MOST_CONFIGS,
        "figures": [],
        "fingerprints": descriptor["fingerprints"],
        "resources": descriptor["resources"],
    }


def _measured(runs: pd.DataFrame, executions: pd.DataFrame) -> Values:
    """``solos``: valid executions alone; ``gains``: valid runs with a speedup_true.

    ``shuffled``: whether runs say in which order their block was measured, as blocks of this
    workflow do, and imported ones do not.
    """
    valid = runs[runs["valid"]]
    return {
        "when": _when(runs["started_at"]),
        "attempts": len(runs),
        "valid": len(valid),
        "configs": int(runs["config_id"].nunique()),
        "void_configs": sorted(set(runs["config_id"]) - set(valid["config_id"])),
        "sessions": sorted(runs["session"].unique()),
        "agents_max": int(runs["n_agents"].max()) if len(runs) else 0,
        "solos": int((executions["valid"] & (executions["mode"] == "solo")).sum()),
        "gains": int(valid["speedup_true"].notna().sum()),
        "shuffled": bool(valid["order"].notna().any()),
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


def _plan(runs: pd.DataFrame, chosen: Values | None, margin: float) -> Values | None:
    """Sessions that tell a gain to within the margin; None where no valid run has one.

    Of the configs of the decision, else of the first MOST_CONFIGS.
    """
    # It needs select, which needs this package.
    from tandembench.plan import sessions_plan  # noqa: PLC0415

    listed = (
        [row["config_id"] for row in chosen["rows"]]
        if chosen
        else sorted(runs["config_id"].unique())[:MOST_CONFIGS]
    )
    runs = runs[runs["config_id"].isin(listed)]
    valid = runs[runs["valid"]]
    others = valid[valid["config_id"] != valid["reference_config_id"]]
    candidates = {
        "makespan_ratio": others["makespan_ratio"],
        "speedup_true": valid["speedup_true"],
        "efficiency_estimate": valid["efficiency_estimate"],
    }
    metric = next((name for name, known in candidates.items() if known.notna().any()), None)
    if metric is None:
        return None
    found = sessions_plan(runs, metric, margin)
    return {
        "metric": metric,
        "configs": len(found["configs"]),
        "needed": found["needed"],
        "more": found["more"],
        "sessions": min(row["sessions"] for row in found["configs"]),
        "spread_known": found["needed"] is not None,
    }


def _failures(runs: pd.DataFrame) -> Values:
    """The first MOST_CONFIGS failed attempts, and how many there are."""
    columns = ["config_id", "session", "repetition", "attempt", "reason"]
    failed = runs.loc[~runs["valid"], columns]
    rows = failed.head(MOST_CONFIGS).to_dict("records")
    return {
        "n": len(failed),
        "rows": [{str(key): value for key, value in row.items()} for row in rows],
    }


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
