"""Each sentence of a report stands exactly under its condition."""

from collections.abc import Callable

import pytest
from report_scenes import SCENES
from report_sentences import SENTENCES, STEADY, said


@pytest.mark.parametrize("name", SCENES)
def test_a_sentence_stands_exactly_under_its_condition(
    report_of: Callable[[str], str], name: str
) -> None:
    _, _, added, taken = SCENES[name]
    assert not added & STEADY
    assert taken <= STEADY
    assert said(report_of(name)) == STEADY - taken | added


def test_every_sentence_is_said_somewhere_and_not_everywhere(
    report_of: Callable[[str], str],
) -> None:
    found = [said(text) for text in map(report_of, SCENES)]
    assert set.union(*found) == set(SENTENCES)
    assert set.intersection(*found) == set()
