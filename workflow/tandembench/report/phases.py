"""The tables of a phase: one row per config, as TR114 lays it out, and on the truth."""

import pandas as pd

from tandembench.report.numbers import (
    Values,
    contention_measured,
    counted,
    distinct,
    mean,
    mean_with_interval,
    peak,
    ratio,
)
from tandembench.stats.intervals import exponential

ESTIMATE_PARTS = (
    "imbalance_loss",
    "imbalance_token",
    "imbalance_rate",
    "imbalance_first_token",
    "imbalance_rest",
    "sequencing_loss",
    "orchestration_loss",
)
CONTENTION = {True: "yes", False: "not shown", None: None}
TRUE_PARTS = ("work_imbalance", "contention", "orchestration_true")


def phase_table(phase: Values, runs: pd.DataFrame) -> Values:
    """The rows of a phase, in the order in which the study lists its configs."""
    rows = [_row(config_id, runs[runs["config_id"] == config_id]) for config_id in phase["configs"]]
    return {"name": phase["name"], "title": phase["title"], "rows": rows}


def _row(config_id: str, attempts: pd.DataFrame) -> Values:
    own = attempts[attempts["valid"]]
    logs = mean_with_interval(own, "slowdown_log_mean")
    return {
        "config_id": config_id,
        "n": len(own),
        "speedup_estimate": mean(own["speedup_estimate"]),
        "efficiency_estimate": mean(own["efficiency_estimate"]),
        "efficiency_estimate_peak": peak(own["efficiency_estimate"]),
        "ttft_rule": counted(own["contention_ttft_rule"]),
        "speedup_rule": counted(own["contention_speedup_rule"]),
        "contention_measured": CONTENTION[contention_measured(own)],
        "speedup_true": ratio(own, "speedup_true"),
        "efficiency_true": mean(own["efficiency_true"]),
        "slowdown": exponential(logs) if logs else None,
        "slowdown_max": peak(own["slowdown_max"]),
        "solo_basis": distinct(own["solo_basis"]),
        # a part of both losses, but of the true one only where that is known
        "true_sequencing": mean(own.loc[own["speedup_true"].notna(), "sequencing_loss"]),
        **{part: mean(own[part]) for part in (*ESTIMATE_PARTS, *TRUE_PARTS)},
    }
