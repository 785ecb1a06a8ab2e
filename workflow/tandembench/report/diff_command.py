"""The command `tandembench diff`: arguments in, a page and an exit code out."""

import sys
from pathlib import Path
from typing import Literal

import click

from tandembench.errors import EXIT_DIFFERENT, TandemError


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--format",
    "style",
    type=click.Choice(["markdown", "html", "json"]),
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
    style: Literal["markdown", "html", "json"] | None,
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
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - one room per command

    from tandembench.audit.sides import open_both  # noqa: PLC0415
    from tandembench.diff.compare import compare  # noqa: PLC0415
    from tandembench.files import replacing  # noqa: PLC0415
    from tandembench.report.diff_page import as_text, style_of  # noqa: PLC0415

    with TemporaryDirectory(prefix="tandembench-") as copies:
        left, right = open_both(a, b, Path(copies))
        found = compare(left, right, margin, force)
    text = as_text(found, left.label, right.label, style or style_of(output))
    if output:
        with replacing(output) as partial:
            partial.write_text(text, encoding="utf-8")
    else:
        click.echo(text, nl=False)
    if exit_zero:
        return
    if found.obstacles and not force:
        fix = "compare what is alike, or --force"
        raise TandemError(f"not comparable: {found.obstacles[0]}", where="diff", fix=fix)
    if found.worse if fail_on == "worse" else not found.same:
        sys.exit(EXIT_DIFFERENT)
