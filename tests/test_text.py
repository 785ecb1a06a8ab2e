"""Foreign text becomes one harmless line."""

import unicodedata

import pytest

from tandembench.text import sanitise

HOSTILE = {
    "newlines": "a\nb\r\nc\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029d",
    "terminal": "\x1b[2Jcleared \x9b31m\x07",
    "bidi": "\u202eevil\u202c \u2066x\u2069 \u061c \u200e\u200f",
    "invisible": "a\u200b\u200c\u200d\u2060\ufeff\xad\u180eb",
    "tags": "a\U000e0041\U000e007fb",
    "annotation": "a\ufff9b\ufffac\ufffb",
    "surrogates": "a\ud800b\udfff",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_hidden_is_left(text: str) -> None:
    line = sanitise(text)
    assert len(line.splitlines()) == 1
    assert {unicodedata.category(character) for character in line} & {"Cc", "Cf", "Cs"} == set()
    assert line.isprintable()
    line.encode("utf-8")


def test_readable_text_stays_as_it_is() -> None:
    text = "Qwen2.5-7B \u00e9\u4e2d\u0627 \U0001f600 | <b> `x` *y* # 100 %"
    assert sanitise(text) == text


def test_a_line_has_an_end() -> None:
    assert sanitise("x" * 500) == "x" * 160
    assert sanitise("x" * 500, 3) == "xxx"
