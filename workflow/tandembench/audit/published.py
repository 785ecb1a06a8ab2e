"""Published tables against runs: each printed cell is a claim, made from its row."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import pandas as pd

from tandembench.audit.claims import Value
from tandembench.audit.evaluate import Context
from tandembench.audit.expressions import read_expression
from tandembench.audit.figures import Figure
from tandembench.audit.judge import judge
from tandembench.audit.rows import NoRows
from tandembench.audit.sides import Cell
from tandembench.audit.tables import OPTIONS, Source, run_tables
from tandembench.files import read_text
from tandembench.study.ids import SCENARIO_SHORT
from tandembench.study.strict_yaml import parse

# Scopes in which runs can give a value; the rest tells of machines, or of other reports.
SCOPES = ("overall", "timeline", "phase", "scenario", "level", "config")
_RULES = Path(__file__).parents[3] / "resources/claims/tables.yaml"
_COLUMNS = {"phase": "phase", "scenario": "scenario", "config": "config_id"}
_TIMELINE = ("duration_s", "benchmark_s", "benchmarks_per_hour")
Totals = dict[str, int]
Rules = Mapping[str, Mapping[str, str]]


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
    in_order = sorted(rows, key=lambda row: SCOPES.index(row["scope"]))
    left = Counter((_scope(one), one["metric"]) for one in printed if one["value"] is not None)
    left.subtract((one["scope"], one["metric"]) for one in rows)
    unchecked: dict[str, Totals] = {}
    for (scope, metric), n in left.items():
        if n:
            unchecked.setdefault(scope, {})[metric] = n
    return {
        "scopes": _totals((row["scope"], row) for row in in_order),
        "sections": _totals((f"{row['report']} {row['section']}", row) for row in rows),
        "unchecked": unchecked,
        "rows": rows,
    }


def checks(printed: Sequence[Cell], runs: pd.DataFrame, executions: pd.DataFrame) -> list[Checked]:
    """Every cell that the runs could give, each judged as a claim of one value."""
    context = Context({"runs": Source(*run_tables(runs, executions))}, {})
    rules: Rules = parse(read_text(_RULES, "restore it from the repository"), str(_RULES))[0]
    result = []
    for cell in printed:
        how = _recomputed(cell, rules)
        if cell["value"] is None or how is None:
            continue
        unit, where = 2 * (cell["resolution"] or 0.0), f"{cell['report']} {cell['section']}"
        figure = Figure(cell["printed"], cell["value"], cell["value"], unit, in_words=True)
        computed, agrees = None, False
        with suppress(NoRows):
            value = Value("", figure, None, "equal", read_expression(how), how, where)
            done = judge(value, context)
            if done.recomputed is None:
                continue
            computed, agrees = float(done.recomputed), done.verdict == "reproduced"
        row = Cell(**{**cell, "scope": _scope(cell)})
        result.append(Checked(**row, computed=computed, agrees=agrees))
    return result


def _recomputed(cell: Cell, rules: Rules) -> str | None:
    """How the cell is recomputed; None if no run can give it."""
    where, metric, statistic = _conditions(cell, rules), cell["metric"], cell["statistic"]
    how = rules["others"].get(f"{metric} {statistic}")
    if metric in rules["columns"]:
        how = rules["statistics"].get(statistic)
    if how is None or where is None:
        return None
    conditions = "".join(f", {column} == {value!r}" for column, value in where)
    return how.format(column=rules["columns"].get(metric), where=conditions)


def _conditions(cell: Cell, rules: Rules) -> list[tuple[str, str | float]] | None:
    """What the columns of the cell's runs hold; None if it is of no such group."""
    scope, subject, table = cell["scope"], cell["subject"], cell["table"]
    if scope in _COLUMNS and " " not in subject:
        phase = re.match(r"phase (\w+)", cell["note"]) if scope == "scenario" else None
        return [(_COLUMNS[scope], subject), *([("phase", phase[1])] if phase else [])]
    if scope != "level" or f"{cell['report']} {table}" in rules["of_another_whole"]:
        return [] if scope == "overall" else None
    result: list[tuple[str, str | float]] = [
        ("phase", phase) for name, phase in rules["phases"].items() if table.startswith(name)
    ]
    for word in subject.split():
        name, _, level = word.partition("=")
        if name in OPTIONS and re.fullmatch(r"\d+(\.\d+)?", level):
            result.append((name, float(level)))
        elif word in SCENARIO_SHORT:
            result.append(("scenario", word))
        else:
            return None
    return result


def _scope(cell: Cell) -> str:
    """The printed scope; how long all took says little of a run, and is one of its own."""
    return "timeline" if cell["metric"] in _TIMELINE else cell["scope"]


def _totals(named: Iterable[tuple[str, Checked]]) -> dict[str, Totals]:
    """How many rows of each name agree."""
    table = pd.DataFrame(
        [(name, row["subject"], row["agrees"], row["computed"] is None) for name, row in named],
        columns=["name", "subject", "agree", "absent"],
    )
    result = {}
    for name, group in table.groupby("name", sort=False):
        agree, absent = int(group["agree"].sum()), int(group["absent"].sum())
        subjects = group.groupby("subject")["agree"].all()
        result[str(name)] = {
            "checked": len(group),
            "agree": agree,
            "contradicted": len(group) - agree - absent,
            "absent": absent,
            "subjects": len(subjects),
            "subjects_agree": int(subjects.sum()),
        }
    return result
