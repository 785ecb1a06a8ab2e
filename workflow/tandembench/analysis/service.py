"""Why a topology is as fast as it is: who is served when, and where the time goes. Pure.

Of one comparison. Agents are told apart by the order in which they were served: which one comes
first is chance wherever they wait for each other.
"""

from dataclasses import dataclass

import pandas as pd

from tandembench.analysis.compare import level_fit
from tandembench.analysis.findings import Estimate
from tandembench.analysis.rounds import concurrent, rounds

# The exact parts of 1 - efficiency_true.
PARTS = (
    *("work_imbalance", "sequencing_loss", "reloading", "queueing", "contention"),
    "orchestration_true",
)
_RUN = [
    *("session", "invocation", "comparison", "repetition", "round"),
    *("config_id", "twin", "attempt"),
]


@dataclass(frozen=True, slots=True)
class Service:
    """The agent that a config served first, second and so on (``order``, from 1).

    ``first_token_s``: median, from the start of the run to its first content. ``slowdown``: how
    many times as long as alone on the same servers it took, with its interval; None without solos.
    """

    config_id: str
    order: int
    first_token_s: float | None
    slowdown: Estimate | None


@dataclass(frozen=True, slots=True)
class Losses:
    """What becomes of the time of a config's servers, as means over its valid runs.

    ``efficiency`` is what is left of 1 after ``parts``, which are parallel to PARTS; each may be
    negative. ``threads_alone``: compute threads that an agent had when it was measured alone,
    which is what all of it is measured against; ``alone_s``: median time that it took then.
    ``jain``: median Jain index of the runs.
    """

    config_id: str
    efficiency: float
    parts: tuple[float, ...]
    threads_alone: int | None
    alone_s: float | None
    jain: float | None


def services(runs: pd.DataFrame, executions: pd.DataFrame) -> tuple[Service, ...]:
    """Each config's agents by order of service, configs in the order of ``runs``.

    Rounds that other work disturbed are left out where enough others are left.
    """
    served = concurrent(executions).dropna(subset="service_order")
    served = served.merge(runs[[*_RUN, "disturbed"]], on=_RUN, how="left")
    order = {name: place for place, name in enumerate(runs["config_id"].unique())}
    result = []
    for (config_id, _), group in served.groupby(["config_id", "service_order"]):
        waits = group["first_token_start_s"].dropna()
        table = rounds(group, "slowdown", more_is_better=True).undisturbed()
        fit = level_fit(table, str(config_id)) if config_id in table.logs else None
        result.append(
            Service(
                config_id=str(config_id),
                order=int(group["service_order"].iloc[0]),
                first_token_s=float(waits.median()) if len(waits) else None,
                slowdown=fit.estimate() if fit else None,
            )
        )
    return tuple(sorted(result, key=lambda one: (order[one.config_id], one.order)))


def losses(runs: pd.DataFrame, executions: pd.DataFrame) -> tuple[Losses, ...]:
    """Where the time of each config goes; those without solos to compare with are left out."""
    known = runs[runs["valid"] & ~runs["twin"].astype(bool) & runs["efficiency_true"].notna()]
    threads = executions.dropna(subset="threads").groupby("config_id")["threads"].unique()
    alone_s = concurrent(executions).groupby("config_id")["solo_s"].median()
    result = []
    for config_id, group in known.groupby("config_id", sort=False):
        quiet = group[~group["disturbed"].fillna(value=False).astype(bool)]
        counted = quiet if len(quiet) else group
        jain = counted["jain"].dropna()
        alone, took = threads.get(config_id, ()), alone_s.get(config_id)
        result.append(
            Losses(
                config_id=str(config_id),
                efficiency=float(counted["efficiency_true"].mean()),
                parts=tuple(float(counted[name].fillna(0.0).mean()) for name in PARTS),
                threads_alone=int(alone[0]) if len(alone) == 1 else None,
                alone_s=None if took is None or pd.isna(took) else float(took),
                jain=float(jain.median()) if len(jain) else None,
            )
        )
    return tuple(result)
