"""Factor check: the settings that were asked for, against those that the servers report."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from tandembench.analysis.numbers import Values
from tandembench.analysis.settings import Check
from tandembench.report.layout import Told, layout_checks


def checks(executions: pd.DataFrame, threads_total: int | None = None) -> list[Check]:
    """Every setting that was asked for, by factor and value: options, topology, compute threads.

    What is not valid is left out: its servers did not get to say anything, or not all of them.
    ``threads_total`` is the study's, None where the machine decided.
    """
    complete = executions[executions["valid"]]
    # Of each key the configs, in the order of the executions.
    found: dict[tuple[str, str, str | None, bool | None], dict[str, None]] = {}
    values: dict[tuple[str, str], Any] = {}
    for config_id, told in (*_options(complete), *layout_checks(complete, threads_total)):
        factor, value, effective, applied = told
        key = (factor, option_text(value), effective, applied)
        values[key[:2]] = value
        found.setdefault(key, {})[config_id] = None
    return [
        Check(*key, tuple(ids))
        for key, ids in sorted(found.items(), key=lambda item: _order(item[0], values))
    ]


def factors(found: Sequence[Check]) -> Values:
    """``asked``: whether any option was; ``rows``: settings not applied, or not reported.

    One row per factor, value asked for and value effective, with the number of configs and one of
    them. ``summary`` counts the configs of each factor.
    """
    rows = [
        {
            "factor": check.factor,
            "asked": check.asked,
            "effective": check.effective,
            "n": len(check.configs),
            "example": check.configs[0],
        }
        for check in found
        if not check.applied
    ]
    named = list(dict.fromkeys(check.factor for check in found))
    return {
        "asked": any(factor not in ("topology", "threads_total") for factor in named),
        "rows": rows,
        "summary": [_counted(factor, found) for factor in named],
    }


def _counted(factor: str, found: Sequence[Check]) -> Values:
    """Configs by what became of ``factor``: in any agent otherwise, else not reported in any."""
    by_state: dict[bool | None, set[str]] = {False: set(), None: set(), True: set()}
    for check in found:
        if check.factor == factor:
            by_state[check.applied].update(check.configs)
    not_applied, not_reported = by_state[False], by_state[None] - by_state[False]
    return {
        "factor": factor,
        "applied": len(by_state[True] - not_applied - not_reported),
        "not_applied": len(not_applied),
        "not_reported": len(not_reported),
    }


def _options(complete: pd.DataFrame) -> Iterator[tuple[str, Told]]:
    """(config, what is told) of each option of each agent."""
    columns = ["config_id", "agent", "options_asked", "options_effective", "num_ctx_effective"]
    agents: dict[tuple[str, str], list[tuple[str, Any, Any]]] = {}
    # Repetitions say the same thing again.
    for config_id, agent, *told in complete[columns].drop_duplicates().itertuples(index=False):
        agents.setdefault((config_id, agent), []).append(tuple(told))
    for (config_id, _), told in agents.items():
        contexts = sorted({int(context) for _, _, context in told if not pd.isna(context)})
        texts = dict.fromkeys(text for _, text, _ in told if isinstance(text, str))
        reported = [json.loads(text) for text in texts]
        for factor, asked in json.loads(told[0][0]).items():
            effective = contexts if factor == "num_ctx" else _effective(factor, reported)
            said = ", ".join(map(option_text, effective)) or None
            applied = all(_same(asked, value) for value in effective) if effective else None
            yield config_id, (factor, asked, said, applied)


def _effective(factor: str, reported: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The distinct values of ``factor`` that servers reported, by their text."""
    known = {
        option_text(said[factor]): said[factor] for said in reported if said.get(factor) is not None
    }
    return [known[text] for text in sorted(known)]


def _same(asked: Any, effective: Any) -> bool:  # noqa: ANN401 - JSON scalars
    # Servers hold 32-bit numbers, and give six digits back.
    if isinstance(asked, int | float) and isinstance(effective, int | float):
        return math.isclose(asked, effective, rel_tol=1e-5)
    return bool(asked == effective)


def option_text(value: Any) -> str:  # noqa: ANN401 - a JSON scalar
    """The value of an option, as a table shows it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _order(
    key: tuple[str, str, str | None, bool | None], values: Mapping[tuple[str, str], Any]
) -> tuple[Any, ...]:
    asked = values[key[:2]]
    number = asked if isinstance(asked, int | float) else math.inf
    return key[0], number, key[1], key[2] or ""
