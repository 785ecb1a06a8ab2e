"""Context -> Markdown, by Jinja: formats numbers, makes foreign text harmless, decides nothing."""

import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import jinja2

from tandembench.stats.intervals import Interval
from tandembench.text import sanitise

TEMPLATES = Path(__file__).parents[2] / "templates"
MISSING = "missing"
# What would end a table cell, start a heading, a link, an image, code, maths, an entity or HTML.
# An underscore inside a word is only an underscore; GitHub makes links without any markup.
_MARKUP = re.compile(
    r"[\\`*\[\]<>|#!~&$@]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])|:(?=//)|(?<=[Ww]{3})\."
)

# Code, which is left as it is, or what makes a link of a word for GitHub: an id may be one.
_CODE_OR_LINK = re.compile(
    r"^```.*?^```$|(?<!\\)`[^`\n]+`|(?<=[Ww]{3})\.", re.MULTILINE | re.DOTALL
)


def render(context: Mapping[str, Any], template: str = "technical_report.md.j2") -> str:
    """The report's text. The same context gives the same bytes."""
    text = _environment().get_template(template).render(context)
    text = _CODE_OR_LINK.sub(lambda found: r"\." if found[0] == "." else found[0], text)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


@cache
def _environment() -> jinja2.Environment:
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
        "mean": interval_mean,
        "text": harmless,
        "code": code,
        "slug": slug,
    }
    return environment


def number(value: float | None, digits: int = 2) -> str:
    """A number with ``digits`` decimals; "missing" for None and NaN."""
    # Adding zero turns -0.00 into 0.00, which is what a reader takes it for.
    return MISSING if _missing(value) else f"{round(cast(float, value), digits) + 0.0:.{digits}f}"


def percent(fraction: float | None, digits: int | None = 1) -> str:
    """A fraction as a percentage; ``digits`` None takes as few as it needs."""
    if _missing(fraction):
        return MISSING
    value = 100 * cast(float, fraction)
    return f"{value:.6g} %" if digits is None else f"{number(value, digits)} %"


def interval(value: Interval | None, digits: int = 2) -> str:
    """A mean with its interval, "1.94 [1.90, 1.98]"; the mean alone for n = 1."""
    if value is None:
        return MISSING
    mean = number(value.mean, digits)
    if value.low is None:
        return mean
    return f"{mean} [{number(value.low, digits)}, {number(value.high, digits)}]"


def interval_mean(value: Interval | None, digits: int = 2) -> str:
    """The mean alone."""
    return number(value.mean if value else None, digits)


def harmless(value: object, missing: str = MISSING, limit: int = 160) -> str:
    """Text from a file or a server, fit for a line of Markdown: no markup, no controls.

    Cut after ``limit`` characters.
    """
    if value is None:
        return missing
    return _MARKUP.sub(r"\\\g<0>", sanitise(str(value), limit))


def code(value: object) -> str:
    """One line of a code block, which no text can end: it is indented, or begins with a word."""
    return sanitise(str(value))


def slug(heading: str) -> str:
    """The id that GitHub gives a heading, before it numbers repeated ones."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
