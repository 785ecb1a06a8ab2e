"""Ollama's words, line by line; no server."""

import asyncio
import json
from typing import Any, cast

import pytest

from tandembench.wire import Ask, Client, Event, Final, ollama

OPTIONS = {
    "num_gpu": 99,
    "num_ctx": 512,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.0,
    "repeat_penalty": 1.1,
}
END = {
    "model": "gemma3",
    "created_at": "2026-11-22T17:00:00Z",
    "response": "",
    "done": True,
    "done_reason": "stop",
    "context": [1, 2, 3],
    "total_duration": 4_648_158_584,
    "load_duration": 4_071_084,
    "prompt_eval_count": 36,
    "prompt_eval_duration": 439_038_000,
    "eval_count": 180,
    "eval_duration": 4_196_918_000,
}


def line(**message: Any) -> bytes:
    return json.dumps(message).encode()


def final(message: dict[str, Any]) -> Final:
    heard = ollama.event(line(**message))
    assert heard is not None
    assert heard.final is not None
    return heard.final


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in END.items() if name not in names}


@pytest.mark.parametrize("fixed", [True, False])
def test_body_carries_every_option_under_its_own_name(fixed: bool) -> None:
    ask = Ask("gemma3", "hello", OPTIONS, seed=7, max_tokens=64, fixed=fixed)

    assert ollama.body(ask) == {
        "model": "gemma3",
        "prompt": "hello",
        "stream": True,
        "options": OPTIONS | {"seed": 7, "num_predict": 64},
    }


def test_options_that_the_study_leaves_out_are_not_sent() -> None:
    ask = Ask("gemma3", "hello", {"seed": 1, "model": "other"}, seed=7, max_tokens=64, fixed=True)

    assert ollama.body(ask)["options"] == {"seed": 7, "num_predict": 64}


def test_the_server_applies_the_template() -> None:
    nobody = cast(Client, None)
    assert asyncio.run(ollama.templated(nobody, "http://x", "gemma3", "as it is")) == "as it is"


def test_a_token_is_content() -> None:
    assert ollama.event(line(model="gemma3", response="The", done=False)) == Event(content="The")


def test_a_thinking_token_is_content() -> None:
    assert ollama.event(line(thinking="Hm", done=False)) == Event(content="Hm")
    assert ollama.event(line(response="", thinking="Hm", done=False)) == Event(content="Hm")
    both = line(response="The", thinking="so.", done=False)
    assert ollama.event(both) == Event(content="so.The")


@pytest.mark.parametrize("blank", [b"", b"\r", b"  "])
def test_blank_lines_say_nothing(blank: bytes) -> None:
    assert ollama.event(blank) is None


def test_the_last_line_tells_durations_in_seconds() -> None:
    told = final(END)

    assert (told.prompt_tokens, told.answer_tokens, told.stop_reason) == (36, 180, "stop")
    assert told.load_s == pytest.approx(0.004071084, rel=1e-12)
    assert told.prompt_s == pytest.approx(0.439038, rel=1e-12)
    assert told.decode_s == pytest.approx(4.196918, rel=1e-12)
    assert told.cached_tokens is None
    assert told.settings == {}


def test_what_is_left_out_beside_a_total_is_zero() -> None:
    told = final(without("load_duration", "prompt_eval_duration", "eval_duration", "eval_count"))

    assert (told.load_s, told.prompt_s, told.decode_s, told.answer_tokens) == (0.0, 0.0, 0.0, 0)


def test_a_missing_prompt_count_is_unknown() -> None:
    assert final(without("prompt_eval_count")).prompt_tokens is None


def test_without_a_total_nothing_is_known() -> None:
    assert final({"done": True}) == Final()
    assert final(without("total_duration", "load_duration", "eval_count")).answer_tokens is None


def test_text_in_the_last_line_is_content() -> None:
    heard = ollama.event(line(**END | {"response": "."}))
    assert heard is not None
    assert heard.content == "."


def test_an_error_line_is_the_servers_error() -> None:
    assert ollama.event(line(error="it broke")) == Event(error="it broke")
    heard = ollama.event(line(**END | {"error": {"code": 1}}))
    assert heard is not None
    assert heard.final is None
    assert heard.error is not None


@pytest.mark.parametrize(
    "unreadable", [b'{"respo', b"[1]", b'"text"', b"<html>", b'{"response":"\xff"}', b"data: {}"]
)
def test_what_is_no_line_of_ollamas_is_a_value_error(unreadable: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kinds are the client's matter
        ollama.event(unreadable)
