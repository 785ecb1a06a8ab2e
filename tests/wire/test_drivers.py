"""The words of each protocol, line by line; no server."""

import json
from typing import Any

import pytest

from tandembench.wire import DRIVERS, Ask, Driver, Event, Final

LLAMA = DRIVERS["embedded", None]
GENERATE, OLLAMA_CHAT = DRIVERS["ollama", "generate"], DRIVERS["ollama", "chat"]
CHAT, COMPLETIONS = DRIVERS["openai", "chat"], DRIVERS["openai", "completions"]
EACH = pytest.mark.parametrize("driver", DRIVERS.values(), ids=lambda driver: driver.path)
SAMPLING = {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.0}
LOADING = {"num_gpu": 99, "num_ctx": 512}
PROMPT, MESSAGES = {"prompt": "hello"}, {"messages": [{"role": "user", "content": "hello"}]}
OPENAI = {
    "model": "org/Model-1",
    "stream": True,
    "stream_options": {"include_usage": True},
    "seed": 7,
    "max_tokens": 64,
}
LLAMA_SENT = {"stream": True, "cache_prompt": False, "seed": 7, "n_predict": 64}


def body(driver: Driver, fixed: bool = False, **options: Any) -> Any:
    return driver.body(Ask("org/Model-1", "hello", options, seed=7, max_tokens=64, fixed=fixed))


@EACH
def test_threads_are_asked_for_where_the_protocol_has_a_word_for_them(driver: Driver) -> None:
    ask = Ask("org/Model-1", "hello", LOADING, 7, 64, fixed=True, threads=3)
    known = driver in (GENERATE, OLLAMA_CHAT)
    assert driver.body(ask).get("options", {}).get("num_thread") == (3 if known else None)
    assert "num_thread" not in json.dumps(body(driver, **LOADING))


def line(**message: Any) -> bytes:
    return json.dumps(message).encode()


def delta(**words: Any) -> bytes:
    return line(choices=[{"index": 0, "delta": words, "finish_reason": None}], usage=None)


def chat(done: bool = False, **words: Any) -> bytes:
    return line(message={"role": "assistant", **words}, done=done)


@pytest.mark.parametrize("fixed", [True, False])
def test_requests_carry_the_options_that_are_set_under_the_servers_names(fixed: bool) -> None:
    all_set = SAMPLING | {"repeat_penalty": 1.1} | LOADING
    for driver, said in ((GENERATE, PROMPT), (OLLAMA_CHAT, MESSAGES)):
        known = {"seed": 7, "num_predict": 64}
        shared = {"model": "org/Model-1", "stream": True} | said
        assert body(driver, fixed, **all_set) == shared | {"options": all_set | known}
        assert body(driver, fixed, other=1) == shared | {"options": known}
    sent = LLAMA_SENT | PROMPT | {"ignore_eos": fixed}
    assert body(LLAMA, fixed, **all_set) == sent | SAMPLING | {"repeat_penalty": 1.1}
    assert body(LLAMA, fixed) == sent
    for driver, said in ((CHAT, MESSAGES), (COMPLETIONS, PROMPT)):
        sent = said | OPENAI | ({"ignore_eos": True} if fixed else {})
        # llama-server and LM Studio know one name of the penalty, vLLM and SGLang the other
        penalties = {"repeat_penalty": 1.1, "repetition_penalty": 1.1}
        assert body(driver, fixed, **all_set) == sent | SAMPLING | penalties
        assert body(driver, fixed) == sent


OLLAMA_END = {
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
OLLAMA_FINAL = Final(36, 180, None, "stop", 0.004071084, 0.439038, 4.196918)
LLAMA_END = {
    "content": "",
    "stop": True,
    "stop_type": "limit",
    "tokens_predicted": 64,
    "tokens_evaluated": 120,
    "generation_settings": {"temperature": 0.800000011920929, "top_k": 40, "n_predict": 64},
    "timings": {"cache_n": 0, "prompt_n": 120, "prompt_ms": 80.5, "predicted_ms": 900.25},
}
LLAMA_FINAL = Final(120, 64, 0, "length", None, 0.0805, 0.90025, {"temperature": 0.8, "top_k": 40})
USAGE = {"prompt_tokens": 36, "completion_tokens": 180, "total_tokens": 216}
TIMINGS = {"cache_n": 3, "prompt_n": 33, "prompt_ms": 80.5, "predicted_ms": 900.25}


def finish(reason: Any, **words: Any) -> bytes:
    return line(choices=[{"index": 0, "delta": words, "text": "", "finish_reason": reason}])


@pytest.mark.parametrize(
    ("driver", "said", "event"),
    [
        (GENERATE, line(model="gemma3", response="The", done=False), Event("The")),
        # a thinking token is waited for and counted like any other
        (GENERATE, line(response="", thinking="Hm", done=False), Event("Hm")),
        (GENERATE, line(response="The", thinking="so.", done=False), Event("so.The")),
        (GENERATE, line(**OLLAMA_END), Event(final=OLLAMA_FINAL, ends=True)),
        (GENERATE, line(**OLLAMA_END, response="."), Event(".", OLLAMA_FINAL, ends=True)),
        # a duration left out beside a total is zero, but neither prompt nor answer is empty
        (
            GENERATE,
            line(done=True, done_reason="stop", total_duration=1, prompt_eval_count=36),
            Event(final=Final(36, None, None, "stop", 0.0, 0.0, 0.0), ends=True),
        ),
        (
            GENERATE,
            line(done=True, total_duration=1, eval_count=2),
            Event(final=Final(None, 2, None, None, 0.0, 0.0, 0.0), ends=True),
        ),
        # without a total the server does not measure
        (GENERATE, line(done=True), Event(final=Final(), ends=True)),
        (GENERATE, line(error="it broke"), Event(error="it broke")),
        (GENERATE, line(**OLLAMA_END, error={"code": 1}), Event(error='{"code": 1}')),
        # null and "" are no error
        *((GENERATE, line(response="a", error=no), Event("a")) for no in (None, "")),
        (LLAMA, line(content="a", error=None, timings=None), Event("a")),
        (OLLAMA_CHAT, chat(content="The"), Event("The")),
        (OLLAMA_CHAT, chat(content="The", thinking="so."), Event("so.The")),
        (OLLAMA_CHAT, chat(content=""), Event("")),
        (OLLAMA_CHAT, line(**OLLAMA_END), Event(final=OLLAMA_FINAL, ends=True)),
        (OLLAMA_CHAT, line(error="it broke"), Event(error="it broke")),
        (LLAMA, line(content="The", stop=False), Event("The")),
        (LLAMA, line(content="a", tokens_predicted=3), Event("a", tokens=3)),
        (LLAMA, line(**LLAMA_END), Event(final=LLAMA_FINAL, ends=True, tokens=64)),
        (LLAMA, line(stop=True), Event(final=Final(), ends=True)),
        *(
            (
                LLAMA,
                line(stop=True, stop_type=kind),
                Event(final=Final(stop_reason=name), ends=True),
            )
            for kind, name in (("eos", "stop"), ("word", "stop"), ("none", "none"))
        ),
        (CHAT, delta(content="The"), Event("The")),
        (COMPLETIONS, line(choices=[{"text": "The"}]), Event("The")),
        # a role is no token
        (CHAT, delta(role="assistant", content=None), Event("")),
        (CHAT, delta(), Event("")),
        # thinking has two names, and some servers send both
        (CHAT, delta(reasoning_content="Hm"), Event("Hm")),
        (CHAT, delta(reasoning="Hm", content=None), Event("Hm")),
        (CHAT, delta(reasoning="Hm", reasoning_content="Hm"), Event("Hm")),
        (CHAT, delta(reasoning="so.", content="The"), Event("so.The")),
        (CHAT, delta(reasoning=None, reasoning_content=None, content="The"), Event("The")),
        (CHAT, line(error=None, choices=[{"delta": {"content": "a"}}]), Event("a")),
        (CHAT, finish("", content="a"), Event("a")),
        # servers spell reasons as they like
        (CHAT, finish("MAX_TOKENS"), Event(final=Final(stop_reason="MAX_TOKENS"))),
        (CHAT, finish("<|eot_id|>"), Event(final=Final(stop_reason="<|eot_id|>"))),
        (CHAT, finish("a\u202eb\n" + "c" * 99), Event(final=Final(stop_reason="a b " + "c" * 28))),
        (CHAT, finish({"type": 1}), Event(final=Final(stop_reason='{"type": 1}'))),
        # whole, though written with a point
        (CHAT, line(usage={"completion_tokens": 2.0}), Event(final=Final(None, 2), tokens=2)),
        (
            CHAT,
            line(choices=[], usage=USAGE, timings=TIMINGS),
            Event(final=Final(36, 180, 3, None, None, 0.0805, 0.90025), tokens=180),
        ),
        *(
            case
            for driver in (CHAT, COMPLETIONS)
            for case in (
                (driver, finish("stop"), Event(final=Final(stop_reason="stop"))),
                (driver, finish("length"), Event(final=Final(stop_reason="length"))),
                (
                    driver,
                    line(usage=USAGE | {"prompt_tokens_details": {"cached_tokens": 16}}),
                    Event(final=Final(36, 180, 16), tokens=180),
                ),
                (
                    driver,
                    line(choices=[], usage=USAGE | {"prompt_tokens_details": None}),
                    Event(final=Final(36, 180), tokens=180),
                ),
                (driver, b"[DONE]", Event(ends=True)),
            )
        ),
    ],
)
def test_a_line_says(driver: Driver, said: bytes, event: Event) -> None:
    assert driver.event(said) == event


@pytest.mark.parametrize("driver", [LLAMA, CHAT, COMPLETIONS], ids=lambda driver: driver.path)
@pytest.mark.parametrize(
    "said",
    [
        line(error={"message": "it broke", "code": 500}),
        line(error="it broke"),
        line(object="error", message="it broke", code=400),
    ],
)
def test_an_error_in_the_stream_is_the_servers_error(driver: Driver, said: bytes) -> None:
    event = driver.event(said)
    # of an object of no known kind the stream's end says whether it was one
    assert "it broke" in (event.error or event.strange)


@EACH
@pytest.mark.parametrize(
    "unreadable",
    [b'{"respo', b"[1]", b'"text"', b"<html>", b"SSH-2.0-x", b'{"response":"\xff"}', b"null"]
    + [b"DONE", b'{"content":[],"response":[],"message":[],"choices":[[]]}'],
)
def test_what_is_no_message_of_the_protocol_is_an_error(driver: Driver, unreadable: bytes) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        driver.event(unreadable)
