"""Secondary questions of a comparison, only those that the study declares: a family of their own.

Pure. Which config has the sooner first token, the fairer share, the smaller memory?
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tandembench.analysis.answer import measured
from tandembench.analysis.compare import Compared, compare
from tandembench.analysis.intervals import ALPHA, holm
from tandembench.analysis.rounds import concurrent, rounds
from tandembench.study.spec import Criterion

_RUN = ["session", "invocation", "comparison", "repetition", "round", "config_id", "attempt"]
_MORE_IS_BETTER = {"first_token": False, "fairness": True, "memory": False}


@dataclass(frozen=True, slots=True)
class Judged:
    """What a criterion comes to; ``adjusted_p`` is Holm's over the declared criteria."""

    criterion: Criterion
    adjusted_p: float | None
    compared: Compared


def criteria(
    runs: pd.DataFrame,
    executions: pd.DataFrame,
    declared: Sequence[Criterion],
    margin: float,
    reference: str,
) -> tuple[Judged, ...]:
    """Each declared criterion of one comparison, of whose runs alone these are the tables.

    first_token: mean over the agents of the time from the start to first content; fairness: Jain
    index; memory: the servers' together. A criterion whose p does not hold among all of them is
    inconclusive, whatever it says alone.
    """
    if not declared:
        return ()
    base = measured(runs, executions, margin, reference)
    values = _with_values(runs, executions)
    alone = []
    for one in declared:
        table = rounds(values, one, more_is_better=_MORE_IS_BETTER[one]).undisturbed()
        alone.append(compare(table, base.reference, margin, base.sides))
    adjusted = holm([one.adjusted_p for one in alone])
    return tuple(
        Judged(criterion, p, one if p is None or p < ALPHA else _open(one))
        for criterion, one, p in zip(declared, alone, adjusted, strict=True)
    )


def _open(one: Compared) -> Compared:
    if one.outcome == "equivalent":
        return one
    return Compared("inconclusive", None, (), one.reference, one.against, one.adjusted_p)


def _with_values(runs: pd.DataFrame, executions: pd.DataFrame) -> pd.DataFrame:
    waits = (
        concurrent(executions)
        .groupby(_RUN, dropna=False)["first_token_start_s"]
        .agg(lambda group: group.mean(skipna=False))
    )
    group = runs.merge(waits.rename("first_token").reset_index(), on=_RUN, how="left")
    return group.assign(fairness=group["jain"], memory=group["server_memory_bytes"])
