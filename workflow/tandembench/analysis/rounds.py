"""Runs -> rounds: what was measured side by side, seconds apart. Pure."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tandembench.analysis.location import Floats

_ROUND = ["session", "invocation", "repetition", "round", "attempt"]
# Undisturbed rounds stand for all of them where there are so many.
_ENOUGH_SHARE, _ENOUGH_BLOCKS = 1 / 3, 2


@dataclass(frozen=True)
class Rounds:
    """Logarithms of a metric, more is better: one row a round, one column a config.

    ``blocks``, ``sessions``, ``seconds`` (since the first) and ``disturbed`` are parallel to the
    rows of ``logs``, which are NaN where a config has no valid run in that round.
    """

    logs: pd.DataFrame
    blocks: Sequence[Hashable]
    sessions: Sequence[str]
    seconds: Floats
    disturbed: NDArray[np.bool_]

    def undisturbed(self) -> "Rounds":
        """Without rounds that others disturbed, if the rest is enough to answer; else all.

        Enough is a third of all rounds, in two blocks. Other processes' CPU says what is disturbed,
        never the outcome.
        """
        kept = ~self.disturbed
        blocks = {block for block, keep in zip(self.blocks, kept, strict=True) if keep}
        if kept.all() or kept.mean() < _ENOUGH_SHARE or len(blocks) < _ENOUGH_BLOCKS:
            return self
        return self.where(kept)

    def where(self, kept: NDArray[np.bool_]) -> "Rounds":
        """Only the rounds that ``kept`` marks."""
        places = np.flatnonzero(kept).tolist()
        return Rounds(
            self.logs.iloc[places],
            [self.blocks[place] for place in places],
            [self.sessions[place] for place in places],
            self.seconds[places],
            self.disturbed[places],
        )


def rounds(runs: pd.DataFrame, metric: str, *, more_is_better: bool) -> Rounds:
    """The rounds of ``runs``: valid ones of which ``metric`` is known and above 0, no twins.

    A round is a session, invocation, repetition, round and attempt, so that configs which were
    listed alone meet by repetition. A block is all of it but round and attempt.
    """
    known = runs[runs["valid"] & ~runs["twin"].astype(bool) & (runs[metric].astype(float) > 0)]
    return _rounds(known, known["config_id"], metric, more_is_better)


def twin_rounds(runs: pd.DataFrame, metric: str) -> Rounds:
    """Rounds of two columns, "first" and "twin": the config that ran twice, whichever it was."""
    twins = runs[runs["valid"] & runs["twin"].astype(bool)]
    keys = ["comparison", "config_id", *_ROUND]
    group = runs[runs["valid"]].merge(twins[keys].drop_duplicates(), on=keys)
    names = group["twin"].map({True: "twin", False: "first"})
    return _rounds(group, names, metric, more_is_better=False)


def concurrent(executions: pd.DataFrame) -> pd.DataFrame:
    """The valid executions of runs, without those of twins."""
    group = executions["valid"] & (executions["mode"] == "concurrent")
    return executions[group & ~executions["twin"].astype(bool)]


def _rounds(
    runs: pd.DataFrame, columns: "pd.Series[str]", metric: str, more_is_better: bool
) -> Rounds:
    order = list(dict.fromkeys(columns))
    log = np.log(runs[metric].astype(float))
    table = runs.assign(
        column=columns,
        log=log if more_is_better else -log,
        invocation=runs["invocation"].fillna("").astype(str),
        seconds=_seconds(runs["started_at"]),
        disturbed=runs["disturbed"].fillna(value=False).astype(bool),
    )
    by_round = table.groupby(_ROUND, sort=False)
    facts = by_round.agg(seconds=("seconds", "min"), disturbed=("disturbed", "max"))
    logs = table.pivot_table("log", _ROUND, "column", sort=False)
    logs = logs.reindex(index=facts.index, columns=order)
    places = [*facts.index]
    return Rounds(
        logs=logs,
        blocks=[place[:3] for place in places],
        sessions=[str(place[0]) for place in places],
        seconds=facts["seconds"].to_numpy(dtype=float),
        disturbed=facts["disturbed"].to_numpy(dtype=bool),
    )


def _seconds(started: "pd.Series[pd.Timestamp]") -> Floats:
    """Seconds since the first start; 0 where none is known."""
    if started.isna().all():
        return np.zeros(len(started))
    since = (pd.to_datetime(started, utc=True) - started.min()).dt.total_seconds()
    return np.asarray(since.fillna(0.0), dtype=np.float64)
