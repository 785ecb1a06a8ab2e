"""The command line: each command reads its arguments and hands over to one room."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.files import way_out

# Each command with the module that holds it, imported when it is asked for, and what it does.
COMMANDS = {
    "aggregate": ("cli.workflow", "Compute the metrics of a phase from its run files."),
    "attribution": ("cli.reports", "Say where the loss of a dataset comes from."),
    "baseline": ("dataset.commands", "Import, freeze, list, show and verify baselines."),
    "calibrate": ("cli.measuring", "Measure the instrument's own error."),
    "check": ("cli.check", "Check a study before anything is measured."),
    "claims": ("report.claims", "Check what a published report claims against its data."),
    "dataset": ("cli.workflow", "Join the phases of a study into a dataset."),
    "diff": ("report.diff_page", "Say what differs between two datasets."),
    "doctor": ("cli.doctor", "Look whether a run can start, and how what it lacks is mended."),
    "fake-server": ("cli.measuring", "Serve simulated answers on an exact schedule."),
    "fetch-model": ("cli.workflow", "Fetch a model file that the lock pins."),
    "hypotheses": ("cli.reports", "Test what was expected of a dataset."),
    "page": ("cli.reports", "Make an HTML page of a report or a difference."),
    "plan": ("cli.answers", "Say how many more minutes decide what is open."),
    "prune": ("cli.workflow", "Remove results that a study no longer names."),
    "report": ("cli.reports", "Render the technical report of a dataset."),
    "run": ("cli.measuring", "Measure one block."),
    "select": ("cli.answers", "Propose the best configs as a phase to measure again."),
    "servers": ("cli.workflow", "Pin the running servers that a study measures."),
    "show": ("cli.answers", "Say what a dataset answers."),
}
PATH = click.Path(path_type=Path)
SESSION = click.option("--session", default="s1", show_default=True, help="Label of the session.")


def styles(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option --format; the first of ``names`` is its default."""
    kind = click.Choice(names)
    return click.option(
        "--format", "style", type=kind, default=names[0], help="Form of the output."
    )


class _Commands(click.Group):
    """Imports a command when it is asked for; a TandemError is one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = import_module(f"tandembench.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, does) for name, (_, does) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort, BrokenPipeError):
            raise  # click's own to say
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            # Names of files may hold anything, a terminal's commands too.
            line = "".join(c if c.isprintable() else " " for c in _line(error))
            click.echo(f"tandembench: {line}", err=True)
            sys.exit(error.exit_code if isinstance(error, TandemError) else EXIT_ENVIRONMENT)


def _line(error: Exception) -> str:
    """What is wrong in one line; of a fault that nobody foresaw, how to report it."""
    if isinstance(error, TandemError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        what, place = f"failed ({error.strerror})", str(error.filename or "a file or the terminal")
        return str(TandemError(what, where=place, fix=way_out(error)))
    what = f"{type(error).__name__} {' '.join(str(error).split())[:160]}"
    fix = "this is a fault of tandem-bench: report what tandembench --debug says of it"
    return str(TandemError(what, where="unforeseen", fix=fix))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="tandembench")
def main(debug: bool) -> None:
    """Measures what LLM agents gain by running at once on local model servers."""
