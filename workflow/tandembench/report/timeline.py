"""When the phases were measured, and how much of that time was measuring."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tandembench.report.numbers import Values


def timeline(runs: pd.DataFrame, phases: Sequence[Mapping[str, Any]]) -> Values:
    """A row per phase, in the study's order, and session; and the time ``inside`` blocks.

    A block ends its ``block_s`` after its start, which leaves out the start of its servers; one
    whose servers never stood ends as it starts. ``elapsed_s`` runs from the first start to the
    last end of each invocation, so that the time between two invocations is in no share.
    """
    took = pd.to_timedelta(runs["block_s"].fillna(0.0), unit="s")
    timed = runs.assign(ended_at=runs["started_at"] + took)
    names = [phase["name"] for phase in phases]
    rows = [
        {"phase": name, "session": str(session), **_row(own)}
        for name in names
        for session, own in timed[timed["phase"] == name].groupby("session")
    ]
    by_invocation = timed.groupby(["session", "invocation"], dropna=False)
    elapsed_s = float(sum(_elapsed_s(own) for _, own in by_invocation))
    inside_s = float(timed["block_s"].sum())
    return {
        "rows": rows,
        "inside": hours(inside_s),
        "elapsed": hours(elapsed_s),
        # Blocks never overlap: more than all of the time means that the clock was set meanwhile.
        "share": inside_s / elapsed_s if 0 < inside_s <= elapsed_s else None,
        "overlap": _overlap(timed),
    }


def hours(seconds: float) -> str:
    """A duration as hours, minutes and seconds, "1:02:03"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _overlap(timed: pd.DataFrame) -> bool:
    """Whether a phase began before another one ended."""
    spans = timed.groupby("phase").agg(begin=("started_at", "min"), end=("ended_at", "max"))
    ordered = spans.sort_values("begin")
    return bool((ordered["begin"] < ordered["end"].cummax().shift()).any())


def _row(own: pd.DataFrame) -> Values:
    return {
        "first_start": own["started_at"].min().strftime("%Y-%m-%d %H:%M"),
        "last_end": own["ended_at"].max().strftime("%Y-%m-%d %H:%M"),
        "took": hours(_elapsed_s(own)),
        "blocks": int(own["valid"].sum()),
        "failed": int((~own["valid"]).sum()),
        "invocations": int(own["invocation"].nunique(dropna=False)),
    }


def _elapsed_s(own: pd.DataFrame) -> float:
    return float((own["ended_at"].max() - own["started_at"].min()).total_seconds())
