"""Raw blocks -> a dataset's context, and its report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raw_blocks import write_dataset

from tandembench.dataset.load import load_dataset
from tandembench.report.context import report_context
from tandembench.report.render import render


def context(folder: Path, blocks: Sequence[Sequence[dict[str, Any]]], **study: Any) -> Any:
    """The context of the report; ``study`` as `write_dataset` has it."""
    return report_context(load_dataset(write_dataset(folder, blocks, **study)))


def report(folder: Path, blocks: Sequence[Sequence[dict[str, Any]]], **study: Any) -> str:
    """The report as Markdown."""
    return render(context(folder, blocks, **study))
