"""Dataset -> everything that the report says, as plain values. Every sentence has its condition."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import pandas as pd

from tandembench.dataset.load import Dataset
from tandembench.stats.intervals import Interval, mean_interval, ratio_interval
from tandembench.stats.verdicts import ratio_verdict

Values = dict[str, Any]
TOPOLOGIES = ("serial", "single", "single_parallel", "dual")
# Above this many cores of foreign work a run is called disturbed: 0.1 of a core can already
# stretch a server whose threads wait for each other.
DISTURBED_CORES = 0.1


def report_context(dataset: Dataset) -> Values:
    """The report's content: headline, environment, phases, topologies, controls, limits."""
    study = dataset.descriptor["study"]
    valid = dataset.runs[dataset.runs["valid"]]
    margin = float(study["margin"])
    groups = _topology_groups(valid, _first_tokens(dataset.executions), study["reference"], margin)
    return {
        "name": dataset.descriptor["name"],
        "title": dataset.descriptor["title"],
        "measured": _measured(dataset),
        "study": study,
        "margin": margin,
        "environment": _environment(dataset),
        "topology_groups": groups,
        "headline": _headline(groups, study["reference"]),
        "phases": [_phase(phase, dataset.runs, valid) for phase in study["phases"]],
        "controls": _controls(valid, margin),
        "factors": _factors(dataset.executions),
        "failures": _failures(dataset.runs),
        "disturbed": _disturbed(valid),
        "instrument": dataset.descriptor["instrument"],
        "fingerprints": dataset.descriptor["fingerprints"],
        "resources": dataset.descriptor["resources"],
    }


def _measured(dataset: Dataset) -> Values:
    runs = dataset.runs
    return {
        "from": runs["started_at"].min(),
        "to": runs["started_at"].max(),
        "attempts": len(runs),
        "valid": int(runs["valid"].sum()),
        "configs": int(runs["config_id"].nunique()),
        "sessions": sorted(runs["session"].unique()),
        "block_s": float(runs["block_s"].sum()),
    }


def _environment(dataset: Dataset) -> Values:
    executions = dataset.executions
    servers = (
        executions.groupby(["topology", "n_agents"], sort=False)
        .agg(
            threads=("threads", _distinct),
            slots=("slots", _distinct),
            num_ctx=("num_ctx_effective", _distinct),
            wait_policy=("wait_policy", _distinct),
        )
        .reset_index()
        .to_dict("records")
    )
    return {
        "machines": dataset.descriptor["fingerprints"]["machines"],
        "servers": sorted(servers, key=lambda row: TOPOLOGIES.index(str(row["topology"]))),
        "engines": dataset.descriptor["fingerprints"]["servers"],
        "models": dataset.descriptor["fingerprints"]["models"],
        "clocks": _distinct(executions["clock"]),
        "prompt_tokens": _span(executions["prompt_tokens"]),
        "answer_tokens": _span(executions["answer_tokens"]),
    }


def _distinct(values: "pd.Series[Any]") -> str:
    """Distinct values in order, as "1, 2"; "-" if none is known."""
    known = sorted({value for value in values if value is not None and not pd.isna(value)})
    return (
        ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in known)
        or "-"
    )


def _span(values: "pd.Series[Any]") -> str:
    known = values.dropna()
    if known.empty:
        return "-"
    low, high = int(known.min()), int(known.max())
    return str(low) if low == high else f"{low} to {high}"


def _ratio(values: "pd.Series[Any]") -> Values | None:
    known = [float(value) for value in values.dropna()]
    return asdict(ratio_interval(known)) if known else None


def _mean(values: "pd.Series[Any]") -> float | None:
    known = values.dropna()
    return None if known.empty else float(known.mean())


def _phase(phase: Values, runs: pd.DataFrame, valid: pd.DataFrame) -> Values:
    """One phase: a row per config, as TR114 lays it out, and the same rows on the truth."""
    rows = []
    for config_id in phase["configs"]:
        attempts = runs[runs["config_id"] == config_id]
        own = valid[valid["config_id"] == config_id]
        logs = [float(value) for value in own["slowdown_log_mean"].dropna()]
        slowdown = mean_interval(logs) if logs else None
        rows.append(
            {
                "config_id": config_id,
                "scenario": attempts["scenario"].iloc[0] if len(attempts) else None,
                "topology": attempts["topology"].iloc[0] if len(attempts) else None,
                "n": len(own),
                "speedup_estimate": _mean(own["speedup_estimate"]),
                "efficiency_estimate": _mean(own["efficiency_estimate"]),
                "efficiency_estimate_peak": _peak(own["efficiency_estimate"]),
                "ttft_rule": _counted(own["contention_ttft_rule"]),
                "speedup_rule": _counted(own["contention_speedup_rule"]),
                "contention_measured": _above_zero(slowdown),
                "speedup_true": _ratio(own["speedup_true"]),
                "efficiency_true": _mean(own["efficiency_true"]),
                "slowdown": None if slowdown is None else _exponential(slowdown),
                "slowdown_max": _peak(own["slowdown_max"]),
                "solo_basis": _distinct(own["solo_basis"]),
                **{part: _mean(own[part]) for part in ESTIMATE_PARTS + TRUE_PARTS},
            }
        )
    return {"name": phase["name"], "title": phase["title"], "rows": rows}


ESTIMATE_PARTS = (
    "imbalance_loss",
    "imbalance_token",
    "imbalance_rate",
    "imbalance_first_token",
    "imbalance_rest",
    "sequencing_loss",
    "orchestration_loss",
)
TRUE_PARTS = ("work_imbalance", "contention", "orchestration_true")


def _peak(values: "pd.Series[Any]") -> float | None:
    known = values.dropna()
    return None if known.empty else float(known.max())


def _counted(flags: "pd.Series[Any]") -> str:
    known = flags.dropna()
    return f"{int(known.astype(bool).sum())}/{len(known)}" if len(known) else "-"


def _above_zero(slowdown: Interval | None) -> str:
    """DESIGN's contention_measured: the lower 95 % bound of the mean log slowdown is above 0."""
    if slowdown is None or slowdown.low is None:
        return "-"
    return "yes" if slowdown.low > 0 else "not shown"


def _exponential(logs: Interval) -> Values:
    if logs.low is None or logs.high is None:
        return {"mean": math.exp(logs.mean), "low": None, "high": None, "n": logs.n}
    low, high = math.exp(logs.low), math.exp(logs.high)
    return {"mean": math.exp(logs.mean), "low": low, "high": high, "n": logs.n}


def _first_tokens(executions: pd.DataFrame) -> dict[str, float]:
    """Mean wait for the first token while all agents run, seconds, by config."""
    chosen = executions[executions["valid"] & (executions["mode"] == "concurrent")]
    means = chosen.groupby("config_id")["ttft_s"].mean()
    return {str(config_id): float(mean) for config_id, mean in means.items()}


def _topology_groups(
    valid: pd.DataFrame, first_tokens: Mapping[str, float], reference: str, margin: float
) -> list[Values]:
    """Configs that do the same work, side by side: one group per workload with two or more."""
    groups = []
    for _, same in valid.groupby("workload", sort=False):
        if same["topology"].nunique() < 2:
            continue
        rows = [
            _topology_row(str(config_id), own, margin) | {"ttft_s": first_tokens[str(config_id)]}
            for config_id, own in same.groupby("config_id", sort=False)
        ]
        rows.sort(key=lambda row: (TOPOLOGIES.index(row["topology"]), row["config_id"]))
        groups.append(
            {
                "scenario": same["scenario"].iloc[0],
                "work": _distinct(same["work_effective"]),
                "rows": rows,
                "has_reference": bool((same["topology"] == reference).any()),
            }
        )
    return sorted(groups, key=lambda group: (-len(group["rows"]), group["scenario"]))


def _topology_row(config_id: str, own: pd.DataFrame, margin: float) -> Values:
    ratio = _ratio(own["makespan_ratio"])
    overstated = _ratio(own["speedup_estimate"] / own["speedup_true"])
    topology = str(own["topology"].iloc[0])
    return {
        "config_id": config_id,
        "topology": topology,
        "n": len(own),
        "wall_s": _ratio(own["wall_s"]),
        "makespan_ratio": ratio,
        "verdict": _verdict(ratio, margin),
        "is_reference": bool((own["reference_config_id"] == config_id).any()),
        "aggregate_tokens_per_s": _mean(own["aggregate_tokens_per_s"]),
        "speedup_estimate": _ratio(own["speedup_estimate"]),
        "speedup_true": _ratio(own["speedup_true"]),
        "overstated": overstated,
        "overstated_verdict": _verdict(overstated, margin),
    }


def _verdict(ratio: Values | None, margin: float) -> str:
    return "inconclusive" if ratio is None else ratio_verdict(Interval(**ratio), margin)


def _headline(groups: Sequence[Values], reference: str) -> Values | None:
    """The group that answers the question: the first with a reference and something beside it."""
    for group in groups:
        measured = [row for row in group["rows"] if row["makespan_ratio"] is not None]
        others = [row for row in measured if row["topology"] != reference]
        if group["has_reference"] and others:
            return {"scenario": group["scenario"], "rows": others, "reference": reference}
    return None


def _controls(valid: pd.DataFrame, margin: float) -> Values:
    """Serial must show no gain, and two configs of equal content no difference."""
    serial = valid[valid["topology"] == "serial"]
    pairs = []
    for _, same in valid.groupby("content", sort=False):
        ids = sorted(same["config_id"].unique())
        for first, second in pairwise(ids):
            walls = same.pivot_table(
                index=["session", "repetition"], columns="config_id", values="wall_s"
            )
            ratio = _ratio((walls[first] / walls[second]).dropna())
            verdict = _verdict(ratio, margin)
            pairs.append(
                {
                    "first": first,
                    "second": second,
                    "ratio": ratio,
                    "verdict": verdict,
                    "passed": verdict in ("equivalent", "inconclusive"),
                }
            )
    gain = _ratio(serial["speedup_true"]) if len(serial) else None
    passed = None if gain is None else 0.9 <= gain["mean"] <= 1.1
    return {"serial": gain, "serial_passed": passed, "pairs": pairs}


def _factors(executions: pd.DataFrame) -> list[Values]:
    """Asked against effective, for what a server says of itself."""
    rows = []
    for config_id, own in executions.groupby("config_id", sort=False):
        for agent, of_agent in own.groupby("agent", sort=False):
            asked = json.loads(of_agent["options_asked"].iloc[0])
            effective = _distinct(of_agent["num_ctx_effective"])
            if "num_ctx" in asked and effective not in ("-", str(asked["num_ctx"])):
                rows.append(
                    {
                        "config_id": config_id,
                        "agent": agent,
                        "factor": "num_ctx",
                        "asked": asked["num_ctx"],
                        "effective": effective,
                    }
                )
    return rows


def _failures(runs: pd.DataFrame) -> list[Values]:
    failed = runs[~runs["valid"]]
    return [
        {str(key): value for key, value in row.items()}
        for row in failed[["config_id", "session", "repetition", "attempt", "reason"]].to_dict(
            "records"
        )
    ]


def _disturbed(valid: pd.DataFrame) -> Values | None:
    """Runs beside which others used the CPU; None where that is not known."""
    known = valid["foreign_cores"].dropna()
    if known.empty:
        return None
    return {
        "limit": DISTURBED_CORES,
        "n": int((known > DISTURBED_CORES).sum()),
        "of": len(known),
        "median": float(known.median()),
        "max": float(known.max()),
    }
