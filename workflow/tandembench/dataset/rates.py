"""Rates from overlap: what agents decode beside each other and alone, by scenario and topology."""

from collections.abc import Mapping, Sequence
from typing import Any

from tandembench.analysis.overlap import overlap_rates
from tandembench.tables.columns import KEYS

Row = dict[str, Any]
_KEY = tuple(column.name for column in KEYS)
# What this module reads of executions.
COLUMNS = (
    *_KEY,
    *("mode", "scenario", "topology", "overlap_s", "alone_s", "answer_tokens", "n_steps"),
)


def rates(runs: Sequence[Mapping[str, Any]], executions: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The rows of the table ``rates``: each topology, then its scenarios.

    From valid runs of two agents in which no model was loaded, where stamps tell who decoded
    when. A group that cannot tell the two rates apart has no row.
    """
    warm = {_key(run) for run in runs if run["valid"] and not run["cold"] and run["n_agents"] == 2}
    known = [
        row
        for row in executions
        if row["mode"] == "concurrent" and _key(row) in warm
        if row["overlap_s"] is not None and row["answer_tokens"] is not None
    ]
    table = []
    for topology, scenario in _groups(known):
        group = [
            row
            for row in known
            if row["topology"] == topology and scenario in (None, row["scenario"])
        ]
        fitted = overlap_rates(
            [max(row["answer_tokens"] - row["n_steps"], 0) for row in group],
            [row["overlap_s"] for row in group],
            [row["alone_s"] for row in group],
            [_key(row) for row in group],
        )
        if fitted is None:
            continue
        row: Row = {
            "scenario": scenario,
            "topology": topology,
            "runs": fitted.runs,
            "alone_share": fitted.alone_share,
        }
        for name, interval in (
            ("shared_tokens_per_s", fitted.shared),
            ("solo_tokens_per_s", fitted.solo),
            ("gain_overlap", fitted.gain),
        ):
            row |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
        table.append(row)
    return table


def _groups(executions: Sequence[Mapping[str, Any]]) -> list[tuple[str, str | None]]:
    groups: list[tuple[str, str | None]] = []
    for topology in sorted({row["topology"] for row in executions}):
        scenarios = {row["scenario"] for row in executions if row["topology"] == topology}
        groups += [(topology, None), *((topology, scenario) for scenario in sorted(scenarios))]
    return groups


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KEY)
