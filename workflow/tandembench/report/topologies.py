"""Topologies side by side: configs that do the same work, and the headline that they allow."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from tandembench.dataset.columns import TOPOLOGIES
from tandembench.report.numbers import Values, distinct, mean, ratio, verdict
from tandembench.stats.verdicts import smallest_detectable


def topology_groups(
    runs: pd.DataFrame, executions: pd.DataFrame, reference: str, margin: float
) -> list[Values]:
    """One group per workload that two topologies or more were to do, the largest first."""
    shared = executions[executions["valid"] & (executions["mode"] == "concurrent")]
    first_tokens = shared.groupby("config_id")["ttft_s"].mean().to_dict()
    totals = _threads_by_config(executions)
    groups = []
    for workload, same in runs.groupby("workload"):
        if same["topology"].nunique() < 2:
            continue
        valid = same[same["valid"]]
        rows = [
            _row(str(config_id), own, margin) | {"ttft_s": first_tokens.get(config_id)}
            for config_id, own in same.groupby("config_id")
        ]
        rows.sort(key=lambda row: (TOPOLOGIES.index(row["topology"]), row["config_id"]))
        known = [totals[row["config_id"]] for row in rows if row["config_id"] in totals]
        first_of: dict[str, str] = {}
        for row in rows:
            row["replicate_of"] = first_of.get(row["content"])
            first_of.setdefault(row["content"], row["config_id"])
        groups.append(
            {
                "workload": str(workload),
                "scenario": str(same["scenario"].iloc[0]),
                "n_agents": int(same["n_agents"].iloc[0]),
                "work": distinct(same["work_policy"]),
                "not_fixed": int((valid["work_effective"] != "fixed").sum()),
                "of": len(valid),
                "rows": rows,
                "reference_listed": bool((same["topology"] == reference).any()),
                "has_reference": any(row["is_reference"] for row in rows),
                "equal_threads": len(set(known)) == 1 if len(known) > 1 else None,
            }
        )
    return sorted(
        groups, key=lambda group: (-len(group["rows"]), group["scenario"], group["workload"])
    )


def headline(groups: Sequence[Values], reference: str) -> Values | None:
    """What answers the question: the first group with a reference and something beside it.

    An A/A replicate is left to the controls; ``named`` are the topologies that still need their
    config's name beside them.
    """
    compared = []
    for group in groups:
        others = [
            row
            for row in group["rows"]
            if row["topology"] != reference and row["replicate_of"] is None
        ]
        if any(row["makespan_ratio"] for row in others):
            compared.append((group, others))
    if not compared:
        return None
    group, rows = compared[0]
    counts = Counter(row["topology"] for row in rows)
    return {
        "scenario": group["scenario"],
        "n_agents": group["n_agents"],
        "equal_threads": group["equal_threads"],
        "rows": rows,
        "named": [topology for topology, count in counts.items() if count > 1],
        "more": len(compared) - 1,
    }


def _row(config_id: str, attempts: pd.DataFrame, margin: float) -> Values:
    own = attempts[attempts["valid"]]
    makespan_ratio = ratio(own, "makespan_ratio")
    overstated = ratio(own, "overstated")
    return {
        "config_id": config_id,
        "topology": str(attempts["topology"].iloc[0]),
        "content": str(attempts["content"].iloc[0]),
        "n": len(own),
        "pairs": int(own["makespan_ratio"].count()),
        "wall_s": ratio(own, "wall_s"),
        "makespan_ratio": makespan_ratio,
        "verdict": verdict(makespan_ratio, margin),
        "detectable": smallest_detectable(makespan_ratio) if makespan_ratio else None,
        "is_reference": bool((own["reference_config_id"] == config_id).any()),
        "aggregate_tokens_per_s": mean(own["aggregate_tokens_per_s"]),
        "speedup_estimate": ratio(own, "speedup_estimate"),
        "speedup_true": ratio(own, "speedup_true"),
        "overstated": overstated,
        "overstated_verdict": verdict(overstated, margin),
    }


def _threads_by_config(executions: pd.DataFrame) -> Mapping[str, int]:
    """Compute threads of each config's servers together, where the servers say so."""
    known = executions[executions["valid"]].dropna(subset=["threads", "server"])
    servers = known.groupby(["config_id", "server"])["threads"].max()
    return {str(id_): int(own.sum()) for id_, own in servers.groupby(level="config_id")}
