"""A CSV file -> lines whose cells are read as what a mapping says, or complained of."""

import csv
import io
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from pathlib import Path

from tandembench.dataset.importers.csv_mapping import Begin, Column, CsvMapping, Text, Time
from tandembench.dataset.importers.source import LONGEST_S, MOST, bad, unix_ns, utc
from tandembench.errors import TandemError
from tandembench.files import read_text
from tandembench.text import sanitise

_POWERS = {"s": 0, "ms": -3, "us": -6, "ns": -9}
_NUMBER = re.compile(r"[+-]?(\d{1,40}\.?\d{0,40}|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)
_SWAPPED = str.maketrans(",.", ".,")
# By the mark, where it stands between thousands; a space is any that is not broken at, too.
_BETWEEN_THOUSANDS = {
    mark: rf"(?<=\d)[{marks}](?=\d{{3}}(?!\d))"
    for mark, marks in ((".", "."), (",", ","), ("'", "'\u2019"), ("space", " \u00a0\u2009\u202f"))
}
_MARKED = re.compile(r"[+-]?\d[\d.,'\u2019 \u00a0\u2009\u202f]*", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}([.,'\u2019 \u00a0\u2009\u202f]\d{3})+([.,]\d*)?", re.ASCII)
# Moves a decimal point, and keeps every digit that _NUMBER lets in.
_EXACT = Context(prec=100)
_FIX = "correct the file or its mapping"
_FIRST_YEAR, _MOST_BYTES = 2000, 1 << 30


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file, its cells by their columns' names."""

    path: Path
    number: int
    cells: Mapping[str, str]
    decimal: str
    thousands: str | None = None

    def bad(self, what: str, fix: str = _FIX) -> TandemError:
        """The complaint about this line."""
        return bad(f"{self.path}:{self.number}", what, fix)

    def text(self, source: Text) -> str:
        """A text that is not empty, sanitised; as the mapping translates it."""
        if isinstance(source, str):
            return sanitise(source, 200)
        cell = self.cells[source.column]
        if not cell:
            raise self.bad(f"column '{sanitise(source.column, 40)}' is empty")
        # Many rows name few things.
        return sys.intern(sanitise((source.values or {}).get(cell, cell), 200))

    def seconds(self, source: Time | None) -> float | None:
        """A time in s, no digit lost; None if it is not in the mapping, or the cell is empty."""
        if source is None:
            return None
        value = self._number(source, "duration", 0, LONGEST_S, _POWERS[source.unit])
        return None if value is None else float(value)

    def time(self, source: Time) -> float:
        """A time that is needed, above 0, in s."""
        value = self.seconds(source)
        if not value:
            raise self._wrong(source, "duration")
        return value

    def whole(self, source: Column | int | None, low: int = 0) -> int | None:
        """A whole number from ``low`` on; None as above."""
        if not isinstance(source, Column):
            return source
        value = self._number(source, "whole number in range", low, MOST)
        if value is not None and value != value.to_integral_value():
            raise self._wrong(source, "whole number")
        return None if value is None else int(value)

    def real(self, source: Column | float | None) -> float | None:
        """A number; None as above."""
        if not isinstance(source, Column):
            return source
        value = self._number(source, "number in range", -MOST, MOST)
        return None if value is None else float(value)

    def moment(self, source: Begin | None) -> int | None:
        """Unix time in ns; None as above."""
        if source is None:
            return None
        cell = source if isinstance(source, str) else self.cells[source.column]
        zone, unit = ("", None) if isinstance(source, str) else (source.zone, source.unit)
        if not cell:
            return None
        if isinstance(source, Column) and unit:
            value = self._number(source, "time", 0, 1e25, _POWERS[unit] + 9)
            ns = int(value or 0)
        else:
            stamp = unix_ns(cell, zone)
            if stamp is None:
                what, fix = "a time such as 2026-03-01T14:05:00+00:00", "write it so"
                if _NUMBER.fullmatch(cell):
                    fix = "say in the mapping what it counts from 1970, such as unit: s"
                elif unix_ns(cell, "+00:00"):
                    what, fix = "a time with a zone", "add zone: '+00:00' to the mapping"
                raise self.bad(f"'{sanitise(cell, 40)}' is not {what}", fix)
            ns = stamp
        # Seconds that are called milliseconds lie in 1970, where no model ran.
        if (moment := utc(ns)) is None or moment.year < _FIRST_YEAR:
            what = f"'{sanitise(cell, 40)}' is no time between {_FIRST_YEAR} and 2200"
            raise self.bad(what, "correct it, or its unit in the mapping")
        return ns

    def _number(
        self, source: Column, what: str, low: float, high: float, power: int = 0
    ) -> Decimal | None:
        """What the cell says times 10 ** ``power``, exactly; None if it is empty."""
        cell = plain = self.cells[source.column]
        if not cell:
            return None
        if self.thousands:
            whole, mark, decimals = cell.partition(self.decimal)
            plain = re.sub(_BETWEEN_THOUSANDS[self.thousands], "", whole) + mark + decimals
        if self.decimal == ",":
            plain = plain.translate(_SWAPPED)
        if not _NUMBER.fullmatch(plain):
            mark = "thousands" if _GROUPED.fullmatch(cell) else "decimal"
            fix = f"write {mark}: and what stands there into the mapping"
            raise self._wrong(source, "number", fix if _MARKED.fullmatch(cell) else _FIX)
        value = Decimal(plain).scaleb(power, _EXACT)
        if not low <= value <= high:
            raise self._wrong(source, what)
        return value

    def _wrong(self, source: Column, what: str, fix: str = _FIX) -> TandemError:
        column, cell = sanitise(source.column, 40), sanitise(self.cells[source.column], 40)
        what = (
            f"column '{column}': '{cell}' is no {what}" if cell else f"column '{column}' is empty"
        )
        return self.bad(what, fix)


def read_lines(path: Path, mapping: CsvMapping) -> tuple[Iterator[Line], list[str]]:
    """(lines, names of the columns that hold something) of the file.

    TandemError names the line that does not fit that of the names.
    """
    text = read_text(path, "name the CSV file", _MOST_BYTES)
    rows = _rows(path, text, "\t" if mapping.separator == "tab" else mapping.separator)
    _, header = next(rows, (1, []))
    _check_header(path, header, mapping)
    return _lines(path, mapping, header, rows), [name for name in header if name]


def _lines(
    path: Path, mapping: CsvMapping, header: list[str], rows: Iterator[tuple[int, list[str]]]
) -> Iterator[Line]:
    columns = {name: header.index(name) for name in mapping.columns()}
    nameless = [index for index, name in enumerate(header) if not name]
    needed = 1 + max(index for index, name in enumerate(header) if name)
    number = 0
    for number, cells in rows:
        where = f"{path}:{number}"
        if len(cells) < needed:
            what = f"{len(cells)} cells, where the first line names {len(header)} columns"
            raise bad(where, what, _FIX)
        more = [cells[index] for index in nameless if index < len(cells)] + cells[len(header) :]
        if stray := next(filter(None, more), None):
            what = f"'{sanitise(stray, 40)}' is in a column without a name"
            raise bad(where, what, "name the column or delete it")
        known = {name: cells[index] for name, index in columns.items()}
        yield Line(path, number, known, mapping.decimal, mapping.thousands)
    if not number:
        raise bad(path, "no run in it", "name a file with rows below its columns' names")


def _rows(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that hold anything, each with the number of its last line; cells without margins.

    A first line "sep=;", which tells spreadsheets what stands between columns, is none.
    """
    told = re.match(r'"?sep=(.)"?(\r\n?|\n)', text, re.IGNORECASE)
    if told and told[1] != separator:
        what = f"sep={sanitise(told[1])} says what stands between columns, the mapping another"
        raise bad(f"{path}:1", what, f"write separator: '{sanitise(told[1])}' into the mapping")
    file = io.StringIO(text, newline="")
    file.seek(told.end() if told else 0)
    reader = csv.reader(file, delimiter=separator, strict=True)
    above = 1 if told else 0
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num + above, stripped
    except csv.Error as error:
        what = f"no CSV ({sanitise(str(error), 80)})"
        raise bad(f"{path}:{reader.line_num + above}", what, _FIX) from None


def _check_header(path: Path, header: list[str], mapping: CsvMapping) -> None:
    if not any(header):
        raise bad(path, "nothing in it", "name a file with columns' names in its first line")
    for name in sorted(mapping.columns()):
        if header.count(name) > 1:
            what = f"column '{sanitise(name, 40)}' is there twice"
            raise bad(f"{path}:1", what, "rename or delete one of them")
    missing = sorted(mapping.columns() - set(header))
    if missing:
        fix = f"columns: {sanitise(', '.join(filter(None, header)), 160)}"
        if len(header) == 1 and any(mark in header[0] for mark in ",;\t"):
            fix = "check the separator in the mapping (',', ';' or tab)"
        raise bad(f"{path}:1", f"no column '{sanitise(missing[0], 40)}'", fix)
