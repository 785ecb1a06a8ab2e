"""A CSV file -> rows whose cells are read as what a mapping says, or complained of by line."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from tandembench.dataset.importers.csv_mapping import CsvMapping, Source
from tandembench.dataset.importers.source import LONGEST_S, MOST, unix_ns, unreadable, utc
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.text import sanitise

_POWERS = {"s": 0, "ms": -3, "us": -6, "ns": -9}
_NUMBER = re.compile(r"([+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40}))(?:[eE]([+-]?\d{1,3}))?", re.ASCII)


def complaint(
    path: Path, line: int, what: str, fix: str = "mend the file or its mapping"
) -> TandemError:
    """The one line about what stands in a line of the file."""
    where = f"{path}:{line}" if line else str(path)
    return TandemError(
        what, where=where, fix=f"{fix}; nothing was imported", exit_code=EXIT_CORRUPT
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file, by its columns' names."""

    path: Path
    line: int
    cells: Mapping[str, str]
    decimal: str

    def bad(self, what: str, fix: str = "mend the file or its mapping") -> TandemError:
        """The complaint about this line."""
        return complaint(self.path, self.line, what, fix)

    def text(self, source: Source) -> str:
        """A text that is not empty, sanitised; as the mapping translates it."""
        if isinstance(source, str):
            return sanitise(source, 200)
        cell = self._filled(source)
        return sanitise(str(source.get("values", {}).get(cell, cell)), 200)

    def seconds(self, source: Source, required: bool = False) -> float | None:
        """A time in s, its unit's power of ten moved in the text, so that no digit is lost.

        None if it is not in the mapping, or the cell is empty and not ``required``.
        """
        if source is None or not (required or self.cells[source["column"]]):
            return None
        number, power = self._number(self._filled(source), source)
        value = float(f"{number}e{power + _POWERS[source['unit']]}")
        if not 0 <= value <= LONGEST_S or (required and value == 0):
            raise self._wrong(source, "no duration")
        return value

    def count(self, source: Source) -> int | None:
        """A whole number from 0 to MOST; None if it is not in the mapping, or the cell is empty."""
        if source is None or isinstance(source, int):
            return source
        if not self.cells[source["column"]]:
            return None
        value = self._exact(source)
        if value.denominator != 1 or not 0 <= value <= MOST:
            raise self._wrong(source, "no count")
        return int(value)

    def option(self, source: Source, whole: bool) -> float | None:
        """A model option, a whole number or not; None where the cell is empty."""
        if not isinstance(source, Mapping):
            return int(source) if whole else float(source)
        if not self.cells[source["column"]]:
            return None
        value = self._exact(source)
        if abs(value) > MOST or (whole and value.denominator != 1):
            raise self._wrong(source, "no whole number" if whole else "no option")
        number, power = self._number(self.cells[source["column"]], source)
        return int(value) if whole else float(f"{number}e{power}")

    def moment(self, source: Source) -> int | None:
        """Unix time in ns; None if it is not in the mapping, or the cell is empty."""
        if source is None:
            return None
        cell = source if isinstance(source, str) else self.cells[source["column"]]
        if not cell:
            return None
        ns: int | None
        if isinstance(source, Mapping) and "unit" in source:
            ns = int(self._exact(source) * 10 ** (9 + _POWERS[source["unit"]]))
        else:
            ns = unix_ns(cell, "" if isinstance(source, str) else source.get("zone", ""))
            if ns is None:
                fix = "write it so, or add zone: '+00:00' to the mapping"
                raise self.bad(f"'{sanitise(cell, 40)}' is no ISO 8601 time with a zone", fix)
        if utc(ns) is None:
            raise self.bad(f"'{sanitise(cell, 40)}' is no time between 1970 and 2200")
        return ns

    def _filled(self, source: Mapping[str, Any]) -> str:
        cell = self.cells[source["column"]]
        if not cell:
            raise self.bad(f"column '{sanitise(source['column'], 40)}' is empty")
        return cell

    def _exact(self, source: Mapping[str, Any]) -> Fraction:
        number, power = self._number(self._filled(source), source)
        return Fraction(number) * Fraction(10) ** power

    def _number(self, cell: str, source: Mapping[str, Any]) -> tuple[str, int]:
        """(number with a decimal point, power of ten): what the cell says, digit by digit."""
        plain = cell.translate({ord(","): ".", ord("."): ","}) if self.decimal == "," else cell
        match = _NUMBER.fullmatch(plain)
        if not match:
            raise self._wrong(source, "no number")
        return match[1], int(match[2] or 0)

    def _wrong(self, source: Mapping[str, Any], what: str) -> TandemError:
        name = source["column"]
        said = f"column '{sanitise(name, 40)}': '{sanitise(self.cells[name], 40)}' is {what}"
        return self.bad(said)


def read_rows(path: Path, mapping: CsvMapping) -> tuple[list[Row], tuple[str, ...]]:
    """(rows, header) of the file; TandemError names the line that does not fit the first."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise complaint(path, line, "not UTF-8 text", "save it as UTF-8") from None
    except OSError as error:
        raise unreadable(path, error) from None
    lines = _lines(path, text, mapping.separator)
    _, header = next(lines, (1, ()))
    _check_header(path, header, mapping)
    rows = []
    for line, cells in lines:
        if len(cells) != len(header):
            what = f"{len(cells)} cells, where the first line names {len(header)} columns"
            raise complaint(path, line, what)
        rows.append(Row(path, line, dict(zip(header, cells, strict=True)), mapping.decimal))
    if not rows:
        raise complaint(path, 0, "no run in it", "name a file with rows below its columns' names")
    return rows, header


def _lines(path: Path, text: str, separator: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Lines that hold anything, each with the number of its last line; cells without margins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        what = f"no CSV ({sanitise(str(error), 80)})"
        raise complaint(path, reader.line_num, what) from None


def _check_header(path: Path, header: tuple[str, ...], mapping: CsvMapping) -> None:
    if not any(header):
        raise complaint(
            path, 0, "nothing in it", "name a file with columns' names in its first line"
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise complaint(path, 1, f"column '{sanitise(twice[0], 40)}' is there twice")
    missing = sorted(mapping.columns() - set(header))
    if missing:
        known = ", ".join(header)
        fix = f"columns: {sanitise(known, 160)}"
        if len(header) == 1 and any(mark in known for mark in ",;\t"):
            fix = "is another separator needed in the mapping (',', ';' or tab)?"
        raise complaint(path, 1, f"no column '{sanitise(missing[0], 40)}'", fix)
