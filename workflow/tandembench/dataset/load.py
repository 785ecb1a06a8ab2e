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
    return Dataset(
        runs=load_table(opened, "runs"),
        executions=load_table(opened, "executions"),
        telemetry=load_table(opened, "telemetry"),
        tokens=load_table(opened, "tokens"),
        rates=load_table(opened, "rates"),
        descriptor=_today(opened.descriptor),
        opened=opened,
    )


def _today(descriptor: dict[str, Any]) -> dict[str, Any]:
    """With what earlier versions did not declare; what was imported names no baselines."""
    return {**descriptor, "study": {"criteria": [], **descriptor["study"]}}


def load_table(opened: OpenDataset, table: str) -> pd.DataFrame:
    """One table, empty if an older dataset has none of that name; TandemError (exit 3) as above."""
    names = column_names(opened, table)
    return read_part(opened, table, names).to_pandas() if names else pd.DataFrame()
