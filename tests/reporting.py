"""Raw blocks -> what a report is made of, and its two pages."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from raw_blocks import write_dataset

from tandembench.dataset.load import Dataset, load_dataset
from tandembench.report.details import Details, details
from tandembench.report.write import page_two, rendered

Blocks = Sequence[Sequence[dict[str, Any]]]


def findings(folder: Path, blocks: Blocks, **study: Any) -> Details:
    """What the report knows; ``study`` as `write_dataset` has it."""
    return details(load_dataset(write_dataset(folder, blocks, **study)))


def holding(dataset: Dataset, **tables: pd.DataFrame) -> Dataset:
    """The dataset as if it held these tables."""
    other = load_dataset(dataset.folder)
    vars(other).update(tables)
    return other


def second_page(folder: Path, blocks: Blocks, **study: Any) -> str:
    """The details as Markdown, without figures."""
    return page_two(findings(folder, blocks, **study))


def pages(folder: Path, blocks: Blocks, **study: Any) -> tuple[str, str]:
    """Page one and the details as Markdown."""
    (first, second, _), _ = rendered(load_dataset(write_dataset(folder, blocks, **study)), ())
    return first, second
