"""Columns of runs -> numbers; None where nothing is known. Pure."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tandembench.analysis.intervals import Interval, ratio_interval
from tandembench.tables.columns import KEYS

# The columns that a run is known by.
RUN = [column.name for column in KEYS]


def plain_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its texts as plain objects, in one piece.

    It is taken apart into thousands of small ones, which for Arrow's texts, column by column,
    takes ten times as long.
    """
    texts = [name for name in table if isinstance(table[name].dtype, pd.StringDtype)]
    return table.astype(dict.fromkeys(texts, object)).copy()


def by_config(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each config, in the order in which configs first appear."""
    return {str(name): group for name, group in runs.groupby("config_id", sort=False)}


def numbers(values: "pd.Series[Any]") -> NDArray[np.float64]:
    """What is known of a column of numbers or flags.

    Plain arrays: a report asks thousands of times for a handful of values.
    """
    result = values.to_numpy(dtype=float, na_value=np.nan)
    return np.asarray(result[~np.isnan(result)], dtype=np.float64)


def mean(values: "pd.Series[Any]") -> float | None:
    """Mean of what is known."""
    known = numbers(values)
    return float(known.mean()) if known.size else None


def ratio(runs: pd.DataFrame, column: str) -> Interval | None:
    """Geometric mean of a positive column with its interval."""
    values = runs[column].to_numpy(dtype=float, na_value=np.nan)
    known = ~np.isnan(values)
    sessions = runs["session"].to_numpy(dtype=object)[known].tolist()
    return ratio_interval(values[known].tolist(), sessions) if known.any() else None


def distinct(values: "pd.Series[Any]") -> str | None:
    """Distinct values in order, as "1, 2"."""
    known = sorted(values.dropna().unique())
    texts = (f"{value:g}" if isinstance(value, float) else str(value) for value in known)
    return ", ".join(texts) or None


def span(values: "pd.Series[Any]") -> str | None:
    """Smallest and largest of what is known, as "1 to 2"."""
    known = numbers(values)
    if not known.size:
        return None
    low, high = int(known.min()), int(known.max())
    return str(low) if low == high else f"{low} to {high}"
