"""Sentences: chosen by finding and verdict, filled in whole, and none that nothing says."""

from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from tandembench import report
from tandembench.analysis.controls import Kind, Result
from tandembench.analysis.findings import Basis, Outcome, Verdict
from tandembench.analysis.service import PARTS
from tandembench.analysis.stability import State
from tandembench.report.words import TEMPLATES, say, sentences
from tandembench.study.spec import Criterion, Topology


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
MADE = ("names_", "finish_", "answer_", "criterion_", "control_", "lengths_")


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
        assert outcomes <= set(sentences()[f"answer_{basis}"])
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
