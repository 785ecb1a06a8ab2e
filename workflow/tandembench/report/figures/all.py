"""All figures, in the report's order."""

from collections.abc import Mapping
from typing import Any

from tandembench.dataset.load import Dataset
from tandembench.report.figures.baselines import baselines
from tandembench.report.figures.estimator import estimator
from tandembench.report.figures.figure import Figure
from tandembench.report.figures.heat import heats
from tandembench.report.figures.intervals import makespan, slowdown
from tandembench.report.figures.ladder import ladder
from tandembench.report.figures.latency import latency
from tandembench.report.figures.looks import looks
from tandembench.report.figures.order import order
from tandembench.report.figures.subjects import subjects as chosen
from tandembench.report.figures.telemetry import telemetry
from tandembench.report.figures.timeline import timeline


def every(dataset: Dataset, context: Mapping[str, Any]) -> tuple[Figure, ...]:
    """Draw what there is data for."""
    subjects = chosen(dataset, context)
    with looks():
        found = (
            makespan(dataset, context, subjects),
            timeline(dataset, subjects),
            ladder(subjects),
            estimator(dataset, context),
            slowdown(dataset, subjects),
            latency(dataset, subjects),
            *heats(dataset, context),
            *telemetry(dataset, context, subjects),
            order(dataset, context),
            baselines(context),
        )
    return tuple(figure for figure in found if figure is not None)
