"""The commands `tandembench claims ...`: arguments in, one room called."""

import sys
from pathlib import Path

import click

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
    """Recompute every claim in FILE, such as resources/claims/tr114.yaml.

    Each NAME is a baseline (tr114-runs, tr114-runs@1.0.0), a study (results/study) or a dataset's
    folder, called after one of the data that FILE speaks of; tr114=NAME says so of any other.
    Without data only the report's own arithmetic is checked.
    """
    from tandembench.claims.check import check_claims  # noqa: PLC0415 - one room per command
    from tandembench.claims.write import as_json, as_markdown  # noqa: PLC0415
    from tandembench.files import replacing  # noqa: PLC0415

    names = data + more
    found, judged = check_claims(file, names)
    text = as_json(judged) if style == "json" else as_markdown(found, judged, names)
    if output:
        with replacing(output) as partial:
            partial.write_text(text, encoding="utf-8")
    else:
        click.echo(text, nl=False)
    if fail_on and any(one.verdict == fail_on for one in judged):
        sys.exit(1)


@claims.command("list")
@click.argument("file", type=_PATH)
def list_claims(file: Path) -> None:
    """List the claims in FILE: id, section, kind and what is claimed, a line each."""
    from tandembench.claims.check import open_claims  # noqa: PLC0415
    from tandembench.text import sanitise  # noqa: PLC0415

    for one in open_claims(file).claims:
        click.echo(sanitise(f"{one.id}  {one.section}  {one.kind}  {one.paraphrase}", 400))
