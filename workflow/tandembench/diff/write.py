"""A difference as Markdown, as one HTML file, or as JSON."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from tandembench import text
from tandembench.diff.compare import Difference
from tandembench.diff.sides import Row
from tandembench.report.formats import number, percent
from tandembench.report.render import render

Style = Literal["markdown", "html", "json"]
VERDICTS = ("worse", "better", "inconclusive", "equivalent")
_SUFFIXES: dict[str, Style] = {".html": "html", ".json": "json"}
_NUMBERS = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
# Rows of a table before the rest is left to JSON: a page has room for more than a terminal.
_MOST, _MOST_OF_PAGE = 40, 400


def style_of(output: Path | None) -> Style:
    """What a file's name asks for: HTML, JSON or else Markdown."""
    return "markdown" if output is None else _SUFFIXES.get(output.suffix, "markdown")


def write(style: Style, a: str, b: str, found: Difference) -> str:
    """The difference of A and B, as they are called, in one of the three."""
    return {"markdown": as_markdown, "html": as_html, "json": as_json}[style](a, b, found)


def as_markdown(a: str, b: str, found: Difference, most: int = _MOST) -> str:
    """What a person reads: counts first, then what is worse or contradicted."""
    view = {"values": _of_values, "printed": _of_printed, "runs": _of_runs}[found.kind]
    return render(_context(a, b, found) | view(found.content, most), "diff.md.j2")


def as_html(a: str, b: str, found: Difference) -> str:
    """The same as one HTML file, with longer tables."""
    from tandembench.report.page import page  # noqa: PLC0415 - a heavy import that others spare

    return page(as_markdown(a, b, found, _MOST_OF_PAGE), f"{a} against {b}")


def as_json(a: str, b: str, found: Difference) -> str:
    """All of it, for programs."""
    return text.as_json(_context(a, b, found))


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


def _of_values(content: Row, most: int) -> dict[str, Any]:
    """Totals, and the values that do not follow from the runs: those of everything first."""
    wrong = [row for row in content["rows"] if not row["agrees"]]
    order = [row["scope"] for row in content["scopes"]]
    wrong.sort(key=lambda row: (row["computed"] is None, order.index(row["scope"])))
    unchecked: Counter[str] = Counter()
    for group in content["unchecked"]:
        unchecked[group["scope"]] += group["values"]
    return {
        "total": {
            name: sum(row[name] for row in content["scopes"])
            for name in ("checked", "agree", "contradicted", "absent")
        },
        "unchecked": dict(unchecked),
        "shown": [
            row | {"printed_amount": _unless_said(row), "computed_amount": _amount(row, "computed")}
            for row in wrong[:most]
        ],
        "more": len(wrong[most:]),
    }


def _amount(row: Row, name: str) -> str:
    """A number of a printed row, in the unit in which it was printed where that is %."""
    value = row[name]
    if value is None:
        return "no such runs"
    if row["unit"] in ("runs", "configs"):
        return f"{value:g}"
    in_percent = any(mark in row["printed"] for mark in ("%", "pp"))
    if row["unit"] == "1" and in_percent and row["metric"] != "speedup_estimate":
        return percent(value, 2)
    return number(value, 4) + (f" {row['unit']}" if row["unit"] not in ("", "1") else "")


def _unless_said(row: Row) -> str | None:
    """The number of a printed text; None if the text holds it, and no other."""
    amount = _amount(row, "value")
    said = [float(text.replace(",", "")) for text in _NUMBERS.findall(row["printed"])]
    return None if said == [abs(float(amount.split()[0]))] else amount


def _of_printed(content: Row, most: int) -> dict[str, Any]:
    rows = _by_verdict(content["rows"])
    return {
        "verdicts": _counted(rows),
        "unsure": sum(row["basis"] is None for row in rows),
        "shown": rows[:most],
        "more": len(rows[most:]),
    }


def _of_runs(content: Row, most: int) -> dict[str, Any]:
    """Counts of verdicts by what was compared, and the rows behind them; none if not compared."""
    groups = {name: content.get(name, []) for name in ("scenarios", "configs")}
    rows = _by_verdict([row for own in groups.values() for row in own])
    known = [row for row in content["fingerprints"] if row["same"] is not None]
    return {
        "verdicts": {name: _counted(own) for name, own in groups.items()},
        "total": _counted(rows),
        "shown": rows[:most],
        "more": len(rows[most:]),
        "known": known,
        "unknown": [row["name"] for row in content["fingerprints"] if row["same"] is None],
    }


def _by_verdict(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: VERDICTS.index(row["verdict"]))


def _counted(rows: Sequence[Row]) -> dict[str, int]:
    """How often each verdict, and how many there are."""
    counts = Counter(row["verdict"] for row in rows)
    return {verdict: counts[verdict] for verdict in VERDICTS} | {"all": len(rows)}
