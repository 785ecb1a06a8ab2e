"""Runs of several configs -> one row per round that holds them all, for tests of them together."""

import numpy as np
import pandas as pd

from tandembench.analysis.intervals import MIN_SESSIONS


def round_table(runs: pd.DataFrame, metric: str, key: str = "config_id") -> pd.DataFrame:
    """Logarithms of ``metric``: one column for each value of ``key``, in order of appearance.

    A row is a round of an invocation that holds every column, or, from three sessions that do,
    a session.
    """
    logs = runs.assign(log=np.log(runs[metric].astype(float)), invocation=_invocations(runs))
    order = list(dict.fromkeys(runs[key]))
    by_session = logs.pivot_table("log", "session", key)
    by_session = by_session.reindex(columns=order).dropna()
    if len(by_session) >= MIN_SESSIONS:
        return by_session
    rounds = logs.pivot_table("log", ["session", "invocation", "repetition"], key)
    return rounds.reindex(columns=order).dropna()


def _invocations(runs: pd.DataFrame) -> "pd.Series[str]":
    """Imported runs have none: one invocation for each session then."""
    return runs["invocation"].fillna("").astype(str)
