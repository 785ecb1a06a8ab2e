"""When the phases were measured, and how much of that time was measuring."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tandembench.analysis.numbers import Values

_BLOCK = ["phase", "session", "invocation", "comparison", "repetition", "attempt"]


def timeline(runs: pd.DataFrame, phases: Sequence[Mapping[str, Any]]) -> Values:
    """A row per phase, in the study's order, and session; and the time ``inside`` blocks.

    A block began its ``block_s`` before its last run ended, which leaves out the start of its
    servers; one whose servers never stood ends as it starts. ``elapsed_s`` runs from the first
    start to the last end of each invocation, so that the time between two invocations is in no
    share.
    """
    timed = _blocks(runs)
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


def _blocks(runs: pd.DataFrame) -> pd.DataFrame:
    """One row for each attempt at a block: when it began and ended, and its valid runs."""
    walls = pd.to_timedelta(runs["wall_s"].astype(float).fillna(0.0), unit="s")
    timed = runs.assign(ended_at=runs["started_at"] + walls)
    by_block = timed.groupby(_BLOCK, dropna=False, sort=False)
    blocks = by_block.agg(
        first=("started_at", "min"),
        ended_at=("ended_at", "max"),
        block_s=("block_s", "max"),
        valid=("valid", "sum"),
        runs=("valid", "size"),
    ).reset_index()
    took = pd.to_timedelta(blocks["block_s"].astype(float), unit="s")
    began = (blocks["ended_at"] - took).fillna(blocks["first"])
    return blocks.assign(started_at=began, block_s=blocks["block_s"].fillna(0.0))


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
        "blocks": len(own),
        "valid": int(own["valid"].sum()),
        "failed": int((own["runs"] - own["valid"]).sum()),
        "invocations": int(own["invocation"].nunique(dropna=False)),
    }


def _elapsed_s(own: pd.DataFrame) -> float:
    return float((own["ended_at"].max() - own["started_at"].min()).total_seconds())
