"""What was measured, on what, when, and what failed: facts of a dataset, in no way judged. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tandembench.analysis.groups import Row
from tandembench.analysis.numbers import distinct, span
from tandembench.tables.columns import KEY_OF, TOPOLOGIES

_BLOCK = ["phase", "session", "invocation", "comparison", "repetition", "attempt"]
_FAILURE = ["config_id", "session", "repetition", "round", "attempt", "twin", "reason", "detail"]


@dataclass(frozen=True, slots=True)
class Measured:
    """Runs of a dataset, twins left out. ``when``: first and last start; ``void_configs`` have no
    valid run. ``clocks`` and tokens: distinct values as text, None where none is known.
    """

    when: str | None
    attempts: int
    valid: int
    configs: int
    void_configs: tuple[str, ...]
    sessions: tuple[str, ...]
    servers: tuple[Row, ...]
    clocks: str | None
    prompt_tokens: str | None
    answer_tokens: str | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """``phases``: a row a phase and session. ``inside``: time in blocks, of what was ``elapsed``
    between the first start and the last end of each invocation, h:mm:ss; ``overlap``: phases were
    measured in turns.
    """

    phases: tuple[Row, ...]
    inside: str
    elapsed: str
    share: float | None
    overlap: bool


def measured(runs: pd.DataFrame, executions: pd.DataFrame) -> Measured:
    """The facts of ``runs`` and of their servers."""
    valid = runs[runs["valid"]]
    of_a_server = ["threads", "slots", "num_ctx_effective", "wait_policy"]
    servers = [
        {"topology": str(topology), "n_agents": int(group["n_agents"].iloc[0])}
        | {name: distinct(group[name]) for name in of_a_server}
        for (topology, _), group in executions.groupby(["topology", "n_agents"])
    ]
    return Measured(
        when=_when(runs["started_at"]),
        attempts=len(runs),
        valid=len(valid),
        configs=int(runs["config_id"].nunique()),
        void_configs=tuple(sorted(set(runs["config_id"]) - set(valid["config_id"]))),
        sessions=tuple(sorted(runs["session"].unique())),
        servers=tuple(sorted(servers, key=lambda one: TOPOLOGIES.index(str(one["topology"])))),
        clocks=distinct(executions["clock"]),
        prompt_tokens=span(executions["prompt_tokens"]),
        answer_tokens=span(executions["answer_tokens"]),
    )


def _when(started: "pd.Series[Any]") -> str | None:
    """First and last start, as "2026-11-22 17:56 to 18:12 UTC"."""
    if started.empty:
        return None
    first, last = started.min(), started.max()
    until = last.strftime("%H:%M" if first.date() == last.date() else "%Y-%m-%d %H:%M")
    return f"{first.strftime('%Y-%m-%d %H:%M')} to {until} UTC"


def failures(runs: pd.DataFrame, executions: pd.DataFrame) -> list[dict[str, object]]:
    """A row for every run that failed, with the first ``detail``, "" if nothing gave one.

    Reason and detail are foreign text.
    """
    key = list(KEY_OF["runs"])
    of_runs = executions[(executions["mode"] == "concurrent") & executions["detail"].notna()]
    details = of_runs.drop_duplicates(key)[[*key, "detail"]]
    failed = runs[~runs["valid"].astype(bool)].merge(details, on=key, how="left")
    failed = failed[_FAILURE].fillna({"detail": ""})
    return [{str(name): value for name, value in one.items()} for one in failed.to_dict("records")]


def timeline(runs: pd.DataFrame, phases: Sequence[Mapping[str, Any]]) -> Timeline:
    """When the phases were measured, in the study's order, session by session.

    A block began its ``block_s`` before its last run ended, which leaves out the start of its
    servers; one whose servers never stood ends as it starts.
    """
    walls = pd.to_timedelta(runs["wall_s"].astype(float).fillna(0.0), unit="s")
    by_block = runs.assign(ended_at=runs["started_at"] + walls).groupby(_BLOCK, dropna=False)
    blocks = by_block.agg(
        first=("started_at", "min"),
        ended_at=("ended_at", "max"),
        block_s=("block_s", "max"),
        valid=("valid", "sum"),
        runs=("valid", "size"),
    ).reset_index()
    took = pd.to_timedelta(blocks["block_s"].astype(float), unit="s")
    began = (blocks["ended_at"] - took).fillna(blocks["first"])
    blocks = blocks.assign(started_at=began, block_s=blocks["block_s"].fillna(0.0))
    by_invocation = blocks.groupby(["session", "invocation"], dropna=False)
    elapsed_s = float(sum(_elapsed_s(group) for _, group in by_invocation))
    inside_s = float(blocks["block_s"].sum())
    spans = blocks.groupby("phase").agg(begin=("started_at", "min"), end=("ended_at", "max"))
    ordered = spans.sort_values("begin")
    return Timeline(
        phases=tuple(
            {"phase": phase["name"], "session": session, **_stretch(group)}
            for phase in phases
            for session, group in blocks[blocks["phase"] == phase["name"]].groupby("session")
        ),
        inside=hours(inside_s),
        elapsed=hours(elapsed_s),
        # Blocks never overlap: more than all of the time means that the clock was set meanwhile.
        share=inside_s / elapsed_s if 0 < inside_s <= elapsed_s else None,
        overlap=bool((ordered["begin"] < ordered["end"].cummax().shift()).any()),
    )


def _stretch(blocks: pd.DataFrame) -> Row:
    return {
        "first_start": blocks["started_at"].min().strftime("%Y-%m-%d %H:%M"),
        "last_end": blocks["ended_at"].max().strftime("%Y-%m-%d %H:%M"),
        "took": hours(_elapsed_s(blocks)),
        "blocks": len(blocks),
        "valid": int(blocks["valid"].sum()),
        "failed": int((blocks["runs"] - blocks["valid"]).sum()),
        "invocations": int(blocks["invocation"].nunique(dropna=False)),
    }


def _elapsed_s(blocks: pd.DataFrame) -> float:
    return float((blocks["ended_at"].max() - blocks["started_at"].min()).total_seconds())


def hours(seconds: float) -> str:
    """A duration as hours, minutes and seconds, "1:02:03"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
