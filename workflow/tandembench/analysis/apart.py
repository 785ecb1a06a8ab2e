"""What runs show that were not measured side by side, as other people's are. Pure.

Settings are compared by tokens/s, since answers differ in length, and by wall time, never by the
estimator. Nothing here was randomised: a difference is one between runs, at their times.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from tandembench.analysis.findings import Verdict
from tandembench.analysis.intervals import (
    Interval,
    difference_family,
    exponential,
    interval_of_moments,
    inverse,
    mean_interval,
    moments,
    negative,
    welch_from_moments,
)
from tandembench.analysis.rounds import concurrent
from tandembench.analysis.turns import Loads, Turns, load_times, loads, turns
from tandembench.study.ids import OF_THE_LOAD

Tables = tuple[pd.DataFrame, pd.DataFrame]
# What may tell groups of configs apart. "alike": whether all agents ask a server for the same of
# what a model is loaded with, which one server cannot serve otherwise without loading it again.
# "side" is the dataset of two, and a level of another kind then begins with it: "A: equal".
Kind = Literal["topology", "engine", "runner", "phase", "alike", "config", "side"]
_WITHIN: Mapping[Kind, str | None] = {
    "topology": "workload",
    "engine": "workload",
    "runner": "workload",
    "phase": "workload",
    "alike": None,
    "config": None,
}
EQUAL = "equal"
_OPPOSITE: Mapping[Verdict, Verdict] = {"better": "worse", "worse": "better"}
# More groups than this are a list and no setting, and so many configs are too many to rank; fewer
# configs than the last are judged by their runs.
_MOST, _MOST_CONFIGS, _FEWEST = 8, 40, 3


@dataclass(frozen=True, slots=True)
class Group:
    """Configs that have ``level`` in common; ``topologies`` and ``turns`` are those of its configs.

    ``wall_s``: mean of the configs' mean wall times. ``tokens_per_s``: geometric mean of the
    configs' medians, which one cold run in five does not move; None where tokens are not known.
    ``loads`` is None where load times are not known.
    """

    level: str
    configs: int
    runs: int
    wall_s: Interval
    tokens_per_s: Interval | None
    loads: Loads | None
    topologies: tuple[str, ...]
    turns: Mapping[Turns | None, int]


@dataclass(frozen=True, slots=True)
class Pair:
    """One group against another: ``ratio`` of tokens/s (of wall times where these are not known,
    upside down), above 1 where the first is better; ``wall_s`` is its wall time less the other's.

    ``verdict`` and ``wall_verdict`` are in the family of all pairs of a dataset.
    """

    level: str
    other: str
    ratio: Interval
    verdict: Verdict
    wall_s: Interval
    wall_verdict: Verdict


@dataclass(frozen=True, slots=True)
class Factor:
    """Groups by one setting, the most tokens/s first.

    ``best``: of those that are not shown to be worse than the first, the one of most configs;
    ``pairs``: it against each other, in the order of ``groups``.
    """

    kind: Kind
    groups: tuple[Group, ...]
    best: str
    pairs: tuple[Pair, ...]

    @property
    def differs(self) -> bool:
        """Whether the best group is shown to be better than any other."""
        return any(one.verdict == "better" for one in self.pairs)

    def group(self, level: str) -> Group:
        """The group of a level."""
        return next(one for one in self.groups if one.level == level)


@dataclass(frozen=True, slots=True)
class Apart:
    """All runs, and the settings by which their groups can be compared, those that differ first."""

    whole: Group
    factors: tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """Two datasets, "A" and "B": all of each, and the groups of both by what parts one of them.

    ``paired``: by the configs, or the work, of which both hold most.
    """

    sides: Factor
    factors: tuple[Factor, ...]
    paired: bool

    @property
    def pair(self) -> Pair:
        """B against A."""
        one = self.sides.pairs[0]
        return one if one.level == "B" else _turned(one)


@dataclass(frozen=True, slots=True)
class _Runs:
    """Valid ``runs`` and their ``configs``, with ``log``, the logarithm of what ranks them.

    ``known``: that is tokens/s. ``loads``: times of each run, by its index, None where not known.
    """

    runs: pd.DataFrame
    configs: pd.DataFrame
    turns: Mapping[str, Turns | None]
    known: bool
    loads: Mapping[int, Sequence[float]] | None


def apart(runs: pd.DataFrame, executions: pd.DataFrame, margin: float) -> Apart | None:
    """What the valid ``runs`` of a dataset come to; None without any."""
    table = _table(runs, executions)
    if table is None:
        return None
    return Apart(_group("", table, table.configs), _factors(table, margin, _WITHIN))


def between(a: Tables, b: Tables, margin: float) -> Between | None:
    """Runs and executions of two datasets; None where one has no valid run."""
    runs, executions = (
        pd.concat(
            [
                one.assign(
                    side=side, named=one["config_id"], config_id=f"{side}: " + one["config_id"]
                )
                for side, one in (("A", of_a), ("B", of_b))
            ],
            ignore_index=True,
        )
        for of_a, of_b in zip(a, b, strict=True)
    )
    table = _table(runs, executions)
    if table is None or table.configs["side"].nunique() < 2:
        return None
    pairing = next((name for name in ("named", "workload") if _shared(table.configs, name)), None)
    (sides,) = _factors(table, margin, {"side": pairing})
    within: dict[Kind, str | None] = {}
    for kind in ("topology", "engine", "runner", "alike"):
        if any(_splits(kind, one) for _, one in table.configs.groupby("side")):
            within[kind] = _WITHIN[kind]
            known = table.configs[kind].fillna("all")
            table.configs[kind] = table.configs["side"] + ": " + known
    return Between(sides, _factors(table, margin, within), pairing is not None)


def _shared(configs: pd.DataFrame, name: str) -> bool:
    """Whether both sides hold most of what ``name`` tells apart."""
    a, b = configs.groupby("side")[name].agg(set)
    return 2 * len(a & b) >= max(len(a), len(b))


def _table(runs: pd.DataFrame, executions: pd.DataFrame) -> _Runs | None:
    valid = runs[runs["valid"] & ~runs["twin"].astype(bool)].reset_index(drop=True)
    if valid.empty:
        return None
    shared = concurrent(executions)
    known = bool((valid["aggregate_tokens_per_s"] > 0).all())
    rank = valid["aggregate_tokens_per_s"] if known else 1 / valid["wall_s"]
    times = load_times(valid, shared)
    valid = valid.assign(log=np.log(rank.astype(float)))
    named = ["topology", "engine", "runner", "phase", "workload", "side", "named"]
    columns = [name for name in named if name in valid]
    by_config = valid.groupby("config_id", sort=False)
    configs = (
        by_config[columns]
        .first()
        .assign(
            log=by_config["log"].median(), wall_s=by_config["wall_s"].mean(), alike=_alike(shared)
        )
    )
    several = valid[valid["n_agents"] > 1]
    configs = configs.assign(config=configs.index)
    loaded = None if times is None else dict(enumerate(times))
    return _Runs(valid, configs, turns(several, shared), known, loaded)


def _alike(shared: pd.DataFrame) -> "pd.Series[str]":
    """By config, what its agents ask for differently of what a model is loaded with, or EQUAL."""
    asked: dict[str, list[Mapping[str, object]]] = {}
    columns = ["config_id", "agent_index", "model", "options_asked"]
    for name, _, model, text in shared[columns].drop_duplicates(columns[:2]).to_numpy():
        asked.setdefault(str(name), []).append({"model": model} | json.loads(text or "{}"))
    return pd.Series(
        {
            name: ", ".join(
                option
                for option in ("model", *OF_THE_LOAD)
                if len({agent.get(option) for agent in agents}) > 1
            )
            or EQUAL
            for name, agents in asked.items()
        }
    )


def _factors(table: _Runs, margin: float, within: Mapping[Kind, str | None]) -> tuple[Factor, ...]:
    """Each setting that has several groups, those that differ first.

    The verdicts of all of their pairs are a family. ``within``: the column of what may be paired.
    """
    kinds = [kind for kind in within if _splits(kind, table.configs)]
    if len(table.configs) > _MOST and len(kinds) > 1:
        kinds = [kind for kind in kinds if kind != "config"]
    groups = {
        kind: sorted(
            (_group(str(level), table, part) for level, part in table.configs.groupby(kind)),
            key=lambda one: -one.tokens_per_s.mean if one.tokens_per_s else one.wall_s.mean,
        )
        for kind in kinds
    }
    names = [
        (kind, a.level, b.level) for kind, of in groups.items() for a, b in combinations(of, 2)
    ]
    pairs = dict(zip(names, _pairs(table, names, margin, within), strict=True))
    pairs |= {(kind, b, a): _turned(one) for (kind, a, b), one in pairs.items()}
    factors = []
    for kind, of in groups.items():
        first, *rest = of
        behind = [b for b in rest if pairs[kind, first.level, b.level].verdict == "better"]
        best = max((one for one in of if one not in behind), key=lambda one: one.configs).level
        against = tuple(pairs[kind, best, one.level] for one in of if one.level != best)
        factors.append(Factor(kind, tuple(of), best, against))
    return tuple(sorted(factors, key=lambda one: not one.differs))


def _turned(one: Pair) -> Pair:
    """The same from the other's side."""
    return Pair(
        one.other,
        one.level,
        inverse(one.ratio),
        _OPPOSITE.get(one.verdict, one.verdict),
        negative(one.wall_s),
        _OPPOSITE.get(one.wall_verdict, one.wall_verdict),
    )


def _splits(kind: Kind, configs: pd.DataFrame) -> bool:
    """Whether ``kind`` parts the configs into groups that may be compared.

    Phases are, where they measure the same: else they are different questions.
    """
    levels = configs.groupby(kind)["workload"].agg(set)
    if kind == "phase" and 2 * len(set.intersection(*levels)) < len(set.union(*levels)):
        return False
    return 1 < len(levels) <= (_MOST_CONFIGS if kind == "config" else _MOST)


def _pairs(
    table: _Runs,
    names: Sequence[tuple[Kind, str, str]],
    margin: float,
    within: Mapping[Kind, str | None],
) -> list[Pair]:
    ratios, walls = [], []
    for kind, a, b in names:
        sides = [table.configs[table.configs[kind] == level] for level in (a, b)]
        ratio, wall_s = (_difference(table, sides, within[kind], of) for of in ("log", "wall_s"))
        ratios.append(ratio)
        walls.append(wall_s)
    verdicts = difference_family(ratios, float(np.log1p(margin)))
    usual = float(table.configs["wall_s"].mean())
    wall_verdicts = difference_family(walls, margin * usual, more_is_better=False)
    return [
        Pair(a, b, exponential(ratio), verdict, wall_s, wall_verdict)
        for (_, a, b), ratio, verdict, wall_s, wall_verdict in zip(
            names, ratios, verdicts, walls, wall_verdicts, strict=True
        )
    ]


def _difference(
    table: _Runs, sides: Sequence[pd.DataFrame], within: str | None, column: str
) -> Interval:
    """The first side less the second: over what both measured, else over configs, else over runs.

    Configs differ by more than chance, so that few of them say little of others: then the runs
    count, and the interval is of these configs alone.
    """
    runs = [table.runs[table.runs["config_id"].isin(side.index)] for side in sides]
    if within:
        a, b = (side.groupby(within)[column].mean() for side in sides)
        both = (a - b).dropna()
        if len(both) >= _FEWEST:
            return interval_of_moments(moments(both.to_list()))
        if len(both):
            runs = [one[one[within].isin(both.index)] for one in runs]
            usual = pd.concat(runs).groupby(within)[column].mean()
            runs = [one.assign(**{column: one[column] - one[within].map(usual)}) for one in runs]
            return welch_from_moments(*(moments(one[column].to_list()) for one in runs))
    if min(map(len, sides)) >= _FEWEST:
        return welch_from_moments(*(moments(side[column].to_list()) for side in sides))
    return welch_from_moments(*(moments(one[column].to_list()) for one in runs))


def _group(level: str, table: _Runs, configs: pd.DataFrame) -> Group:
    part = table.runs[table.runs["config_id"].isin(configs.index)]
    few = len(configs) < _FEWEST
    walls, logs = ((part if few else configs)[name].to_list() for name in ("wall_s", "log"))
    times = table.loads
    ways = [table.turns[name] for name in configs.index if name in table.turns]
    return Group(
        level=level,
        configs=len(configs),
        runs=len(part),
        wall_s=mean_interval(walls),
        tokens_per_s=exponential(mean_interval(logs)) if table.known else None,
        loads=None
        if times is None
        else loads([times[run] for run in part.index], part["wall_s"].to_list()),
        topologies=tuple(sorted(set(configs["topology"]))),
        turns={way: ways.count(way) for way in dict.fromkeys(ways)},
    )
