"""Words and numbers: sentences by finding and verdict, and one way to write a number."""

from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from tandembench import report
from tandembench.analysis.controls import Kind, Result
from tandembench.analysis.findings import Basis, Outcome, Verdict
from tandembench.analysis.intervals import Interval
from tandembench.analysis.service import PARTS
from tandembench.analysis.stability import State
from tandembench.report.formats import (
    bounded,
    interval,
    listed,
    minutes,
    number,
    percent,
    speed,
    speeds,
)
from tandembench.report.words import TEMPLATES, say, sentences
from tandembench.study.spec import Criterion, Topology
from tandembench.text import counted


def test_a_sentence_is_filled_in() -> None:
    assert say("do", "reference", best="serial") == "Stay with serial."
    assert say("do", "fastest", best="two servers") == "Two servers."


@pytest.mark.parametrize(("finding", "verdict"), [("do", "nonsense"), ("nonsense", "fastest")])
def test_a_sentence_that_is_not_there_is_a_mistake(finding: str, verdict: str) -> None:
    with pytest.raises(LookupError, match="nonsense"):
        say(finding, verdict)


@pytest.mark.parametrize("places", [{}, {"best": "a", "more": "b"}, {"other": "a"}])
def test_places_are_all_filled_and_no_other(places: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="places"):
        say("do", "fastest", **places)


def test_what_is_filled_in_is_left_as_it_is() -> None:
    assert say("do", "reference", best="{best} {0}") == "Stay with {best} {0}."


def test_every_sentence_is_plain() -> None:
    for finding, by_verdict in sentences().items():
        for verdict, sentence in by_verdict.items():
            place = f"{finding}: {verdict}"
            assert sentence == sentence.strip(), place
            fields = [name for _, name, spec, _ in Formatter().parse(sentence) if name or spec]
            assert all(str(name).isidentifier() for name in fields), place


# Findings whose name is made of a word and what it is of, such as "answer_makespan".
MADE = ("names_", "finish_", "answer_", "criterion_", "control_", "lengths_", "hardware_")


def test_nothing_is_in_the_file_that_nothing_asks_for() -> None:
    package = Path(report.__file__).parent
    files = [*package.rglob("*.py"), *TEMPLATES.glob("*.j2"), TEMPLATES / "tables.yaml"]
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    for finding in sentences():
        prefix = next((one for one in MADE if finding.startswith(one)), None)
        of_prefix = [f'"{prefix}', f'f"{prefix}'] if prefix else []
        asked = any(text in code for text in (f'"{finding}"', f" @{finding}\n", *of_prefix))
        assert asked, finding


def test_every_verdict_has_its_words() -> None:
    """Where code picks a sentence by a verdict of the analysis, there is one for each."""
    verdicts = set(get_args(Verdict))
    for finding in ("against", "trust_twin"):
        assert verdicts <= set(sentences()[finding])
    for basis in get_args(Basis):
        # Nothing is said of what was not measured but why.
        outcomes = set(get_args(Outcome)) - {"not_measured"}
        # Of a part of the work all is said that is said of all of it.
        said = "makespan" if basis == "capped" else basis
        assert outcomes <= set(sentences()[f"answer_{said}"])
        assert basis in sentences()["question"]
    for criterion in get_args(Criterion):
        assert set(get_args(Outcome)) <= set(sentences()[f"criterion_{criterion}"])
    for kind in get_args(Kind):
        assert {*get_args(Result), "unpaired"} <= set(sentences()[f"control_{kind}"])
    for topology in get_args(Topology):
        for finding in ("names_two", "names_many", "names_short", "finish_two", "finish_many"):
            assert topology in sentences()[finding]
    assert set(PARTS) == set(sentences()["parts"]) == set(sentences()["why_loss"]) - {"none"}
    for state in get_args(State):
        # A flat level is not told of, and too few runs are told of as a drift.
        if state not in ("flat", "too few"):
            assert state.replace(" ", "_").replace("-", "_") in sentences()["level"]


# Numbers


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1.005, 2, "1.00"),
        (2.0, 0, "2"),
        (-0.001, 2, "0.00"),
        (-0.006, 2, "-0.01"),
        (None, 2, "-"),
        (float("nan"), 2, "-"),
    ],
)
def test_numbers(value: float | None, digits: int, text: str) -> None:
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.1234, 1, "12.3 %"), (0.05, None, "5 %"), (0.025, None, "2.5 %"), (None, 1, "-")],
)
def test_percentages(value: float | None, digits: int | None, text: str) -> None:
    assert percent(value, digits) == text


def test_intervals() -> None:
    assert interval(Interval(1.234, 1.1, 1.3, 3)) == "1.23 [1.10, 1.30]"
    assert interval(Interval(1.234, None, None, 1)) == "1.23"
    assert interval(None) == "-"
    assert bounded(1.234, 1.1, 1.3) == "1.23 [1.10, 1.30]"


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1.24, "24 % faster"),
        (1.043, "4.3 % faster"),
        (1.0, "0 % faster"),
        (0.9999, "0 % faster"),
        (0.93, "7 % slower"),
        (2.0, "100 % faster"),
    ],
)
def test_faster_is_more_work_in_the_same_time(ratio: float, text: str) -> None:
    assert speed(ratio) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1.09, 1.30, "9 to 30 % faster"),
        (0.85, 0.95, "5 to 15 % slower"),
        (0.97, 1.20, "3 % slower to 20 % faster"),
        (1.0, 1.013, "0 to 1.3 % faster"),
        (0.9999, 1.2, "0 to 20 % faster"),
        (0.8, 1.0001, "0 to 20 % slower"),
        (1.2, 1.2, "20 % faster"),
        (0.98, 1.02, "2 % slower to 2 % faster"),
    ],
)
def test_intervals_of_speed(low: float, high: float, text: str) -> None:
    assert speeds(low, high) == text


def test_other_words_for_more() -> None:
    assert speeds(0.97, 1.2, ("more", "fewer")) == "3 % fewer to 20 % more"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (42.4, "42 s"), (170, "3 min"), (7200, "2.0 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert minutes(seconds) == text


def test_lists_and_counts() -> None:
    assert [listed([]), listed(["a"]), listed(["a", "b", "c"], "or")] == ["", "a", "a, b or c"]
    assert [counted(1, "run"), counted(2, "run")] == ["1 run", "2 runs"]
