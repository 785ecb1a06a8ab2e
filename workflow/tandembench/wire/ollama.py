"""Ollama's own protocol: POST /api/generate, answered by newline-delimited JSON.

Source: ollama, docs/api.md, api/types.go and server/routes.go, v0.12.10 to v0.32.15.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tandembench.wire.client import Client
from tandembench.wire.lines import json_object
from tandembench.wire.record import Ask, Event, Final

PATH = "/api/generate"
# Ollama reuses the longest known prefix of a prompt, and no request can forbid it.
PROMPT_CACHE_CAN_BE_OFF = False

# The study's names are Ollama's. num_gpu and num_ctx go with the request: they load the model.
_OPTIONS = ("num_gpu", "num_ctx", "temperature", "top_p", "top_k", "min_p", "repeat_penalty")


def body(ask: Ask) -> dict[str, Any]:
    """The request for ``ask``. Ollama cannot go on past the model's end: fixed work is capped."""
    options = {name: ask.options[name] for name in _OPTIONS if name in ask.options}
    return {
        "model": ask.model,
        "prompt": ask.prompt,
        "stream": True,
        "options": options | {"seed": ask.seed, "num_predict": ask.max_tokens},
    }


async def templated(_client: Client, _url: str, _model: str, prompt: str) -> str:
    """``prompt`` as it is: /api/generate puts it into the model's template by itself."""
    return prompt


def event(line: bytes) -> Event | None:
    """Read one line of the stream; None if it is blank. ValueError if unreadable."""
    return read(line, lambda message: said(message, "response"))


def read(line: bytes, content: Callable[[Mapping[str, Any]], str]) -> Event | None:
    """``event`` of both of Ollama's protocols; ``content`` is where the text of a line stands."""
    text = line.decode("utf-8").strip()
    if not text:
        return None
    message = json_object(text)
    if "error" in message:
        return Event(error=str(message["error"]))
    if message.get("done") is not True:
        return Event(content(message))
    return Event(content(message), final=_final(message), ends=True)


def said(message: Mapping[str, Any], name: str) -> str:
    """The text of ``message`` under ``name``, after what it thought.

    A thinking token is generated, counted in eval_count and waited for like any other: the first
    one is the first token, and its text is kept with the rest.
    """
    return (message.get("thinking") or "") + (message.get(name) or "")


def _final(message: Mapping[str, Any]) -> Final:
    # Ollama leaves out every number that is zero. Its total_duration never is: beside it a missing
    # duration is a true 0; without it the server does not measure, and nothing is known. A prompt
    # is never empty, so that a missing prompt_eval_count means "not told", not zero.
    measures = "total_duration" in message
    return Final(
        prompt_tokens=message.get("prompt_eval_count"),
        answer_tokens=message.get("eval_count", 0 if measures else None),
        stop_reason=message.get("done_reason"),
        load_s=_seconds(message, "load_duration") if measures else None,
        prompt_s=_seconds(message, "prompt_eval_duration") if measures else None,
        decode_s=_seconds(message, "eval_duration") if measures else None,
    )


def _seconds(message: Mapping[str, Any], name: str) -> float:
    return float(message.get(name, 0) / 1e9)
