"""A statistic's rows: which meet its conditions, what comes of them, or of drawn blocks. Pure."""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tandembench.audit.expressions import Condition, Statistic, Unreadable, name_of, near
from tandembench.audit.figures import Span
from tandembench.audit.tables import columns

Numbers = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]
COUNTS = ("rows", "distinct", "count")


class NoRows(Unreadable):
    """Conditions that no row meets."""


class Undecided(Exception):
    """Nothing comes out: for want of data that was not given, or of what the given data holds."""

    def __init__(
        self, how: str, verdict: Literal["not_checkable", "unsupported"] = "unsupported"
    ) -> None:
        super().__init__(how)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class Rows:
    """What a statistic looks at: values between ``low`` and ``high``, in ``unit``.

    ``names`` are those of the values, or of the groups that ``by`` has a number of for each;
    ``within`` numbers the rows that are alike in the columns of that name. ``blocks`` are those of
    all rows of the table, ``at`` says which of its rows these are.
    """

    unit: str
    low: Numbers
    high: Numbers
    names: tuple[str, ...]
    by: Codes | None
    within: Codes | None
    blocks: Codes
    at: Codes

    def drawn(self, draw: int) -> Codes:
        """The rows that draw number ``draw`` of the bootstrap holds, some of them repeatedly.

        As many blocks of the table as it has, with replacement. A draw is the same for every
        statistic of a table, so that what was measured together stays together.
        """
        n = int(self.blocks.max()) + 1
        times = np.random.default_rng(draw).multinomial(n, np.full(n, 1 / n))
        return np.repeat(np.arange(len(self.at)), times[self.blocks[self.at]])

    @property
    def freedom(self) -> int:
        """Blocks that the values are of, less one."""
        return len(np.unique(self.blocks[self.at])) - 1


def select(wanted: Statistic, table: pd.DataFrame) -> Rows:
    """The rows that meet all conditions; Unreadable if a column is none that is known.

    NoRows names what is known where no row does: a value that no row has is taken for a slip, also
    where rows are counted. Undecided if the data has none of it.
    """
    unit, chosen = _unit(wanted, table), table.reset_index(drop=True)
    blocks = table["block"].to_numpy() if "block" in table else np.arange(len(table))
    value, bounds = wanted.column, (wanted.column,) * 2
    if wanted.table == "printed" and wanted.column:
        chosen = chosen[chosen["metric"] == wanted.column]
        value, bounds = "value", ("low", "high")
    every = chosen
    for condition in wanted.where:
        column = every[condition.column]
        if column.isna().all() and len(every):
            raise Undecided(f"no {condition.column} in the data of {wanted.source}")
        for one in condition.values if condition.test in ("==", "!=") else ():
            if not isinstance(one, bool) and not (column == one).any():
                is_text = isinstance(one, str)
                shown = repr(one) if is_text else name_of(one)
                what = f"no row of {wanted.source} has {condition.column} {shown}"
                if is_text is pd.api.types.is_numeric_dtype(column):
                    fix = f"write {'a number, without' if is_text else 'a text, in'} quotes"
                    raise Unreadable(what, fix)
                raise NoRows(what, near(str(one) * is_text, _known(column)))
        known, chosen = chosen[condition.column], chosen[_meets(chosen, condition)]
        if chosen.empty and wanted.name not in ("rows", "count"):
            what = f"no row of {wanted.source} also meets the condition on {condition.column}"
            ends = f"it is from {known.min()} to {known.max()}"
            raise NoRows(what, ends if condition.test in _TESTS else near("", _known(known)))
    rows = chosen.dropna(subset=[one for one in (value, wanted.by, *wanted.within) if one])
    if rows.empty and not chosen.empty:
        raise Undecided(f"no {wanted.column} in the data of {wanted.source}")
    names: tuple[str, ...] = ()
    low = high = np.zeros(len(rows))
    by = within = None
    if wanted.name in ("distinct", "only"):
        names = tuple(map(name_of, rows[value]))
    elif wanted.name != "rows":
        low, high = (_numbers(rows[one]) for one in bounds)
    if wanted.by:
        by, levels = pd.factorize(rows[wanted.by], sort=True)
        names = tuple(map(name_of, levels))
    if wanted.within:
        within = rows.groupby(list(wanted.within), sort=False).ngroup().to_numpy()
    return Rows(unit, low, high, names, by, within, blocks, rows.index.to_numpy())


def _unit(wanted: Statistic, table: pd.DataFrame) -> str:
    """The unit of what comes out; Undecided if this data lacks a column."""
    for name in wanted.columns:
        if name not in table:
            raise Undecided(f"{wanted.source} has no column {name}")
    unit = columns(wanted.table).get(wanted.column, "")
    if wanted.table == "printed" and wanted.column:
        printed = table.loc[table["metric"] == wanted.column, "unit"]
        if printed.empty:
            what = f"no metric '{wanted.column}' is printed in {wanted.source}"
            raise Unreadable(what, near(wanted.column, set(table["metric"])))
        unit = str(printed.iloc[0])
    if wanted.name in COUNTS:
        return "count"
    if unit == "flag" or wanted.name == "share":
        return "1"
    return "s" if unit == "time" and wanted.name in ("range", "sd") else unit


def _known(column: "pd.Series[Any]") -> list[str]:
    return [name_of(value) for value in sorted(column.dropna().unique())]


def _numbers(column: "pd.Series[Any]") -> Numbers:
    """Numbers as they are, true as 1, times as seconds since 1970."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = (column - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return column.to_numpy(dtype=float)


_TESTS = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}


def _meets(table: pd.DataFrame, condition: Condition) -> "pd.Series[bool]":
    column = table[condition.column]
    if condition.test in _TESTS:
        met: pd.Series[bool] = _TESTS[condition.test](column, condition.values[0])
        return met
    return column.isin(condition.values) == (condition.test == "==")


_RISING: Mapping[str, Callable[[Numbers], float]] = {
    **dict.fromkeys(("mean", "share"), lambda values: math.fsum(values) / len(values)),
    **dict.fromkeys(("sum", "count"), math.fsum),
    "median": lambda values: float(np.median(values)),
    "min": lambda values: float(values.min()),
    "max": lambda values: float(values.max()),
}


def number(
    wanted: Statistic, rows: Rows, pick: str | None = None, repeats: Codes | None = None
) -> Span | None:
    """The statistic between its bounds, of the rows or of those ``repeats``; None of too few.

    sd divides by n - 1; range is the largest less the smallest. ``pick``: in place of its own.
    """
    index = np.arange(len(rows.low)) if repeats is None else repeats
    if wanted.name == "distinct":
        return (float(len(set(rows.names))),) * 2
    if rows.within is None:
        return _plain(wanted.name, *grouped(wanted, rows, index))
    result = []
    for code in np.unique(rows.within[index]):
        ends = grouped(wanted, rows, index[rows.within[index] == code])
        # What is alone has nothing that it is compared with.
        if len(ends[0]) > 1 and (one := _plain(wanted.name, *ends)):
            result.append(one)
    combine = _RISING[pick or wanted.pick]
    lows, highs = np.array(result).reshape(-1, 2).T
    return (combine(lows), combine(highs)) if result else None


def grouped(wanted: Statistic, rows: Rows, index: Codes) -> tuple[Numbers, Numbers]:
    """Bounds of each value, or of each group of ``by``; whether they hold what is counted."""
    ends: list[Numbers] = [rows.low[index], rows.high[index]]
    if rows.by is not None:
        codes, each = rows.by[index], _RISING[wanted.each]
        groups = [codes == code for code in np.unique(codes)]
        ends = [np.array([each(values[one]) for one in groups]) for values in ends]
    if wanted.holds is not None:
        middles = pd.DataFrame({wanted.holds.column: (ends[0] + ends[1]) / 2})
        ends = [_numbers(_meets(middles, wanted.holds))] * 2
    return ends[0], ends[1]


def _plain(name: str, low: Numbers, high: Numbers) -> Span | None:
    if name == "rows":
        return (float(len(low)),) * 2
    if not len(low):
        return (0.0, 0.0) if name == "count" else None
    if name == "range":
        return max(0.0, float(low.max() - high.min())), float(high.max() - low.min())
    if name == "sd":
        return (float(np.std((low + high) / 2, ddof=1)),) * 2 if len(low) > 1 else None
    return _RISING[name](low), _RISING[name](high)
