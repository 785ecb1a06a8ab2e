"""The command line as a whole: every command is there, explained, and imported when asked for."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from configs import OTHER, SMALL, copied

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
    assert imported == "['tandembench.errors', 'tandembench.files', 'tandembench.cli']"


def test_a_mistake_is_one_line_and_debug_shows_where_it_arose() -> None:
    result = CliRunner().invoke(main, ["prune", "missing.yaml"])
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert result.output.startswith("tandembench: missing.yaml: no such file; ")
    assert CliRunner().invoke(main, ["--debug", "prune", "missing.yaml"]).exception is not None
    hostile = CliRunner().invoke(main, ["check", "a\nb\x1b[2J\u202ec\udcff.yaml"])
    assert hostile.output.startswith("tandembench: a b [2J c .yaml: no such file; ")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device", "a"), "a: failed (No space left on device); free"),
        (KeyError("runs"), "unforeseen: KeyError 'runs'; this is a fault of tandem-bench"),
    ],
)
def test_what_nobody_foresaw_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("tandembench.cli.check.open_plan", fail)
    result = CliRunner().invoke(main, ["check", "x.yaml"])
    assert (result.exit_code, result.output.count("\n")) == (4, 1)
    assert result.output.startswith(f"tandembench: {words}")
    assert CliRunner().invoke(main, ["--debug", "check", "x.yaml"]).exception is error


def test_a_check_says_what_a_study_would_measure(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = copied(repository, tmp_path)
    monkeypatch.chdir(tmp_path)
    checkout.measured("s1", Path(checkout.plan().run_file(OTHER, 1)).name)
    result = CliRunner().invoke(main, ["check", SMALL])
    assert result.output.startswith("small: 6 configs in 4 comparisons; 11 of 12 blocks to measure")
    assert result.exit_code == 0
    checkout.edit(SMALL, 'title: "Small"', "hypotheses: config/hypotheses/missing.yaml")
    for study, words in ((SMALL, "config/hypotheses/missing.yaml: no such"), ("x", "x: no such")):
        result = CliRunner().invoke(main, ["check", study])
        assert (result.exit_code, result.output.count("\n")) == (2, 1)
        assert result.output.startswith(f"tandembench: {words}")
