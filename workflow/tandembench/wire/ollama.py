"""Ollama's own protocols: POST /api/generate and /api/chat, answered by newline-delimited JSON.

Source: ollama, docs/api.md, api/types.go and server/routes.go, v0.12.10 to v0.32.15.
"""

from functools import partial

from tandembench.wire.driver import Driver, failure, json_object, part, seconds, words
from tandembench.wire.framing import Lines
from tandembench.wire.record import Ask, Event, Final, Json

# The study's names are Ollama's. num_gpu and num_ctx go with the request: they load the model.
_OPTIONS = ("num_gpu", "num_ctx", "temperature", "top_p", "top_k", "min_p", "repeat_penalty")


def _body(ask: Ask, chat: bool) -> Json:
    """The request. Ollama cannot go on past the model's end: fixed work is capped."""
    options = {name: ask.options[name] for name in _OPTIONS if name in ask.options}
    if ask.threads is not None:
        options["num_thread"] = ask.threads
    request: Json = {
        "model": ask.model,
        "stream": True,
        "options": options | {"seed": ask.seed, "num_predict": ask.max_tokens},
    }
    if chat:
        return request | {"messages": [{"role": "user", "content": ask.prompt}]}
    return request | {"prompt": ask.prompt}


def _event(data: bytes, chat: bool) -> Event:
    message = json_object(data)
    if error := failure(message):
        return Event(error=error)
    said = part(message, "message") if chat else message
    # A thinking token is generated, counted in eval_count and waited for like any other: the first
    # one is the first token, and its text is kept with the rest.
    content = words(said, "thinking") + words(said, "content" if chat else "response")
    if message.get("done") is True:
        return Event(content, final=_final(message), ends=True)
    known = message.keys() & {"done", "message" if chat else "response"}
    return Event(content, strange="" if known else str(message))


def _final(message: Json) -> Final:
    # Ollama leaves out every number that is zero. Its total_duration never is: beside it a missing
    # duration is a true 0; without it the server does not measure, and nothing is known. Neither
    # a prompt nor an answer that counts is empty, so that a missing count means "not told".
    zero = 0 if "total_duration" in message else None
    return Final(
        prompt_tokens=message.get("prompt_eval_count"),
        answer_tokens=message.get("eval_count"),
        stop_reason=message.get("done_reason"),
        load_s=seconds(message.get("load_duration", zero), 1e9),
        prompt_s=seconds(message.get("prompt_eval_duration", zero), 1e9),
        decode_s=seconds(message.get("eval_duration", zero), 1e9),
    )


def _driver(path: str, chat: bool) -> Driver:
    # Ollama reuses the longest known prefix of a prompt, and no request can forbid it.
    return Driver(path, False, Lines, partial(_body, chat=chat), partial(_event, chat=chat))


GENERATE = _driver("/api/generate", chat=False)
CHAT = _driver("/api/chat", chat=True)
