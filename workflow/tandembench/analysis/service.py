"""Why a topology is as fast as it is: who is served when, and where the time goes. Pure.

Of one comparison. Agents are told apart by the order in which they were served: which one comes
first is chance wherever they wait for each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tandembench.analysis.compare import level_fit
from tandembench.analysis.findings import Estimate
from tandembench.analysis.rounds import rounds

# The exact parts of 1 - efficiency_true.
PARTS = ("work_imbalance", "sequencing_loss", "queueing", "contention", "orchestration_true")
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
    executions: int
    first_token_s: float | None
    slowdown: Estimate | None


@dataclass(frozen=True, slots=True)
class Losses:
    """What becomes of the time of a config's servers, as means over its valid runs.

    ``efficiency`` is what is left of 1 after ``parts``, which are parallel to PARTS; each may be
    negative. ``threads_alone``: compute threads that an agent had when it was measured alone,
    which is what all of it is measured against. ``jain``: median Jain index of the runs.
    """

    config_id: str
    runs: int
    efficiency: float
    parts: tuple[float, ...]
    threads_alone: int | None
    jain: float | None


def services(runs: pd.DataFrame, executions: pd.DataFrame) -> tuple[Service, ...]:
    """Each config's agents by order of service, configs in the order of ``runs``.

    Rounds that other work disturbed are left out where enough others are left.
    """
    shared = executions[
        executions["valid"]
        & (executions["mode"] == "concurrent")
        & ~executions["twin"].astype(bool)
        & executions["service_order"].notna()
    ]
    shared = shared.merge(runs[[*_RUN, "disturbed"]], on=_RUN, how="left")
    order = {name: place for place, name in enumerate(runs["config_id"].unique())}
    made = [
        _service(str(config_id), int(own["service_order"].iloc[0]), own)
        for (config_id, _), own in shared.groupby(["config_id", "service_order"])
    ]
    return tuple(sorted(made, key=lambda one: (order[one.config_id], one.order)))


def losses(runs: pd.DataFrame, executions: pd.DataFrame) -> tuple[Losses, ...]:
    """Where the time of each config goes; those without solos to compare with are left out."""
    known = runs[runs["valid"] & ~runs["twin"].astype(bool) & runs["efficiency_true"].notna()]
    return tuple(
        _losses(str(config_id), own, executions[executions["config_id"] == config_id])
        for config_id, own in known.groupby("config_id", sort=False)
    )


def _service(config_id: str, order: int, executions: pd.DataFrame) -> Service:
    waits = executions["first_token_start_s"].dropna()
    table = rounds(executions, "slowdown", more_is_better=True).undisturbed()
    fit = level_fit(table, config_id) if config_id in table.logs else None
    return Service(
        config_id=config_id,
        order=order,
        executions=len(executions),
        first_token_s=float(waits.median()) if len(waits) else None,
        slowdown=fit.estimate() if fit else None,
    )


def _losses(config_id: str, runs: pd.DataFrame, executions: pd.DataFrame) -> Losses:
    quiet = runs[~runs["disturbed"].fillna(value=False).astype(bool)]
    runs = quiet if len(quiet) else runs
    jain = runs["jain"].dropna()
    return Losses(
        config_id=config_id,
        runs=len(runs),
        efficiency=float(runs["efficiency_true"].mean()),
        parts=tuple(float(runs[name].fillna(0.0).mean()) for name in PARTS),
        threads_alone=_one(executions["threads"].dropna().astype(int).tolist()),
        jain=float(jain.median()) if len(jain) else None,
    )


def _one(values: Sequence[int]) -> int | None:
    """The value that all have; None where they differ, or there is none."""
    return values[0] if len(set(values)) == 1 else None
