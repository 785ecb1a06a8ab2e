"""Commands that write of a dataset: the report, its pages, and parts of it alone."""

import sys
from pathlib import Path

import click

from tandembench.cli import PATH, styles
from tandembench.dataset.descriptor import read_descriptor
from tandembench.dataset.load import load_dataset
from tandembench.dataset.versions import locate
from tandembench.errors import EXIT_DIFFERENT, TandemError
from tandembench.project import load_hypotheses
from tandembench.report.attribution import as_text as attribution_text
from tandembench.report.pdf import print_pdf
from tandembench.report.questions import as_text as hypotheses_text
from tandembench.report.questions import hypotheses_section
from tandembench.report.write import write_page, write_pages, write_report
from tandembench.study.hypotheses import Hypothesis

_HYPOTHESES = click.option("--file", "hypotheses_file", help="Hypotheses; else the study's own.")


@click.command()
@click.argument("dataset")
@click.option(
    "--output",
    type=PATH,
    help="The Markdown file to write; reports/<name>/technical_report.md if left out.",
)
@click.option("--page", "with_page", is_flag=True, help="Make its HTML page too.")
@_HYPOTHESES
def report(dataset: str, output: Path | None, with_page: bool, hypotheses_file: str | None) -> None:
    """Render the technical report of DATASET, and print where it is. Nothing is measured.

    DATASET is results/<study>, a dataset's folder or a baseline of runs. Beside the Markdown stand
    report.json, which holds the same numbers, and figures/, which holds nothing else.
    """
    folder = locate(dataset)[0]
    written = write_report(folder, output, _hypotheses(folder, hypotheses_file))
    click.echo(written)
    if with_page:
        click.echo(write_pages(written))


@click.command()
@click.argument("markdown", type=PATH)
@click.option("--output", type=PATH, help="The HTML file to write; beside MARKDOWN if left out.")
@click.option("--pdf", is_flag=True, help="Print it as PDF too; needs Chromium.")
def page(markdown: Path, output: Path | None, pdf: bool) -> None:
    """Make one HTML file of MARKDOWN, a report or a difference, and print where it is.

    The file holds its figures, and needs no network and no other file.
    """
    written = write_page(markdown, output)
    click.echo(written)
    printed = written.with_suffix(".pdf")
    if pdf:
        click.echo(print_pdf(written, printed))
    elif printed.exists():
        # It may be anyone's: it is left alone, but not unsaid.
        click.echo(f"tandembench: {printed}: not of this page; --pdf prints it again", err=True)


@click.command()
@click.argument("dataset")
@styles("markdown", "json")
def attribution(dataset: str, style: str) -> None:
    """Where the loss of DATASET comes from, and what its answer lengths alone predict.

    DATASET is a baseline (tr114, tr114@1.0.0), a study (results/study) or a dataset's folder.
    """
    click.echo(attribution_text(load_dataset(locate(dataset)[0]), style), nl=False)


@click.command()
@click.argument("dataset")
@_HYPOTHESES
@styles("markdown", "json")
@click.option("--fail", is_flag=True, help="Exit with 1 if one is contradicted.")
def hypotheses(dataset: str, hypotheses_file: str | None, style: str, fail: bool) -> None:
    """Test what was expected of DATASET: confirmed, contradicted, inconclusive or not testable.

    DATASET is a baseline of runs, a study (results/study) or a dataset's folder.
    """
    folder = locate(dataset)[0]
    declared = _hypotheses(folder, hypotheses_file)
    judged = hypotheses_section(load_dataset(folder), declared)
    if judged is None:
        fix = "name a file with --file, such as config/hypotheses/tr114.yaml"
        raise TandemError("the study declares no hypotheses", where=dataset, fix=fix)
    click.echo(hypotheses_text(judged, style), nl=False)
    if fail and judged.counts["contradicted"]:
        sys.exit(EXIT_DIFFERENT)


def _hypotheses(folder: Path, file: str | None) -> tuple[Hypothesis, ...]:
    """Those of ``file``, else those that the study of the dataset names, if it is still there."""
    if file is None:
        named = read_descriptor(folder)["study"].get("hypotheses")
        file = named if named and Path(named).is_file() else None
    return load_hypotheses(file)
