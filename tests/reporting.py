"""Raw blocks -> what a report is made of, and its two pages."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raw_blocks import write_dataset

from tandembench.dataset.load import load_dataset
from tandembench.report.details import details
from tandembench.report.write import rendered


def context(folder: Path, blocks: Sequence[Sequence[dict[str, Any]]], **study: Any) -> Any:
    """The context of the details; ``study`` as `write_dataset` has it."""
    return details(load_dataset(write_dataset(folder, blocks, **study)))


def pages(
    folder: Path, blocks: Sequence[Sequence[dict[str, Any]]], **study: Any
) -> tuple[str, str]:
    """Page one and the details as Markdown."""
    (first, second, _), _ = rendered(load_dataset(write_dataset(folder, blocks, **study)), ())
    return first, second
