"""OpenAI's chat: POST /v1/chat/completions, answered by server-sent events.

As vLLM, SGLang, llama-server and LM Studio speak it. Source: OpenAI, API reference; vLLM,
vllm/entrypoints/openai; llama.cpp, tools/server/README.md.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tandembench.wire.client import Client
from tandembench.wire.lines import event_data, json_object
from tandembench.wire.llama import timed
from tandembench.wire.record import Ask, Event, Final

PATH = "/v1/chat/completions"
# vLLM, SGLang and llama-server reuse the known prefix of a prompt; no key that all take forbids it.
PROMPT_CACHE_CAN_BE_OFF = False

_SAMPLING = ("temperature", "top_p", "top_k", "min_p")
# finish_reasons of an answer that the server gave up.
_BROKEN = ("abort", "error")


def body(ask: Ask) -> dict[str, Any]:
    """The request for ``ask``: its prompt as one user message."""
    return {"messages": [{"role": "user", "content": ask.prompt}]} | settings(ask)


def settings(ask: Ask) -> dict[str, Any]:
    """All of the request but the prompt, for chat and completions alike.

    What OpenAI itself does not know (it refuses unknown keys) is sent only if ``ask`` has it.
    """
    request: dict[str, Any] = {
        "model": ask.model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": ask.seed,
        "max_tokens": ask.max_tokens,
    }
    request |= {name: ask.options[name] for name in _SAMPLING if name in ask.options}
    if "repeat_penalty" in ask.options:
        # llama-server and LM Studio know the first name, vLLM and SGLang the second.
        request |= dict.fromkeys(
            ("repeat_penalty", "repetition_penalty"), ask.options["repeat_penalty"]
        )
    return request | ({"ignore_eos": True} if ask.fixed else {})


async def templated(_client: Client, _url: str, _model: str, prompt: str) -> str:
    """``prompt`` as it is: the server puts a chat into the model's template."""
    return prompt


def event(line: bytes) -> Event | None:
    """Read one line of the stream; None for blank lines and comments. ValueError if unreadable."""
    return read(line, _content)


def read(line: bytes, content: Callable[[Mapping[str, Any]], str]) -> Event | None:
    """``event`` of chat and completions; ``content`` is where the text of a choice stands."""
    data = event_data(line)
    if data is None:
        return None
    if data == "[DONE]":
        return Event(ends=True)
    message = json_object(data)
    # vLLM puts errors into a stream that has begun; before 0.10 as an object of that kind.
    error = message if message.get("object") == "error" else message.get("error")
    if error is not None:
        return Event(error=json.dumps(error))
    choice: dict[str, Any] = next(iter(message.get("choices") or ()), {})
    reason = choice.get("finish_reason") or None
    if reason in _BROKEN:
        return Event(error=f"finish_reason {reason}")
    final = _final(message, reason)
    return Event(content(choice), final=None if final == Final() else final)


def _content(choice: Mapping[str, Any]) -> str:
    # The first delta has a role and no content, and is no token. Thinking is, as with Ollama; it
    # has two names, and some servers send both.
    delta = choice.get("delta") or {}
    thinking = delta.get("reasoning_content") or delta.get("reasoning") or ""
    return thinking + (delta.get("content") or "")


def _final(message: Mapping[str, Any], reason: str | None) -> Final:
    usage = message.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    told = Final(
        prompt_tokens=usage.get("prompt_tokens"),
        answer_tokens=usage.get("completion_tokens"),
        cached_tokens=details.get("cached_tokens"),
        stop_reason=reason,
    )
    return timed(message.get("timings") or {}).joined(told)
