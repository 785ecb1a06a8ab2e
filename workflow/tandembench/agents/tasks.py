"""The room of the agents, tasks: what an agent works out before it asks the model (pure)."""

import csv
import io
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tandembench.errors import EXIT_CORRUPT, TandemError

MISSING = frozenset({"", "na", "nan", "null"})
AS_CSV = "save it with commas between cells and a point in numbers"


@dataclass(frozen=True)
class FileFacts:
    """What one result file holds; only ``*.csv`` is read as a table, other text is only sized.

    ``rows`` excludes the header, ``ragged_rows`` of them have more or fewer cells than it.
    ``metrics`` maps a column to its numbers, in the order of the rows, missing cells left out:
    a column is a metric when it has a number and every cell is a finite number or missing.
    """

    name: str
    size_bytes: int
    rows: int = 0
    ragged_rows: int = 0
    columns: tuple[str, ...] = ()
    metrics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Inventory:
    """What a folder of result files holds: files and metrics by name, totals over all files."""

    files: tuple[FileFacts, ...]
    size_bytes: int
    rows: int
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """One metric, pooled over all files that have it, in the unit that its name states."""

    metric: str
    n: int
    mean: float
    min: float
    max: float


def inventory(data: Mapping[str, str]) -> Inventory:
    """Take inventory of result files, given as file name -> text.

    Raises TandemError for a CSV file that is broken, names a column twice, or is written with
    semicolons, tabs or decimal commas.
    """
    files = tuple(_read_file(name, data[name]) for name in sorted(data))
    return Inventory(
        files=files,
        size_bytes=sum(file.size_bytes for file in files),
        rows=sum(file.rows for file in files),
        metrics=tuple(sorted({metric for file in files for metric in file.metrics})),
    )


def figures(data: Mapping[str, str]) -> tuple[Figure, ...]:
    """Read the measured figures from result files, given as file name -> text; by metric name.

    Raises TandemError as ``inventory`` does.
    """
    pooled: dict[str, list[float]] = {}
    for file in inventory(data).files:
        for metric, values in file.metrics.items():
            pooled.setdefault(metric, []).extend(values)
    return tuple(
        # The exact mean: it depends on no order of the values and cannot overflow.
        Figure(metric, len(values), statistics.mean(values), min(values), max(values))
        for metric, values in sorted(pooled.items())
    )


TASKS: Mapping[str, Callable[[Mapping[str, str]], object]] = {
    "figures": figures,
    "inventory": inventory,
}


def _read_file(name: str, text: str) -> FileFacts:
    size_bytes = len(text.encode())
    if not name.lower().endswith(".csv"):
        return FileFacts(name, size_bytes)
    try:
        lines = io.StringIO(text, newline="")
        table = [row for row in csv.reader(lines, strict=True) if row]
    except csv.Error as error:
        fix = "quote its cells in pairs, or take the file out of the folder"
        raise _fault(name, f"not a readable CSV file ({error})", fix) from error
    if not table:
        return FileFacts(name, size_bytes)
    header, *rows = [[cell.strip() for cell in row] for row in table]
    columns = [column for column in header if column]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        what = f"column {twice[0]!r} stands twice in the header"
        raise _fault(name, what, "rename one of the two")
    separator = next((one for one in ";\t" if one in header[0]), None)
    if separator and len(header) == 1:
        raise _fault(name, f"cells are separated by {separator!r}", AS_CSV)
    cells = {
        column: [row[place] for row in rows if place < len(row)]
        for place, column in enumerate(header)
        if column
    }
    numbers = {column: _numbers(values) for column, values in cells.items()}
    for column, values in cells.items():
        if not numbers[column] and _numbers([value.replace(",", ".") for value in values]):
            raise _fault(name, f"numbers with commas in column {column!r}", AS_CSV)
    return FileFacts(
        name=name,
        size_bytes=size_bytes,
        rows=len(rows),
        ragged_rows=sum(len(row) != len(header) for row in rows),
        columns=tuple(columns),
        metrics={column: values for column, values in numbers.items() if values},
    )


def _numbers(cells: Sequence[str]) -> tuple[float, ...]:
    """The numbers of a column; none at all if one cell is neither a number nor missing."""
    stated = [cell for cell in cells if cell.lower() not in MISSING]
    if any("_" in cell for cell in stated):  # float("2026_11_22") is a number to Python
        return ()
    try:
        values = tuple(map(float, stated))
    except ValueError:
        return ()
    return values if all(map(math.isfinite, values)) else ()


def _fault(name: str, what: str, fix: str) -> TandemError:
    return TandemError(what, where=name, fix=fix, exit_code=EXIT_CORRUPT)
