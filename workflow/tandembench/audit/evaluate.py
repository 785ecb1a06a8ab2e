"""Expression -> what the data, or other printed figures, give, with its interval. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pandas as pd

from tandembench.analysis.intervals import critical
from tandembench.audit.expressions import (
    Expression,
    Operation,
    Printed,
    Statistic,
    Unreadable,
    parts,
)
from tandembench.audit.figures import Figure, Span
from tandembench.audit.ranking import no_level_differs
from tandembench.audit.rows import COUNTS, Rows, Undecided, grouped, number, select
from tandembench.audit.tables import Source

# Facts about the runs that were given; without groups, so are the single runs at both ends.
_EXACT = (*COUNTS, "only", "highest", "lowest")
_ENDS = ("min", "max", "range")
_DRAWS = 400


@dataclass(frozen=True, slots=True)
class Found:
    """A number between ``low`` and ``high`` (equal, unless it rests on printed, rounded ones).

    In ``unit``, None if that is not known; ``of``: of how many it is a count, or a share.
    Or ``names``: the ``levels`` that come out on top; ``tested`` if that asks for a test that no
    level differs, whose p is ``p``. ``other``: what would come out if the largest were picked in
    place of the mean, or the mean of the largest. ``rests`` says on what it rests.
    """

    rests: tuple[str, ...]
    low: float = math.nan
    high: float = math.nan
    unit: str | None = None
    of: int | None = None
    names: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    tested: bool = False
    p: float | None = None
    other: Span | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What expressions look at: sources by name, and printed figures by claim and label."""

    sources: Mapping[str, Source]
    figures: Mapping[tuple[str, str | None], Figure]
    rows: dict[Statistic, Rows] = field(default_factory=dict)


def evaluate(expression: Expression, context: Context) -> Found:
    """What ``expression`` gives; Undecided if nothing, Unreadable if it asks for what is not."""
    match expression:
        case float():
            return Found((), expression, expression)
        case Printed(claim, label):
            figure = context.figures.get((claim, label))
            if figure is None:
                what = f"claim '{claim}' prints no figure there"
                raise Unreadable(what, "refer to a value that is printed")
            low, high = figure.low - figure.unit / 2, figure.high + figure.unit / 2
            return Found((figure.text,), low, high, figure.measured_in, figure.of)
        case Operation(name, operands):
            return _operate(name, [evaluate(one, context) for one in operands])
    try:
        return _statistic(expression, context)
    except (TypeError, ValueError):
        what = f"{expression.text} takes numbers for text, or text for numbers"
        raise Unreadable(what, "check the column and the conditions") from None


def interval(expression: Expression, context: Context, value: float) -> Span | None:
    """95 % interval of a number that runs give; None if they are of fewer than two blocks.

    value -+ t(0.975, n - 1) s sqrt(n / (n - 1)): n blocks (one repetition of a comparison), the
    fewest of the expression's statistics, and s the standard deviation over 400 bootstrap draws of
    blocks. For a mean that is its t interval. Source: Efron & Tibshirani 1993, chapters 6 and 12.
    """
    freedom = min(context.rows[one].freedom for one in sampled(expression))
    values = [_drawn(expression, context, draw) for draw in range(_DRAWS)]
    if freedom < 1 or not np.isfinite(values).any():
        return None
    error = float(np.nanstd(values)) * math.sqrt((freedom + 1) / freedom)
    half = critical(freedom, 0.95) * error
    return value - half, value + half


def sampled(expression: Expression) -> list[Statistic]:
    """Statistics of which further runs would give another number: not those that only count."""
    return [
        one
        for one in parts(expression)
        if isinstance(one, Statistic)
        and one.table != "printed"
        and one.name not in _EXACT
        and (one.by or one.name not in _ENDS)
    ]


def _drawn(expression: Expression, context: Context, draw: int) -> float:
    match expression:
        case Operation(name, operands):
            values = [_drawn(one, context, draw) for one in operands]
            undefined = name in ("/", "change") and values[1] == 0
            return math.nan if undefined else _between(name, values, values)[0]
        case Statistic():
            rows = context.rows[expression]
            repeats = None if expression.table == "printed" else rows.drawn(draw)
            return sum(number(expression, rows, repeats=repeats) or (math.nan, math.nan)) / 2
    result = evaluate(expression, context)
    return (result.low + result.high) / 2


def _statistic(wanted: Statistic, context: Context) -> Found:
    table = context.sources.get(wanted.source, Source()).table(wanted.table)
    if table is None:
        what = "the published table" if wanted.table == "printed" else "the runs"
        raise Undecided(f"needs {what} of {wanted.source}", "not_checkable")
    rows = context.rows[wanted] = select(wanted, table)
    n = f" (n = {len(rows.at)})"
    if wanted.name == "only":
        names = list(dict.fromkeys(rows.names))
        only = names[0] if len(names) == 1 else "several"
        return Found((f"{' and '.join(names[:5])}{n}",), names=(only,))
    if wanted.name in ("highest", "lowest"):
        return _top(wanted, rows, n)
    ends = number(wanted, rows)
    if ends is None:
        raise Undecided(f"{wanted.text}: {len(rows.at)} values are too few")
    shown, of, other = f"{sum(ends) / 2:.6g}", None, None
    if wanted.name in ("count", "share"):
        of = len(rows.names) if wanted.by else len(rows.at)
        shown += f" of {of}"
    if rows.unit == "time":
        shown = pd.Timestamp(ends[0], unit="s", tz="UTC").isoformat(timespec="seconds")
    if wanted.within:
        pick = "max" if wanted.pick == "mean" else "mean"
        other = number(wanted, rows, pick)
        shown += f", their {pick} {sum(other or ()) / 2:.6g}"
    return Found((f"{wanted.text} = {shown}{n}",), *ends, rows.unit, of, other=other)


def _top(wanted: Statistic, rows: Rows, n: str) -> Found:
    low, high = grouped(wanted, rows, np.arange(len(rows.at)))
    middles = ((low + high) / 2).tolist()
    order = sorted(set(middles), reverse=wanted.name == "highest")[:2]
    tied = [tuple(n for n, v in zip(rows.names, middles, strict=True) if v == at) for at in order]
    shown = [f"{' and '.join(group)} ({at:.6g})" for group, at in zip(tied, order, strict=True)]
    # Which run or printed cell is the highest is a fact; which level is better needs a test.
    tested = wanted.each == "mean" and wanted.table != "printed"
    levels = [] if rows.by is None else rows.by.tolist()
    p = no_level_differs(rows.low.tolist(), levels) if tested else None
    tail = f"; p = {p:.2g} that no {wanted.by} differs" if p is not None else ""
    rests = (f"{', then '.join(shown)}{n}{tail}",)
    return Found(rests, names=tied[0], levels=rows.names, tested=tested, p=p)


def _operate(name: str, operands: Sequence[Found]) -> Found:
    """An operation on numbers that are only known to lie between bounds."""
    if any(one.names for one in operands):
        raise Unreadable(f"{name} of a name", "highest, lowest and only stand alone")
    lows, highs = [one.low for one in operands], [one.high for one in operands]
    if name in ("/", "change") and lows[1] <= 0 <= highs[1]:
        if not operands[1].rests:
            raise Unreadable("division by 0", "divide by something else")
        raise Undecided(f"division by nothing: {', '.join(operands[1].rests)}")
    rests = dict.fromkeys(rest for one in operands for rest in one.rests)
    counted = [one.of for one in operands]
    of = sum(filter(None, counted)) if name == "+" and None not in counted else None
    return Found(tuple(rests), *_between(name, lows, highs), _unit(name, operands), of)


def _unit(name: str, operands: Sequence[Found]) -> str | None:
    """The unit of what an operation gives; Unreadable if it takes seconds from tokens."""
    units = [one.unit for one in operands if one.unit not in (None, "", "count")]
    alike = units[0] if len(set(units)) == 1 else None
    if name == "change" or (name == "/" and alike and len(units) > 1):
        return "1"
    if name in "*/":
        # A constant may be of any unit.
        return None
    if len(set(units)) > 1:
        what = f"{name} of {' and '.join(filter(None, dict.fromkeys(units)))}"
        raise Unreadable(what, "take columns of one unit")
    return "s" if alike == "time" and name == "-" else alike


def _between(name: str, lows: Sequence[float], highs: Sequence[float]) -> Span:
    """The least and the most that the operation may give."""
    if name == "-":
        return lows[0] - highs[1], highs[0] - lows[1]
    if name in ("*", "/", "change"):
        corners = product((lows[0], highs[0]), (lows[1], highs[1]))
        ends = [a * b if name == "*" else a / b - (name == "change") for a, b in corners]
        return min(ends), max(ends)
    rising: Mapping[str, Callable[[Sequence[float]], float]] = {
        "+": math.fsum,
        "average": lambda values: math.fsum(values) / len(values),
        "smallest": min,
        "largest": max,
    }
    return rising[name](lows), rising[name](highs)
