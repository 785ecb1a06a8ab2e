"""Columns of runs -> the numbers of a report; None where nothing is known."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from tandembench.stats.comparison import Observation
from tandembench.stats.intervals import Interval, mean_interval, ratio_interval
from tandembench.stats.verdicts import Verdict, ratio_verdict

Values = dict[str, Any]


def observations(runs: pd.DataFrame, column: str, cell: Hashable = None) -> list[Observation]:
    """The known values of a column for a comparison; those of one ``cell`` pair by repetition."""
    known = runs[["session", "invocation", "repetition", column]].dropna(subset=[column])
    return [
        Observation(
            float(value),
            str(session),
            # Imported runs have none: one invocation for each session then.
            None if pd.isna(invocation) else str(invocation),
            (cell, int(repetition)),
        )
        for session, invocation, repetition, value in known.itertuples(index=False)
    ]


def ratio(runs: pd.DataFrame, column: str) -> Interval | None:
    """Geometric mean of a positive column with its interval."""
    known = runs[[column, "session"]].dropna()
    if known.empty:
        return None
    return ratio_interval(known[column].to_list(), known["session"].to_list())


def mean_with_interval(runs: pd.DataFrame, column: str) -> Interval | None:
    """Mean of a column with its interval."""
    known = runs[[column, "session"]].dropna()
    if known.empty:
        return None
    return mean_interval(known[column].to_list(), known["session"].to_list())


def mean(values: "pd.Series[Any]") -> float | None:
    """Mean of what is known."""
    known = values.dropna()
    return None if known.empty else float(known.mean())


def peak(values: "pd.Series[Any]") -> float | None:
    """The largest of what is known."""
    known = values.dropna()
    return None if known.empty else float(known.max())


def described(values: "pd.Series[Any]") -> Values:
    """n, mean, median, sd (n - 1), min and max of what is known; sd is None for n = 1."""
    known = values.dropna().astype(float)
    found: Values = {"n": len(known), "sd": float(known.std()) if len(known) > 1 else None}
    for name in ("mean", "median", "min", "max"):
        found[name] = float(getattr(known, name)()) if len(known) else None
    return found


def counted(flags: "pd.Series[Any]") -> str | None:
    """How many are true, as "2/3"."""
    known = flags.dropna()
    return f"{int(known.astype(bool).sum())}/{len(known)}" if len(known) else None


def distinct(values: "pd.Series[Any]") -> str | None:
    """Distinct values in order, as "1, 2"."""
    known = sorted(set(values.dropna()))
    texts = (f"{value:g}" if isinstance(value, float) else str(value) for value in known)
    return ", ".join(texts) or None


def span(values: "pd.Series[Any]") -> str | None:
    """Smallest and largest of what is known, as "1 to 2"."""
    known = values.dropna()
    if known.empty:
        return None
    low, high = int(known.min()), int(known.max())
    return str(low) if low == high else f"{low} to {high}"


def contention_measured(runs: pd.DataFrame) -> bool | None:
    """DESIGN's contention_measured: the lower 95 % bound of the mean log slowdown is above 0."""
    logs = mean_with_interval(runs, "slowdown_log_mean")
    return None if logs is None or logs.low is None else logs.low > 0


def configs_contended(runs: pd.DataFrame) -> str | None:
    """In how many configs contention was measured, of those that can tell, as "2/3"."""
    found = [contention_measured(own) for _, own in runs.groupby("config_id")]
    return counted(pd.Series(found, dtype=object))


def verdict(found: Interval | None, margin: float) -> Verdict:
    """The verdict on a ratio; inconclusive where there is none."""
    return "inconclusive" if found is None else ratio_verdict(found, margin)
