"""tandembench show: the answer of a dataset without its report, soon, and for programs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from raw_blocks import block, rounds, write_dataset
from studies import COMPARISON, blocks, study

from tandembench.cli import main
from tandembench.report.words import say

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


def test_what_is_left_out_or_noticed_stands_on_the_first_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")  # a narrow screen shows what matters most
    monkeypatch.chdir(tmp_path)  # where no report lies, whose line would take a place
    made = blocks(4, 2)
    changed = {
        (0, "dual"): {"invalid": "cold"},
        (1, "dual"): {"invalid": "cold"},
        (2, "single"): {"error": "reset"},
        (3, "serial"): {"flags": "loop_lag,prefix_cache", "loop_lag_s": 4.0},
    }
    for number, rows in enumerate(made):
        for row in rows:
            row["server_life"] = "1" if number < 3 else "2"
            if (row["round"], row["mode"], row["twin"]) == (1, "concurrent", False):
                row.update(changed.get((number, row["config_id"]), {}))
                if row["flags"]:
                    # and a proxy sent it all at once
                    row["steps"] = [
                        step | {"cached_tokens": 80, "chunk_ns": step["chunk_ns"][-1:] * 8}
                        for step in row["steps"]
                    ]
    folder = str(study(tmp_path, made))
    known = json.loads(show(folder, "--format", "json")[1])["validity"]
    assert known["left_out"] == {"cold": 2, "reset": 1}
    assert (known["rounds"], known["incomplete"]) == (8, 3)
    assert (known["late"], known["lag_s"]) == (1, 4.0)
    assert (known["cached"], known["cached_share"], known["restarts"]) == (1, 0.8, 2)
    # both agents of that run
    assert (known["unseen"], known["unseen"] < known["executions"]) == (2, True)
    text = " ".join(show(folder)[1].split())
    assert say("trust_unseen", "some", n="2", of=str(known["executions"])) in text
    assert say("left_out", "cold", n="2") in text
    assert say("left_out", "other", n="1", code="reset") in text
    for figure in ("4.0 s", "80 %"):
        assert figure in text


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
    """By CPU time: of the other time others may take what they like."""
    before = sum(os.times()[2:4])
    code = "from tandembench.cli import main; import sys; main(['show', sys.argv[1]])"
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True)
    assert sum(os.times()[2:4]) - before < SOON_S


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
