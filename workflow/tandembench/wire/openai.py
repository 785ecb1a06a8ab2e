"""OpenAI's protocols: POST /v1/chat/completions and /v1/completions, by server-sent events.

As vLLM, SGLang, llama-server and LM Studio speak them. Source: OpenAI, API reference; vLLM,
vllm/entrypoints/openai; llama.cpp, tools/server/README.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tandembench.wire.driver import Driver, failure, json_object, part, words
from tandembench.wire.framing import END, ServerSentEvents
from tandembench.wire.llama import timed
from tandembench.wire.record import Ask, Event, Final, Json

_SAMPLING = ("temperature", "top_p", "top_k", "min_p")
# What stands for a finish reason in every piece of some servers' answers (DashScope, Gemini).
_NO_REASONS = ("", "null", "none", "finish_reason_unspecified")


def _body(ask: Ask, chat: bool) -> Json:
    """The request; what OpenAI itself refuses as unknown is sent only if ``ask`` has it."""
    request: Json = {
        "model": ask.model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": ask.seed,
        "max_tokens": ask.max_tokens,
    }
    request |= {name: ask.options[name] for name in _SAMPLING if name in ask.options}
    if "repeat_penalty" in ask.options:
        # llama-server and LM Studio know the first name, vLLM and SGLang the second.
        for name in ("repeat_penalty", "repetition_penalty"):
            request[name] = ask.options["repeat_penalty"]
    if ask.fixed:
        request["ignore_eos"] = True
    if chat:
        return {"messages": [{"role": "user", "content": ask.prompt}]} | request
    return {"prompt": ask.prompt} | request


def _event(data: bytes, chat: bool) -> Event:
    if data.strip() == END:
        return Event(ends=True)
    message = json_object(data)
    choices = message.get("choices") or ()
    choice: Json = next(iter(choices), {})
    if len(choices) > 1 or choice.get("index"):
        raise ValueError("more than one choice, where one answer was asked for")
    # vLLM puts errors into a stream that has begun; before 0.10 as an object of that kind.
    # OpenRouter puts them into the choice.
    failed = str(message) if message.get("object") == "error" else failure(message)
    if error := failed or failure(choice):
        return Event(error=error)
    # The first delta has a role and no content, and is no token. Thinking is, as with Ollama; it
    # has two names, and some servers send both.
    delta = part(choice, "delta") or part(choice, "message")
    # Moonshot's servers count in the choice, Groq's beside it; llama-server has counts of its own.
    places = (message, choice, delta, part(message, "x_groq"))
    usage = next(filter(None, (part(place, "usage") for place in places)), {})
    tokens = usage.get("completion_tokens", part(message, "timings").get("predicted_n"))
    reason = choice.get("finish_reason")
    counts = Final(
        prompt_tokens=usage.get("prompt_tokens"),
        answer_tokens=tokens,
        cached_tokens=part(usage, "prompt_tokens_details").get("cached_tokens"),
        stop_reason=None if str(reason or "").lower() in _NO_REASONS else reason,
    )
    final = timed(message).joined(counts)
    thinking = words(delta, "reasoning_content", "reasoning") if chat else ""
    return Event(
        thinking + (words(delta, "content") if chat else words(choice, "text")),
        final=None if final == Final() else final,
        tokens=tokens,
        strange="" if choices or usage else str(message),
    )


def worded(driver: Driver, wanted: Mapping[str, Any]) -> Driver:
    """``driver`` with requests as a server wants them: the key ``request`` of its lock entry."""

    def body(ask: Ask) -> Json:
        request = driver.body(ask)
        request[wanted["limit"]] = request.pop("max_tokens")
        left_out = {name for name in ("stream_options", "ignore_eos") if not wanted[name]}
        return {name: value for name, value in request.items() if name not in left_out}

    return replace(driver, body=body)


def _driver(path: str, chat: bool) -> Driver:
    # Servers reuse the known prefix of a prompt; no key that all of them take forbids it.
    return Driver(
        path, False, ServerSentEvents, partial(_body, chat=chat), partial(_event, chat=chat)
    )


CHAT = _driver("/v1/chat/completions", chat=True)
COMPLETIONS = _driver("/v1/completions", chat=False)
