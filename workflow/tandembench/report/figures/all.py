"""All figures, in the order of the two pages."""

from collections.abc import Mapping
from typing import Any

from tandembench.analysis.findings import Answer
from tandembench.analysis.service import services
from tandembench.dataset.load import Dataset
from tandembench.report.figures.baselines import baselines
from tandembench.report.figures.estimator import estimator
from tandembench.report.figures.figure import Figure
from tandembench.report.figures.heat import heats
from tandembench.report.figures.ladder import ladder
from tandembench.report.figures.latency import latency
from tandembench.report.figures.looks import looks
from tandembench.report.figures.makespan import makespan
from tandembench.report.figures.order import order
from tandembench.report.figures.service import service
from tandembench.report.figures.subjects import subjects as chosen
from tandembench.report.figures.telemetry import telemetry
from tandembench.report.figures.timeline import timeline


def every(
    dataset: Dataset, answer: Answer | None, details: Mapping[str, Any]
) -> tuple[Figure, ...]:
    """Draw what there is data for: of ``answer``, the primary one, and of the details."""
    subjects = chosen(dataset, answer, details["scenarios"])
    with looks():
        drawn = (
            *(_of_answer(dataset, answer) if answer else ()),
            timeline(dataset, subjects),
            estimator(dataset, details),
            order(dataset, details),
            ladder(subjects),
            latency(dataset, subjects),
            *heats(dataset, details),
            *telemetry(dataset, details, subjects),
            baselines(details),
        )
    return tuple(figure for figure in drawn if figure is not None)


def _of_answer(dataset: Dataset, answer: Answer) -> tuple[Figure | None, ...]:
    runs = dataset.runs[dataset.runs["comparison"] == answer.comparison]
    executions = dataset.executions[dataset.executions["comparison"] == answer.comparison]
    return makespan(answer, runs), service(answer, services(runs, executions), executions)
