"""Context -> Markdown, by Jinja: formats numbers, makes foreign text harmless, decides nothing."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import jinja2

from tandembench.text import sanitise

TEMPLATES = Path(__file__).parents[2] / "templates"
MISSING = "missing"
# What would end a table cell, start a heading, a link, an image, code or HTML.
_MARKUP = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|#!~"})


def render(context: Mapping[str, Any], template: str = "technical_report.md.j2") -> str:
    """The report's text. The same context gives the same bytes."""
    environment = jinja2.Environment(  # noqa: S701 - Markdown: autoescape would guard nothing
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "num": number,
        "pct": percent,
        "ci": interval,
        "text": harmless,
    }
    return environment.get_template(template).render(context)


def number(value: float | None, digits: int = 2) -> str:
    """A number with ``digits`` decimals; "missing" for None and NaN."""
    # Adding zero turns -0.00 into 0.00, which is what a reader takes it for.
    return MISSING if _missing(value) else f"{round(cast(float, value), digits) + 0.0:.{digits}f}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction as a percentage."""
    return MISSING if _missing(fraction) else f"{number(100 * cast(float, fraction), digits)} %"


def interval(value: Mapping[str, Any] | None, digits: int = 2) -> str:
    """A mean with its interval, "1.94 [1.90, 1.98]"; the mean alone for n = 1."""
    if value is None:
        return MISSING
    mean = number(value["mean"], digits)
    if value["low"] is None:
        return mean
    return f"{mean} [{number(value['low'], digits)}, {number(value['high'], digits)}]"


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


def harmless(value: object) -> str:
    """Text from a file or a server, fit for a line of Markdown: no markup, no controls."""
    return sanitise(str(value)).translate(_MARKUP)
