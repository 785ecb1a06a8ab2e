"""What a page is made of: sections of sentences, points, tables, figures and code.

Whatever stands in them is made harmless where it is rendered, ours and foreign alike.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice

from ruamel.yaml import YAML

from tandembench.analysis.intervals import Interval
from tandembench.analysis.summaries import Summary
from tandembench.report.figures.figure import Figure
from tandembench.report.formats import NOTHING, interval, number, percent
from tandembench.report.words import TEMPLATES, say, sentences

# Rows that a table shows of many; the dataset's tables hold all of them.
MOST_ROWS = 60


@dataclass(frozen=True, slots=True)
class Table:
    """As many cells a row as ``heads``."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Points:
    """Sentences as a list."""

    points: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Lines to copy."""

    language: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure as a page shows it; ``title`` is empty on page one, where its section says it."""

    name: str
    title: str
    alt: str
    caption: str


Part = str | Table | Points | Code | Shown


@dataclass(frozen=True, slots=True)
class Section:
    """``level``: 2 for a section, 3 for a part of one. A text among ``parts`` is a paragraph.

    ``template``: a file that says the rest.
    """

    title: str
    level: int
    parts: tuple[Part, ...]
    template: str = ""


def section(title: str, *parts: Part | None, level: int = 3) -> Section:
    """A section with those of ``parts`` that say anything: a table without rows says nothing."""
    return Section(title, level, tuple(part for part in parts if part and _says(part)))


def _says(part: Part) -> bool:
    if isinstance(part, Table):
        return bool(part.rows)
    return not isinstance(part, Points) or bool(part.points)


def shown(figure: Figure, *, titled: bool) -> Shown:
    """The figure as a page shows it, with its title or under that of its section."""
    return Shown(figure.name, figure.title if titled else "", figure.alt, figure.caption)


def more(n: int, what: str, file: str, columns: str) -> str | None:
    """Where the rows are that a table of ``n`` leaves out; None if it leaves out none."""
    left_out = n - MOST_ROWS
    if left_out <= 0:
        return None
    return say("more", "rows", n=str(left_out), what=what, file=file, columns=columns)


def table(name: str, rows: Iterable[object], most: int = MOST_ROWS) -> Table:
    """The table ``name`` of tables.yaml, of the first ``most`` rows.

    A row is a mapping or a data class; what it does not have, or has as None or NaN, is not known.
    """
    columns = _tables()[name]
    made = ((_cell(row, value) for value in columns.values()) for row in islice(rows, most))
    return Table(tuple(columns), tuple(tuple(cells) for cells in made))


@cache
def _tables() -> Mapping[str, Mapping[str, str]]:
    text = (TEMPLATES / "tables.yaml").read_text(encoding="utf-8")
    result: Mapping[str, Mapping[str, str]] = YAML(typ="safe").load(text)
    return result


def _cell(row: object, column: str) -> str:
    path, _, how = column.partition(" ")
    value: object = row
    for name in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, tuple):
            value = {"length": len(value), "first": value[0]}[name]
        else:
            value = getattr(value, name, None)
    if how.startswith("@"):
        words = sentences()[how[1:]]
        word = "unknown" if value is None else str(value)
        return words.get(word, NOTHING if value is None else word)
    if isinstance(value, tuple):
        return " / ".join(_shown(one, how) for one in value) or NOTHING
    return _shown(value, how)


def _shown(value: object, how: str) -> str:
    if isinstance(value, Summary):
        return _summary(value, how)
    if isinstance(value, Interval):
        return interval(value, int(how or 2))
    if isinstance(value, float) and not math.isnan(value):
        return percent(value, int(how[1:] or 1)) if how[:1] == "%" else number(value, int(how or 2))
    return NOTHING if value is None or isinstance(value, float) else str(value)


def _summary(one: Summary, how: str) -> str:
    """Mean with its interval, or with sd, or the span; of a single value, which has neither, it."""
    as_text = percent if how.endswith("%") else number
    if how.startswith("span"):
        if one.n == 1:
            return as_text(one.maximum)
        return f"{as_text(one.minimum)} to {as_text(one.maximum)}"
    if how.startswith("±"):
        sd = f" ± {as_text(one.sd)}" if one.sd is not None else ""
        return f"{as_text(one.mean.mean)}{sd}"
    return interval(one.mean, int(how or 2))
