"""Where the loss of running at once goes, exactly, group by group. Pure."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from tandembench.analysis.intervals import Interval, mean_interval, session_means, within
from tandembench.analysis.lengths import Predictions, pairs, predictions
from tandembench.analysis.numbers import RUN
from tandembench.analysis.turns import turns
from tandembench.metrics import IMBALANCE_PARTS, TRUE_PARTS
from tandembench.tables.columns import TOPOLOGIES

ESTIMATE_PARTS = ("imbalance_loss", *IMBALANCE_PARTS, "sequencing_loss", "orchestration_loss")
# What parts cannot leave, and so neither can their shares where no part may be negative.
_BOUNDS = {name: (0.0, 1.0) for name in ESTIMATE_PARTS if name not in IMBALANCE_PARTS}
_BOUNDS |= dict.fromkeys(
    ("work_imbalance", "reloading", "queueing", "orchestration_true"), (0.0, math.inf)
)
# Rounding of sums.
_NOTHING = 1e-9
Against = Literal["above", "below", "inconclusive"]
Place = tuple[str | None, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a loss: its ``mean`` (in 1) and its ``share`` of the mean loss (in 1)."""

    mean: Interval
    share: Interval | None


@dataclass(frozen=True, slots=True)
class Split:
    """A mean loss and its parts by name; a part is None where the source does not tell it.

    ``largest`` is by mean, of all parts but those of the imbalance.
    """

    loss: Interval
    parts: Mapping[str, Part | None]
    largest: str


@dataclass(frozen=True, slots=True)
class Group:
    """Runs of a topology and work, of a scenario of them, or all (then these are None).

    ``true`` is None where no run has solos, ``predictions`` where no run can have one: they are
    over the runs in which no model is known to be loaded, of which token counts know nothing, and
    ``with_cold`` over all, None if that is the same. ``outside``: the share of orchestration in
    the estimator's loss against the margin; ``in_turn``: whether it is that of configs whose
    agents took turns in the client, for the larger part; ``sharing``: the cost of contention
    against 0.
    """

    scenario: str | None
    topology: str | None
    work: str | None
    n: int
    n_true: int
    estimate: Split
    true: Split | None
    outside: Against
    in_turn: bool
    sharing: Against
    predictions: Predictions | None
    with_cold: Predictions | None


def attribution(runs: pd.DataFrame, executions: pd.DataFrame, margin: float) -> tuple[Group, ...]:
    """The dataset, each topology and work of it, and each scenario of these.

    Over valid runs of two agents or more: one agent has nobody to wait for.
    """
    valid = runs[runs["valid"] & (runs["n_agents"] > 1)]
    shared = executions[executions["valid"] & (executions["mode"] == "concurrent")]
    answered = pairs(valid, shared)
    in_turn = {name for name, way in turns(valid, shared).items() if way == "client"}
    return tuple(_group(place, group, answered, in_turn, margin) for place, group in _groups(valid))


def _groups(valid: pd.DataFrame) -> Iterator[tuple[Place, pd.DataFrame]]:
    """((scenario, topology, work), runs), the whole first; scenarios where there are several."""
    rank = valid["topology"].map(TOPOLOGIES.index)
    by_kind = valid.groupby([rank, valid["topology"], valid["work_policy"]])
    if by_kind.ngroups > 1:
        yield (None, None, None), valid
    for (_, topology, work), group in by_kind:
        yield (None, str(topology), str(work)), group
        if group["scenario"].nunique() > 1:
            for scenario, of_scenario in group.groupby("scenario"):
                yield (str(scenario), str(topology), str(work)), of_scenario


def _group(
    place: Place,
    group: pd.DataFrame,
    answered: pd.DataFrame,
    in_turn: Collection[str],
    margin: float,
) -> Group:
    known = group.dropna(subset=["efficiency_true"])
    estimate = _split(group, "efficiency_estimate", ESTIMATE_PARTS)
    true = _split(known, "efficiency_true", TRUE_PARTS) if len(known) else None
    outside = estimate.parts["orchestration_loss"]
    contention = true.parts["contention"] if true else None
    of_turns = group.loc[group["config_id"].isin(in_turn), "orchestration_loss"].sum()
    predicted = answered.merge(group[RUN], on=RUN)
    cold = predicted["cold"].fillna(value=False).astype(bool)
    can = place[1] is not None and not cold.all()
    return Group(
        *place,
        n=len(group),
        n_true=len(known),
        estimate=estimate,
        true=true,
        outside=_against(outside.share if outside else None, margin),
        in_turn=bool(2 * of_turns > group["orchestration_loss"].sum()),
        sharing=_against(contention.mean if contention else None, 0.0),
        predictions=predictions(predicted[~cold], margin) if can else None,
        with_cold=predictions(predicted, margin) if can and cold.any() else None,
    )


def _against(value: Interval | None, bound: float) -> Against:
    if value is None or value.low is None or value.high is None:
        return "inconclusive"
    return "below" if value.high < bound else "above" if value.low > bound else "inconclusive"


def _split(group: pd.DataFrame, efficiency: str, names: Sequence[str]) -> Split:
    # What a source does not tell (decode seconds, for one) is no part.
    known = {name: group[name].to_list() for name in names if group[name].notna().all()}
    loss, parts = split((1 - group[efficiency]).to_list(), known, group["session"].to_list())
    others = [name for name in parts if name not in IMBALANCE_PARTS]
    return Split(
        loss=loss,
        parts={name: parts.get(name) for name in names},
        largest=max(others, key=lambda name: parts[name].mean.mean),
    )


def split(
    loss: Sequence[float], parts: Mapping[str, Sequence[float]], sessions: Sequence[str]
) -> tuple[Interval, dict[str, Part]]:
    """Mean of ``loss``, and mean and share of each part of it; a value for each run in all.

    The share is the ratio of the means, so that the shares of all parts add up to 1, with the
    interval of the ratio estimator: its linearised values R + (y - R x)/mean x (Cochran 1977,
    section 6.4). None where the mean loss is not shown to be above 0, and of a part that is
    negative or more than the whole: parts that cancel each other are no shares. Intervals of what
    cannot be negative, or more than the whole, end there.
    """
    whole = session_means(loss, sessions)
    total = math.fsum(whole) / len(whole)
    mean = mean_interval(loss, sessions)
    result = {}
    for name, values in parts.items():
        group = session_means(values, sessions)
        share = None
        ratio = math.fsum(group) / math.fsum(whole) if total else math.nan
        if (
            -_NOTHING <= ratio <= 1 + _NOTHING
            and mean.mean > 0
            and (mean.low is None or mean.low > 0)
        ):
            share = mean_interval(
                [ratio + (y - ratio * x) / total for x, y in zip(whole, group, strict=True)]
            )
        bounds = _BOUNDS.get(name, (-math.inf, math.inf))
        result[name] = Part(
            within(mean_interval(values, sessions), bounds), share and within(share, bounds)
        )
    return mean, result
