"""OpenAI's words, line by line; no server."""

import asyncio
import json
from typing import Any, cast

import pytest

from tandembench.wire import Ask, Client, Driver, Event, Final, openai, openai_completions

OPTIONS = {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.0}
USAGE = {"prompt_tokens": 36, "completion_tokens": 180, "total_tokens": 216}
BOTH = pytest.mark.parametrize(
    "driver", [openai, openai_completions], ids=lambda driver: driver.PATH
)


def data(**message: Any) -> bytes:
    return b"data: " + json.dumps(message).encode()


def delta(**words: Any) -> bytes:
    return data(choices=[{"index": 0, "delta": words, "finish_reason": None}], usage=None)


def ask(fixed: bool = False, **options: float) -> Ask:
    return Ask("org/Model-1", "hello", options, seed=7, max_tokens=64, fixed=fixed)


@BOTH
def test_body_has_the_limit_the_seed_and_asks_for_counts(driver: Driver) -> None:
    said = (
        {"messages": [{"role": "user", "content": "hello"}]}
        if driver is openai
        else {"prompt": "hello"}
    )
    shared = {
        "model": "org/Model-1",
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": 7,
        "max_tokens": 64,
    }

    assert driver.body(ask(**OPTIONS)) == said | shared | OPTIONS
    assert driver.body(ask()) == said | shared


@BOTH
def test_fixed_work_goes_past_the_models_end(driver: Driver) -> None:
    assert driver.body(ask(fixed=True)) == driver.body(ask()) | {"ignore_eos": True}


def test_a_penalty_is_sent_under_both_names_that_servers_know() -> None:
    sent = {"repeat_penalty": 1.1, "repetition_penalty": 1.1}

    assert openai.body(ask(repeat_penalty=1.1)) == openai.body(ask()) | sent


@BOTH
def test_the_prompt_goes_as_it_is(driver: Driver) -> None:
    nobody = cast(Client, None)
    assert asyncio.run(driver.templated(nobody, "http://x", "m", "as it is")) == "as it is"


def test_a_token_is_content() -> None:
    assert openai.event(delta(content="The")) == Event("The")
    assert openai_completions.event(data(choices=[{"text": "The"}])) == Event("The")


@pytest.mark.parametrize(
    "words",
    [{"role": "assistant"}, {"role": "assistant", "content": None}, {"content": ""}, {}],
)
def test_a_role_is_no_token(words: dict[str, Any]) -> None:
    assert openai.event(delta(**words)) == Event("")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"reasoning_content": "Hm"}, "Hm"),
        ({"reasoning": "Hm", "content": None}, "Hm"),
        ({"reasoning": "Hm", "reasoning_content": "Hm"}, "Hm"),
        ({"reasoning": "so.", "content": "The"}, "so.The"),
        ({"reasoning": None, "reasoning_content": None, "content": "The"}, "The"),
    ],
)
def test_a_thinking_token_is_content_once(words: dict[str, Any], text: str) -> None:
    assert openai.event(delta(**words)) == Event(text)


@BOTH
@pytest.mark.parametrize("reason", ["stop", "length"])
def test_the_reason_comes_before_the_end(driver: Driver, reason: str) -> None:
    last = {"index": 0, "delta": {}, "text": "", "finish_reason": reason}

    assert driver.event(data(choices=[last])) == Event(final=Final(stop_reason=reason))


@pytest.mark.parametrize("reason", [None, ""])
def test_no_reason_says_nothing(reason: str | None) -> None:
    choice = {"delta": {"content": "a"}, "finish_reason": reason}

    assert openai.event(data(choices=[choice])) == Event("a")


@BOTH
def test_counts_come_without_a_choice(driver: Driver) -> None:
    usage = USAGE | {"prompt_tokens_details": {"cached_tokens": 16}}
    told = Final(prompt_tokens=36, answer_tokens=180, cached_tokens=16)

    assert driver.event(data(choices=[], usage=usage)) == Event(final=told)
    plain = data(usage=USAGE | {"prompt_tokens_details": None})
    assert driver.event(plain) == Event(final=Final(prompt_tokens=36, answer_tokens=180))


def test_llama_servers_timings_are_kept() -> None:
    timings = {"cache_n": 3, "prompt_n": 33, "prompt_ms": 80.5, "predicted_ms": 900.25}
    heard = openai.event(data(choices=[], usage=USAGE, timings=timings))

    told = Final(
        prompt_tokens=36, answer_tokens=180, cached_tokens=3, prompt_s=0.0805, decode_s=0.90025
    )
    assert heard == Event(final=told)


@BOTH
def test_done_ends_and_tells_nothing(driver: Driver) -> None:
    assert driver.event(b"data: [DONE]") == Event(ends=True)
    assert driver.event(b"data:[DONE]\r") == Event(ends=True)


@BOTH
@pytest.mark.parametrize(
    "words",
    [
        data(error={"message": "it broke", "code": 500}),
        data(error="it broke"),
        data(object="error", message="it broke", code=400),
        b'error: {"message":"it broke"}',
    ],
)
def test_an_error_in_the_stream_is_the_servers_error(driver: Driver, words: bytes) -> None:
    heard = driver.event(words)

    assert heard is not None
    assert heard.error is not None
    assert "it broke" in heard.error


@pytest.mark.parametrize("reason", ["abort", "error"])
def test_an_answer_that_was_given_up_is_an_error(reason: str) -> None:
    heard = openai.event(data(choices=[{"delta": {}, "finish_reason": reason}]))

    assert heard == Event(error=f"finish_reason {reason}")


def test_no_error_is_none() -> None:
    assert openai.event(data(error=None, choices=[{"delta": {"content": "a"}}])) == Event("a")


@BOTH
@pytest.mark.parametrize("silent", [b"", b"\r", b": ping - 2026", b"event: chunk"])
def test_blank_lines_and_comments_say_nothing(driver: Driver, silent: bytes) -> None:
    assert driver.event(silent) is None


@BOTH
@pytest.mark.parametrize("unreadable", [b"data: {", b"data: [1]", b"data: DONE", b"<html>", b"{}"])
def test_what_is_no_event_is_a_value_error(driver: Driver, unreadable: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kinds are the client's matter
        driver.event(unreadable)
