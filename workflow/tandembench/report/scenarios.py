"""One row per scenario, work and topology: what TR114 prints, and what the solos show."""

import pandas as pd

from tandembench.analysis.intervals import exponential
from tandembench.analysis.numbers import (
    KIND,
    Values,
    configs_contended,
    counted,
    described,
    in_order,
    mean_with_interval,
    ratio,
    verdict,
)
from tandembench.report.estimator import FINDINGS


def scenario_rows(runs: pd.DataFrame, margin: float) -> list[Values]:
    """The rows, in the order of their keys; their numbers are over the valid runs of all configs.

    ``gain`` is the verdict on speedup_true against 1, ``estimator`` what the estimator does;
    both are None where there is no measured gain.
    """
    rows = [
        dict(zip(KIND, key, strict=True)) | _numbers(own[own["valid"]], margin)
        for key, own in runs.groupby(KIND)
    ]
    return in_order(rows)


def _numbers(own: pd.DataFrame, margin: float) -> Values:
    gain, overstated = ratio(own, "speedup_true"), ratio(own, "overstated")
    logs = mean_with_interval(own, "slowdown_log_mean")
    return {
        "n": len(own),
        "configs": int(own["config_id"].nunique()),
        "speedup_estimate": described(own["speedup_estimate"]),
        "efficiency_estimate": described(own["efficiency_estimate"]),
        "speedup_true": gain,
        "slowdown": exponential(logs) if logs else None,
        "ttft_rule": counted(own["contention_ttft_rule"]),
        "speedup_rule": counted(own["contention_speedup_rule"]),
        "contended": configs_contended(own),
        "gain": verdict(gain, margin) if gain else None,
        "estimator": FINDINGS[verdict(overstated, margin)] if overstated else None,
    }
