"""A difference as Markdown or JSON."""

from typing import Any

from tandembench.diff.compare import Difference
from tandembench.report import plain
from tandembench.report.render import render


def as_markdown(a: str, b: str, found: Difference) -> str:
    """What a person reads."""
    return render(_context(a, b, found), "diff.md.j2")


def as_json(a: str, b: str, found: Difference) -> str:
    """The same for programs."""
    return plain.as_json(_context(a, b, found))


def _context(a: str, b: str, found: Difference) -> dict[str, Any]:
    return {
        "a": a,
        "b": b,
        "kind": found.kind,
        "same": found.same,
        "obstacles": list(found.obstacles),
        "worse": found.worse,
        "content": found.content,
    }
