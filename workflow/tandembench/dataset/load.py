"""A whole dataset as data frames: what a report is made from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tandembench.dataset.opened import OpenDataset, column_names, open_dataset, read_part


@dataclass(frozen=True)
class Dataset:
    """The tables of a study, its descriptor, and the dataset that they were read from."""

    runs: pd.DataFrame
    executions: pd.DataFrame
    telemetry: pd.DataFrame
    tokens: pd.DataFrame
    rates: pd.DataFrame
    descriptor: dict[str, Any]
    opened: OpenDataset


def load_dataset(folder: Path) -> Dataset:
    """Read the dataset at ``folder``; TandemError (exit 3) names a file that is not as told."""
    return load_tables(open_dataset(folder))


def load_tables(opened: OpenDataset) -> Dataset:
    """Read all the tables of a dataset; TandemError (exit 3) as above."""

    def frame(table: str) -> pd.DataFrame:
        names = column_names(opened, table)
        # Older datasets have fewer tables.
        return read_part(opened, table, names).to_pandas() if names else pd.DataFrame()

    return Dataset(
        runs=frame("runs"),
        executions=frame("executions"),
        telemetry=frame("telemetry"),
        tokens=frame("tokens"),
        rates=frame("rates"),
        descriptor=opened.descriptor,
        opened=opened,
    )
