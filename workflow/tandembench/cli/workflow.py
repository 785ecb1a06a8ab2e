"""Commands around a study's files: the lock, model files, tables, and what may go."""

import sys
from pathlib import Path

import click

from tandembench.cli import PATH, SESSION, styles
from tandembench.dataset.aggregate import aggregate_phase
from tandembench.dataset.build import build_dataset
from tandembench.dataset.leftovers import drop_others, failed, leftovers, remove
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.project import load_study, locked_model, open_plan
from tandembench.servers.fetch import fetch_model as fetch
from tandembench.servers.lock import live_entry, write_entry
from tandembench.study.lock import LOCK_FILE, entry_name
from tandembench.text import as_json, counted


@click.command("fetch-model")
@click.argument("model")
@click.option("--output", required=True, type=PATH, help="Where to put the file.")
def fetch_model(model: str, output: Path) -> None:
    """Fetch a MODEL that config/servers.lock.yaml pins, checked by size and SHA-256."""
    fetch(locked_model(model), output)


@click.command()
@click.argument("manifest_file", type=PATH)
@click.option("--runs", "runs_file", required=True, type=PATH, help="Table of runs to write.")
@click.option("--executions", required=True, type=PATH, help="Table of executions to write.")
@click.option("--telemetry", required=True, type=PATH, help="Table of telemetry to write.")
@click.option("--tokens", required=True, type=PATH, help="Table of tokens to write.")
def aggregate(
    manifest_file: Path, runs_file: Path, executions: Path, telemetry: Path, tokens: Path
) -> None:
    """Compute the metrics of the run files that a phase's manifest names."""
    aggregate_phase(manifest_file, runs_file, executions, telemetry, tokens)


@click.command()
@click.argument("manifest_file", type=PATH)
@click.option(
    "--output", required=True, type=PATH, help="The descriptor to write; tables beside it."
)
def dataset(manifest_file: Path, output: Path) -> None:
    """Join the phases of a study into a dataset with its descriptor.

    Deletes the tables of phases that the manifest does not name, and manifests before it.
    """
    drop_others(manifest_file)
    build_dataset(manifest_file, output.parent)


@click.command()
@click.argument("study_file")
@SESSION
@click.option(
    "--invalid", is_flag=True, help="Remove failed blocks instead, to measure them again."
)
@click.option("--dry-run", "-n", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", "-y", is_flag=True, help="Remove finished measurements without asking.")
@styles("text", "json")
def prune(
    study_file: str, session: str, invalid: bool, dry_run: bool, yes: bool, style: str
) -> None:
    """Remove results that STUDY_FILE no longer names: run files, tables and logs of the past.

    Asks before it removes what was measured with other options, other code or a config that is no
    longer there. With --invalid: run files of blocks in which a config failed every time, in every
    session, so that the next snakemake measures them again. Only files whose name and content are
    the study's are removed, and no link is followed.
    """
    plan = open_plan(study_file, session)
    results = Path(plan.results)
    if results.is_symlink():
        fix = "put the folder itself in its place: nothing is deleted behind a link"
        raise TandemError("is a link", where=plan.results, fix=fix)
    if invalid:
        left = failed(results, plan.run_files() + plan.other_sessions())
    else:
        left = leftovers(results, plan.named_files())
    files = [*left.measured, *left.others]
    for line in left.kept:
        click.echo(f"tandembench: left alone: {line}", err=True)
    if left.measured and not (invalid or dry_run or yes):
        question = f"{len(left.measured)} finished measurements would be removed"
        if not is_asked():
            fix = "add --yes to remove them, or --dry-run to list them"
            raise TandemError(question, where=study_file, fix=fix)
        click.echo("\n".join(map(str, left.measured)), err=True)
        click.confirm(f"{question}. Go on?", abort=True, err=True)
    gone = files if dry_run else remove(files)
    if style == "json":
        said = {"removed": not dry_run, "files": list(map(str, gone)), "left_alone": left.kept}
        click.echo(as_json(said), nl=False)
    else:
        for file in gone:
            click.echo(f"{'would remove' if dry_run else 'removed'} {file}")
        click.echo(counted(len(files), "file"), err=True)
    if invalid and left.kept:
        sys.exit(EXIT_CORRUPT)


def is_asked() -> bool:
    """Whether somebody can answer a question."""
    return sys.stdin.isatty()


@click.group()
def servers() -> None:
    """What the studies measure."""


@servers.command("lock")
@click.argument("study_file")
@click.option("--write", is_flag=True, help="Replace the entry in config/servers.lock.yaml.")
def servers_lock(study_file: str, write: bool) -> None:
    """Ask the running servers of STUDY_FILE for their version and model digests."""
    study = load_study(study_file)
    entry, notes = live_entry(study)
    name = entry_name(study)
    if write:
        write_entry(name, study.engine, entry, Path(LOCK_FILE))
    click.echo(as_json({name: entry}), nl=False)
    for note in notes:
        click.echo(f"note: {note}", err=True)
