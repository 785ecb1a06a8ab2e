"""Topologies side by side: configs that do the same work, and the headline that they allow."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd

from tandembench.dataset.build import comparable, reference_configs
from tandembench.dataset.columns import TOPOLOGIES
from tandembench.report.derived import TTFT_FROM_START, TTFT_MEAN
from tandembench.report.numbers import (
    Values,
    by_config,
    distinct,
    mean,
    ratio,
    verdict,
)
from tandembench.stats.comparison import DIFFERENT_SESSIONS, Observation, paired_ratio
from tandembench.stats.family import ratio_family
from tandembench.stats.observations import observations

# What a page shows; the tables hold the rest.
MOST_GROUPS, MOST_ROWS = 12, 40


def topology_groups(
    runs: pd.DataFrame, executions: pd.DataFrame, reference: str, margin: float
) -> tuple[list[Values], int]:
    """One group per workload that two topologies or more were to do; and how many were left out.

    Groups with the reference come first, then the largest. The comparisons of a group with its
    reference, replicates aside, are one family: ``verdict`` is what holds in it, by Holm.
    """
    several = runs.groupby("workload")["topology"].nunique() > 1
    own = runs[runs["workload"].isin(several.index[several])]
    totals = _threads_by_config(executions)
    columns = ["comparison", "workload", "config_id", "topology", "valid", "work_effective"]
    listed = own.loc[own["topology"] == reference, columns]
    by_work = reference_configs(cast(list[Values], listed.to_dict("records")), reference)
    references = {workload: config_id for (_, workload), config_id in by_work.items()}
    groups = sorted(
        ((str(workload), same) for workload, same in own.groupby("workload")),
        key=lambda item: (
            item[0] not in references,
            -item[1]["config_id"].nunique(),
            item[1]["scenario"].iloc[0],
            item[0],
        ),
    )
    found = [
        _group(workload, same, references.get(workload), totals, reference, margin)
        for workload, same in groups[:MOST_GROUPS]
    ]
    return found, len(groups) - len(found)


def _group(
    workload: str,
    same: pd.DataFrame,
    reference_id: str | None,
    totals: Mapping[str, int],
    reference: str,
    margin: float,
) -> Values:
    valid = same[same["valid"]]
    configs = by_config(same)
    reference_runs = configs[reference_id] if reference_id else same.iloc[:0]
    rows = [_row(id_, own, reference_id, reference_runs, margin) for id_, own in configs.items()]
    rows.sort(key=lambda row: (TOPOLOGIES.index(row["topology"]), row["config_id"]))
    known = [totals[row["config_id"]] for row in rows if row["config_id"] in totals]
    first_of: dict[str, str] = {}
    for row in rows:
        row["replicate_of"] = first_of.get(row["content"])
        first_of.setdefault(row["content"], row["config_id"])
    _judge(rows, margin)
    return {
        "workload": workload,
        "scenario": str(same["scenario"].iloc[0]),
        "n_agents": int(same["n_agents"].iloc[0]),
        "work": distinct(same["work_policy"]),
        "not_fixed": int((valid["work_effective"] != "fixed").sum()),
        "of": len(valid),
        "rows": rows[:MOST_ROWS],
        "left_out": max(0, len(rows) - MOST_ROWS),
        "reference_listed": bool((same["topology"] == reference).any()),
        "has_reference": any(row["is_reference"] for row in rows),
        "equal_threads": len(set(known)) == 1 if len(known) > 1 else None,
    }


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
        if any(row["makespan_ratio"] or row["reason"] == DIFFERENT_SESSIONS for row in others):
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


def _judge(rows: Sequence[Values], margin: float) -> None:
    """Fill in the verdicts, which hang together; that of a replicate or reference stands alone."""
    family = [row for row in rows if not row["is_reference"] and row["replicate_of"] is None]
    alone = [row for row in rows if row not in family]
    for judged_together in (family, *([row] for row in alone)):
        verdicts = ratio_family([row["makespan_ratio"] for row in judged_together], margin)
        for row, judged in zip(judged_together, verdicts, strict=True):
            row |= {"verdict": judged.verdict, "alone": judged.alone}
            row |= {"p": judged.p, "adjusted_p": judged.adjusted_p}
        waits = [wait for row in judged_together for wait in row["first_token"].values()]
        told = ratio_family([wait["ratio"] for wait in waits], margin, more_is_better=False)
        family_of = sum(judged.p is not None for judged in told)
        for wait, judged in zip(waits, told, strict=True):
            wait |= {"verdict": judged.verdict, "alone": judged.alone, "family": family_of}


def _walls(runs: pd.DataFrame) -> list[Observation]:
    """Wall times that may stand beside those of another topology."""
    told = cast(list[Values], runs[["valid", "work_effective"]].to_dict("records"))
    whole = [comparable(run) for run in told]
    return observations(runs[np.array(whole, dtype=bool)], "wall_s")


def _row(
    config_id: str,
    attempts: pd.DataFrame,
    reference_id: str | None,
    reference: pd.DataFrame,
    margin: float,
) -> Values:
    own = attempts[attempts["valid"]]
    makespan = paired_ratio(_walls(reference), _walls(own))
    overstated = ratio(own, "overstated")
    return {
        "config_id": config_id,
        "topology": str(attempts["topology"].iloc[0]),
        "content": str(attempts["content"].iloc[0]),
        "n": len(own),
        "pairs": makespan.pairs,
        "sessions": makespan.sessions,
        "basis": makespan.basis,
        "reason": makespan.reason,
        "wall_s": ratio(own, "wall_s"),
        "makespan_ratio": makespan.interval,
        "detectable": makespan.detectable,
        "is_reference": config_id == reference_id,
        "aggregate_tokens_per_s": mean(own["aggregate_tokens_per_s"]),
        "ttft_s": mean(own[TTFT_MEAN]),
        "first_token": {
            name: _wait(own, reference, column)
            for name, column in (("own", TTFT_MEAN), ("start", TTFT_FROM_START))
        },
        "speedup_estimate": ratio(own, "speedup_estimate"),
        "speedup_true": ratio(own, "speedup_true"),
        "overstated": overstated,
        "overstated_verdict": verdict(overstated, margin),
    }


def _wait(own: pd.DataFrame, reference: pd.DataFrame, column: str) -> Values:
    """Mean wait for first tokens, s, and how many times that of the reference it is."""
    compared = paired_ratio(observations(own, column), observations(reference, column))
    return {"mean_s": ratio(own, column), "ratio": compared.interval, "pairs": compared.pairs}


def _threads_by_config(executions: pd.DataFrame) -> Mapping[str, int]:
    """Compute threads of each config's servers together, where the servers say so."""
    known = executions[executions["valid"]].dropna(subset=["threads", "server"])
    servers = known.groupby(["config_id", "server"])["threads"].max()
    return {str(id_): int(own.sum()) for id_, own in servers.groupby(level="config_id")}
