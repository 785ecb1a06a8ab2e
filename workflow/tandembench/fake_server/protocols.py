"""What a fake server says in each protocol: how a request is read, and how an answer is put.

Sources: ollama, docs/api.md; llama.cpp, tools/server/README.md; OpenAI, API reference.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
MODEL = "fake"
NDJSON, EVENTS = "application/x-ndjson", "text/event-stream"
# llama-server tells which it applied.
_SAMPLING = ("seed", "temperature", "top_p", "top_k", "min_p", "repeat_penalty", "ignore_eos")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to generate. ``limit``: its own token limit, ``exact``: to be reached."""

    path: str
    model: str
    prompt: str
    limit: int | None
    exact: bool
    usage: bool
    num_ctx: int | None
    sampling: Json

    def tokens(self, natural: int) -> int:
        """How long the answer is, if the model ends by itself after ``natural`` tokens."""
        if self.limit is None:
            return natural
        return self.limit if self.exact else min(self.limit, natural)


@dataclass(frozen=True, slots=True)
class Spent:
    """Where the time of an answer went, ns, and what came of it."""

    load_ns: int
    prompt_ns: int
    decode_ns: int
    total_ns: int
    prompt_tokens: int
    tokens: int
    limited: bool


def token(index: int) -> str:
    """The text of a token; all of them are alike in every answer."""
    return f"w{index} "


def read_ask(path: str, body: bytes) -> Ask:
    """The request of this body; ValueError if it is none that a stream answers."""
    try:
        asked = json.loads(body)
        options = asked.get("options") or {}
        if not asked.get("stream", path.startswith("/api/")):
            raise ValueError("this server only answers with streams")
        limits = (
            options.get("num_predict"),
            *map(asked.get, ("n_predict", "max_completion_tokens", "max_tokens")),
        )
        limit = next((limit for limit in limits if limit is not None), None)
        messages = asked.get("messages")
        return Ask(
            path=path,
            model=str(asked.get("model", MODEL)),
            prompt=str(asked.get("prompt", "")) if messages is None else templated(messages),
            # -1 is "no limit" in Ollama and llama-server; a model makes at least one token.
            limit=None if limit is None or limit < 0 else max(1, limit),
            exact=bool(asked.get("ignore_eos")),
            usage=bool((asked.get("stream_options") or {}).get("include_usage")),
            num_ctx=options.get("num_ctx"),
            sampling={name: asked[name] for name in _SAMPLING if name in asked},
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a request ({error})") from None


def templated(messages: list[Mapping[str, Any]]) -> str:
    """The messages as one prompt; a chat that starts with a nonce starts with it here too."""
    return "\n".join(str(message["content"]) for message in messages)


def _ollama(ask: Ask, said: Json, spent: Spent | None) -> bytes:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    message: Json = {"model": ask.model, "created_at": now, "done": bool(spent)} | said
    if spent:
        numbers = {
            "total_duration": spent.total_ns,
            "load_duration": spent.load_ns,
            "prompt_eval_count": spent.prompt_tokens,
            "prompt_eval_duration": spent.prompt_ns,
            "eval_count": spent.tokens,
            "eval_duration": spent.decode_ns,
        }
        message["done_reason"] = "length" if spent.limited else "stop"
        # Ollama leaves out what is zero.
        message |= {name: number for name, number in numbers.items() if number}
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _generate(ask: Ask, text: str, spent: Spent | None) -> bytes:
    return _ollama(ask, {"response": text}, spent)


def _chat(ask: Ask, text: str, spent: Spent | None) -> bytes:
    return _ollama(ask, {"message": {"role": "assistant", "content": text}}, spent)


def _event(message: Json) -> bytes:
    return b"data: " + json.dumps(message, separators=(",", ":")).encode() + b"\n\n"


def _llama(ask: Ask, text: str, spent: Spent | None) -> bytes:
    message: Json = {"index": 0, "model": MODEL, "content": text, "stop": bool(spent)}
    if spent:
        message |= {
            "stop_type": "limit" if spent.limited else "eos",
            "tokens_predicted": spent.tokens,
            "tokens_evaluated": spent.prompt_tokens,
            "generation_settings": {"n_predict": ask.limit or -1, **ask.sampling},
            "timings": _timings(spent),
        }
    return _event(message)


def _timings(spent: Spent) -> Json:
    return {
        "cache_n": 0,
        "prompt_n": spent.prompt_tokens,
        "prompt_ms": spent.prompt_ns / 1e6,
        "predicted_n": spent.tokens,
        "predicted_ms": spent.decode_ns / 1e6,
    }


def _openai(ask: Ask, said: Json, spent: Spent | None) -> bytes:
    reason = ("length" if spent.limited else "stop") if spent else None
    choice = {"index": 0, **said, "finish_reason": reason}
    last = _event({"id": "fake-1", "model": MODEL, "choices": [choice]})
    if not spent:
        return last
    usage = {"prompt_tokens": spent.prompt_tokens, "completion_tokens": spent.tokens}
    counts: Json = {"id": "fake-1", "model": MODEL, "choices": [], "usage": usage}
    counts["timings"] = _timings(spent)
    return last + (_event(counts) if ask.usage else b"") + b"data: [DONE]\n\n"


def _openai_chat(ask: Ask, text: str, spent: Spent | None) -> bytes:
    return _openai(ask, {"delta": {} if spent else {"content": text}}, spent)


def _openai_completion(ask: Ask, text: str, spent: Spent | None) -> bytes:
    return _openai(ask, {"text": text}, spent)


def opening(ask: Ask) -> bytes:
    """What comes before the first token, and is none: the role of a chat of OpenAI's."""
    if ask.path != "/v1/chat/completions":
        return b""
    return _openai(ask, {"delta": {"role": "assistant", "content": None}}, None)


# By path: the answer's content type, and the message of one token, or (with Spent) of the end.
PROTOCOLS: Mapping[str, tuple[str, Callable[[Ask, str, Spent | None], bytes]]] = {
    "/api/generate": (NDJSON, _generate),
    "/api/chat": (NDJSON, _chat),
    "/completion": (EVENTS, _llama),
    "/v1/chat/completions": (EVENTS, _openai_chat),
    "/v1/completions": (EVENTS, _openai_completion),
}
