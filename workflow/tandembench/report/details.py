"""Everything that the report knows of a dataset: the findings behind both of its pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tandembench.analysis.apart import Apart, apart
from tandembench.analysis.groups import KIND, Estimated, Rate, Row, estimator, group, groups, rates
from tandembench.analysis.instrument import (
    Instrument,
    cost_of_samples,
    instrument,
    latencies,
    usage,
)
from tandembench.analysis.measured import Measured, Timeline, failures, measured, timeline
from tandembench.analysis.numbers import by_config, mean, plain_columns
from tandembench.analysis.settings import Settings, checks, settings
from tandembench.analysis.stability import Stability, stability
from tandembench.audit.beside import Baseline
from tandembench.calibrate.record import instruments_of
from tandembench.dataset.load import Dataset
from tandembench.dataset.versions import ROOT
from tandembench.report.attribution import AttributionSection, attribution_section
from tandembench.report.baselines import beside_baselines
from tandembench.report.options import OptionsSection, options_section
from tandembench.report.questions import HypothesesSection, hypotheses_section
from tandembench.report.sections import MOST_ROWS
from tandembench.study.hypotheses import Hypothesis


@dataclass(frozen=True, slots=True)
class Phase:
    """``shown`` are the first of its ``configs``, in the study's order."""

    name: str
    title: str
    configs: int
    valid: int
    shown: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Details:
    """The findings of a dataset. Twins, which are there for the controls alone, are left out.

    ``configs``: a row for each that a table shows, by id; ``shown``: the first of all, by id.
    """

    title: str
    name: str
    margin: float
    study: Mapping[str, Any]
    fingerprints: Mapping[str, Any]
    resources: Sequence[Mapping[str, Any]]
    measured: Measured
    timeline: Timeline
    failures: Sequence[Row]
    phases: tuple[Phase, ...]
    configs: Mapping[str, Row]
    shown: tuple[str, ...]
    scenarios: tuple[Row, ...]
    summary: Row
    apart: Apart | None
    rates: tuple[Rate, ...]
    estimator: tuple[Estimated, ...]
    instrument: Instrument
    usage: Sequence[Row]
    cost_of_samples: float | None
    latencies: Sequence[Row]
    stability: tuple[Stability, ...] | None
    settings: Settings
    options: OptionsSection | None
    attribution: AttributionSection | None
    hypotheses: HypothesesSection | None
    baselines: tuple[Baseline, ...]


def details(dataset: Dataset, hypotheses: Sequence[Hypothesis] = (), root: Path = ROOT) -> Details:
    """The findings; ``root`` is the folder of the baselines."""
    descriptor, executions = dataset.descriptor, plain_columns(_once(dataset.executions))
    study = descriptor["study"]
    margin = float(study["margin"])
    runs = plain_columns(_once(dataset.runs))
    asked = checks(executions, study.get("threads_total"))
    calibrations = instruments_of(descriptor["instrument"], dataset.folder)
    phases = _phases(study["phases"], runs)
    several = (runs.groupby("comparison")["config_id"].nunique() > 1).any()
    shown = tuple(sorted(runs["config_id"].unique())[:MOST_ROWS])
    listed = dict.fromkeys([*(one for phase in phases for one in phase.shown), *shown])
    return Details(
        title=str(descriptor["title"]),
        name=str(descriptor["name"]),
        margin=margin,
        study=study,
        fingerprints=descriptor["fingerprints"],
        resources=descriptor["resources"],
        measured=measured(runs, executions),
        timeline=timeline(runs, study["phases"]),
        failures=failures(dataset.runs, dataset.executions),
        phases=phases,
        configs=_configs(list(listed), runs, executions, margin),
        shown=shown,
        scenarios=tuple(groups(runs, KIND, margin)),
        summary=group(runs, margin),
        apart=None if several else apart(runs, executions, margin),
        rates=rates(dataset.rates, margin),
        estimator=estimator(runs, margin),
        instrument=instrument(calibrations, descriptor["fingerprints"]["machines"], runs),
        usage=usage(dataset.telemetry, runs),
        cost_of_samples=cost_of_samples(dataset.telemetry, runs),
        latencies=latencies(executions, dataset.tokens, runs),
        stability=stability(runs, margin, study["order"]),
        settings=settings(asked),
        options=options_section(runs, executions, asked, study["phases"], margin),
        attribution=attribution_section(runs, executions, margin),
        hypotheses=hypotheses_section(dataset, hypotheses, root),
        baselines=beside_baselines(dataset, root, margin),
    )


def _once(table: pd.DataFrame) -> pd.DataFrame:
    """Without the second runs of twins."""
    return table[~table["twin"].astype(bool)] if len(table) else table


def _phases(phases: Sequence[Mapping[str, Any]], runs: pd.DataFrame) -> tuple[Phase, ...]:
    valid = runs.loc[runs["valid"], "phase"].value_counts().to_dict()
    return tuple(
        Phase(
            name=str(one["name"]),
            title=str(one["title"]),
            configs=len(one["configs"]),
            valid=int(valid.get(one["name"], 0)),
            shown=tuple(one["configs"][:MOST_ROWS]),
        )
        for one in phases
    )


def _configs(
    ids: Sequence[str], runs: pd.DataFrame, executions: pd.DataFrame, margin: float
) -> dict[str, Row]:
    """What the runs of each config come to, and the mean first token of each agent in them."""
    part = by_config(runs[runs["config_id"].isin(ids)])
    concurrent = executions["valid"] & (executions["mode"] == "concurrent")
    shared = by_config(executions[concurrent & executions["config_id"].isin(ids)])
    rows: dict[str, Row] = {}
    for name in ids:
        agents = shared.get(name, executions.iloc[:0]).groupby("agent_index")["ttft_s"]
        ttft_s = tuple(mean(one) for _, one in agents)
        made = group(part.get(name, runs.iloc[:0]), margin, config_id=name)
        rows[name] = {**made, "ttft_s": ttft_s}
    return rows
