"""The section of questions: datasets and baselines as sides, and what was declared when."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from raw_blocks import block, rounds, scaled, write_dataset

from tandembench.cli import main
from tandembench.dataset.baseline import freeze
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.invocation import note
from tandembench.project import load_hypotheses
from tandembench.report.details import details
from tandembench.report.hypotheses import as_text, questions
from tandembench.report.render import harmless, render

Row = dict[str, Any]
TEXT = """\
hypotheses:
  gain:
    question: "Is <b>dual</b> faster?"
    note: "A *note*."
    metric: makespan_ratio
    a: {topology: dual}
    b: {topology: serial}
    expect: {direction: more}
  estimate:
    question: "Does the estimator reach 0.5?"
    metric: efficiency_estimate
    a: {topology: serial}
    constant: 0.5
    compare: difference
    expect: {margin: 0.01}
  slower:
    question: "Is it slower?"
    metric: makespan_ratio
    a: {topology: dual}
    b: {topology: serial}
    expect: {direction: less}
"""
DUAL = block("dual", (1.0, 1.0), (1.25, 1.25))


def blocks(**changes: Any) -> list[list[Row]]:
    """Three rounds of dual and serial, a little apart."""
    return [
        [row | {"repetition": n} | changes for row in scaled(rows, factor)]
        for n, factor in enumerate((1.0, 1.01, 0.99), start=1)
        for rows in (DUAL, block("serial"))
    ]


def dataset(folder: Path, those: Sequence[Sequence[Row]]) -> Dataset:
    return load_dataset(write_dataset(folder, those))


def declare(folder: Path, text: str = TEXT) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return load_hypotheses(str(file))


def digests(hypotheses: Any) -> dict[str, str]:
    return {one.id: one.digest for one in hypotheses}


def asked(folder: Path, text: str = TEXT, **changes: Any) -> dict[str, Row]:
    found = questions(dataset(folder / "d", blocks(**changes)), declare(folder, text), folder / "b")
    return {row["id"]: row for row in found["rows"]}


def test_each_question_has_its_row(tmp_path: Path) -> None:
    found = asked(tmp_path)
    gain = found["gain"]
    assert (gain["verdict"], gain["n"], gain["workloads"]) == ("confirmed", 3, 1)
    assert gain["estimate"].mean == pytest.approx(1.6)
    assert (gain["low"], gain["high"]) == (1.0, None)
    assert gain["a"] == {"dataset": "self", "topology": "dual"}
    assert found["slower"]["verdict"] == "contradicted"
    assert found["estimate"]["verdict"] == "confirmed"
    assert found["estimate"]["constant"] == 0.5


def test_the_report_has_the_section_and_foreign_words_do_nothing(tmp_path: Path) -> None:
    found = questions(dataset(tmp_path / "d", blocks()), declare(tmp_path))
    text = render({"hypotheses": found}, "hypotheses.md.j2")
    assert r"Is \<b\>dual\</b\> faster?" in text
    assert r"(A \*note\*.)" in text
    for row in found["rows"]:
        assert f"*{harmless(row['sentence'], limit=1000)}*" in text
    none = render({"hypotheses": {"rows": [], "counts": {}}}, "hypotheses.md.j2")
    assert none.startswith("No questions were declared")
    whole = details(dataset(tmp_path / "e", blocks()), declare(tmp_path), tmp_path / "b")
    assert whole["hypotheses"] == found | {"rows": whole["hypotheses"]["rows"]}


def declared_when(folder: Path, noted: Sequence[tuple[str, Any]], **changes: Any) -> set[str]:
    """What is said of every hypothesis if ``noted`` stood in the study's invocations."""
    results = folder / "d"
    for invocation, hypotheses in noted:
        note(str(results), invocation, "s1", "start", hypotheses)
        note(str(results), invocation, "s1", "done")
    return {row["declared"] for row in asked(folder, **changes).values()}


def test_declared_before_the_first_block(tmp_path: Path) -> None:
    same = digests(declare(tmp_path))
    assert declared_when(tmp_path / "a", [("inv1", same)]) == {"before"}
    # another invocation, which measured nothing of it, does not matter
    later = [("inv1", same), ("inv2", {})]
    assert declared_when(tmp_path / "b", later) == {"before"}


def test_declared_later_or_otherwise_is_exploratory(tmp_path: Path) -> None:
    same = digests(declare(tmp_path))
    assert declared_when(tmp_path / "a", [("inv1", {})]) == {"after"}
    other = dict.fromkeys(same, "0" * 12)
    assert declared_when(tmp_path / "b", [("inv1", other)]) == {"after"}
    one = same | {"gain": "0" * 12}
    assert declared_when(tmp_path / "c", [("inv1", one)]) == {"before", "after"}
    # the start of an invocation counts, not what was noted under its name later
    twice = [("inv1", other), ("inv1", same)]
    assert declared_when(tmp_path / "d", twice) == {"after"}


def test_where_nothing_was_noted_it_is_not_known(tmp_path: Path) -> None:
    assert declared_when(tmp_path / "a", []) == {"not known"}
    assert declared_when(tmp_path / "b", [("inv1", None)]) == {"not known"}
    same = digests(declare(tmp_path))
    assert declared_when(tmp_path / "c", [("inv1", same)], invocation=None) == {"not known"}


def test_what_was_declared_is_in_the_dataset_and_the_same_again(tmp_path: Path) -> None:
    same = digests(declare(tmp_path))
    texts = []
    for name in ("a", "b"):
        note(str(tmp_path / name), "inv1", "s1", "start", same)
        note(str(tmp_path / name), "unused", "s1", "start", same)
        folder = write_dataset(tmp_path / name, blocks())
        descriptor = json.loads((folder / "datapackage.json").read_text())
        assert descriptor["declared"] == {"inv1": same}
        texts.append((folder / "datapackage.json").read_text().replace(f"/{name}/", "/"))
    assert texts[0] == texts[1]


def test_a_line_that_a_kill_cut_off_is_no_declaration(tmp_path: Path) -> None:
    note(str(tmp_path / "d"), "inv1", "s1", "start", digests(declare(tmp_path)))
    path = tmp_path / "d/invocations.ndjson"
    line = path.read_text()
    path.write_text(line[: len(line) // 2] + "\nnull\n[1]\n" + '{"invocation": "inv1"}\n')
    assert {row["declared"] for row in asked(tmp_path).values()} == {"not known"}


BESIDE = """\
hypotheses:
  theirs:
    question: q
    metric: wall_s
    a: {topology: dual}
    b: {topology: dual, dataset: mine}
    expect: {margin: 0.1}
"""


def sessions(factor: float) -> list[list[Row]]:
    return [
        [row | {"session": f"s{n}", "invocation": f"inv{n}"} for row in scaled(DUAL, factor * f)]
        for n, f in enumerate((1.0, 1.01, 0.99), start=1)
    ]


def test_a_baseline_of_runs_is_compared_by_sessions(tmp_path: Path) -> None:
    freeze(write_dataset(tmp_path / "x", sessions(1.0)), "mine", None, tmp_path / "b")
    own = dataset(tmp_path / "y", sessions(1.02))
    (row,) = questions(own, declare(tmp_path, BESIDE), tmp_path / "b")["rows"]
    assert (row["verdict"], row["basis"], row["b"]["dataset"]) == ("confirmed", "sessions", "mine")
    assert row["estimate"].mean == pytest.approx(1.02, abs=0.001)
    assert "that in dual of mine" in row["sentence"]


def test_one_session_of_each_cannot_be_compared(tmp_path: Path) -> None:
    freeze(write_dataset(tmp_path / "x", blocks()), "mine", None, tmp_path / "b")
    (row,) = questions(
        dataset(tmp_path / "y", blocks()), declare(tmp_path, BESIDE), tmp_path / "b"
    )["rows"]
    assert (row["verdict"], row["reason"]) == ("not testable", "different sessions")


def test_another_model_is_not_comparable_and_no_baseline_none(tmp_path: Path) -> None:
    other = [
        [row | {"model": "large-model", "model_digest": "c"} for row in rows] for rows in blocks()
    ]
    freeze(write_dataset(tmp_path / "x", other), "mine", None, tmp_path / "b")
    own, those = dataset(tmp_path / "y", blocks()), declare(tmp_path, BESIDE)
    (row,) = questions(own, those, tmp_path / "b")["rows"]
    assert row["reason"] == "other models: small-model and large-model"
    (row,) = questions(own, those, tmp_path / "none")["rows"]
    assert row["reason"] == "no baseline mine"


def test_what_the_reports_print_is_compared_as_printed(repository: Path, tmp_path: Path) -> None:
    text = BESIDE.replace("wall_s", "efficiency_estimate").replace("margin: 0.1", "low: 0.15")
    text = text.replace("{topology: dual}", "{dataset: tr114}").replace("topology: dual, ", "")
    text = text.replace("mine", "tr113").replace("expect", "compare: difference\n    expect")
    (row,) = questions(
        dataset(tmp_path / "y", blocks()),
        declare(tmp_path, text),
        repository / "resources/baselines",
    )["rows"]
    # 0.893 and 0.720, 5.5 and 5.6 points, 150 and 19 runs
    assert row["estimate"].mean == pytest.approx(0.173)
    assert row["estimate"].low == pytest.approx(0.1449, abs=5e-4)
    assert (row["basis"], row["declared"], row["verdict"]) == ("printed", "after", "inconclusive")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(write_dataset(tmp_path / "d", blocks()))
    declare(tmp_path)
    file = ["--file", str(tmp_path / "mine.yaml")]
    done = CliRunner().invoke(main, ["hypotheses", folder, *file])
    assert (done.exit_code, done.stdout.count("\n- **")) == (0, 3)
    done = CliRunner().invoke(main, ["hypotheses", folder, *file, "--format", "json", "--fail"])
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["counts"] == {
        "confirmed": 2,
        "contradicted": 1,
        "inconclusive": 0,
        "not testable": 0,
    }
    assert [row["id"] for row in found["hypotheses"]] == ["gain", "estimate", "slower"]
    (tmp_path / "mine.yaml").write_text(TEXT.replace("direction: less", "direction: fewer"))
    done = CliRunner().invoke(main, ["hypotheses", folder, *file])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"tandembench: {tmp_path / 'mine.yaml'}:21: ")
    assert len(done.stderr.splitlines()) == 1
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["hypotheses", folder, "--fail"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--file" in done.stderr


def test_json_and_markdown_come_from_one_result(tmp_path: Path) -> None:
    found = questions(dataset(tmp_path / "d", rounds(1, DUAL)), declare(tmp_path))
    (gain, *_) = json.loads(as_text(found, "json"))["hypotheses"]
    assert gain["reason"] == "no makespan_ratio of side a"
    assert "Not testable: no makespan_ratio of side a." in as_text(found, "markdown")
