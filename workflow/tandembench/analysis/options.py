"""What an option changes: configs that agree in all else, compared round by round. Pure.

Options are compared as they were asked for, agent by agent. Where a server did not apply an
option as asked, or does not say that it did, no effect of it is estimated; of runs in which no
agent ran alone, as other people's are, no server says anything: there tokens/s are compared.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from tandembench.analysis.compare import pair_fit, versus
from tandembench.analysis.findings import Estimate, Versus
from tandembench.analysis.intervals import Interval, holm
from tandembench.analysis.levels import Fit, Side
from tandembench.analysis.numbers import RUN, mean, ratio
from tandembench.analysis.rounds import rounds
from tandembench.analysis.settings import Check, option_text

# The order of the report; other options follow by name.
_FIRST = ("temperature", "num_ctx", "num_gpu")
_TIMINGS = ["ttft_s", "decode_rate_tokens_per_s"]
# What is compared beside the gain, as ratios to the lowest value; wall times of fixed work only, or
# where there is no gain.
BESIDE = ("efficiency_estimate", *_TIMINGS, "wall_s")
_ALIKE = ["scenario", "topology", "work_policy", "engine"]
_OF_AGENTS = ["agent", "max_tokens", "threads"]
_MEANS = ("speedup_estimate", "efficiency_estimate", "ttft_s", "aggregate_tokens_per_s")
# An option's value for each agent, as JSON text, None where it was not asked for.
_Value = tuple[str | None, ...]
# One config for each value, all alike in all else.
_Cell = Mapping[_Value, str]
Outcome = Literal["differs", "equivalent", "inconclusive", "unknown", "not_applied"]


@dataclass(frozen=True, slots=True)
class Level:
    """A value of an option over ``n`` runs: ``means`` by column, and geometric of the gain.

    ``against``: the option's metric here and at the lowest value, ``beside``: ratios of BESIDE;
    nothing of the lowest value itself, and where the option was not applied. ``adjusted_p``:
    Holm's, over all values of all options.
    """

    level: str
    n: int
    means: Mapping[str, float | None]
    speedup_true: Interval | None
    against: Versus | None
    adjusted_p: float | None
    beside: Mapping[str, Estimate | None]


@dataclass(frozen=True, slots=True)
class Option:
    """An option that ``configs`` configs vary, which agree in all else.

    ``metric``: speedup_true, or aggregate_tokens_per_s where no agent ran alone. ``outcome`` is
    what the verdicts of its levels come to; "unknown": too few rounds hold two levels, or no agent
    was measured alone. ``not_applied``: what was asked for, but not applied or not reported.
    ``answer_tokens``: the fewest and the most of an answer.
    """

    option: str
    metric: str
    scenario: str
    topology: str
    work: str
    configs: int
    fixed: bool
    answer_tokens: tuple[int, int] | None
    levels: tuple[Level, ...]
    not_applied: tuple[Check, ...]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _Varied:
    """An option with its values, the lowest first, in each of the cells that vary it."""

    option: str
    values: Sequence[_Value]
    cells: Sequence[_Cell]

    def at(self, value: _Value) -> list[str]:
        """The configs that have a value, one for each cell."""
        return [cell[value] for cell in self.cells]

    @property
    def ids(self) -> list[str]:
        """All of the configs."""
        return [config_id for value in self.values for config_id in self.at(value)]

    def not_applied(self, settings: Sequence[Check], metric: str) -> tuple[Check, ...]:
        """What its configs asked for, but did not get or cannot be shown to have got.

        Where no server of a dataset was asked, by ``metric``, only what it did not get.
        """
        fine = (True,) if metric == "speedup_true" else (True, None)
        loose = (one for one in settings if one.factor == self.option and one.applied not in fine)
        return tuple(check for check in loose if not set(self.ids).isdisjoint(check.configs))


def options(
    runs: pd.DataFrame,
    executions: pd.DataFrame,
    settings: Sequence[Check],
    sides: Mapping[str, Side],
    margin: float,
) -> tuple[Option, ...]:
    """One for each option and set of its values that configs alike in all else hold.

    Each value is compared with the lowest one, round by round; all values of all options are one
    family (Holm). ``settings`` are the checks of the executions, ``sides`` how configs are served.
    """
    shared = executions[executions["valid"] & (executions["mode"] == "concurrent")]
    # First token and decode rate of a run are its agents' means; missing if one's is.
    means = shared.groupby(RUN)[_TIMINGS].mean(skipna=False).reset_index()
    valid = runs[runs["valid"]].merge(means, on=RUN)
    varied = [*_varied(valid, shared)]
    alone = valid["speedup_true"].notna().any() or valid["aggregate_tokens_per_s"].isna().all()
    metric = "speedup_true" if alone else "aggregate_tokens_per_s"
    loose = [one.not_applied(settings, metric) for one in varied]
    gains = [
        [] if not_applied else _fits(one, valid, metric, sides)
        for one, not_applied in zip(varied, loose, strict=True)
    ]
    adjusted = iter(holm([fit.p if fit else None for group in gains for fit in group]))
    result = []
    for one, not_applied, group in zip(varied, loose, gains, strict=True):
        fits = [(fit, next(adjusted)) for fit in group]
        levels = _levels(one, fits, valid, sides, margin, metric)
        result.append(_option(one, levels, not_applied, valid, shared, metric))
    return tuple(result)


def _varied(valid: pd.DataFrame, shared: pd.DataFrame) -> Iterator[_Varied]:
    """Each option with two values or more, cells that hold the same values together.

    So every value of a comparison stands beside the same other options. Of replicates, which
    agree in every option, the config with most valid runs counts, then the smallest id.
    """
    columns = [
        "config_id",
        "agent_index",
        *_ALIKE,
        *_OF_AGENTS,
        "options_asked",
        "model",
        "endpoint",
    ]
    agents = shared.drop_duplicates(["config_id", "agent_index"])[columns]
    agents = agents.sort_values("agent_index")
    counts = valid["config_id"].value_counts().to_dict()
    by_id = {str(name): rows for name, rows in agents.groupby("config_id") if name in counts}
    configs = [
        (name, _alike(by_id[name]), _values(by_id[name]))
        for name in sorted(by_id, key=lambda name: (-counts[name], name))
    ]
    names = {option for _, _, values in configs for option in values}
    for option in (*_FIRST, *sorted(names.difference(_FIRST))):
        cells: dict[tuple[object, ...], dict[_Value, str]] = {}
        for name, alike, values in configs:
            rest = tuple(item for item in values.items() if item[0] != option)
            nobody = (None,) * len(values["model"])
            cells.setdefault((alike, rest), {}).setdefault(values.get(option, nobody), name)
        together: dict[tuple[object, ...], list[_Cell]] = {}
        for (same, _), cell in sorted(cells.items(), key=lambda item: str(item[0])):
            if len(cell) > 1:
                together.setdefault((same, frozenset(cell)), []).append(cell)
        for group in together.values():
            yield _Varied(option, sorted(group[0], key=_rank), group)


def _alike(agents: pd.DataFrame) -> tuple[object, ...]:
    """What must agree besides options."""
    first = agents.iloc[0]
    # The port of a server of our own says nothing: it is another one each time.
    ports = [] if first["engine"] == "embedded" else ["endpoint"]
    of_agents = agents[[*_OF_AGENTS, *ports]].to_numpy().ravel().tolist()
    # Imported runs leave some of these out; NaN would be unlike itself.
    known = (None if pd.isna(value) else value for value in of_agents)
    return (*first[_ALIKE], *known)


def _values(agents: pd.DataFrame) -> dict[str, _Value]:
    """What each agent was asked for, by option; the model is one."""
    asked = [
        json.loads(text) | {"model": model}
        for text, model in zip(agents["options_asked"], agents["model"], strict=True)
    ]
    return {
        name: tuple(json.dumps(one[name]) if name in one else None for one in asked)
        for name in sorted({name for one in asked for name in one})
    }


def _fits(
    one: _Varied, runs: pd.DataFrame, metric: str, sides: Mapping[str, Side]
) -> list[Fit | None]:
    """Each value but the lowest against it, by the rounds that hold both in one cell."""
    column = {id_: str(n) for n, value in enumerate(one.values) for id_ in one.at(value)}
    cells = {id_: str(n) for n, cell in enumerate(one.cells) for id_ in cell.values()}
    group = runs[runs["config_id"].isin(column)]
    places = group["config_id"].map(cells) + "." + group["round"].astype(str)
    group = group.assign(config_id=group["config_id"].map(column), round=places)
    table = rounds(group, metric, more_is_better=True).undisturbed()
    of = {str(n): sides[one.at(value)[0]] for n, value in enumerate(one.values)}
    return [
        pair_fit(table, name, "0", of) if {name, "0"} <= {*table.logs} else None
        for name in [*of][1:]
    ]


def _levels(
    one: _Varied,
    gains: Sequence[tuple[Fit | None, float | None]],
    valid: pd.DataFrame,
    sides: Mapping[str, Side],
    margin: float,
    metric: str,
) -> tuple[Level, ...]:
    walls = metric != "speedup_true" or _fixed(valid[valid["config_id"].isin(one.ids)])
    metrics = [name for name in BESIDE if gains and (walls or name != "wall_s")]
    fits = {name: _fits(one, valid, name, sides) for name in metrics}
    texts = [level_text(value) for value in one.values]
    levels = []
    for place, value in enumerate(one.values):
        runs = valid[valid["config_id"].isin(one.at(value))]
        fit, p = gains[place - 1] if place and gains else (None, None)
        beside = {name: of[place - 1] for name, of in fits.items() if place}
        levels.append(
            Level(
                level=texts[place],
                n=len(runs),
                means={name: mean(runs[name]) for name in _MEANS},
                speedup_true=ratio(runs, "speedup_true"),
                against=versus(texts[place], texts[0], fit, margin, p) if place and gains else None,
                adjusted_p=p,
                beside={name: of.estimate() if of else None for name, of in beside.items()},
            )
        )
    return tuple(levels)


def _option(
    one: _Varied,
    levels: tuple[Level, ...],
    not_applied: tuple[Check, ...],
    valid: pd.DataFrame,
    shared: pd.DataFrame,
    metric: str,
) -> Option:
    group = valid[valid["config_id"].isin(one.ids)]
    tokens = shared.loc[shared["config_id"].isin(one.ids), "answer_tokens"].dropna()
    first = group.iloc[0]
    return Option(
        option=one.option,
        metric=metric,
        scenario=first["scenario"],
        topology=first["topology"],
        work=first["work_policy"],
        configs=len(one.ids),
        fixed=_fixed(group),
        answer_tokens=(int(tokens.min()), int(tokens.max())) if len(tokens) else None,
        levels=levels,
        not_applied=not_applied,
        outcome="not_applied" if not_applied else _outcome(levels[1:]),
    )


def _fixed(runs: pd.DataFrame) -> bool:
    return bool((runs["work_effective"] == "fixed").all())


def _outcome(levels: Sequence[Level]) -> Outcome:
    against = [level.against for level in levels if level.against]
    verdicts = {one.verdict for one in against}
    if verdicts & {"better", "worse"}:
        return "differs"
    if verdicts == {"equivalent"}:
        return "equivalent"
    return "inconclusive" if any(one.ratio for one in against) else "unknown"


def level_text(value: _Value) -> str:
    """A value for a table: "512", or by agent, "default / 512"."""
    texts = [
        "default" if one is None else option_text(json.loads(one))
        for one in (value[:1] if len(set(value)) == 1 else value)
    ]
    return " / ".join(texts)


def _rank(value: _Value) -> list[tuple[float, str]]:
    """Numbers by value, the server's default before them, texts after."""
    loaded = [-math.inf if one is None else json.loads(one) for one in value]
    return [
        (float(one), "") if isinstance(one, int | float) else (math.inf, str(one)) for one in loaded
    ]
