"""The command that looks whether a run can start: what is missing, and what mends it."""

import os
import shlex
import sys
from pathlib import Path

import click

from tandembench.cli import SESSION, styles
from tandembench.doctor.machine import Load, looked_at
from tandembench.doctor.rows import as_text
from tandembench.doctor.study import in_short, of_study
from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.text import as_json

_ANY = "config/quick.yaml"


@click.command()
@click.argument("study_file", metavar="[STUDY]", required=False)
@SESSION
@styles("text", "json")
def doctor(study_file: str | None, session: str, style: str) -> None:
    """Look whether a run of STUDY can start: everything that it needs, and a fix for what is not.

    Without STUDY: what this machine and this checkout give, and which studies can be read.
    Measures nothing, changes nothing, and takes about five seconds at most, also where servers
    hang. A fault stops a run, a warning makes its numbers less sure. Exit code 4 if there is a
    fault, else 0.
    """
    if not Path("workflow/Snakefile").is_file():
        fix = "go into the folder that you cloned, which holds README.md and config/"
        raise TandemError("no checkout of tandem-bench", where=str(Path.cwd()), fix=fix)
    # Names that no server of names knows within a second are not to be waited for.
    os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:1")
    load = Load()
    rows = of_study(study_file, session) if study_file else in_short()
    rows += [*looked_at(study_file or _ANY), *load.seen()]
    if style == "json":
        click.echo(as_json(rows), nl=False)
    else:
        words = ["snakemake", "--cores", "1", "--configfile", study_file or ""]
        words += ["--config", f"session={session}"] if session != "s1" else []
        click.echo(as_text(rows, shlex.join(words) if study_file else None))
    if any(one.state == "fault" for one in rows):
        sys.exit(EXIT_ENVIRONMENT)
