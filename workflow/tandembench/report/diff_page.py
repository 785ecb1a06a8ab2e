"""A difference as Markdown, as one HTML file or as JSON; and the command that makes it."""

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

import click

from tandembench.analysis.findings import Verdict
from tandembench.audit.publications import Both
from tandembench.audit.published import AgainstRuns, Checked
from tandembench.audit.sides import open_side
from tandembench.diff.compare import Difference, OfPrints, OfRuns, compare
from tandembench.diff.runs import ESTIMATOR
from tandembench.errors import EXIT_DIFFERENT, TandemError
from tandembench.files import write_text
from tandembench.report.apart import said_between
from tandembench.report.formats import number, percent
from tandembench.report.render import render
from tandembench.text import as_json

Style = Literal["markdown", "html", "json"]
# The order of rows: what a reader looks for first.
_ORDER: tuple[Verdict, ...] = ("worse", "better", "inconclusive", "equivalent")
_SUFFIXES: Mapping[str, Style] = {".html": "html", ".json": "json"}
_NUMBERS = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
# Rows of a table before the rest is left to JSON: a page has room for more than a terminal.
_MOST, _MOST_OF_PAGE = 40, 400


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--format",
    "style",
    type=click.Choice(get_args(Style)),
    help="By the name of --output if left out: .html, .json, else Markdown.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="File to write; printed if left out."
)
@click.option(
    "--margin", type=click.FloatRange(0, 0.5, min_open=True), help="Ratio - 1 that matters."
)
@click.option("--force", is_flag=True, help="Compare what is not comparable, marked so.")
@click.option(
    "--fail-on",
    type=click.Choice(["different", "worse"]),
    default="different",
    help="Which differences exit with 1.",
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 if they differ or do not compare.")
def diff(
    a: str,
    b: str,
    style: Style | None,
    output: Path | None,
    margin: float | None,
    force: bool,
    fail_on: str,
    exit_zero: bool,
) -> None:
    """What differs between A and B, and whether it matters.

    Each is a baseline (tr114, tr114@1.0.0), a study (results/study) or a dataset's folder; or a
    baseline in an object store (s3://bucket/prefix/tr114@1.0.0?region=...). Exit code 0 if they
    are the same, 1 if they differ (with --fail-on worse: only if B is worse), 2 if they cannot be
    compared.
    """
    with TemporaryDirectory(prefix="tandembench-") as copies:
        left, right = (open_side(one, copies=Path(copies)) for one in (a, b))
        result = compare(left, right, margin, force)
    if style is None:
        style = "markdown" if output is None else _SUFFIXES.get(output.suffix, "markdown")
    text = as_text(result, left.label, right.label, style)
    if output:
        write_text(output, text)
    else:
        click.echo(text, nl=False)
    if exit_zero:
        return
    if result.obstacles and not force:
        fix = "compare what is alike, or --force"
        raise TandemError(f"not comparable: {result.obstacles[0]}", where="diff", fix=fix)
    if result.worse if fail_on == "worse" else not result.same:
        sys.exit(EXIT_DIFFERENT)


def as_text(result: Difference, a: str, b: str, style: Style) -> str:
    """The difference of A and B, as they are called; counts first, then what is worse."""
    if style == "json":
        return as_json(
            {"a": a, "b": b, "same": result.same, "worse": result.worse, "found": result}
        )
    most = _MOST if style == "markdown" else _MOST_OF_PAGE
    if isinstance(result, OfRuns):
        context = _of_runs(result, most)
    elif isinstance(result, OfPrints):
        context = _of_prints(result.rows, most)
    else:
        context = _of_print_and_runs(result.checked, most)
    text = render(
        {"a": a, "b": b, "same": result.same, "kind": result.kind, **context}, "diff.md.j2"
    )
    if style == "markdown":
        return text
    from tandembench.report.page import page  # noqa: PLC0415 - a heavy import that others spare

    return page(text, f"{a} against {b}")


def _of_runs(result: OfRuns, most: int) -> dict[str, object]:
    """Counts of verdicts by what was compared, and the changes behind them."""
    metrics = result.measured.metrics if result.measured else ()
    ranked = result.measured.ranked if result.measured else ()
    ordered = sorted(metrics, key=lambda one: (one.metric == ESTIMATOR, _ORDER.index(one.verdict)))
    scopes = {
        name: Counter(one.verdict for one in ranked if one.scope == name)
        for name in ("scenario", "config")
    }
    return {
        "obstacles": result.obstacles,
        "measured": result.measured,
        "between": said_between(result.between) if result.between else None,
        "scopes": scopes,
        "total": sum(scopes.values(), Counter[str]()),
        "shown": ordered[:most],
        "more": len(ordered[most:]),
        "known": [one for one in result.fingerprints if one.same is not None],
        "unknown": [one.name for one in result.fingerprints if one.same is None],
    }


def _of_prints(rows: Sequence[Both], most: int) -> dict[str, object]:
    ordered = sorted(rows, key=lambda row: _ORDER.index(row["verdict"]))
    return {
        "total": Counter(row["verdict"] for row in rows),
        "unsure": sum(row["basis"] is None for row in rows),
        "shown": ordered[:most],
        "more": len(ordered[most:]),
    }


def _of_print_and_runs(checked: AgainstRuns, most: int) -> dict[str, object]:
    """Totals, and the values that do not follow from the runs: those of everything first."""
    wrong = [row for row in checked["rows"] if not row["agrees"]]
    order = list(checked["scopes"])
    wrong.sort(key=lambda row: (row["computed"] is None, order.index(row["scope"])))
    return {
        "checked": checked,
        "total": {
            name: sum(totals[name] for totals in checked["scopes"].values())
            for name in ("checked", "agree", "contradicted", "absent")
        },
        "unchecked": {scope: sum(of.values()) for scope, of in checked["unchecked"].items()},
        "shown": [
            {
                **row,
                "printed_amount": _unless_said(row),
                "computed_amount": _amount(row, row["computed"]),
            }
            for row in wrong[:most]
        ],
        "more": len(wrong[most:]),
    }


def _amount(row: Checked, value: float | None) -> str:
    """A number for a printed row, in the unit in which it was printed where that is %."""
    if value is None:
        return "no such runs"
    if row["unit"] in ("runs", "configs"):
        return f"{value:g}"
    in_percent = any(mark in row["printed"] for mark in ("%", "pp"))
    if row["unit"] == "1" and in_percent and row["metric"] != "speedup_estimate":
        return percent(value, 2)
    return number(value, 4) + (f" {row['unit']}" if row["unit"] not in ("", "1") else "")


def _unless_said(row: Checked) -> str | None:
    """The number of a printed text; None if the text holds it, and no other."""
    amount = _amount(row, row["value"])
    said = [float(text.replace(",", "")) for text in _NUMBERS.findall(row["printed"])]
    return None if said == [abs(float(amount.split()[0]))] else amount
