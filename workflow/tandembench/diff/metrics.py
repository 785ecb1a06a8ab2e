"""Metrics of two sides: ratios with their intervals, and what they allow to be said."""

import math
from collections.abc import Sequence

import pandas as pd

from tandembench.diff.sides import Row
from tandembench.stats.intervals import Interval, exponential, session_means, welch_interval
from tandembench.stats.verdicts import Verdict, ratio_verdict, smallest_detectable

_PRINTED = ("speedup_estimate", "efficiency_estimate")
# Metric -> whether more is better.
METRICS = {
    "wall_s": False,
    "makespan_ratio": True,
    "speedup_true": True,
    "efficiency_estimate": True,
    "aggregate_tokens_per_s": True,
    "antt": False,
}


def by_group(a: pd.DataFrame, b: pd.DataFrame, column: str, margin: float) -> list[Row]:
    """B over A for every value of ``column`` that both hold, and every metric that both know.

    Wall times only where both did fixed work: a shorter answer is no faster server.
    """
    rows = []
    for group in sorted(set(a[column]) & set(b[column])):
        left, right = a[a[column] == group], b[b[column] == group]
        fixed = {*left["work_effective"], *right["work_effective"]} == {"fixed"}
        for metric, more in METRICS.items():
            if metric == "wall_s" and not fixed:
                continue
            found = compared(left, right, metric)
            if found is not None:
                rows.append({column: group, "metric": metric, **_said(found, more, margin)})
    return rows


def compared(a: pd.DataFrame, b: pd.DataFrame, metric: str) -> Interval | None:
    """Geometric mean of B over that of A, Welch's interval on logarithms; None without values."""
    sides = [_logs(a, metric), _logs(b, metric)]
    if not all(sides):
        return None
    return exponential(welch_interval(sides[1], sides[0]))


def _logs(runs: pd.DataFrame, metric: str) -> list[float]:
    known = runs[[metric, "session"]].dropna()
    known = known[known[metric] > 0]
    logs = [math.log(value) for value in known[metric]]
    return session_means(logs, known["session"].to_list()) if logs else []


def _said(ratio: Interval, more_is_better: bool, margin: float) -> Row:
    return {
        "ratio": ratio,
        "verdict": verdict(ratio, more_is_better, margin),
        "detectable": smallest_detectable(ratio),
    }


def verdict(ratio: Interval, more_is_better: bool, margin: float) -> Verdict:
    """Whether B is better than A, by a ratio of B over A."""
    if more_is_better:
        return ratio_verdict(ratio, margin)
    low = None if ratio.high is None else 1 / ratio.high
    high = None if ratio.low is None else 1 / ratio.low
    return ratio_verdict(Interval(1 / ratio.mean, low, high, ratio.n), margin)


def printed_means(printed: Sequence[Row]) -> dict[tuple[str, str, str], dict[str, float]]:
    """Mean, sd and n of each (scope, subject, metric) as far as they are printed."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    counts: dict[tuple[str, str], float] = {}
    for row in printed:
        if row["scope"] not in ("overall", "phase", "scenario", "config") or row["value"] is None:
            continue
        if (row["metric"], row["statistic"]) == ("runs", "n"):
            counts.setdefault((row["scope"], row["subject"]), row["value"])
        elif row["statistic"] in ("mean", "sd") and row["metric"] in _PRINTED:
            key = (row["scope"], row["subject"], row["metric"])
            found.setdefault(key, {}).setdefault(row["statistic"], row["value"])
    for (scope, subject, _), values in found.items():
        if (scope, subject) in counts:
            values["n"] = counts[scope, subject]
    return {key: values for key, values in found.items() if "mean" in values}
