"""All figures, in the order of the two pages. Imports matplotlib, which takes most of a second."""

from collections.abc import Sequence

from tandembench.analysis.findings import Answer
from tandembench.analysis.service import services
from tandembench.analysis.stability import Stability
from tandembench.dataset.load import Dataset
from tandembench.report.figures.answer import makespan, service
from tandembench.report.figures.figure import Figure
from tandembench.report.figures.looks import looks
from tandembench.report.figures.runs import estimator, order
from tandembench.report.figures.typical import subjects, telemetry, timeline


def draw(
    dataset: Dataset, answer: Answer | None, stability: Sequence[Stability] | None
) -> tuple[Figure, ...]:
    """Every figure that the data can give, of ``answer``, the primary one, and of all runs.

    ``stability``: drift and levels of each session, None where the order was not random.
    """
    chosen = subjects(dataset, answer)
    runs = dataset.runs[dataset.runs["valid"] & ~dataset.runs["twin"].astype(bool)]
    with looks():
        figures = (
            *(_of_answer(dataset, answer) if answer else ()),
            timeline(dataset, chosen),
            estimator(runs, float(dataset.descriptor["study"]["margin"])),
            order(runs, stability),
            *telemetry(dataset, chosen),
        )
    return tuple(figure for figure in figures if figure is not None)


def _of_answer(dataset: Dataset, answer: Answer) -> tuple[Figure | None, ...]:
    runs = dataset.runs[dataset.runs["comparison"] == answer.comparison]
    executions = dataset.executions[dataset.executions["comparison"] == answer.comparison]
    return makespan(answer, runs), service(answer, services(runs, executions), executions)
