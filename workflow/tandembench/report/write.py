"""Report and page as files: all written before the first is put in place."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tandembench.analysis.answer import answers
from tandembench.dataset.descriptor import read_descriptor
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.dataset.versions import check_name
from tandembench.errors import TandemError
from tandembench.files import make_folder, read_text, replacing, write_text
from tandembench.report.details import Details, details
from tandembench.report.figures.draw import draw
from tandembench.report.figures.figure import Figure
from tandembench.report.front import Front, front
from tandembench.report.outline import outline
from tandembench.report.page import named, page
from tandembench.report.render import render
from tandembench.report.said import Said, said
from tandembench.report.sections import MOST_ROWS, shown
from tandembench.report.setting import setting_of
from tandembench.report.show import as_values
from tandembench.study.hypotheses import Hypothesis
from tandembench.text import as_json

# What page one leaves out stands beside it, under this name.
DETAILS = "details.md"
_MOST_BYTES = 1 << 28


def write_report(
    dataset_folder: Path, output: Path | None = None, hypotheses: Sequence[Hypothesis] = ()
) -> Path:
    """Render the report of the dataset at ``dataset_folder`` to ``output``, a Markdown file.

    Without ``output`` it is ``reports/<name of the dataset>/technical_report.md``; returned is
    what was written. Beside it, ``report.json`` holds the same numbers, and ``figures/`` the SVGs
    that it shows and nothing else. All are written before the first is put in place.
    """
    output = output or _place(dataset_folder)
    if output.suffix != ".md":
        raise TandemError("not a name for Markdown", where=str(output), fix="end it in .md")
    dataset = load_dataset(dataset_folder)
    texts, figures = rendered(dataset, hypotheses)
    data, folder = output.with_name("report.json"), output.with_name("figures")
    if folder.is_dir() and any(folder.iterdir()) and not data.exists():
        fix = "choose another folder for the report, or move what is in figures/ elsewhere"
        raise TandemError("not figures of a report", where=str(folder), fix=fix)
    contents = dict(zip((output, output.with_name(DETAILS), data), texts, strict=True))
    contents |= {folder / f"{figure.name}.svg": figure.svg for figure in figures}
    with ExitStack() as stack:
        for file, text in contents.items():
            stack.enter_context(replacing(file)).write_text(text, encoding="utf-8")
        make_folder(folder)
    for file in folder.glob("*.svg"):
        if file not in contents:
            file.unlink(missing_ok=True)
    return output


def rendered(
    dataset: Dataset, hypotheses: Sequence[Hypothesis] = ()
) -> tuple[tuple[str, str, str], tuple[Figure, ...]]:
    """Page one, the details and the numbers of both; and the figures that they show."""
    study = dataset.descriptor["study"]
    every = answers(dataset.runs, dataset.executions, float(study["margin"]), study["reference"])
    main = every[0] if every else None
    result = details(dataset, hypotheses)
    figures = draw(dataset, main, result.stability)
    first = front(dataset, every, result, [shown(one, titled=False) for one in figures])
    setting = setting_of(dataset.descriptor, dataset.executions)
    numbers = {
        "answer": as_values(main, setting),
        "answers": every,
        "page": first,
        "details": result,
        "figures": [replace(one, svg="") for one in figures],
    }
    compared = [said(one, setting) for one in every]
    texts = page_one(first), page_two(result, compared, figures), as_json(numbers)
    return texts, figures


def page_one(first: Front) -> str:
    """Page one as Markdown."""
    return render({"page": first}, "technical_report.md.j2")


def page_two(result: Details, compared: Sequence[Said] = (), figures: Sequence[Figure] = ()) -> str:
    """The details as Markdown."""
    names = ("options", "baselines", "attribution", "hypotheses")
    context: dict[str, object] = {name: getattr(result, name) for name in names}
    context |= {"margin": result.margin, "name": result.name, "most_configs": MOST_ROWS}
    context |= {"details": result, "sections": outline(result, compared, figures)}
    return render(context, "details.md.j2")


def write_page(markdown_file: Path, output: Path | None = None) -> Path:
    """``markdown_file`` as HTML at ``output``, by default beside it, with the figures it shows."""
    output = output or markdown_file.with_suffix(".html")
    if output.suffix != ".html":
        raise TandemError("not a name for HTML", where=str(output), fix="end it in .html")
    named_so = "name a page, such as reports/quick/technical_report.md"
    markdown = read_text(markdown_file, named_so, _MOST_BYTES)
    title, shown = named(markdown)
    again = f"make {markdown_file.name} again"
    figures = {path: read_text(markdown_file.parent / path, again, _MOST_BYTES) for path in shown}
    text = page(markdown, title or markdown_file.stem, figures)
    write_text(output, text)
    return output


def write_pages(markdown_file: Path) -> Path:
    """The report at ``markdown_file`` as HTML beside it, and its details, if they are there."""
    second = markdown_file.with_name(DETAILS)
    if second.exists():
        write_page(second)
    return write_page(markdown_file)


def _place(dataset_folder: Path) -> Path:
    descriptor = read_descriptor(dataset_folder)
    check_name(descriptor["name"], None)
    return Path("reports", descriptor["name"], "technical_report.md")
