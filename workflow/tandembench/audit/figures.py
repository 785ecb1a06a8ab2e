"""Figures as a report prints them: text -> value, unit and how exactly it is meant. Pure.

Value and precision both come from the printed text, so that no transcription can part them.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tandembench.analysis.rounding import Relation

# What a suffix is worth in the unit of the columns, and that unit.
UNITS: Mapping[str, tuple[float, str]] = {
    "%": (0.01, "1"),
    "pp": (0.01, "1"),
    "x": (1.0, "1"),
    "μs": (1e-6, "s"),
    "ms": (1e-3, "s"),
    "s": (1.0, "s"),
    "min": (60.0, "s"),
    "minutes": (60.0, "s"),
    "hours": (3600.0, "s"),
    "tok/s": (1.0, "tokens/s"),
    "tokens/s": (1.0, "tokens/s"),
    "GHz": (1e3, "MHz"),
    "MB": (1e6, "bytes"),
    "GB": (1e9, "bytes"),
    "MiB": (2.0**20, "bytes"),
    "GiB": (2.0**30, "bytes"),
}
# Words behind a whole number that was counted: it has no rounding.
COUNTED = (
    *("configs", "runs", "benchmarks", "tests", "servers"),
    *("phases", "scenarios", "layers", "tokens", "agents"),
)
_RELATIONS: Mapping[str, Relation] = {"<": "below", ">": "above", "±": "at_most"}
_NUMBER = r"([+-]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?"
_SUFFIX = r"\s?(" + "|".join(sorted((*UNITS, *COUNTED), key=len, reverse=True)) + r")?"
_ONE = re.compile(rf"([~<>±]?){_NUMBER}{_SUFFIX}(\+?)")
_RANGE = re.compile(rf"{_NUMBER}{_SUFFIX}(?:-| - | to ){_NUMBER}{_SUFFIX}")
_SHARE = re.compile(r"(\d+)/(\d+)")
_DURATION = re.compile(r"(\d+) hours (\d+) minutes")
_TIME = "%Y-%m-%d %H:%M UTC"


@dataclass(frozen=True, slots=True)
class Figure:
    """What a text prints: all values from ``low`` to ``high`` (equal, unless it is a range).

    In the unit of the columns: ``scale`` times the printed number. ``unit`` is one unit
    of the last printed digit, 0 for what was counted; ``of`` is the whole of a printed share.
    """

    text: str
    low: float
    high: float
    unit: float
    scale: float
    suffix: str = ""
    relation: Relation = "equal"
    of: int | None = None

    @property
    def measured_in(self) -> str | None:
        """The unit of the columns that can give it; None if the print has none."""
        return UNITS[self.suffix][1] if self.suffix in UNITS else None


def read_figure(text: str) -> Figure | None:
    """The figure that ``text`` prints, None if it prints none that is known.

    "1.785x", "+17.3pp", "9/150", "15-18pp", "-5pp to -7pp", ">87%", "85%+", "30 configs",
    "6 hours 15 minutes", "2025-11-12 18:30 UTC". "±" and "<" mean at most and below.
    """
    if found := _SHARE.fullmatch(text):
        count, of = map(int, found.groups())
        return Figure(text, count, count, 0.0, 1.0, of=of)
    if found := _DURATION.fullmatch(text):
        seconds = 3600.0 * int(found[1]) + 60.0 * int(found[2])
        return Figure(text, seconds, seconds, 60.0, 3600.0, "hours")
    if found := _RANGE.fullmatch(text):
        return _range(text, *(part or "" for part in found.groups()))
    if found := _ONE.fullmatch(text):
        return _one(text, *(part or "" for part in found.groups()))
    try:
        stamp = datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return Figure(text, stamp, stamp, 60.0, 1.0, "UTC")


def _one(text: str, mark: str, sign: str, whole: str, rest: str, suffix: str, more: str) -> Figure:
    scale = UNITS.get(suffix, (1.0, ""))[0]
    value = _value(sign, whole, rest) * scale
    relation = _RELATIONS.get(mark, "at_least" if more else "equal")
    unit = 1.0 if mark == "~" and not rest else _unit(rest, suffix)
    return Figure(text, value, value, unit * scale, scale, suffix, relation)


def _range(text: str, *parts: str) -> Figure | None:
    (sign, whole, rest, suffix), (sign_2, whole_2, rest_2, suffix_2) = parts[:4], parts[4:]
    suffix = suffix or suffix_2
    if suffix_2 != suffix:
        return None
    scale = UNITS.get(suffix, (1.0, ""))[0]
    ends = [_value(sign, whole, rest) * scale, _value(sign_2 or sign, whole_2, rest_2) * scale]
    unit = _unit(max(rest, rest_2, key=len), suffix)
    return Figure(text, min(ends), max(ends), unit * scale, scale, suffix)


def _value(sign: str, whole: str, rest: str) -> float:
    return float(f"{sign}{whole.replace(',', '')}{rest}")


def _unit(rest: str, suffix: str) -> float:
    """One unit of the last digit; a whole number without a unit was counted."""
    if not rest and (not suffix or suffix in COUNTED):
        return 0.0
    return float(10.0 ** -len(rest[1:]))


def in_print(value: float, figure: Figure) -> float | str:
    """A recomputed value in the unit that ``figure`` is printed in; a time as text."""
    if figure.suffix == "UTC":
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return float(f"{value / figure.scale:.8g}")


def shown(value: float, figure: Figure) -> str:
    """The same as text, with two digits more than are printed."""
    found = in_print(value, figure)
    if isinstance(found, str):
        return found
    if not figure.unit:
        return f"{found:.6g}"
    digits = 2 - math.floor(math.log10(figure.unit / figure.scale) + 0.5)
    number = f"{found:.{digits}f}" if abs(found) >= 10.0**-digits else f"{found:.2g}"
    space = "" if figure.suffix in ("%", "x", "pp") else " "
    return f"{number}{space}{figure.suffix}".rstrip()
