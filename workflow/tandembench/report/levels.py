"""What an option changes: configs that agree in all else, compared round by round.

Options are compared as they were asked for, agent by agent. Where a server did not apply an
option as asked, or does not say that it did, no effect of it is estimated.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tandembench.analysis.comparison import DIFFERENT_SESSIONS, Comparison, paired_ratio
from tandembench.analysis.family import ratio_family
from tandembench.analysis.numbers import Values, by_config, mean, ratio, span
from tandembench.analysis.observations import observations
from tandembench.analysis.settings import Check
from tandembench.report.factors import option_text

# Headings, in the order of the report; any other option comes under the last.
TITLES = {"temperature": "Temperature", "num_ctx": "Context", "num_gpu": "GPU layers"}
OTHER = "Other options"
RATIOS = ("speedup_true", "efficiency_estimate", "ttft_s", "decode_rate_tokens_per_s", "wall_s")
ROUND = ["session", "repetition", "round", "attempt"]
_OF_AN_AGENT = [
    *("config_id", "agent_index", "agent", "model"),
    *("options_asked", "max_tokens", "threads", "endpoint"),
]
_MEASURED = [
    *("config_id", *ROUND, "invocation", "scenario", "topology", "work_policy", "work_effective"),
    *("speedup_estimate", "efficiency_estimate", "speedup_true", "wall_s"),
    "aggregate_tokens_per_s",
]
# An option's value for each agent, as JSON text, None where it was not asked for.
Level = tuple[str | None, ...]
# One config for each level, all alike in all else.
Cell = Mapping[Level, str]


@dataclass(frozen=True)
class _Config:
    """A config that has a valid block: ``alike`` is what must agree, ``levels`` by option."""

    id: str
    alike: tuple[Any, ...]
    levels: Mapping[str, Level]
    n: int


def option_comparisons(
    runs: pd.DataFrame, executions: pd.DataFrame, settings: Sequence[Check], margin: float
) -> list[Values]:
    """One comparison per option and set of its levels that configs alike in all else hold.

    Each level has its numbers and, against the lowest level, ratios paired by round;
    ``outcome`` is "not_applied", or what the verdicts on speedup_true come to: "differs",
    "equivalent", "inconclusive", or "unknown" where no pair has it. All levels of all options
    are one family: ``verdict`` is what holds in it, by Holm. ``settings`` are the checks of them.
    """
    valid = runs[runs["valid"]]
    shared = executions[executions["valid"] & (executions["mode"] == "concurrent")]
    means = valid[_MEASURED].merge(_means_of_agents(shared), on=["config_id", *ROUND])
    measured = by_config(means)
    tokens = shared[["config_id", "answer_tokens"]].drop_duplicates()
    configs = _configs(valid, shared)
    names = {name for config in configs for name in config.levels}
    order = [*TITLES, *sorted(names - TITLES.keys())]
    comparisons = [
        _comparison(option, cells, measured, tokens, settings)
        for option in order
        if option in names
        for cells in _balanced(option, configs)
    ]
    _judge(comparisons, margin)
    return comparisons


def _judge(comparisons: Sequence[Values], margin: float) -> None:
    """Fill in the verdicts, which hang together."""
    compared = [row for one in comparisons for row in one["levels"] if "ratios" in row]
    family = ratio_family([row["ratios"]["speedup_true"] for row in compared], margin)
    for row, judged in zip(compared, family, strict=True):
        row |= {"verdict": judged.verdict, "alone": judged.alone}
        row |= {"p": judged.p, "adjusted_p": judged.adjusted_p}
    for one in comparisons:
        one["outcome"] = "not_applied" if one["not_applied"] else _outcome(one["levels"][1:])


def _means_of_agents(shared: pd.DataFrame) -> pd.DataFrame:
    """First-token wait and decode rate of each run, its agents' means; missing if one's is."""
    timings = ["ttft_s", "decode_rate_tokens_per_s"]
    return shared.groupby(["config_id", *ROUND])[timings].mean(skipna=False).reset_index()


def _configs(valid: pd.DataFrame, shared: pd.DataFrame) -> list[_Config]:
    """What is known of each config, by id."""
    found = []
    columns = ["scenario", "topology", "work_policy", "engine"]
    firsts = valid.groupby("config_id")[columns].first().to_dict("index")
    counts = valid["config_id"].value_counts()
    each = shared.drop_duplicates(["config_id", "agent_index"])[_OF_AN_AGENT]
    for config_id, agents in each.sort_values(["config_id", "agent_index"]).groupby("config_id"):
        asked = [
            json.loads(text) | {"model": model}
            for text, model in zip(agents["options_asked"], agents["model"], strict=True)
        ]
        levels = {
            name: tuple(json.dumps(one[name]) if name in one else None for one in asked)
            for name in sorted(set().union(*asked))
        }
        run = firsts[config_id]
        # Imported runs tell neither; NaN would be unlike itself.
        threads, caps = (
            [None if pd.isna(value) else int(value) for value in agents[name]]
            for name in ("threads", "max_tokens")
        )
        # The port of a server of our own says nothing: it is another one each time.
        ours = run["engine"] == "embedded"
        theirs = [None if ours else endpoint for endpoint in agents["endpoint"]]
        alike = (
            *run.values(),
            *zip(agents["agent"], caps, threads, theirs, strict=True),
        )
        found.append(_Config(str(config_id), alike, levels, int(counts[config_id])))
    return found


def _balanced(option: str, configs: Sequence[_Config]) -> Iterator[list[Cell]]:
    """The cells of ``option`` with two levels or more, together where they hold the same levels.

    So every level of a comparison stands beside the same other options. A cell holds one config
    a level: of replicates the one with most valid runs, then the smallest id.
    """
    cells: dict[tuple[Any, ...], dict[Level, _Config]] = {}
    for config in sorted(configs, key=lambda config: (-config.n, config.id)):
        nobody = (None,) * len(next(iter(config.levels.values())))
        rest = {name: level for name, level in config.levels.items() if name != option}
        cell = cells.setdefault((config.alike, tuple(rest.items())), {})
        cell.setdefault(config.levels.get(option, nobody), config)
    together: dict[tuple[Any, ...], list[Cell]] = {}
    for (alike, _), cell in sorted(cells.items(), key=lambda item: str(item[0])):
        if len(cell) > 1:
            ids = {level: config.id for level, config in cell.items()}
            together.setdefault((alike, frozenset(ids)), []).append(ids)
    yield from together.values()


def _comparison(
    option: str,
    cells: Sequence[Cell],
    measured: Mapping[str, pd.DataFrame],
    tokens: pd.DataFrame,
    settings: Sequence[Check],
) -> Values:
    levels = sorted(cells[0], key=_rank)
    ids = [config_id for cell in cells for config_id in cell.values()]
    answers = tokens.loc[tokens["config_id"].isin(ids), "answer_tokens"]
    not_applied = [
        {"asked": check.asked, "effective": check.effective}
        for check in settings
        if check.factor == option and not check.applied and not set(ids).isdisjoint(check.configs)
    ]
    fixed = all((measured[id_]["work_effective"] == "fixed").all() for id_ in ids)
    rows = [_level(level, cells, measured) for level in levels]
    if not not_applied:
        for row, level in zip(rows[1:], levels[1:], strict=True):
            row.update(_against(levels[0], level, cells, measured, fixed))
    first = measured[ids[0]].iloc[0]
    return {
        "option": option,
        "title": TITLES.get(option, OTHER),
        "scenario": str(first["scenario"]),
        "topology": str(first["topology"]),
        "work": str(first["work_policy"]),
        "configs": len(ids),
        "cells": len(cells),
        "fixed": fixed,
        "answer_tokens": span(answers),
        "equal_answers": answers.nunique() == 1,
        "levels": rows,
        "not_applied": not_applied,
        "tested": sum("detectable" in row and row["detectable"] is not None for row in rows),
    }


def _level(level: Level, cells: Sequence[Cell], measured: Mapping[str, pd.DataFrame]) -> Values:
    runs = pd.concat([measured[cell[level]] for cell in cells])
    return {
        "level": level_text(level),
        "n": len(runs),
        "speedup_estimate": mean(runs["speedup_estimate"]),
        "efficiency_estimate": mean(runs["efficiency_estimate"]),
        "speedup_true": ratio(runs, "speedup_true"),
        "ttft_s": mean(runs["ttft_s"]),
        "aggregate_tokens_per_s": mean(runs["aggregate_tokens_per_s"]),
    }


def _against(
    lowest: Level,
    level: Level,
    cells: Sequence[Cell],
    measured: Mapping[str, pd.DataFrame],
    fixed: bool,
) -> Values:
    """Ratios of ``level`` to the lowest; of wall times only where the work was fixed."""

    def compared(name: str) -> Comparison:
        sides = [
            [
                one
                for number, cell in enumerate(cells)
                for one in observations(measured[cell[side]], name, number)
            ]
            for side in (level, lowest)
        ]
        return paired_ratio(*sides)

    found = {name: compared(name) for name in RATIOS if fixed or name != "wall_s"}
    gain = found["speedup_true"]
    return {
        "ratios": {name: one.interval for name, one in found.items()},
        "pairs": gain.pairs,
        "sessions": gain.sessions,
        "basis": gain.basis,
        "reason": gain.reason,
        "detectable": gain.detectable,
    }


def _outcome(others: Sequence[Values]) -> str:
    verdicts = {row["verdict"] for row in others}
    if verdicts & {"better", "worse"}:
        return "differs"
    if verdicts == {"equivalent"}:
        return "equivalent"
    measured = any(
        row["ratios"]["speedup_true"] or row["reason"] == DIFFERENT_SESSIONS for row in others
    )
    return "inconclusive" if measured else "unknown"


def level_text(level: Level) -> str:
    """A level for a table: "512", or by agent, "default / 512"."""
    texts = [
        "default" if value is None else option_text(json.loads(value))
        for value in (level[:1] if len(set(level)) == 1 else level)
    ]
    return " / ".join(texts)


def _rank(level: Level) -> list[tuple[float, str]]:
    """Numbers by value, the server's default before them, texts after."""
    return [_place(None if value is None else json.loads(value)) for value in level]


def _place(value: object) -> tuple[float, str]:
    if value is None:
        return -math.inf, ""
    return (float(value), "") if isinstance(value, int | float) else (math.inf, str(value))
