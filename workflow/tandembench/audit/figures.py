"""Figures as a report prints them: text -> value, unit and how exactly it is meant. Pure.

Value and precision both come from the printed text, so that no transcription can part them.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Relation = Literal["equal", "above", "below", "at_least", "at_most"]
Span = tuple[float, float]
# What a suffix is worth in the unit of the columns, and that unit.
UNITS: Mapping[str, tuple[float, str]] = {
    **{"%": (0.01, "1"), "pp": (0.01, "1"), "x": (1.0, "1")},
    **{"μs": (1e-6, "s"), "ms": (1e-3, "s"), "s": (1.0, "s"), "min": (60.0, "s")},
    **{"minutes": (60.0, "s"), "hours": (3600.0, "s")},
    **{"tok/s": (1.0, "tokens/s"), "tokens/s": (1.0, "tokens/s"), "GHz": (1e3, "MHz")},
    **{"MB": (1e6, "bytes"), "GB": (1e9, "bytes")},
    **{"MiB": (2.0**20, "bytes"), "GiB": (2.0**30, "bytes")},
}
# Floats have their own dust: half a unit off is still half a unit.
_DUST = 1e-9
# Words behind a whole number that was counted: it has no rounding.
COUNTED = (
    *("configs", "runs", "benchmarks", "tests", "servers"),
    *("phases", "scenarios", "layers", "tokens", "agents"),
)
_RELATIONS: Mapping[str, Relation] = {
    **{"<": "below", ">": "above", "±": "at_most", "≤": "at_most", "≥": "at_least"}
}
_NUMBER = r"([+-]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?"
_SUFFIX = r"(?:\s?(" + "|".join(sorted((*UNITS, *COUNTED), key=len, reverse=True)) + r"))?"
_ONE = rf"{_NUMBER}{_SUFFIX}"
_FIGURE = re.compile(rf"(?:([~<>±≤≥])\s?)?{_ONE}(?:(?:-| - | to ){_ONE})?(\+?)")
_SHARE = re.compile(rf"(\d+)(?:/| of )(\d+)(?:\s?(?:{'|'.join(COUNTED)}))?")
_DURATION = re.compile(r"(\d+) hours (\d+) minutes")
_TIME = "%Y-%m-%d %H:%M UTC"
# Signs that are typeset in several ways: times, minus and dash, micro.
_ALIKE = str.maketrans("\u00d7\u2212\u2013\u00b5", "x--\u03bc")
# No part of a word, an option (GPU=80), a version, a path or a date.
_ANYWHERE = re.compile(
    r"(?:(?<![\w.,=/-])|(?=[<>±≤≥]))(?:\d{4}-\d\d-\d\d \d\d:\d\d UTC|"
    rf"{_DURATION.pattern}|{_SHARE.pattern}|{_FIGURE.pattern})(?![\w/]|[.,-]\d)"
)


@dataclass(frozen=True, slots=True)
class Figure:
    """What a text prints: all values from ``low`` to ``high`` (equal, unless it is a range).

    In the unit of the columns: ``scale`` times the printed number. ``unit`` is one unit of the
    last printed digit, 0 for what was counted; ``of`` is the whole of a printed share. ``in_words``
    says that words amount to it: it is in the columns' unit.
    """

    text: str
    low: float
    high: float
    unit: float
    scale: float = 1.0
    suffix: str = ""
    relation: Relation = "equal"
    of: int | None = None
    in_words: bool = False

    @property
    def measured_in(self) -> str | None:
        """The unit of the columns that can give it; None if the print has none."""
        return UNITS[self.suffix][1] if self.suffix in UNITS else None


def read_figure(text: str) -> Figure | None:
    """The figure that ``text`` prints, None if it prints none that is known.

    "1.785x", "+17.3pp", "9/150", "15-18pp", "-5pp to -7pp", ">87%", "85%+", "30 configs",
    "6 hours 15 minutes", "2025-11-12 18:30 UTC". "±" and "<" mean at most and below.
    """
    text = text.translate(_ALIKE)
    if result := _SHARE.fullmatch(text):
        return Figure(text, int(result[1]), int(result[1]), 0.0, of=int(result[2]))
    if result := _DURATION.fullmatch(text):
        seconds = 3600.0 * int(result[1]) + 60.0 * int(result[2])
        return Figure(text, seconds, seconds, 60.0, 3600.0, "hours")
    if result := _FIGURE.fullmatch(text):
        return _figure(text, *result.groups(default=""))
    try:
        stamp = datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return Figure(text, stamp, stamp, 60.0, 1.0, "UTC")


def figures_in(text: str) -> list[str]:
    """Each figure in a line of ``text``, as it is printed there."""
    places = (match.span() for match in _ANYWHERE.finditer(text.translate(_ALIKE)))
    return [one for start, end in places if read_figure(one := text[start:end].strip())]


def _figure(text: str, mark: str, *parts: str) -> Figure | None:
    sign, whole, rest, suffix, sign_2, whole_2, rest_2, suffix_2, more = parts
    if (whole_2 and suffix and suffix != suffix_2) or (whole_2 and (mark or more)):
        return None
    suffix = suffix or suffix_2
    scale = UNITS.get(suffix, (1.0, ""))[0]
    ends = [float(f"{sign}{whole.replace(',', '')}{rest}") * scale]
    if whole_2:
        ends.append(float(f"{sign_2 or sign}{whole_2.replace(',', '')}{rest_2}") * scale)
    digits = max(rest, rest_2, key=len)
    # A whole number without a unit was counted, unless it is about so many.
    is_counted = not digits and (not suffix or suffix in COUNTED) and mark != "~"
    unit = 0.0 if is_counted else 10.0 ** -len(digits[1:]) * scale
    relation = _RELATIONS.get(mark, "at_least" if more else "equal")
    return Figure(text, min(ends), max(ends), unit, scale, suffix, relation)


def in_print(value: float, figure: Figure) -> float | str:
    """A recomputed value in the unit that ``figure`` is printed in; a time as text."""
    if figure.suffix == "UTC":
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return float(f"{value / figure.scale:.8g}")


def shown(value: float, figure: Figure) -> str:
    """The same as text, with two digits more than are printed."""
    result = in_print(value, figure)
    if isinstance(result, str):
        return result
    if not figure.unit:
        return f"{result:.6g}"
    digits = 2 - math.floor(math.log10(figure.unit / figure.scale) + 0.5)
    number = f"{result:.{digits}f}" if abs(result) >= 10.0**-digits else f"{result:.2g}"
    space = "" if figure.suffix in ("%", "x", "pp") else " "
    return f"{number}{space}{figure.suffix}".rstrip()


def agrees(result: Span, printed: Span, slack: float, relation: Relation = "equal") -> bool:
    """Whether ``found`` may be what is ``printed``, if that may be ``slack`` off.

    Both are (low, high): equal for one number, else a range, or what is known of a number that
    rests on rounded ones; they agree where they meet. The print's own rounding is a ``slack`` of
    half a unit of its last digit. ``relation`` is what was found, against the print; "above" and
    "below" leave the number itself out. All in one unit.
    """
    dust = _DUST * max(1.0, *map(abs, printed))
    slack += -dust if relation in ("above", "below") else dust
    under, over = result[0] <= printed[1] + slack, result[1] >= printed[0] - slack
    if relation == "equal":
        return under and over
    return over if relation in ("above", "at_least") else under
