"""Ollama's chat, line by line; what it shares with /api/generate is tested there."""

import asyncio
import json
from typing import Any, cast

import pytest

from tandembench.wire import Ask, Client, Event, Final, ollama, ollama_chat


def line(**message: Any) -> bytes:
    return json.dumps(message).encode()


def said(**words: Any) -> Event | None:
    return ollama_chat.event(line(message={"role": "assistant", **words}, done=False))


def test_the_prompt_is_one_message_and_all_else_as_in_generate() -> None:
    ask = Ask("gemma3", "hello", {"num_ctx": 512, "top_k": 40}, 7, max_tokens=64, fixed=True)
    generate = ollama.body(ask)
    del generate["prompt"]

    chat = {"messages": [{"role": "user", "content": "hello"}]}
    assert ollama_chat.body(ask) == generate | chat


def test_the_server_applies_the_template() -> None:
    nobody = cast(Client, None)
    assert asyncio.run(ollama_chat.templated(nobody, "http://x", "m", "as it is")) == "as it is"


def test_a_token_is_content_and_so_is_a_thinking_token() -> None:
    assert said(content="The") == Event("The")
    assert said(content="", thinking="Hm") == Event("Hm")
    assert said(content="The", thinking="so.") == Event("so.The")
    assert said(content="") == Event("")


def test_the_last_line_tells_counts_and_durations() -> None:
    end = {"total_duration": 9, "eval_count": 5, "eval_duration": 2_000_000_000}
    last = {"role": "assistant", "content": "."}
    heard = ollama_chat.event(line(message=last, done=True, done_reason="length", **end))

    told = Final(answer_tokens=5, stop_reason="length", load_s=0.0, prompt_s=0.0, decode_s=2.0)
    assert heard == Event(".", final=told, ends=True)


def test_an_error_line_is_the_servers_error_and_a_blank_one_nothing() -> None:
    assert ollama_chat.event(line(error="it broke")) == Event(error="it broke")
    assert ollama_chat.event(b"\r") is None


@pytest.mark.parametrize("unreadable", [b'{"mess', b"[1]", b"<html>", b"data: {}"])
def test_what_is_no_line_of_ollamas_is_a_value_error(unreadable: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kinds are the client's matter
        ollama_chat.event(unreadable)
