"""The appendix's full results: one row per config, and a summary of all runs."""

import pandas as pd

from tandembench.report.numbers import (
    Values,
    configs_contended,
    counted,
    described,
    mean,
    ratio,
)

SUMMARISED = ("speedup_estimate", "efficiency_estimate", "speedup_true", "efficiency_true")


def config_rows(runs: pd.DataFrame, executions: pd.DataFrame) -> list[Values]:
    """One row per config, by id: means over its valid runs; ``ttft_s`` holds one per agent."""
    shared = executions[executions["valid"] & (executions["mode"] == "concurrent")]
    return [
        _row(str(config_id), own[own["valid"]], shared[shared["config_id"] == config_id])
        for config_id, own in runs.groupby("config_id")
    ]


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
