"""The section of questions: datasets and baselines as sides, and what was declared when."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from raw_blocks import block, scaled, unsteady, write_dataset

from tandembench.analysis.hypotheses import Result
from tandembench.cli import main
from tandembench.dataset.baseline import freeze
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.dataset.manifest import note
from tandembench.project import load_hypotheses
from tandembench.report.questions import hypotheses_section
from tandembench.report.render import harmless
from tandembench.report.write import rendered
from tandembench.study.hypotheses import Hypothesis

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
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
  missing:
    question: "Has it one slot?"
    metric: makespan_ratio
    a: {topology: single}
    b: {topology: serial}
    expect: {direction: less}
"""
NAMES = ("gain", "estimate", "slower", "missing")
DUAL = block("dual", (1.0, 1.0), (1.25, 1.25))
# Three rounds of dual and serial, a little apart.
ROUNDS = [rows for one in (DUAL, block("serial")) for rows in unsteady(one, 1.0, 1.01, 0.99)]


def dataset(folder: Path, blocks: Blocks = ROUNDS) -> Dataset:
    return load_dataset(write_dataset(folder, blocks))


def declare(folder: Path, text: str = TEXT) -> tuple[Hypothesis, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    return load_hypotheses(str(folder / "mine.yaml"))


def asked(data: Dataset, hypotheses: Sequence[Hypothesis], root: Path) -> dict[str, Result]:
    section = hypotheses_section(data, hypotheses, root)
    return {row.id: row.result for row in section.rows} if section else {}


def test_each_question_has_its_row_and_foreign_words_do_nothing(tmp_path: Path) -> None:
    data, hypotheses = dataset(tmp_path / "d"), declare(tmp_path)
    found = asked(data, hypotheses, tmp_path)
    assert {name: one.verdict for name, one in found.items()} == {
        "gain": "confirmed",
        "estimate": "confirmed",
        "slower": "contradicted",
        "missing": "not testable",
    }
    gain = found["gain"].estimate
    assert gain
    assert (gain.mean, gain.n) == (pytest.approx(1.6), 3)
    (first, second, numbers), _ = rendered(data, hypotheses)
    assert all(r"Is \<b\>dual\</b\> faster?" in text for text in (first, second))
    assert r"(A \*note\*.)" in second
    rows = json.loads(numbers)["details"]["hypotheses"]["rows"]
    assert [row["id"] for row in rows] == [*found]
    assert all(harmless(row["sentence"], limit=1000) in second for row in rows)
    assert hypotheses_section(data, ()) is None


@pytest.mark.parametrize(
    ("noted", "declared"),
    [
        # another invocation, which measured nothing of it, does not matter
        ([("inv1", True), ("inv2", {})], "before"),
        # the start of an invocation counts, not what was noted under its name later
        ([("inv1", {}), ("inv1", True)], "after"),
        ([("inv1", dict.fromkeys(NAMES, "0" * 12))], "after"),
        ([("inv1", None)], "not known"),
        ([], "not known"),
    ],
)
def test_what_stood_before_the_first_block(
    tmp_path: Path, noted: Sequence[tuple[str, Any]], declared: str
) -> None:
    """Digests that an invocation noted at its start; True stands for those of the file."""
    hypotheses = declare(tmp_path)
    same = {one.id: one.digest for one in hypotheses}
    for invocation, digests in noted:
        stood = same if digests is True else digests
        note(str(tmp_path / "d"), invocation, "s1", "start", stood)
    data = dataset(tmp_path / "d")
    assert {one.declared for one in asked(data, hypotheses, tmp_path).values()} == {declared}
    if declared == "before":
        assert data.descriptor["declared"] == {"inv1": same}


def test_a_line_that_a_kill_cut_off_is_no_declaration(tmp_path: Path) -> None:
    hypotheses = declare(tmp_path)
    digests = {one.id: one.digest for one in hypotheses}
    note(str(tmp_path / "d"), "inv1", "s1", "start", digests)
    path = tmp_path / "d/invocations.ndjson"
    line = path.read_text()
    path.write_text(line[: len(line) // 2] + "\nnull\n[1]\n" + '{"invocation": "inv1"}\n')
    found = asked(dataset(tmp_path / "d"), hypotheses, tmp_path)
    assert {one.declared for one in found.values()} == {"not known"}


BESIDE = """\
hypotheses:
  theirs:
    question: q
    metric: wall_s
    a: {topology: dual}
    b: {topology: dual, dataset: mine}
    expect: {margin: 0.1}
"""


def sessions(factor: float) -> Blocks:
    return [
        [row | {"session": f"s{n}", "invocation": f"inv{n}"} for row in scaled(DUAL, factor * f)]
        for n, f in enumerate((1.0, 1.01, 0.99), start=1)
    ]


@pytest.mark.parametrize(
    ("theirs", "ours", "verdict", "reason"),
    [
        (sessions(1.0), sessions(1.02), "confirmed", None),
        (ROUNDS, ROUNDS, "not testable", "different sessions"),
        (
            [
                [row | {"model": "large-model", "model_digest": "c"} for row in rows]
                for rows in ROUNDS
            ],
            ROUNDS,
            "not testable",
            "other models: small-model and large-model",
        ),
        (None, ROUNDS, "not testable", "no baseline mine"),
    ],
)
def test_a_baseline_of_runs_is_a_side_where_it_is_comparable(
    tmp_path: Path, theirs: Blocks | None, ours: Blocks, verdict: str, reason: str | None
) -> None:
    if theirs:
        freeze(write_dataset(tmp_path / "x", theirs), "mine", None, tmp_path / "b")
    hypotheses = declare(tmp_path, BESIDE)
    found = asked(dataset(tmp_path / "y", ours), hypotheses, tmp_path / "b")["theirs"]
    assert (found.verdict, found.reason) == (verdict, reason)
    if found.estimate:
        assert (found.basis, found.estimate.mean) == ("sessions", pytest.approx(1.02, abs=0.001))


def test_what_the_reports_print_is_compared_as_printed(repository: Path, tmp_path: Path) -> None:
    text = """\
hypotheses:
  printed:
    question: q
    metric: efficiency_estimate
    a: {dataset: tr114}
    b: {dataset: tr113}
    compare: difference
    expect: {low: 0.15}
"""
    root = repository / "resources/baselines"
    found = asked(dataset(tmp_path / "y"), declare(tmp_path, text), root)["printed"]
    # 0.893 and 0.720, 5.5 and 5.6 points, 150 and 19 runs
    assert found.estimate
    assert found.estimate.mean == pytest.approx(0.173)
    assert found.estimate.low == pytest.approx(0.1449, abs=5e-4)
    assert (found.basis, found.declared, found.verdict) == ("printed", "after", "inconclusive")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(write_dataset(tmp_path / "d", ROUNDS))
    declare(tmp_path)
    file = ["--file", str(tmp_path / "mine.yaml")]
    done = CliRunner().invoke(main, ["hypotheses", folder, *file])
    assert (done.exit_code, done.stdout.count("\n- **")) == (0, 4)
    done = CliRunner().invoke(main, ["hypotheses", folder, *file, "--format", "json", "--fail"])
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    counts = {"confirmed": 2, "contradicted": 1, "inconclusive": 0, "not testable": 1}
    assert found["counts"] == counts
    assert [row["id"] for row in found["hypotheses"]] == [*NAMES]
    (tmp_path / "mine.yaml").write_text(TEXT.replace("direction: less", "direction: fewer"))
    done = CliRunner().invoke(main, ["hypotheses", folder, *file])
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert done.stderr.startswith(f"tandembench: {tmp_path / 'mine.yaml'}:21: ")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["hypotheses", folder, "--fail"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--file" in done.stderr
