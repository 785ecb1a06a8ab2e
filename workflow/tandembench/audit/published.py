"""Published tables against runs: each printed cell is a claim, made from its row."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypedDict

import pandas as pd

from tandembench.audit.claims import Value
from tandembench.audit.evaluate import Context
from tandembench.audit.expressions import Condition, Expression, Operation, Statistic
from tandembench.audit.figures import Figure
from tandembench.audit.judge import judge
from tandembench.audit.rows import NoRows
from tandembench.audit.sides import Cell
from tandembench.audit.tables import OPTIONS, Source, run_tables
from tandembench.dataset.versions import ROOT
from tandembench.files import read_text
from tandembench.study.ids import SCENARIO_SHORT
from tandembench.study.strict_yaml import parse

# Scopes in which runs can give a value; the rest tells of machines, or of other reports.
SCOPES = ("overall", "timeline", "phase", "scenario", "level", "config")
# What tables of certain reports are of, beyond what their rows say.
_NOTES = ROOT.parent / "claims/tables.yaml"
_COLUMNS = {"phase": "phase", "scenario": "scenario", "config": "config_id"}
_METRICS = {
    "speedup_estimate": "speedup_estimate",
    "efficiency_estimate": "efficiency_estimate",
    "ttft_delta_s": "first_token_delta_s",
    "throughput_delta_tokens_per_s": "server_rate_delta_tokens_per_s",
}
# "peak" is the largest of the runs, "best" the largest mean of a config.
_STATISTICS = {name: name for name in ("mean", "median", "sd", "min", "max")}
_STATISTICS |= {"value": "mean", "peak": "max", "best": "max"}
# What TR110 called an efficient config, which published baselines have as a metric.
_EFFICIENT = 0.95
Totals = dict[str, int]
_TIMELINE = ("duration_s", "benchmark_s", "benchmarks_per_hour")


class Checked(Cell):
    """A cell with what the runs give, None where no run is of its subject: whether it agrees."""

    computed: float | None
    agrees: bool


class AgainstRuns(TypedDict):
    """The checked cells as ``rows``, and how many agree, by scope and by section.

    A subject agrees if all its cells do; ``absent`` are cells of which there is no run.
    ``unchecked``: how many printed numbers no run can give, by scope and metric.
    """

    scopes: dict[str, Totals]
    sections: dict[str, Totals]
    unchecked: dict[str, Totals]
    rows: list[Checked]


def against_runs(
    printed: Sequence[Cell], runs: pd.DataFrame, executions: pd.DataFrame
) -> AgainstRuns:
    """Every printed cell that the runs could give, and what they give."""
    rows = checks(printed, runs, executions)
    by_scope: dict[str, list[Checked]] = {}
    by_section: dict[str, list[Checked]] = {}
    for row in sorted(rows, key=lambda row: SCOPES.index(row["scope"])):
        by_scope.setdefault(row["scope"], []).append(row)
    for row in rows:
        by_section.setdefault(f"{row['report']} {row['section']}", []).append(row)
    left = Counter((_scope(one), one["metric"]) for one in printed if one["value"] is not None)
    left.subtract((one["scope"], one["metric"]) for one in rows)
    unchecked: dict[str, Totals] = {}
    for (scope, metric), n in left.items():
        if n:
            unchecked.setdefault(scope, {})[metric] = n
    return {
        "scopes": {scope: _totals(own) for scope, own in by_scope.items()},
        "sections": {section: _totals(own) for section, own in by_section.items()},
        "unchecked": unchecked,
        "rows": rows,
    }


def checks(printed: Sequence[Cell], runs: pd.DataFrame, executions: pd.DataFrame) -> list[Checked]:
    """Every cell that the runs could give, each judged as a claim of one value."""
    context = Context({"runs": Source(*run_tables(runs, executions))}, {})
    notes = parse(read_text(_NOTES, ""), str(_NOTES))[0] if _NOTES.is_file() else {}
    found = []
    for cell in printed:
        expression = _expression(cell, notes.get(cell["report"].lower(), {}))
        if cell["value"] is None or expression is None:
            continue
        unit, where = 2 * (cell["resolution"] or 0.0), f"{cell['report']} {cell['section']}"
        figure = Figure(cell["printed"], cell["value"], cell["value"], unit, 1.0)
        computed, agrees = None, False
        with suppress(NoRows):
            done = judge(Value("", figure, None, "equal", expression, "", where), context)
            if done.recomputed is None:
                continue
            computed, agrees = float(done.recomputed), done.verdict == "reproduced"
        row = Cell(**{**cell, "scope": _scope(cell)})
        found.append(Checked(**row, computed=computed, agrees=agrees))
    return found


def _expression(cell: Cell, notes: Mapping[str, Mapping[str, str]]) -> Expression | None:
    """How the cell is recomputed; None if no run can give it.

    Deltas are as the reports define them: means over calls, and the server's own rates.
    """
    where = _conditions(cell, notes)
    if where is None:
        return None
    rows = Statistic("rows", "runs", where=where)

    def of(name: str, column: str) -> Statistic:
        return Statistic(name, "runs", column, where=where)

    metric, statistic = cell["metric"], cell["statistic"]
    if metric in _METRICS and statistic in _STATISTICS:
        found = of(_STATISTICS[statistic], _METRICS[metric])
        return replace(found, by="config_id") if statistic == "best" else found
    flag = "contention_speedup_rule"
    contended = replace(of("count", flag), by="config_id", each="max")
    bound = Condition("efficiency_estimate", ">", (_EFFICIENT,))
    efficient = replace(of("count", bound.column), by="config_id", holds=bound)
    configs = of("distinct", "config_id")
    took = Operation("-", (of("max", "ended_at"), of("min", "started_at")))
    known: dict[tuple[str, str], Expression] = {
        ("runs", "n"): rows,
        ("configs", "n"): configs,
        (flag, "count"): of("count", flag),
        (flag, "of"): rows,
        ("contention_rate", "value"): of("share", flag),
        ("contention_configs", "count"): contended,
        ("contention_configs", "of"): configs,
        ("contention_configs_share", "value"): replace(contended, name="share"),
        ("efficient_configs", "count"): efficient,
        ("efficient_configs", "of"): configs,
        ("efficient_configs_share", "value"): replace(efficient, name="share"),
        ("duration_s", "value"): took,
        ("benchmark_s", "mean"): Operation("/", (took, rows)),
        ("benchmarks_per_hour", "mean"): Operation("/", (Operation("*", (3600.0, rows)), took)),
    }
    return known.get((metric, statistic))


def _conditions(cell: Cell, notes: Mapping[str, Mapping[str, str]]) -> tuple[Condition, ...] | None:
    """Which runs the cell is of; None if of no such group."""
    scope, subject = cell["scope"], cell["subject"]
    if scope == "overall":
        return ()
    if scope in _COLUMNS and " " not in subject:
        found = [Condition(_COLUMNS[scope], "==", (subject,))]
        phase = re.match(r"phase (\w+)", cell["note"])
        if scope == "scenario" and phase:
            found.append(Condition("phase", "==", (phase[1],)))
        return tuple(found)
    if scope != "level" or cell["table"] in notes.get("of_another_whole", {}):
        return None
    phases = notes.get("phases", {}).items()
    found = [Condition("phase", "==", (to,)) for of, to in phases if cell["table"].startswith(of)]
    for word in subject.split():
        name, _, level = word.partition("=")
        if name in OPTIONS and re.fullmatch(r"\d+(\.\d+)?", level):
            found.append(Condition(name, "==", (float(level),)))
        elif word in SCENARIO_SHORT:
            found.append(Condition("scenario", "==", (word,)))
        else:
            return None
    return tuple(found)


def _scope(cell: Cell) -> str:
    """The printed scope; how long all took says little of a run, and is one of its own."""
    return "timeline" if cell["metric"] in _TIMELINE else cell["scope"]


def _totals(rows: Sequence[Checked]) -> Totals:
    subjects = {row["subject"] for row in rows}
    agree = sum(row["agrees"] for row in rows)
    absent = sum(row["computed"] is None for row in rows)
    return {
        "checked": len(rows),
        "agree": agree,
        "contradicted": len(rows) - agree - absent,
        "absent": absent,
        "subjects": len(subjects),
        "subjects_agree": len(subjects - {row["subject"] for row in rows if not row["agrees"]}),
    }
