"""Context -> Markdown, by Jinja: formats numbers, makes foreign text harmless, decides nothing."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2

from tandembench.report.formats import NOTHING, interval, interval_mean, number, percent
from tandembench.report.words import TEMPLATES, say
from tandembench.text import counted, sanitise

_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?(?: %)?"
# What would end a table cell, start a heading, a link, an image, code, maths, an entity or HTML.
# An underscore inside a word is only an underscore; GitHub makes links without any markup. The
# first group is an interval, which is no link and stays as it is.
_MARKUP = re.compile(
    rf"(\[{_NUMBER}(?:, {_NUMBER})?\](?![(\[:]))"
    r"|[\\`*\[\]<>|#!~&$@]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])|:(?=//)|(?<=[Ww]{3})\."
)

# Code, which is left as it is, or what makes a link of a word for GitHub: an id may be one.
_CODE_OR_LINK = re.compile(
    r"^```.*?^```$|(?<!\\)`[^`\n]+`|(?<=[Ww]{3})\.", re.MULTILINE | re.DOTALL
)


def render(context: Mapping[str, Any], template: str = "details.md.j2") -> str:
    """The report's text. The same context gives the same bytes."""
    text = environment().get_template(template).render(context)
    text = _CODE_OR_LINK.sub(lambda result: r"\." if result[0] == "." else result[0], text)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


@cache
def environment(autoescape: bool = False) -> jinja2.Environment:
    """Our templates: of Markdown, of which autoescape would guard nothing, or of HTML."""
    result = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=autoescape,  # noqa: S701 - as above
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    result.filters |= {
        "num": number,
        "pct": percent,
        "ci": interval,
        "mean": interval_mean,
        "text": harmless,
        # No line of a code block can end it: it is indented, or begins with a word.
        "code": sanitise,
        "slug": slug,
    }
    result.globals |= {"say": say, "counted": counted}
    return result


def harmless(value: object, missing: str = NOTHING, limit: int = 160) -> str:
    """Text from a file or a server, fit for a line of Markdown: no markup, no controls.

    Cut after ``limit`` characters.
    """
    if value is None:
        return missing
    # Spaces that begin a line may make code of it.
    line = sanitise(str(value), limit).lstrip()
    return _MARKUP.sub(lambda part: part[1] or f"\\{part[0]}", line)


def slug(heading: str) -> str:
    """The id that GitHub gives a heading, before it numbers repeated ones."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
