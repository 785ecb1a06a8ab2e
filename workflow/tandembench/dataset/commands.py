"""The commands `tandembench baseline ...`: arguments in, one room called."""

import sys
from pathlib import Path

import click

from tandembench.dataset import named
from tandembench.dataset.baseline import as_text, described, import_runs, known, local, verify_all
from tandembench.dataset.baseline import freeze as freeze_dataset
from tandembench.dataset.importers import summary
from tandembench.dataset.versions import Baseline, locate
from tandembench.errors import TandemError
from tandembench.text import as_json

_PATH = click.Path(path_type=Path)
_ROOT = click.option(
    "--root",
    default="resources/baselines",
    show_default=True,
    help="Folder of baselines, or an object store: s3://bucket/prefix?region=...; keys come from"
    " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws.",
)
_STYLE = click.option("--format", "style", type=click.Choice(["text", "json"]), default="text")
_NAME = click.option("--name", required=True, help="Name of the baseline.")
_VERSION = click.option("--version", "number", help="Its version; the next one if left out.")


@click.group()
def baseline() -> None:
    """Datasets that no longer change, in resources/baselines."""


@baseline.command("import")
@click.argument("layout")
@click.argument("source", type=_PATH)
@_NAME
@_VERSION
@click.option("--mapping", type=_PATH, help="Layout csv: the YAML file that says what is what.")
@click.option(
    "--cold-above",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds: a longer load loaded the model. By default gaps in the data tell.",
)
@_STYLE
def import_(
    layout: str,
    source: Path,
    name: str,
    number: str | None,
    mapping: Path | None,
    cold_above: float | None,
    style: str,
) -> None:
    """Import the results of another project as a baseline.

    LAYOUT says how SOURCE is laid out: chimeraforge-rust or chimeraforge-python (a folder), or csv
    (a file, see config/README.md). Several trees of results below a folder become a baseline each,
    called NAME-FOLDER. Says what was imported, and what was left out and why.
    """

    trees = import_runs(layout, source, name, number, mapping=mapping, cold_above_s=cold_above)
    facts = [_named(made) | summary.summary(made.folder, imported) for made, imported in trees]
    texts = [f"{one['baseline']}: {one['folder']}\n{summary.as_text(one)}\n" for one in facts]
    _say(style, facts if len(facts) > 1 else facts[0], "\n".join(texts))


@baseline.command()
@click.argument("dataset")
@_NAME
@_VERSION
@click.option(
    "--licence",
    help="Licence of the data, such as CC-BY-4.0, or a URL; the dataset's own if left out.",
)
@_ROOT
@_STYLE
def freeze(
    dataset: str, name: str, number: str | None, licence: str | None, root: str, style: str
) -> None:
    """Freeze DATASET: results/study, a dataset's folder, or a baseline of runs to copy."""

    made = freeze_dataset(locate(dataset)[0], name, number, root, licence)
    _say(style, _named(made), f"{made.label}: {made.folder}\n")


@baseline.command("list")
@_ROOT
@_STYLE
def list_all(root: str, style: str) -> None:
    """List all baselines, a line each."""

    shown = known(root)
    rows = [{"name": one.name, "version": one.version, "folder": str(one.folder)} for one in shown]
    _say(style, rows, "".join(f"{one.label}\n" for one in shown))


@baseline.command()
@click.argument("name")
@click.option("--columns", is_flag=True, help="List what claims can name in it instead.")
@_ROOT
@_STYLE
def show(name: str, columns: bool, root: str, style: str) -> None:
    """Show what the baseline NAME or NAME@VERSION is; as JSON, its descriptor without schemas.

    With --columns: the columns of its tables with unit and meaning, or the metrics that it prints.
    """

    if columns:
        with local(name, root) as one:
            listed = named.named(one.folder)
        _say(style, listed, f"{named.as_text(listed)}\n")
        return
    shown = described(name, root)
    _say(style, shown, f"{as_text(shown)}\n")


@baseline.command()
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All baselines.")
@_ROOT
@_STYLE
def verify(names: tuple[str, ...], every: bool, root: str, style: str) -> None:
    """Check that the baselines NAMES (NAME or NAME@VERSION) are what was frozen."""

    if not names and not every:
        raise TandemError("no baseline named", where="baseline verify", fix="name some, or --all")
    shown = verify_all([one.label for one in known(root)] if every else names, root)
    whole = [one for one in shown if one["fault"] is None]
    lines = [f"{one['baseline']}: {one['tables']} tables as they were frozen\n" for one in whole]
    _say(style, shown, "".join(lines))
    for one in shown:
        if one["fault"] and style == "text":
            click.echo(f"tandembench: {one['fault']}", err=True)
    sys.exit(max((one["exit_code"] for one in shown), default=0))


def _named(made: Baseline) -> dict[str, object]:
    return {"baseline": made.label, "folder": str(made.folder)}


def _say(style: str, values: object, text: str) -> None:
    click.echo(as_json(values) if style == "json" else text, nl=False)
