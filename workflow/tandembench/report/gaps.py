"""Gaps between chunks, pooled: the percentiles that no single execution has values enough for."""

import pandas as pd

from tandembench.analysis.numbers import RUN, Values
from tandembench.metrics import percentile

_STEP = [*RUN, "mode", "agent", "step"]


def gaps(tokens: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Every gap of a valid block: config_id, mode, agent and ``gap_s``, in the tokens' order.

    Between chunks of one step: the wait for the next step is no gap.
    """
    columns = ["config_id", "mode", "agent", "gap_s"]
    if tokens.empty:
        return pd.DataFrame({name: [] for name in columns})
    known = tokens.merge(runs.loc[runs["valid"], RUN], on=RUN)
    ordered = known.sort_values([*_STEP, "chunk"])
    gap_ns = ordered.groupby(_STEP, sort=False)["t_ns"].diff()
    found = ordered.assign(gap_s=gap_ns / 1e9).dropna(subset=["gap_s"])
    return found[columns]


def gap_rows(tokens: pd.DataFrame, runs: pd.DataFrame) -> list[Values]:
    """One row per config and mode: n, p50, p90, p99 and longest gap, all agents pooled, in s.

    A percentile is None under its floor (11, 64 and 662 gaps); solos come first.
    """
    return [
        {
            "config_id": str(config_id),
            "mode": str(mode),
            "n": len(own),
            **{f"p{round(100 * p)}_s": percentile(own.to_list(), p) for p in (0.5, 0.9, 0.99)},
            "max_s": float(own.max()),
        }
        for config_id, of_config in gaps(tokens, runs).groupby("config_id")
        for mode, own in reversed(list(of_config.groupby("mode")["gap_s"]))
    ]
