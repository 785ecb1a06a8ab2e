"""OpenAI's protocols: POST /v1/chat/completions and /v1/completions, by server-sent events.

As vLLM, SGLang, llama-server and LM Studio speak them. Source: OpenAI, API reference; vLLM,
vllm/entrypoints/openai; llama.cpp, tools/server/README.md.
"""

import json
from functools import partial

from tandembench.wire.driver import Driver, event_data, json_object
from tandembench.wire.llama import timed
from tandembench.wire.record import Ask, Event, Final, Json

_SAMPLING = ("temperature", "top_p", "top_k", "min_p")
# finish_reasons of an answer that the server gave up.
_BROKEN = ("abort", "error")


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


def _event(line: bytes, chat: bool) -> Event | None:
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
    choice: Json = next(iter(message.get("choices") or ()), {})
    reason = choice.get("finish_reason") or None
    if reason in _BROKEN:
        return Event(error=f"finish_reason {reason}")
    usage = message.get("usage") or {}
    counts = Final(
        prompt_tokens=usage.get("prompt_tokens"),
        answer_tokens=usage.get("completion_tokens"),
        cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
        stop_reason=reason,
    )
    final = timed(message.get("timings") or {}).joined(counts)
    content = _said(choice) if chat else choice.get("text") or ""
    return Event(content, final=None if final == Final() else final)


def _said(choice: Json) -> str:
    # The first delta has a role and no content, and is no token. Thinking is, as with Ollama; it
    # has two names, and some servers send both.
    delta = choice.get("delta") or {}
    thinking: str = delta.get("reasoning_content") or delta.get("reasoning") or ""
    return thinking + (delta.get("content") or "")


def _driver(path: str, chat: bool) -> Driver:
    # Servers reuse the known prefix of a prompt; no key that all of them take forbids it.
    return Driver(path, False, partial(_body, chat=chat), partial(_event, chat=chat))


CHAT = _driver("/v1/chat/completions", chat=True)
COMPLETIONS = _driver("/v1/completions", chat=False)
