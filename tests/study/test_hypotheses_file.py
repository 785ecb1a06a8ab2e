"""Hypotheses from text: what is read, and the one line that a mistake gives."""

import math
from pathlib import Path

import pytest
from study_texts import complaint, swapped, told

from tandembench.project import TESTABLE, load_hypotheses
from tandembench.study.hypotheses import SELF, Hypothesis, Side, read_hypotheses

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
    return read_hypotheses(text, "h.yaml", TESTABLE)


def test_a_hypothesis_is_read_as_it_stands() -> None:
    (one,) = read(BASE)
    assert (one.id, one.question, one.metric) == ("gain", "Is it faster?", "makespan_ratio")
    assert one.a == Side(SELF, {"topology": "dual", "work_policy": "fixed"})
    assert one.b == Side("mine@1.0.0", {"topology": "single"})
    assert (one.compare, one.constant, one.note) == ("ratio", None, None)


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
    text = swapped("{direction: more}", f"{expect}\n    compare: {compare}", BASE)
    (one,) = read(text)
    assert (one.low, one.high) == pytest.approx(bounds)
    assert (one.compare, one.expected) == (compare, words)


B = "    b: {topology: single, dataset: mine@1.0.0}\n"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("makespan_ratio", "wall", "4: hypotheses.gain.metric: 'wall' is no column of runs"),
        ("makespan_ratio", "solo_basis", "4: hypotheses.gain.metric: 'solo_basis' is no column"),
        ("topology: dual", "topology: two", '5: hypotheses.gain.a.topology: "two" is not allowed'),
        ("topology: dual", "topolgy: dual", "5: hypotheses.gain.a.topolgy: unknown key; did you"),
        ("{direction: more}", "{}", "7: hypotheses.gain.expect: no expectation; write direction"),
        ("{direction: more}", "{direction: up}", '7: hypotheses.gain.expect.direction: "up" is'),
        (
            "{direction: more}",
            "{direction: more, margin: 0.1}",
            "7: hypotheses.gain.expect: several expectations; write direction, or low and high,",
        ),
        ("{direction: more}", "{low: 2, high: 1}", "7: hypotheses.gain.expect.low: low is not"),
        ("{direction: more}", "{low: -1, high: 1}", "7: hypotheses.gain.expect.low: no ratio is"),
        ("{direction: more}", "{low: .nan}", "7: hypotheses.gain.expect.low: NaN is not allowed"),
        ("{direction: more}", "{margin: 0}", "7: hypotheses.gain.expect.margin: 0 is not allowed"),
        ('"Is it faster?"', '""', '3: hypotheses.gain.question: "" is not allowed'),
        ("mine@1.0.0", "mine@latest", '6: hypotheses.gain.b.dataset: "mine@latest" is not'),
        ("mine@1.0.0}", "mine}\n    constant: 1", "2: hypotheses.gain: needs either b or constant"),
        (B, "", "2: hypotheses.gain: needs either b or constant; name what a is compared with"),
        (B, "    constant: 0\n", "6: hypotheses.gain.constant: a ratio to 0 or less; write"),
        (B, "    constant: .inf\n", "6: hypotheses.gain.constant: Infinity is not allowed"),
        ("    expect", "    expects", "7: hypotheses.gain.expects: unknown key; did you mean"),
        ("gain:", "Gain:", '2: hypotheses.Gain: "Gain" is not allowed; expected small letters'),
        ("    question", "    eval: 1+1\n    question", "3: hypotheses.gain.eval: unknown key"),
        ("hypotheses:", "gain: {}\nhypotheses:", "1: gain: unknown key; known keys: hypotheses"),
    ],
)
def test_a_mistake_is_one_line(old: str, new: str, line: str) -> None:
    assert complaint(swapped(old, new, BASE), read).startswith(f"h.yaml:{line}")


def test_the_digest_is_of_every_word() -> None:
    (one,) = read(BASE)
    changes = (
        ("faster", "quicker"),
        ("makespan_ratio", "antt"),
        ("topology: dual", "topology: serial"),
        ("direction: more", "direction: less"),
        ("gain:", "other:"),
    )
    digests = {read(BASE.replace(*change))[0].digest for change in changes}
    assert len(digests | {one.digest}) == len(changes) + 1
    assert read(BASE.replace("topology: dual, work: fixed", "work: fixed, topology: dual")) == (
        one,
    )
    assert one.digest == "5a404ad977d2"


def test_no_file_is_no_hypotheses_and_a_named_one_must_be_there(tmp_path: Path) -> None:
    assert load_hypotheses(None, tmp_path) == ()
    line = told(lambda: load_hypotheses("mine.yaml", tmp_path))
    assert line.startswith(f"{tmp_path}/mine.yaml: no such file; name a file of hypotheses")
