"""Columns of runs -> the numbers of a report; None where nothing is known."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tandembench.analysis.findings import Verdict
from tandembench.analysis.intervals import Interval, mean_interval, ratio_interval, ratio_verdict
from tandembench.analysis.summaries import bounds_of
from tandembench.tables.columns import KEYS, TOPOLOGIES

Values = dict[str, Any]
# The columns that a run is known by.
RUN = [column.name for column in KEYS]
# Runs of one kind, which stand in one row whatever their configs.
KIND = ["scenario", "work_policy", "topology", "n_agents"]
# Rows that a table shows of many configs; the dataset's tables hold all of them.
MOST_CONFIGS = 60


def in_order(rows: Iterable[Values]) -> list[Values]:
    """Rows of one kind each, by scenario, work, topology and agents."""
    return sorted(
        rows,
        key=lambda row: (
            row["scenario"],
            row["work_policy"],
            TOPOLOGIES.index(row["topology"]),
            row["n_agents"],
        ),
    )


def plain_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its texts as plain objects, in one piece.

    It is taken apart into thousands of small ones, which for Arrow's texts, column by column,
    takes ten times as long.
    """
    texts = [name for name in table if isinstance(table[name].dtype, pd.StringDtype)]
    return table.astype(dict.fromkeys(texts, object)).copy()


def by_config(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each config, in the order in which configs first appear."""
    return {str(name): own for name, own in runs.groupby("config_id", sort=False)}


def ratio(runs: pd.DataFrame, column: str) -> Interval | None:
    """Geometric mean of a positive column with its interval."""
    values, sessions = _known(runs, column)
    return ratio_interval(values, sessions) if values else None


def mean_with_interval(runs: pd.DataFrame, column: str) -> Interval | None:
    """Mean of a column with its interval."""
    values, sessions = _known(runs, column)
    return mean_interval(values, sessions, bounds=bounds_of(column)) if values else None


def mean(values: "pd.Series[Any]") -> float | None:
    """Mean of what is known."""
    known = numbers(values)
    return float(known.mean()) if known.size else None


def peak(values: "pd.Series[Any]") -> float | None:
    """The largest of what is known."""
    known = numbers(values)
    return float(known.max()) if known.size else None


def described(values: "pd.Series[Any]") -> Values:
    """n, mean, median, sd (n - 1), min and max of what is known; sd is None for n = 1."""
    known = numbers(values)
    found: Values = {"n": known.size, "sd": float(known.std(ddof=1)) if known.size > 1 else None}
    for name in ("mean", "median", "min", "max"):
        found[name] = float(getattr(np, name)(known)) if known.size else None
    return found


def counted(flags: "pd.Series[Any]") -> str | None:
    """How many are true, as "2/3"."""
    known = numbers(flags)
    return f"{int((known != 0).sum())}/{known.size}" if known.size else None


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


def contention_measured(runs: pd.DataFrame) -> bool | None:
    """DESIGN's contention_measured: the lower 95 % bound of the mean log slowdown is above 0."""
    logs = mean_with_interval(runs, "slowdown_log_mean")
    return None if logs is None or logs.low is None else logs.low > 0


def configs_contended(runs: pd.DataFrame) -> str | None:
    """In how many configs contention was measured, of those that can tell, as "2/3"."""
    found = [contention_measured(own) for own in by_config(runs).values()]
    return counted(pd.Series(found, dtype=object))


def verdict(found: Interval | None, margin: float) -> Verdict:
    """The verdict on a ratio; inconclusive where there is none."""
    return "inconclusive" if found is None else ratio_verdict(found, margin)


def numbers(values: "pd.Series[Any]") -> NDArray[np.float64]:
    """What is known of a column of numbers or flags.

    Plain arrays: a report asks thousands of times for a handful of values.
    """
    found = values.to_numpy(dtype=float, na_value=np.nan)
    return np.asarray(found[~np.isnan(found)], dtype=np.float64)


def _known(runs: pd.DataFrame, column: str) -> tuple[list[float], list[str]]:
    values = runs[column].to_numpy(dtype=float, na_value=np.nan)
    known = ~np.isnan(values)
    return values[known].tolist(), runs["session"].to_numpy(dtype=object)[known].tolist()
