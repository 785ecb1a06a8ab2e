"""How a printed value is recomputed: one line of text -> an expression. Pure.

The line has the grammar of Python, by whose `ast` it is read; nothing in it is ever run. SQL is no
shorter (six claims take 411 characters, here 260), and its result has neither a unit nor rows that
it rests on: no interval, no test, and no error where seconds are printed as gigabytes.
"""

import ast
import difflib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Table = Literal["runs", "executions", "printed"]
Test = Literal["==", "!=", ">", "<", ">=", "<="]
Scalar = str | float | bool
STATISTICS = (
    *("mean", "median", "sd", "min", "max", "sum", "range", "count", "share"),
    *("rows", "distinct", "only", "highest", "lowest"),
)
OPERATIONS = ("change", "average", "smallest", "largest")
_SIGNS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_TESTS: dict[type[ast.cmpop], Test] = {
    **{ast.Eq: "==", ast.In: "==", ast.NotEq: "!=", ast.NotIn: "!="},
    **{ast.Gt: ">", ast.Lt: "<", ast.GtE: ">=", ast.LtE: "<="},
}
_SETTINGS = ("by", "each", "within", "pick")
_HELP = (
    "write a number, claim('id', 'label'), + - * / of such, or a statistic of a column, such as"
    " mean(data.wall_s, phase == 'core', num_ctx in [512, 1024], by=config_id)"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """``column`` holds one of ``values`` (==), none of them (!=), or is beyond the one."""

    column: str
    test: Test
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Printed:
    """What another value of the file prints; ``label`` None: the only one of ``claim``."""

    claim: str
    label: str | None


@dataclass(frozen=True, slots=True)
class Statistic:
    """A statistic of ``column`` over the rows of a source's table that meet ``where``.

    In the table "printed" the column is a metric. With ``by``, of that column's groups, each of
    which counts with ``each`` (mean or max) of its rows. ``within``: once for each group of rows
    that are alike in these columns; ``pick`` (mean or max) of what comes out counts. ``holds`` is
    what count and share look for. ``text`` is how it was written.
    """

    name: str
    source: str
    column: str = ""
    table: Table = "runs"
    where: tuple[Condition, ...] = ()
    holds: Condition | None = None
    by: str | None = None
    each: str = "mean"
    within: tuple[str, ...] = ()
    pick: str = "mean"
    text: str = field(default="", compare=False)

    @property
    def columns(self) -> list[str]:
        """All columns that are named; a printed metric is none."""
        used = [*(one.column for one in self.where), self.by, *self.within]
        return [one for one in (self.column * (self.table != "printed"), *used) if one]


@dataclass(frozen=True, slots=True)
class Operation:
    """+, -, *, / or one of OPERATIONS on further expressions."""

    name: str
    operands: tuple["Expression", ...]


Expression = float | Printed | Statistic | Operation


class Unreadable(Exception):
    """A line that is no such expression: what is wrong, and what to write."""

    def __init__(self, what: str, fix: str = _HELP) -> None:
        super().__init__(what)
        self.fix = fix


def parts(expression: Expression) -> Iterator[Expression]:
    """``expression`` and all that it is made of."""
    yield expression
    if isinstance(expression, Operation):
        for operand in expression.operands:
            yield from parts(operand)


def read_expression(text: str) -> Expression:
    """The expression that ``text`` says; Unreadable if it says none."""
    try:
        return _expression(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise Unreadable(f"'{text[:60]}' cannot be read") from None


def _expression(node: ast.expr) -> Expression:
    match node:
        case ast.Constant(int() | float() as value) if math.isfinite(value):
            return float(value)
        case ast.UnaryOp(op=ast.USub()):
            inner = _expression(node.operand)
            return -inner if isinstance(inner, float) else Operation("*", (-1.0, inner))
        case ast.BinOp() if type(node.op) in _SIGNS:
            operands = (_expression(node.left), _expression(node.right))
            return Operation(_SIGNS[type(node.op)], operands)
        case ast.Call(ast.Name("claim"), [ast.Constant(str(name)), *more], []):
            texts = [str(one.value) for one in more if isinstance(one, ast.Constant)]
            if len(texts) == len(more) < 2:
                return Printed(name, texts[0] if texts else None)
        case ast.Call(func=ast.Name(name), args=[_, *more], keywords=[]) if name in OPERATIONS:
            if name == "change" and len(more) != 1:
                raise Unreadable("change takes two", "write change(new, old)")
            return Operation(name, tuple(map(_expression, node.args)))
        case ast.Call(func=ast.Name(name), args=[_, *_]) if name in STATISTICS:
            return _statistic(name, node)
        case ast.Call(func=ast.Name(name)) if name not in (*STATISTICS, *OPERATIONS, "claim"):
            raise Unreadable(f"no statistic '{name}'", near(name, (*STATISTICS, *OPERATIONS)))
    raise Unreadable(f"'{ast.unparse(node)[:60]}' cannot be read")


def _statistic(name: str, node: ast.Call) -> Statistic:
    first, *rest = node.args
    holds = _condition(first) if isinstance(first, ast.Compare) else None
    if holds and name not in ("count", "share"):
        raise Unreadable(f"{name} of a comparison", "only count and share take one")
    source, *names = _names(first.left if isinstance(first, ast.Compare) else first)
    table: Table = "runs"
    for known in get_args(Table):
        if names[:1] == [known]:
            table, names = known, names[1:]
    if len(names) > 1 or (not names and name != "rows"):
        fix = "write data.column, data.executions.column or data.printed.metric"
        raise Unreadable(f"'{ast.unparse(first)[:60]}' is no column", fix)
    settings: dict[str, Any] = {}
    for keyword in node.keywords:
        key, value = str(keyword.arg), keyword.value
        if key not in _SETTINGS:
            fix = f"{near(key, _SETTINGS)}; a condition has '=='"
            raise Unreadable(f"'{key}=' is not known", fix)
        several = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
        columns = tuple(_names(one)[-1] for one in several)
        is_column = key in ("by", "within")
        if not columns or not (is_column or columns in (("mean",), ("max",))):
            fix = "write a column" if is_column else "write mean or max"
            raise Unreadable(f"{key}={ast.unparse(value)[:60]}", fix)
        if key == "by" and len(columns) > 1:
            raise Unreadable("by= of several columns", "write one, such as by=config_id")
        settings[key] = columns if key == "within" else columns[0]
    if "by" not in settings and (name in ("highest", "lowest") or len(settings) > 0):
        raise Unreadable(f"{name} of what?", "add by=, the column whose groups are compared")
    if "pick" in settings and "within" not in settings:
        raise Unreadable("pick= without within=", "add within=[columns that are alike]")
    where = tuple(map(_condition, rest))
    text = ast.unparse(node)
    return Statistic(name, source, "".join(names), table, where, holds, **settings, text=text)


def _condition(node: ast.expr) -> Condition:
    """column == value, column in [values], column > number, and their opposites."""
    match node:
        case ast.Compare(ops=[test], comparators=[right]) if type(test) in _TESTS:
            several = right.elts if isinstance(right, ast.List | ast.Tuple) else [right]
            values = tuple(one.value for one in several if isinstance(one, ast.Constant))
            known = tuple(one for one in values if isinstance(one, str | int | float))
            column, sign = _names(node.left)[-1], _TESTS[type(test)]
            is_one = len(known) == 1 and not isinstance(known[0], str | bool)
            if known and len(known) == len(several) and (sign in ("==", "!=") or is_one):
                return Condition(column, sign, known)
    fix = "write conditions, such as phase == 'core', num_ctx in [512, 1024], wall_s > 3"
    raise Unreadable(f"'{ast.unparse(node)[:60]}' is no condition", fix)


def _names(node: ast.expr) -> list[str]:
    """The names of a dotted one."""
    match node:
        case ast.Name(name):
            return [name]
        case ast.Attribute(inner, name):
            return [*_names(inner), name]
    raise Unreadable(f"'{ast.unparse(node)[:60]}' is no column", "write its name, without quotes")


def near(name: str, known: Iterable[str]) -> str:
    """What to write in place of an unknown ``name``."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names[:12])}{more}"


def name_of(value: object) -> str:
    """A cell, or a value in a condition, as people write it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
