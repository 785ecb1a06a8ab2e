"""The appendix's full results: one row per config, and a summary of all runs."""

import pandas as pd

from tandembench.analysis.intervals import Interval
from tandembench.analysis.numbers import (
    MOST_CONFIGS,
    Values,
    by_config,
    configs_contended,
    counted,
    described,
    mean,
    ratio,
    verdict,
)

RATES = {
    "shared": "shared_tokens_per_s",
    "solo": "solo_tokens_per_s",
    "gain": "gain_overlap",
}
SUMMARISED = ("speedup_estimate", "efficiency_estimate", "speedup_true", "efficiency_true")


def config_rows(runs: pd.DataFrame, executions: pd.DataFrame) -> list[Values]:
    """One row per config, by id: means over its valid runs; ``ttft_s`` holds one per agent.

    The first MOST_CONFIGS of them.
    """
    ids = sorted(runs["config_id"].unique())[:MOST_CONFIGS]
    own = by_config(runs[runs["config_id"].isin(ids)])
    concurrent = executions["valid"] & (executions["mode"] == "concurrent")
    shared = by_config(executions[concurrent & executions["config_id"].isin(ids)])
    none = executions.iloc[:0]
    return [_row(id_, own[id_][own[id_]["valid"]], shared.get(id_, none)) for id_ in ids]


def rate_rows(rates: pd.DataFrame, margin: float) -> list[Values]:
    """The table of rates from overlap; ``scenario`` is None for all of a topology.

    ``verdict`` is that on the gain, against 1: what one alone makes.
    """
    rows: list[Values] = [
        {
            "scenario": None if pd.isna(row["scenario"]) else row["scenario"],
            "topology": row["topology"],
            "runs": row["runs"],
            "alone_share": row["alone_share"],
            **{
                short: Interval(row[name], row[f"{name}_low"], row[f"{name}_high"], row["runs"])
                for short, name in RATES.items()
            },
        }
        for row in rates.to_dict("records")
    ]
    return [row | {"verdict": verdict(row["gain"], margin)} for row in rows]


def _row(config_id: str, own: pd.DataFrame, shared: pd.DataFrame) -> Values:
    return {
        "config_id": config_id,
        "n": len(own),
        "wall_s": mean(own["wall_s"]),
        "answer_tokens": mean(own["answer_tokens"]),
        "speedup_estimate": mean(own["speedup_estimate"]),
        "efficiency_estimate": mean(own["efficiency_estimate"]),
        "speedup_true": ratio(own, "speedup_true"),
        "ttft_s": [mean(agent["ttft_s"]) for _, agent in shared.groupby("agent_index")],
        "ttft_delta_s": mean(own["ttft_delta_s"]),
        "throughput_delta": mean(own["throughput_delta_tokens_per_s"]),
        "start_skew_s": mean(own["start_skew_s"]),
    }


def summary(runs: pd.DataFrame) -> Values:
    """All valid runs together, as TR114 sums them up; ``contended`` counts configs."""
    valid = runs[runs["valid"]]
    return {
        "rows": [{"metric": name, **described(valid[name])} for name in SUMMARISED],
        "topologies": int(valid["topology"].nunique()),
        "ttft_rule": counted(valid["contention_ttft_rule"]),
        "speedup_rule": counted(valid["contention_speedup_rule"]),
        "contended": configs_contended(valid),
    }
