"""Expression -> what the data, or other printed figures, give. Pure; no text is ever evaluated."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from tandembench.analysis.ranking import no_level_differs
from tandembench.claims.figures import Figure
from tandembench.claims.model import (
    Condition,
    Constant,
    Expression,
    Operation,
    Printed,
    Statistic,
)
from tandembench.claims.statistics import Rows, statistic
from tandembench.claims.tables import Source, columns
from tandembench.errors import TandemError


@dataclass(frozen=True, slots=True)
class Found:
    """A number between ``low`` and ``high`` (equal, unless it rests on printed, rounded ones).

    ``of``: of how many it counts some. Or ``names``: the ``levels`` that come out on top, with
    ``p`` of the test that no level differs. ``how`` says it in one line.
    """

    how: str
    low: float = math.nan
    high: float = math.nan
    of: int | None = None
    names: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    p: float | None = None

    @property
    def value(self) -> float:
        """The middle."""
        return (self.low + self.high) / 2


class Undecided(Exception):
    """Nothing comes out: for want of data that exists ("not_checkable"), or of any."""

    def __init__(self, verdict: Literal["not_checkable", "unsupported"], how: str) -> None:
        super().__init__(how)
        self.verdict = verdict
        self.how = how


@dataclass(frozen=True, slots=True)
class Context:
    """What expressions look at: sources by name, and printed figures by claim and label."""

    sources: Mapping[str, Source]
    figures: Mapping[tuple[str, str | None], Figure]
    done: dict[Statistic, Found] = field(default_factory=dict)


def evaluate(expression: Expression, context: Context, where: str) -> Found:
    """What ``expression`` gives; Undecided if nothing, TandemError at ``where`` if it is wrong."""
    if isinstance(expression, Constant):
        value = expression.value
        return Found(f"{value:.6g}", value, value)
    if isinstance(expression, Printed):
        figure = context.figures.get((expression.claim, expression.label))
        if figure is None:
            raise TandemError(
                f"claim '{expression.claim}' prints no figure there",
                where=where,
                fix="refer to a value that is printed",
            )
        half = figure.unit / 2
        return Found(figure.text, figure.low - half, figure.high + half, figure.of)
    if isinstance(expression, Operation):
        operands = [evaluate(one, context, where) for one in expression.operands]
        return _operate(expression.name, operands, where)
    if expression not in context.done:
        context.done[expression] = _statistic(expression, context.sources, where)
    return context.done[expression]


def _statistic(wanted: Statistic, sources: Mapping[str, Source], where: str) -> Found:
    table, label = sources.get(wanted.source, Source()).table(wanted.table)
    if table is None:
        what = "the published table" if wanted.table == "printed" else "the runs"
        raise Undecided("not_checkable", f"needs {what} of {wanted.source}")
    _check_columns(wanted, table, where)
    try:
        return _of_rows(wanted, table, label)
    except (TypeError, ValueError):
        what = f"{_words(wanted)} takes numbers for text, or text for numbers"
        raise TandemError(what, where=where, fix="check of, where and holds") from None


def _of_rows(wanted: Statistic, table: pd.DataFrame, label: str) -> Found:
    chosen = table
    for condition in wanted.where:
        chosen = chosen[_meets(chosen[condition.column], condition)]
    told = ", ".join(_told(condition) for condition in wanted.where) or "all"
    place = f"{label}: {told}"
    if chosen.empty and wanted.statistic not in ("rows", "count"):
        raise Undecided("unsupported", f"no row matches ({place})")
    known = chosen.dropna(subset=[name for name in (wanted.column, wanted.by) if name])
    if known.empty and not chosen.empty:
        raise Undecided("unsupported", f"no {wanted.column} in the data ({place})")
    rows = _rows(wanted, known)
    found = statistic(wanted.statistic, rows)
    if found is None:
        raise Undecided("unsupported", f"{len(rows.low)} values are too few ({place})")
    p = None
    if found.names and wanted.by and wanted.each == "mean" and wanted.table != "printed":
        p = no_level_differs(known[wanted.column].astype(float).to_list(), list(known[wanted.by]))
    groups = f"{len(rows.low)} {wanted.by}, " if wanted.by else ""
    n = "" if wanted.statistic == "rows" else f", {groups}n = {len(known)}"
    what = f"{_words(wanted)}{n} ({place})"
    if found.names:
        tail = "" if p is None else f"; p = {p:.2g} that no {wanted.by} differs"
        return Found(f"{what} = {found.text}{tail}", names=found.names, levels=rows.names, p=p)
    text = found.text
    if wanted.column in table and _is_time(table[wanted.column]) and wanted.statistic != "range":
        text = pd.Timestamp(found.low, unit="s", tz="UTC").isoformat(timespec="seconds")
    return Found(f"{what} = {text}", found.low, found.high, found.of)


def _words(wanted: Statistic) -> str:
    """ "mean efficiency_estimate", or "max of config_id by mean efficiency_estimate"."""
    if wanted.statistic == "rows":
        return wanted.table
    name = wanted.column if wanted.column != "value" else "printed value"
    if wanted.holds:
        name += _told(wanted.holds).removeprefix(wanted.column)
    return f"{wanted.statistic} {f'of {wanted.by} by {wanted.each} ' if wanted.by else ''}{name}"


def _rows(wanted: Statistic, known: pd.DataFrame) -> Rows:
    """The values that the statistic is of, with their names if they are those of groups."""
    if wanted.statistic == "rows":
        return Rows((0.0,) * len(known), (0.0,) * len(known), ())
    if wanted.statistic in ("distinct", "only"):
        names = tuple(_name(value) for value in known[wanted.column])
        return Rows((math.nan,) * len(names), (math.nan,) * len(names), names)
    bounds = ("low", "high") if (wanted.table, wanted.column) == ("printed", "value") else ()
    names = ()
    parts = [_numbers(known[name]) for name in bounds or (wanted.column,)]
    if wanted.by:
        parts = [column.groupby(known[wanted.by]).agg(wanted.each) for column in parts]
        names = tuple(_name(name) for name in parts[0].index)
    if wanted.holds:
        middles = parts[0] if len(parts) == 1 else (parts[0] + parts[1]) / 2
        parts = [_meets(middles, wanted.holds).astype(float)]
    return Rows(tuple(parts[0]), tuple(parts[-1]), names)


def _numbers(column: "pd.Series[Any]") -> "pd.Series[float]":
    """Numbers as they are, true as 1, times as seconds since 1970."""
    if _is_time(column):
        column = (column - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return column.astype(float)


def _is_time(column: "pd.Series[Any]") -> bool:
    return isinstance(column.dtype, pd.DatetimeTZDtype)


def _name(value: Any) -> str:  # noqa: ANN401 - a cell
    return f"{value:g}" if isinstance(value, float) else str(value)


def _check_columns(wanted: Statistic, table: pd.DataFrame, where: str) -> None:
    names = [condition.column for condition in wanted.where] + [wanted.column, wanted.by]
    for name in filter(None, names):
        if name in table:
            continue
        if name not in columns(wanted.table):
            fix = "the columns are those of the dataset's descriptor (README: claims)"
            raise TandemError(f"no column '{name}' in {wanted.table}", where=where, fix=fix)
        raise Undecided("unsupported", f"{wanted.source} has no column {name}")


def _meets(column: "pd.Series[Any]", condition: Condition) -> "pd.Series[bool]":
    value: Any = condition.values[0]
    tests: Mapping[str, Callable[[], pd.Series[bool]]] = {
        "is": lambda: column.isin(condition.values),
        "not": lambda: ~column.isin(condition.values),
        "above": lambda: column > value,
        "below": lambda: column < value,
        "at_least": lambda: column >= value,
        "at_most": lambda: column <= value,
    }
    return tests[condition.test]()


def _told(condition: Condition) -> str:
    values = " or ".join(_name(value) for value in condition.values)
    test = "" if condition.test == "is" else f"{condition.test.replace('_', ' ')} "
    return f"{condition.column} {test}{values}"


_SIGNS = {"sum": " + ", "difference": " - ", "product": " * ", "ratio": " / "}


def _operate(name: str, operands: Sequence[Found], where: str) -> Found:
    """An operation on numbers that are only known to lie between bounds."""
    if any(one.names for one in operands):
        what = f"{name} of a name"
        raise TandemError(what, where=where, fix="highest, lowest and only stand alone")
    lows, highs = [one.low for one in operands], [one.high for one in operands]
    if name in ("ratio", "change") and lows[1] <= 0 <= highs[1]:
        raise Undecided("unsupported", f"{operands[0].how} over nothing ({operands[1].how})")
    low, high = _between(name, lows, highs)
    texts = [
        f"[{one.how}]" if " = " in one.how and one.how[0] != "(" else one.how for one in operands
    ]
    how = f"({_SIGNS[name].join(texts)})" if name in _SIGNS else f"{name}({', '.join(texts)})"
    counted = [one.of for one in operands]
    of = sum(filter(None, counted)) if name == "sum" and None not in counted else None
    return Found(how, low, high, of)


def _between(name: str, lows: Sequence[float], highs: Sequence[float]) -> tuple[float, float]:
    def corners(of: Callable[[float, float], float], a: int, b: int) -> tuple[float, float]:
        found = [of(x, y) for x in (lows[a], highs[a]) for y in (lows[b], highs[b])]
        return min(found), max(found)

    if name == "difference":
        return lows[0] - highs[1], highs[0] - lows[1]
    if name in ("ratio", "change"):
        low, high = corners(lambda x, y: x / y, 0, 1)
        return (low - 1, high - 1) if name == "change" else (low, high)
    if name == "product":
        low = high = 1.0
        for a, b in zip(lows, highs, strict=True):
            ends = [x * y for x in (low, high) for y in (a, b)]
            low, high = min(ends), max(ends)
        return low, high
    rising: Mapping[str, Callable[[Sequence[float]], float]] = {
        "sum": math.fsum,
        "mean": lambda values: math.fsum(values) / len(values),
        "smallest": min,
        "largest": max,
    }
    return rising[name](lows), rising[name](highs)
