"""tandembench show: the answer of a dataset without its report, soon, and for programs."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from raw_blocks import block, rounds, write_dataset
from studies import COMPARISON, blocks, study

from tandembench.cli import main

# A start of Python with pandas and scipy takes about half of it on two busy cores.
SOON_S = 3.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of a small study."""
    return study(tmp_path_factory.mktemp("show"), blocks(4, 2))


def show(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["show", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_the_answer_fits_a_terminal(folder: Path) -> None:
    code, text, _ = show(str(folder))
    assert code == 0
    lines = text.splitlines()
    assert len(lines) <= 15
    assert max(map(len, lines)) <= 100
    assert any("config/quick.yaml" in line for line in lines)


def test_programs_get_the_same(folder: Path) -> None:
    code, text, _ = show(str(folder), "--format", "json")
    content = json.loads(text)
    assert (code, content["reference"], content["rounds"]) == (0, "serial", 8)
    assert {row["topology"] for row in content["rows"]} == {
        "serial",
        "single",
        "single_parallel",
        "dual",
    }
    named = show(str(folder), "--format", "json", "--comparison", COMPARISON)
    assert json.loads(named[1]) == content


def test_a_comparison_that_is_not_there_is_one_line(folder: Path) -> None:
    code, text, error = show(str(folder), "--comparison", "nix")
    assert (code, text) == (2, "")
    assert error.count("\n") == 1
    assert COMPARISON in error


def test_where_nothing_stands_side_by_side_it_says_so(tmp_path: Path) -> None:
    alone = write_dataset(tmp_path / "a", rounds(2, block("dual")))
    assert show(str(alone))[1].count("\n") < 15
    content = json.loads(show(str(alone), "--format", "json")[1])
    assert (content["apart"]["whole"]["runs"], content["apart"]["factors"]) == (2, [])
    assert (content["best"], content["rows"], content["verdict"]) == (None, [], "not_measured")
    nothing = write_dataset(tmp_path / "b", [], phases={"main": ["dual"]})
    assert show(str(nothing))[0] == 0


def test_it_is_there_soon(folder: Path) -> None:
    started = time.monotonic()
    code = "from tandembench.cli import main; import sys; main(['show', sys.argv[1]])"
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True)
    assert time.monotonic() - started < SOON_S


def test_neither_figures_nor_pages_are_loaded_for_it(folder: Path) -> None:
    code = (
        "from tandembench.cli import main; import sys\n"
        "main(['show', sys.argv[1]], standalone_mode=False)\n"
        "print([name for name in ('matplotlib', 'jinja2', 'markdown_it') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
