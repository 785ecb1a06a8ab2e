"""Which config is best, and whether one that was measured again says the same. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import pandas as pd

from tandembench.analysis.compare import Compared, compare, pair_fit, versus
from tandembench.analysis.findings import Versus
from tandembench.analysis.intervals import ALPHA, Interval, holm
from tandembench.analysis.levels import Side
from tandembench.analysis.numbers import ratio
from tandembench.analysis.rounds import rounds
from tandembench.analysis.settings import Check, Unapplied, unapplied
from tandembench.tables.columns import TOPOLOGIES

# The estimator is none: no verdict rests on it.
_METRICS = ("speedup_true", "aggregate_tokens_per_s")
_KIND = ["topology", "work_policy", "n_agents"]


class Phase(TypedDict):
    """A phase, as a dataset's descriptor has it."""

    name: str
    configs: list[str]


@dataclass(frozen=True, slots=True)
class Best:
    """Whether any of several configs differs by ``metric``, and which is best.

    ``config_id`` is the best or, where none is, the first; ``value`` is its median. ``p``, that
    none differs: Holm's, over the configs. ``detectable``: the ratio of two configs that is found
    with a chance of 80 %, the middle one of the comparisons. ``doubt``: settings that tell the
    configs apart, but may not have been applied; where these are all, none is best.
    """

    metric: str
    configs: int
    rounds: int
    config_id: str
    value: float
    compared: Compared
    p: float | None
    detectable: float | None
    doubt: Unapplied | None


@dataclass(frozen=True, slots=True)
class Group:
    """Configs of one topology, work and number of agents; ``scenario`` is None for all of them.

    The p of ``best`` is Holm's over all groups too; where it does not hold, none is best.
    """

    scenario: str | None
    topology: str
    work_policy: str
    n_agents: int
    best: Best


@dataclass(frozen=True, slots=True)
class Again:
    """A config of a later phase beside the config of equal content in the first that has one.

    ``against``: later over first of ``metric``.
    """

    first: str
    first_phase: str
    later: str
    later_phase: str
    metric: str
    first_mean: Interval | None
    later_mean: Interval | None
    against: Versus


def best(
    runs: pd.DataFrame,
    metric: str,
    margin: float,
    served: Mapping[str, Side],
    settings: Sequence[Check],
) -> Best | None:
    """Which config is best by ``metric``, in which more is better; None where none has it.

    Of configs with equal content the first counts. ``served`` says how configs are served,
    ``settings`` are the checks of them.
    """
    firsts = runs.groupby("content", sort=False)["config_id"].first()
    group = runs[runs["config_id"].isin(firsts) | runs["content"].isna()]
    table = rounds(group, metric, more_is_better=True).undisturbed()
    names = [str(name) for name in table.logs]
    if not names:
        return None
    compared = compare(table, names[0], margin, served)
    doubt = unapplied([(settings, [name]) for name in names])
    # A server that says otherwise speaks against an effect, one that says nothing does not.
    if doubt and doubt.all and doubt.reported:
        compared = _without_best(compared)
    chosen = compared.best or names[0]
    known = sorted(one.detectable for one in compared.against if one.detectable is not None)
    return Best(
        metric=metric,
        configs=len(names),
        rounds=len(table.logs),
        config_id=chosen,
        value=math.exp(table.logs[chosen].median()),
        compared=compared,
        p=compared.adjusted_p,
        detectable=known[len(known) // 2] if known else None,
        doubt=doubt,
    )


def groups(
    runs: pd.DataFrame, margin: float, served: Mapping[str, Side], settings: Sequence[Check]
) -> tuple[Group, ...]:
    """Whether any config differs: in each scenario and, where there are several, in all of them.

    By speedup_true where two configs have it, else by tokens/s.
    """
    result = []
    for _, of_kind in runs[runs["valid"]].groupby(_KIND):
        parts = [(str(name), group) for name, group in of_kind.groupby("scenario")]
        whole = [(None, of_kind)] if len(parts) > 1 else []
        for scenario, group in (*parts, *whole):
            known = group[group["speedup_true"].notna()]["config_id"].nunique()
            metric = _METRICS[0 if known > 1 else 1]
            one = best(group, metric, margin, served, settings)
            if one and one.configs > 1:
                topology, work, n = group[_KIND].iloc[0]
                result.append(Group(scenario, topology, work, int(n), one))
    result.sort(key=lambda one: (TOPOLOGIES.index(one.topology), one.work_policy, one.n_agents))
    ps = holm([one.best.p for one in result])
    return tuple(replace(one, best=_with_p(one.best, p)) for one, p in zip(result, ps, strict=True))


def _with_p(one: Best, p: float | None) -> Best:
    if p is None or p < ALPHA or one.compared.best is None:
        return replace(one, p=p)
    return replace(one, p=p, compared=_without_best(one.compared))


def _without_best(compared: Compared) -> Compared:
    return replace(compared, outcome="inconclusive", best=None, rivals=())


def measured_again(
    runs: pd.DataFrame, phases: Sequence[Phase], margin: float, served: Mapping[str, Side]
) -> tuple[Again, ...]:
    """Each config that a later phase measured once more; all of them are one family (Holm).

    The metric is speedup_true where both know it, else tokens/s.
    """
    contents = runs.drop_duplicates("config_id").set_index("config_id")["content"].to_dict()
    firsts: dict[str, tuple[str, str]] = {}
    pairs = []
    for phase in phases:
        group = [(contents[one], one) for one in phase["configs"] if contents.get(one)]
        pairs += [(*firsts[text], one, phase["name"]) for text, one in group if text in firsts]
        for text, one in group:
            firsts.setdefault(text, (one, phase["name"]))
    valid = runs[runs["valid"]]
    result = []
    for first, first_phase, later, later_phase in pairs:
        a, b = (valid[valid["config_id"] == name] for name in (first, later))
        known = a[[*_METRICS]].notna().any() & b[[*_METRICS]].notna().any()
        for metric in [name for name in _METRICS if known[name]][:1]:
            table = rounds(pd.concat([a, b]), metric, more_is_better=True).undisturbed()
            names = (first, first_phase, later, later_phase, metric)
            fit = pair_fit(table, later, first, served)
            result.append((names, ratio(a, metric), ratio(b, metric), fit))
    adjusted = holm([fit.p if fit else None for *_, fit in result])
    return tuple(
        Again(*names, a, b, versus(names[2], names[0], fit, margin, p))
        for (names, a, b, fit), p in zip(result, adjusted, strict=True)
    )
