"""figures: a dataset and its report's context -> SVGs, each with its words and its table."""

from collections.abc import Mapping
from typing import Any

from tandembench.analysis.findings import Answer
from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import Figure

__all__ = ["Figure", "draw"]


def draw(dataset: Dataset, answer: Answer | None, details: Mapping[str, Any]) -> tuple[Figure, ...]:
    """Every figure that the data can give, in the report's order; the others are left out."""
    # matplotlib takes most of a second to import.
    from tandembench.report.figures.all import every  # noqa: PLC0415

    return every(dataset, answer, details)
