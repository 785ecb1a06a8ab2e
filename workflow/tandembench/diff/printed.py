"""Printed values against runs: does each follow from them, under its own rounding?"""

from collections.abc import Mapping

import pandas as pd

from tandembench.diff.sides import Row

# Scopes in which runs can give a value; the rest tells of machines, or of other reports.
SCOPES = ("overall", "phase", "scenario", "config")
_SUBJECTS = {"phase": "phase", "scenario": "scenario", "config": "config_id"}
# A printed value may be half a unit of its last digit off, and floats have their own dust.
_DUST = 1e-9


def checks(printed: tuple[Row, ...], runs: pd.DataFrame) -> list[Row]:
    """The printed values that runs could give, each with what they give: ``agrees``.

    ``computed`` is None where the runs hold nothing of the subject. Peaks are the largest of the
    runs; "best" is the largest mean of a config.
    """
    valid = runs[runs["valid"]]
    rows = []
    for row in printed:
        if row["scope"] not in SCOPES or row["value"] is None or row["report"] != _own(printed):
            continue
        own = _of_subject(row, valid)
        if own is None:
            continue
        computed, known = _computed(row, own)
        if not known:
            continue
        allowed = (row["resolution"] or 0.0) + _DUST * max(1.0, abs(row["value"]))
        agrees = computed is not None and abs(computed - row["value"]) <= allowed
        rows.append({**row, "computed": computed, "agrees": agrees})
    return rows


def _own(printed: tuple[Row, ...]) -> str:
    """The report whose baseline it is; other reports' words about it are theirs."""
    reports = pd.Series([row["report"] for row in printed])
    return str(reports.mode().iloc[0])


def _of_subject(row: Row, runs: pd.DataFrame) -> pd.DataFrame | None:
    if row["scope"] == "overall":
        return runs
    note = row.get("note") or ""
    if row["scope"] == "scenario" and note.startswith("phase "):
        phase = note.removeprefix("phase ").split(";")[0].strip()
        runs = runs[runs["phase"] == phase]
    if " " in row["subject"]:
        return None  # several at once
    found: pd.DataFrame = runs[runs[_SUBJECTS[row["scope"]]] == row["subject"]]
    return found


def _computed(row: Row, own: pd.DataFrame) -> tuple[float | None, bool]:
    """(value that the runs give, whether they can give one at all)."""
    metric, statistic = row["metric"], row["statistic"]
    flags = own["contention_speedup_rule"].astype(float)
    counts: Mapping[tuple[str, str], float] = {
        ("runs", "n"): len(own),
        ("configs", "n"): own["config_id"].nunique(),
        ("contention_speedup_rule", "count"): flags.sum(),
        ("contention_speedup_rule", "of"): len(own),
        ("contention_rate", "value"): flags.mean(),
    }
    if (metric, statistic) not in counts and metric not in _METRICS:
        return None, False
    if own.empty:
        return None, True
    if (metric, statistic) in counts:
        return float(counts[metric, statistic]), True
    values = pd.Series(own[metric].dropna(), dtype=float)
    if values.empty:
        return None, False
    found: Mapping[str, float] = {
        "mean": values.mean(),
        "value": values.mean(),
        "median": values.median(),
        "sd": values.std(),
        "min": values.min(),
        "max": values.max(),
        "peak": values.max(),
        "best": max(float(config.mean()) for _, config in values.groupby(own["config_id"])),
    }
    return (found[statistic], True) if statistic in found else (None, False)


_METRICS = (
    "speedup_estimate",
    "efficiency_estimate",
    "ttft_delta_s",
    "throughput_delta_tokens_per_s",
)
