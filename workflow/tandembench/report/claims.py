"""The command `tandembench claims`: an audit as Markdown or JSON."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from tandembench.audit.check import check_claims
from tandembench.audit.claims import KINDS, Claims, open_claims
from tandembench.audit.draft import draft
from tandembench.audit.judge import VERDICTS, WORDS, Judged, counts
from tandembench.errors import TandemError
from tandembench.files import read_text, write_text
from tandembench.report.render import render
from tandembench.text import as_json, sanitise

_PATH = click.Path(path_type=Path)


@click.group()
def claims() -> None:
    """Statements of a published report, checked against its data."""


@claims.command()
@click.argument("file", type=_PATH)
@click.argument("more", metavar="[NAME]...", nargs=-1)
@click.option("--data", multiple=True, metavar="NAME...", help="Data to recompute from.")
@click.option("--format", "style", type=click.Choice(["markdown", "json"]), default="markdown")
@click.option("--output", type=_PATH, help="File to write; printed if left out.")
@click.option("--fail-on", type=click.Choice(["contradicted"]), help="Exit with 1 if a claim is.")
def check(
    file: Path,
    more: tuple[str, ...],
    data: tuple[str, ...],
    style: str,
    output: Path | None,
    fail_on: str | None,
) -> None:
    """Recompute every claim in FILE, of those in resources/claims or one of your own.

    Each NAME is a baseline (ours-runs, ours-runs@1.0.0), a study (results/study) or a dataset's
    folder, called after one of the data that FILE speaks of; ours=NAME says so of any other.
    Without data only the report's own arithmetic is checked.
    """
    of_file, judged = check_claims(file, data + more)
    names = data + more
    text = (
        as_markdown(of_file, judged, names) if style == "markdown" else as_json(as_values(judged))
    )
    if output:
        write_text(output, text)
    else:
        click.echo(text, nl=False)
    if fail_on and any(one.verdict == fail_on for one in judged):
        sys.exit(1)


@claims.command()
@click.argument("report", type=_PATH)
@click.option("--output", type=_PATH, help="File to write, a new one; printed if left out.")
def new(report: Path, output: Path | None) -> None:
    """List the numbers of REPORT, in Markdown, with their lines: a draft of its claims file.

    Fill in what each claim says and how it is recomputed, and delete what you do not check.
    """
    text = draft(read_text(report, "name a report in Markdown"), str(report))
    if output is None:
        click.echo(text, nl=False)
        return
    if output.exists():
        raise TandemError("is there already", where=str(output), fix="name another --output")
    write_text(output, text)


@claims.command("list")
@click.argument("file", type=_PATH)
def list_claims(file: Path) -> None:
    """List the claims in FILE: id, section, kind and what is claimed, a line each."""
    for one in open_claims(file).keys.claims:
        click.echo(sanitise(f"{one.id}  {one.section}  {one.kind}  {one.paraphrase}", 400))


def as_values(judged: Sequence[Judged]) -> dict[str, object]:
    """What programs read; all lists of a claim go value by value."""
    claims = [
        {
            "id": one.claim.said.id,
            "section": one.claim.said.section,
            "kind": one.claim.said.kind,
            "verdict": one.verdict,
            "verdicts": [value.verdict for value in one.values],
            "published": [value.text for value in one.claim.values],
            "recomputed": [value.recomputed for value in one.values],
            "how": one.how,
        }
        for one in judged
    ]
    return {"claims": claims, "counts": counts(judged)}


def as_markdown(claims: Claims, judged: Sequence[Judged], data: Sequence[str]) -> str:
    """What a person reads: counts, the contradicted claims, then all others by section."""
    wrong = [one for one in judged if one.verdict == "contradicted"]
    sections = [
        {"name": name, "about": about, "claims": rest}
        for name, about in claims.keys.sections.items()
        if (rest := [one for one in judged if one.claim.said.section == name and one not in wrong])
    ]
    context = {
        "title": claims.keys.title,
        "data": list(data),
        "kinds": (*KINDS, "all"),
        "verdicts": VERDICTS[::-1],
        "words": WORDS,
        "counts": counts(judged),
        "contradicted": wrong,
        "sections": sections,
    }
    return render(context, "claims.md.j2")
