"""From a pilot, how many sessions a precision needs: what `tandembench plan` says."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from tandembench import select
from tandembench.errors import TandemError
from tandembench.stats.intervals import MIN_SESSIONS, moments
from tandembench.stats.planning import detectable_with, sessions_needed
from tandembench.text import sanitise

# Fewer in a pilot ask for many more afterwards, more are seldom needed to tell a spread.
PILOT = 5
LEVEL = 0.95
# Ratios, times and rates: what a precision in percent means something for.
METRICS = (*select.METRICS, "wall_s", "slowdown_max", "antt", "makespan_per_token_s")
Row = dict[str, Any]


def as_fraction(text: str) -> float:
    """The precision "3%" or "0.03" as 0.03; TandemError unless it is above 0 and at most 50 %."""
    number = text.strip()
    scale = 100 if number.endswith("%") else 1
    try:
        value = float(number.removesuffix("%")) / scale
    except ValueError:
        value = math.nan
    if not 0 < value <= 0.5:
        what = f"'{sanitise(text, 40)}' is no precision"
        raise TandemError(what, where="--precision", fix="above 0 and at most 50 %, such as 3%")
    return value


def sessions_plan(runs: pd.DataFrame, metric: str, precision: float) -> Row:
    """For every config that has ``metric``: sessions so far, their spread, and how many it needs.

    ``needed`` counts all sessions, ``more`` those still to come; with one session there is no
    spread and ``more`` is what a pilot lacks. ``detectable`` is the ratio above 1 that ``needed``
    sessions show with 80 %. The study needs as many as its most spread config.
    """
    if metric not in METRICS:
        fix = f"one of {', '.join(METRICS)}"
        raise TandemError(f"unknown metric '{sanitise(metric, 40)}'", where="--metric", fix=fix)
    known = runs[runs["valid"] & runs[metric].notna()]
    if metric == "makespan_ratio":
        # The reference against itself is 1 in every round.
        known = known[known["config_id"] != known["reference_config_id"]]
    if known.empty:
        fix = f"choose another --metric ({', '.join(METRICS)}), or measure a pilot"
        raise TandemError(f"no run has a {metric}", where="plan", fix=fix)
    rows = [
        _row(str(config_id), own, metric, precision)
        for config_id, own in known.groupby("config_id", sort=False)
    ]
    needed = [row["needed"] for row in rows]
    return {
        "metric": metric,
        "precision": precision,
        "level": LEVEL,
        "pilot": PILOT,
        "configs": rows,
        "needed": None if None in needed else max(needed),
        "more": max(row["more"] for row in rows),
    }


def _row(config_id: str, runs: pd.DataFrame, metric: str, precision: float) -> Row:
    values = runs[metric].astype(float)
    if (values <= 0).any():
        fix = "choose another --metric"
        raise TandemError(f"{metric} of {config_id} is not above 0", where="plan", fix=fix)
    logs = values.map(math.log).groupby(runs["session"]).mean().to_list()
    mean, sd, n = moments(logs)
    row: Row = {"config_id": config_id, "sessions": n, "mean": math.exp(mean)}
    if n < 2:
        return row | {"spread": None, "needed": None, "more": PILOT - n, "detectable": None}
    needed = sessions_needed(logs, precision, LEVEL)
    detectable = detectable_with(sd, needed, level=LEVEL)
    return row | {"spread": sd, "needed": needed, "more": needed - n, "detectable": detectable}


def as_table(plan: Mapping[str, Any]) -> str:
    """The plan for people: a table, then what it comes to."""
    percent = f"{100 * plan['precision']:g} %"
    head = ["config", "sessions", "mean", "spread", "needed", "more", "then shows"]
    lines = [head, *(_cells(row) for row in plan["configs"])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(
        [
            f"{plan['metric']} to within {percent} with 95 %, the session as the unit.",
            "spread: sd of the means of sessions; then shows: the smallest ratio found with 80 %.",
            "",
            *table,
            "",
            *_advice(plan),
        ]
    )


def _cells(row: Mapping[str, Any]) -> list[str]:
    spread, detectable = row["spread"], row["detectable"]
    return [
        row["config_id"],
        str(row["sessions"]),
        f"{row['mean']:#.3g}",
        "not known" if spread is None else f"{100 * spread:.2g} %",
        "a pilot" if row["needed"] is None else str(row["needed"]),
        str(row["more"]),
        "" if detectable is None else f"{detectable:.3f}",
    ]


def _advice(plan: Mapping[str, Any]) -> list[str]:
    sessions = [row["sessions"] for row in plan["configs"]]
    if plan["needed"] is None:
        return [
            f"A pilot is needed first, of {PILOT} sessions: {plan['more']} more. One session says"
            " nothing of the spread between sessions, however many repetitions it has."
        ]
    if plan["more"] == 0:
        return ["No more sessions are needed."]
    lines = [
        f"{plan['more']} more session{'s' * (plan['more'] > 1)} of the whole study (snakemake"
        " --config session=NAME), all of them, whatever they show meanwhile: stopping once an"
        " interval looks narrow makes it wrong more often than it says."
    ]
    if min(sessions) < MIN_SESSIONS:
        lines.append(
            f"A pilot of {min(sessions)} knows its spread badly and asks for many: a pilot of"
            f" {PILOT} may ask for fewer."
        )
    return lines
