"""What was asked of servers, what they did, and what a difference may be put down to. Pure."""

import json
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from tandembench.analysis.numbers import RUN
from tandembench.analysis.turns import decoded_at_once

# Of JSON: the value of an option.
Scalar = str | int | float | bool | None
# (factor, asked, effective, applied); effective and applied are None where nothing reports it.
_Reported = tuple[str, Scalar, str | None, bool | None]


@dataclass(frozen=True, slots=True)
class Check:
    """A setting as ``configs`` asked for it. ``effective`` is None where nothing reports it.

    ``applied`` is None then too.
    """

    factor: str
    asked: str
    effective: str | None
    applied: bool | None
    configs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """Configs by what became of ``factor``: in any agent otherwise, else not reported in any."""

    factor: str
    applied: int
    not_applied: int
    not_reported: int


@dataclass(frozen=True, slots=True)
class Settings:
    """``asked``: whether any option was. ``rows``: settings not applied, or not reported."""

    asked: bool
    rows: tuple[Check, ...]
    summary: tuple[Counted, ...]


# The checks of a dataset, and the configs of it that make a side.
Side = tuple[Sequence[Check], Collection[str]]


@dataclass(frozen=True, slots=True)
class Unapplied:
    """Factors in which sides differ, but which are not known to have been applied.

    ``all``: these are all in which they differ, so that no effect can be told. ``reported`` is
    False where no server reports any of them, rather than something else.
    """

    factors: tuple[str, ...]
    all: bool
    reported: bool


def checks(executions: pd.DataFrame, threads_total: int | None = None) -> list[Check]:
    """Every setting that was asked for, by factor and value: options, topology, compute threads.

    What is not valid is left out: its servers did not get to say anything, or not all of them.
    ``threads_total`` is the study's, None where the machine decided.
    """
    complete = executions[executions["valid"]]
    configs: dict[tuple[str, float, str, str | None, bool | None], dict[str, None]] = {}
    reported = (*_options(complete), *_layouts(complete, threads_total))
    for config_id, (factor, asked, effective, applied) in reported:
        rank = float(asked) if isinstance(asked, int | float) else math.inf
        key = (factor, rank, option_text(asked), effective, applied)
        configs.setdefault(key, {})[config_id] = None
    return [
        Check(key[0], *key[2:], configs=tuple(configs[key]))
        for key in sorted(configs, key=lambda key: (*key[:3], key[3] or ""))
    ]


def settings(result: Sequence[Check]) -> Settings:
    """What became of the settings of a dataset."""
    factors = dict.fromkeys(check.factor for check in result)
    return Settings(
        asked=not factors.keys() <= {"topology", "threads_total"},
        rows=tuple(check for check in result if not check.applied),
        summary=tuple(_counted(factor, result) for factor in factors),
    )


def unapplied(sides: Sequence[Side], chosen: Collection[str] = ()) -> Unapplied | None:
    """What stands between sides; None if every factor that matters was applied.

    ``chosen`` are factors that made a side what it is, and so must hold in any case; of a single
    side they alone count.
    """
    group = [check for side in sides for check in _of(side)]
    differing = [
        factor
        for factor in dict.fromkeys(check.factor for check in group)
        if factor in chosen or len({_levels(factor, side) for side in sides}) > 1
    ]
    loose = [one for one in differing if any(c.factor == one and not c.applied for c in group)]
    if not loose:
        return None
    said = any(check.factor in loose and check.applied is False for check in group)
    return Unapplied(tuple(loose), loose == differing, said)


def option_text(value: Scalar) -> str:
    """The value of an option, as a table shows it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _counted(factor: str, result: Sequence[Check]) -> Counted:
    by_state: dict[bool | None, set[str]] = {False: set(), None: set(), True: set()}
    for check in result:
        if check.factor == factor:
            by_state[check.applied].update(check.configs)
    not_applied, not_reported = by_state[False], by_state[None] - by_state[False]
    applied = by_state[True] - not_applied - not_reported
    return Counted(factor, len(applied), len(not_applied), len(not_reported))


def _of(side: Side) -> list[Check]:
    result, configs = side
    return [check for check in result if not set(configs).isdisjoint(check.configs)]


def _levels(factor: str, side: Side) -> frozenset[str | None]:
    """The values that the configs asked for; None stands for one that did not ask."""
    group = [check for check in _of(side) if check.factor == factor]
    asking = {config for check in group for config in check.configs}
    silent: set[str | None] = {None} if set(side[1]) - asking else set()
    return frozenset(silent | {check.asked for check in group})


def _options(complete: pd.DataFrame) -> Iterator[tuple[str, _Reported]]:
    """(config, what is reported) of each option of each agent."""
    columns = ["options_asked", "options_effective", "num_ctx_effective"]
    columns += ["model_bytes", "model_gpu_bytes"]
    # Repetitions say the same thing again.
    distinct = complete.reindex(columns=["config_id", "agent", *columns]).drop_duplicates()
    for (config_id, _), group in distinct.groupby(["config_id", "agent"], sort=False):
        contexts = sorted({int(value) for value in group["num_ctx_effective"].dropna()})
        texts = group["options_effective"].dropna().unique()
        servers: list[dict[str, Scalar]] = [json.loads(text) for text in texts]
        asked: dict[str, Scalar] = json.loads(group["options_asked"].iloc[0])
        for factor, value in asked.items():
            values = [said[factor] for said in servers if said.get(factor) is not None]
            known = {option_text(one): one for one in values}
            effective = (
                [*contexts] if factor == "num_ctx" else [known[text] for text in sorted(known)]
            )
            applied = all(_same(value, one) for one in effective) if effective else None
            if factor == "num_gpu" and not effective:
                effective, applied = _layers(value, group)
            yield str(config_id), (factor, value, _joined(effective), applied)


def _layers(asked: Scalar, group: pd.DataFrame) -> tuple[list[Scalar], bool | None]:
    """Where the model lay, as far as bytes tell of layers, and whether that was asked for."""
    known = group[["model_bytes", "model_gpu_bytes"]].dropna().astype(float)
    if known.empty:
        return [], None
    shares = known["model_gpu_bytes"] / known["model_bytes"]
    if (shares == 0).all():
        return ["no layer on a GPU"], asked == 0
    if (shares >= 1).all():
        # More layers may be asked for than there are.
        return ["all layers on a GPU"], asked != 0
    return [f"{100 * shares.min():.0f} % of the model on a GPU"], False if asked == 0 else None


def _same(asked: Scalar, effective: Scalar) -> bool:
    # Servers hold 32-bit numbers, and give six digits back.
    if isinstance(asked, int | float) and isinstance(effective, int | float):
        return math.isclose(asked, effective, rel_tol=1e-5)
    return asked == effective


def _layouts(complete: pd.DataFrame, threads_total: int | None) -> Iterator[tuple[str, _Reported]]:
    """(config, what is known) of each config's topology, and of its threads if asked.

    A server that does not tell its slots is known by what it did: agents that never decode at
    once wait for each other, and agents that do have slots or servers of their own.
    """
    together = complete[(complete["mode"] == "concurrent") & (complete["n_agents"] > 1)]
    servers = _distinct(together.dropna(subset=["endpoint"]).groupby(RUN)["endpoint"].nunique())
    slots = _distinct(together.dropna(subset=["slots"]).set_index("config_id")["slots"])
    at_once = decoded_at_once(together)
    started = together.dropna(subset=["threads"]).drop_duplicates([*RUN, "server"])
    threads = _distinct(started.groupby(RUN)["threads"].sum())
    firsts = together.drop_duplicates("config_id")[["config_id", "topology", "n_agents"]]
    for config, topology, n in firsts.itertuples(index=False):
        counts = servers.get(config, []), slots.get(config, [])
        yield config, ("topology", topology, *_topology(topology, n, *counts, at_once.get(config)))
        if threads_total is not None:
            totals = threads.get(config, [])
            applied = totals == [threads_total] if totals else None
            yield config, ("threads_total", threads_total, _joined(totals), applied)


def _distinct(values: "pd.Series[int]") -> dict[str, list[int]]:
    """The distinct values of each config, smallest first."""
    by_config = values.astype(int).groupby(level="config_id").unique()
    return {str(config): sorted(group.tolist()) for config, group in by_config.items()}


def _joined(values: Sequence[Scalar]) -> str | None:
    return ", ".join(map(option_text, values)) or None


def _topology(
    topology: str, n: int, servers: list[int], slots: list[int], at_once: bool | None
) -> tuple[str | None, bool | None]:
    """(what the servers were, whether that is the topology); None where nothing tells.

    ``servers`` are the distinct numbers of servers of a config's runs.
    """
    if not servers:
        return None, None
    said = [f"{_joined(servers)} server{'s' * (servers != [1])}"]
    if slots:
        said.append(f"{_joined(slots)} slot{'s' * (slots != [1])} each")
    elif at_once is not None and topology != "serial":
        said.append("agents decoded at once" if at_once else "agents never decoded at once")
    applied: bool | None = servers == [n if topology == "dual" else 1]
    if applied and topology == "single":
        applied = slots == [1] if slots else None if at_once is None else not at_once
    elif applied and topology == "single_parallel":
        applied = min(slots) >= n if slots else at_once
    elif applied and topology == "dual" and not slots and at_once is False:
        applied = False  # two addresses of one server
    return "; ".join(said), applied
