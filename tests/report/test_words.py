"""Sentences: chosen by finding and verdict, filled in whole, and none that nothing says."""

from string import Formatter

import pytest

from tandembench.report.words import say, sentences


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
