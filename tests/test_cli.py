"""The command line as a whole: every command is there, explained, and imported when asked for."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from tandembench.cli import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_explained(name: str) -> None:
    context = click.Context(main)
    command = main.get_command(context, name)
    assert command is not None
    parts = command.commands.values() if isinstance(command, click.Group) else [command]
    for part in parts:
        assert part.help
        options = [one for one in part.params if isinstance(one, click.Option)]
        # what --format takes stands in its list of choices
        assert all(one.help or one.name == "style" for one in options), part.name
    assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


def test_help_lists_all_commands_and_imports_none() -> None:
    program = (
        "import sys; from tandembench.cli import main; main(['--help'], standalone_mode=False)"
    )
    program += "; print([one for one in sys.modules if one.startswith('tandembench.')])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    *_, imported = done.stdout.splitlines()
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    assert imported == "['tandembench.errors', 'tandembench.cli']"


def test_a_mistake_is_one_line_and_debug_shows_where_it_arose() -> None:
    result = CliRunner().invoke(main, ["prune", "missing.yaml"])
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert result.output.startswith("tandembench: missing.yaml: no such file; ")
    assert CliRunner().invoke(main, ["--debug", "prune", "missing.yaml"]).exception is not None
