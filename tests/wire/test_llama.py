"""llama-server's words, line by line; no server."""

import json
from typing import Any

import pytest

from tandembench.wire import Ask, Event, llama

SAMPLING = {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.0, "repeat_penalty": 1.1}
END = {
    "content": "",
    "stop": True,
    "stop_type": "limit",
    "tokens_predicted": 64,
    "tokens_evaluated": 120,
    "generation_settings": {"temperature": 0.800000011920929, "top_k": 40, "n_predict": 64},
    "timings": {"cache_n": 0, "prompt_n": 120, "prompt_ms": 80.5, "predicted_ms": 900.25},
}


def data(**message: Any) -> bytes:
    return b"data: " + json.dumps(message).encode()


@pytest.mark.parametrize("fixed", [True, False])
def test_body_asks_for_fixed_work_without_the_cache(fixed: bool) -> None:
    options = SAMPLING | {"num_ctx": 512, "num_gpu": 0}
    ask = Ask("smollm2", "hello", options, seed=7, max_tokens=64, fixed=fixed)

    assert llama.body(ask) == SAMPLING | {
        "prompt": "hello",
        "stream": True,
        "cache_prompt": False,
        "seed": 7,
        "n_predict": 64,
        "ignore_eos": fixed,
    }


def test_options_that_the_study_leaves_out_are_not_sent() -> None:
    ask = Ask("smollm2", "hello", {}, seed=7, max_tokens=64, fixed=True)

    assert not set(SAMPLING) & set(llama.body(ask))


def test_a_token_is_content() -> None:
    assert llama.event(data(content="The", stop=False)) == Event(content="The")


@pytest.mark.parametrize("silent", [b"", b"\r", b": keep-alive"])
def test_blank_lines_and_comments_say_nothing(silent: bytes) -> None:
    assert llama.event(silent) is None


def test_the_last_event_tells_counts_seconds_and_settings() -> None:
    heard = llama.event(data(**END))

    assert heard is not None
    assert heard.final is not None
    assert (heard.final.prompt_tokens, heard.final.answer_tokens) == (120, 64)
    assert (heard.final.cached_tokens, heard.final.stop_reason) == (0, "length")
    assert (heard.final.prompt_s, heard.final.decode_s) == (0.0805, 0.90025)
    assert heard.final.settings == {"temperature": 0.8, "top_k": 40}


@pytest.mark.parametrize(
    ("kind", "reason"), [("eos", "stop"), ("word", "stop"), ("limit", "length"), ("none", "none")]
)
def test_stop_types_have_one_name_for_all_protocols(kind: str, reason: str) -> None:
    heard = llama.event(data(**END | {"stop_type": kind}))

    assert heard is not None
    assert heard.final is not None
    assert heard.final.stop_reason == reason


def test_a_silent_end_tells_nothing() -> None:
    heard = llama.event(data(stop=True))

    assert heard is not None
    assert heard.final is not None
    assert heard.final.answer_tokens is None
    assert heard.final.decode_s is None


@pytest.mark.parametrize(
    "words",
    [
        b'data: {"error":{"code":500,"message":"it broke"}}',
        b'error: {"code":500,"message":"it broke"}',
    ],
)
def test_an_error_event_is_the_servers_error(words: bytes) -> None:
    heard = llama.event(words)

    assert heard is not None
    assert heard.error is not None
    assert "it broke" in heard.error


@pytest.mark.parametrize(
    "unreadable",
    [b"data: {", b"data: [1]", b"data:", b"<html>", b'{"content":""}', b'data: {"content":"\xff"}'],
)
def test_what_is_no_event_is_a_value_error(unreadable: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kinds are the client's matter
        llama.event(unreadable)
