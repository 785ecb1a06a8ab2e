"""A figure as the report holds it: the drawing, its words, and its numbers as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from tandembench.text import sanitise


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. All text is plain and sanitised: whoever shows it escapes it.

    ``name`` is the stem of its file; ``alt`` says what is to be seen, numbers included;
    ``caption`` how to read it; ``svg`` is the whole file; ``columns`` and ``rows`` are its table.
    """

    name: str
    title: str
    alt: str
    caption: str
    svg: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def plain(text: object, limit: int = 24) -> str:
    """Foreign text for a label: one line, its middle left out beyond ``limit`` characters."""
    line = sanitise(str(text), 1000)
    if len(line) <= limit:
        return line
    head = limit // 2
    return f"{line[:head]}\u2026{line[head + 1 - limit :]}"


def sample(n: int, limit: int) -> list[int]:
    """At most ``limit`` of the places 0 to n - 1, evenly spaced, first and last among them."""
    if n <= limit:
        return list(range(n))
    return [round(place * (n - 1) / (limit - 1)) for place in range(limit)]


def listed(parts: Sequence[str], limit: int = 12) -> str:
    """``parts`` as one sentence's list, the rest counted."""
    shown = "; ".join(parts[:limit])
    return f"{shown}; and {len(parts) - limit} more" if len(parts) > limit else shown
