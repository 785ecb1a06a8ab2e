"""Hypotheses from text: what is read, and the one line that a mistake gives."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from ruamel.yaml import YAML
from study_texts import REPOSITORY, complaint

from tandembench.errors import TandemError
from tandembench.project import TESTABLE, load_hypotheses
from tandembench.study.hypotheses import SELF, Hypothesis, Side, read_hypotheses
from tandembench.tables.columns import STUDY_RUNS

SCHEMA: dict[str, Any] = YAML(typ="safe").load(
    REPOSITORY / "workflow/schemas/hypotheses.schema.yaml"
)
BASE = """\
hypotheses:
  gain:
    question: "Is it faster?"
    metric: makespan_ratio
    a: {topology: dual, work: fixed}
    b: {topology: single, dataset: mine@1.0.0}
    expect: {direction: more}
"""


def read(text: str) -> tuple[Hypothesis, ...]:
    return read_hypotheses(text, SCHEMA, "h.yaml", TESTABLE)


def one(expect: str, compare: str = "ratio", other: str = "b: {}") -> Hypothesis:
    (found,) = read(
        "hypotheses:\n  x:\n    question: q\n    metric: antt\n    a: {}\n"
        f"    {other}\n    compare: {compare}\n    expect: {expect}\n"
    )
    return found


def test_a_hypothesis_is_read_as_it_stands() -> None:
    (found,) = read(BASE)
    assert (found.id, found.question, found.metric) == ("gain", "Is it faster?", "makespan_ratio")
    assert found.a == Side(SELF, {"topology": "dual", "work_policy": "fixed"})
    assert found.b == Side("mine@1.0.0", {"topology": "single"})
    assert (found.compare, found.constant, found.note) == ("ratio", None, None)


@pytest.mark.parametrize(
    ("expect", "compare", "bounds", "words"),
    [
        ("{direction: more}", "ratio", (1, math.inf), "more"),
        ("{direction: less}", "ratio", (0, 1), "less"),
        ("{direction: more}", "difference", (0, math.inf), "more"),
        ("{direction: less}", "difference", (-math.inf, 0), "less"),
        ("{low: 1.1, high: 1.2}", "ratio", (1.1, 1.2), "1.1 to 1.2"),
        ("{high: 0.9}", "ratio", (0, 0.9), "0.9 or less"),
        ("{low: -3}", "difference", (-3, math.inf), "-3 or more"),
        ("{high: 2}", "difference", (-math.inf, 2), "2 or less"),
        ("{margin: 0.25}", "ratio", (0.8, 1.25), "no difference beyond 25 %"),
        ("{margin: 0.25}", "difference", (-0.25, 0.25), "no difference beyond 0.25"),
    ],
)
def test_every_expectation_is_a_region(
    expect: str, compare: str, bounds: tuple[float, float], words: str
) -> None:
    found = one(expect, compare)
    assert (found.low, found.high) == pytest.approx(bounds)
    assert found.expected == words


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("metric: makespan_ratio", "metric: wall", r"h.yaml:4: .*metric: 'wall' is no column"),
        ("metric: makespan_ratio", "metric: solo_basis", r"h.yaml:4: .*'solo_basis' is no column"),
        ("topology: dual", "topology: two", r'h.yaml:5: .*a.topology: "two" is not allowed'),
        ("topology: dual", "topolgy: dual", r"h.yaml:5: .*unknown key; did you mean 'topology'\?"),
        ("{direction: more}", "{}", r"h.yaml:7: .*expect"),
        ("{direction: more}", "{direction: up}", r"h.yaml:7: .*expected more or less"),
        (
            "{direction: more}",
            "{direction: more, margin: 0.1}",
            r"h.yaml:7: .*several expectations; keep direction",
        ),
        ("{direction: more}", "{low: 2, high: 1}", r"h.yaml:7: .*low is not below high"),
        ("{direction: more}", "{low: -1, high: 1}", r"h.yaml:7: .*no ratio is 0 or less"),
        ("{direction: more}", "{margin: 0}", r"h.yaml:7: .*margin: 0 is not allowed"),
        ('"Is it faster?"', '""', r"h.yaml:3: .*question"),
        ("mine@1.0.0", "mine@latest", r"h.yaml:6: .*dataset.*self \(the study's own dataset\)"),
        ("dataset: mine@1.0.0}", "dataset: mine}\n    constant: 1", r"h.yaml:2: .*either b or"),
        ("    expect", "    expects", r"h.yaml:7: .*did you mean 'expect'\?"),
        ("gain:", "Gain:", r"h.yaml:2: .*Gain.*a name: small letters"),
        ("    question", "    eval: 1+1\n    question", r"h.yaml:3: .*eval: unknown key"),
    ],
)
def test_a_mistake_is_one_line(old: str, new: str, line: str) -> None:
    assert BASE.count(old) == 1
    assert re.match(line, complaint(BASE.replace(old, new), read))


def test_what_is_compared_must_be_said() -> None:
    text = BASE.replace("    b: {topology: single, dataset: mine@1.0.0}\n", "")
    assert "gain: needs either b or constant; name what a is compared with" in complaint(text, read)
    bad = text.replace("expect", "constant: 0\n    expect")
    assert complaint(bad, read).startswith("h.yaml:6: ")
    assert "a ratio to 0 or less; write a number above 0" in complaint(bad, read)


def test_the_same_id_twice_is_one_line() -> None:
    assert "duplicate key" in complaint(BASE + BASE.split("\n", 1)[1], read)


def test_the_digest_is_of_every_word() -> None:
    (found,) = read(BASE)
    changes = (
        ("faster", "quicker"),
        ("makespan_ratio", "antt"),
        ("topology: dual", "topology: serial"),
        ("direction: more", "direction: less"),
        ("gain:", "other:"),
    )
    digests = {read(BASE.replace(*change))[0].digest for change in changes}
    assert len(digests | {found.digest}) == len(changes) + 1
    assert read(BASE.replace("topology: dual, work: fixed", "work: fixed, topology: dual")) == (
        replace(found, a=found.a),
    )


def test_what_may_be_tested_are_number_columns_of_runs() -> None:
    kinds = {column.name: column.kind for column in STUDY_RUNS}
    assert {kinds[name] for name in TESTABLE} == {"number"}
    assert {"speedup_true", "makespan_ratio", "orchestration_loss", "antt"} <= set(TESTABLE)


def test_the_shipped_questions_are_those_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    found = load_hypotheses("config/hypotheses/tr114.yaml")
    by_question: dict[str, set[str]] = {}
    for hypothesis in found:
        question, _, what = hypothesis.id.partition("-")
        assert hypothesis.question.startswith(f"{question.upper()}. ")
        by_question.setdefault(question, set()).add(what)
    assert set(by_question) == {"q1", "q2", "q3", "q4", "q5"}
    assert all({"gain", "estimator"} <= kinds for kinds in by_question.values())
    estimates = {h.metric for h in found if not h.id.endswith("-gain")}
    assert estimates == {"efficiency_estimate", "speedup_estimate", "orchestration_loss"}


def test_the_manuals_examples_are_read() -> None:
    text = (REPOSITORY / "config/README.md").read_text(encoding="utf-8")
    (example,) = (
        part
        for part in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
        if part.startswith("hypotheses:")
    )
    assert [one.id for one in read(example)] == ["two-servers-gain", "no-contention"]


def test_no_file_is_no_hypotheses_and_a_named_one_must_be_there(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_hypotheses(None) == ()
    with pytest.raises(TandemError, match=r"mine.yaml: no such file; name a file of hypotheses"):
        load_hypotheses("mine.yaml")
