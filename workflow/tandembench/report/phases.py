"""The tables of a phase: one row per config, as TR114 lays it out, and on the truth."""

from collections.abc import Sequence

import pandas as pd

from tandembench.analysis.attribution import ESTIMATE_PARTS
from tandembench.analysis.intervals import exponential
from tandembench.analysis.numbers import (
    MOST_CONFIGS,
    Values,
    by_config,
    contention_measured,
    counted,
    distinct,
    mean,
    mean_with_interval,
    peak,
    ratio,
    verdict,
)

CONTENTION = {True: "yes", False: "not shown", None: None}
TRUE_PARTS = ("work_imbalance", "queueing", "contention", "orchestration_true")


def phase_tables(phases: Sequence[Values], runs: pd.DataFrame, margin: float) -> list[Values]:
    """The rows of each phase, in the order in which the study lists its configs.

    The first MOST_CONFIGS of them; ``left_out`` counts the rest.
    """
    attempts = by_config(runs)
    valid = runs.loc[runs["valid"], "phase"].value_counts().to_dict()
    none = runs.iloc[:0]
    return [
        {
            "name": phase["name"],
            "title": phase["title"],
            "configs": len(phase["configs"]),
            "valid": int(valid.get(phase["name"], 0)),
            "rows": [
                _row(id_, attempts.get(id_, none), margin)
                for id_ in phase["configs"][:MOST_CONFIGS]
            ],
            "left_out": max(0, len(phase["configs"]) - MOST_CONFIGS),
        }
        for phase in phases
    ]


def _row(config_id: str, attempts: pd.DataFrame, margin: float) -> Values:
    own = attempts[attempts["valid"]]
    gain = ratio(own, "speedup_true")
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
        "speedup_true": gain,
        "gain": verdict(gain, margin) if gain else None,
        "efficiency_true": mean(own["efficiency_true"]),
        "slowdown": exponential(logs) if logs else None,
        "slowdown_max": peak(own["slowdown_max"]),
        "solo_basis": distinct(own["solo_basis"]),
        # a part of both losses, but of the true one only where that is known
        "true_sequencing": mean(own.loc[own["speedup_true"].notna(), "sequencing_loss"]),
        **{part: mean(own[part]) for part in (*ESTIMATE_PARTS, *TRUE_PARTS)},
    }
