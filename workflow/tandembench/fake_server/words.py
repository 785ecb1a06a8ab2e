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
_PLACE = "@@TOKEN@@"
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
    stream: bool
    usage: bool
    num_ctx: int | None
    num_gpu: int
    sampling: Mapping[str, Any]

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


@dataclass(frozen=True, slots=True)
class Words:
    """One protocol's answer: ``opening`` goes out before any token, then ``before`` + token +
    ``after`` for each, then ``end``. ``whole`` is the answer to ``stream: false``."""

    kind: str
    opening: bytes
    before: bytes
    after: bytes
    end: Callable[[Spent], bytes]
    whole: Callable[[str, Spent], str]

    def token(self, index: int) -> bytes:
        """The message of one token."""
        return self.before + token(index).encode() + self.after

    def framed(self, line: bytes) -> bytes:
        """A line of NDJSON as this protocol would send it."""
        sse = self.kind == "text/event-stream"
        return b"data: " + line + b"\n" if sse and line.strip() else line


def token(index: int) -> str:
    """The text of a token; all of them are alike in every answer."""
    return f"w{index} "


def read_ask(path: str, body: bytes) -> Ask:
    """The request of this body; ValueError if it is none."""
    try:
        asked = json.loads(body)
        if not isinstance(asked, dict):
            raise ValueError("not a JSON object")
        options = asked.get("options") or {}
        ollama = path.startswith("/api/")
        limit = _limit(options.get("num_predict") if ollama else _openai_limit(asked))
        return Ask(
            path=path,
            model=str(asked.get("model", MODEL)),
            prompt=_prompt(asked),
            limit=limit,
            exact=bool(asked.get("ignore_eos")),
            stream=bool(asked.get("stream", ollama)),
            usage=bool((asked.get("stream_options") or {}).get("include_usage")),
            num_ctx=options.get("num_ctx"),
            num_gpu=options.get("num_gpu", -1),
            sampling={name: asked[name] for name in _SAMPLING if name in asked},
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a request ({error})") from None


def words(ask: Ask) -> Words:
    """How ``ask`` is answered."""
    return _WORDS[ask.path](ask)


def _prompt(asked: Mapping[str, Any]) -> str:
    if "messages" in asked:
        return chat_template(asked["messages"])
    prompt = asked.get("prompt", "")
    return prompt if isinstance(prompt, str) else json.dumps(prompt)


def chat_template(messages: list[Mapping[str, Any]]) -> str:
    """The messages as one prompt; a chat that starts with a nonce starts with it here too."""
    return "\n".join(str(message["content"]) for message in messages)


def _openai_limit(asked: Mapping[str, Any]) -> int | None:
    for name in ("n_predict", "max_completion_tokens", "max_tokens"):
        if asked.get(name) is not None:
            limit: int = asked[name]
            return limit
    return None


def _limit(limit: int | None) -> int | None:
    # -1 is "no limit" in Ollama and llama-server; a model makes at least one token.
    return None if limit is None or limit < 0 else max(1, limit)


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _sse(message: Mapping[str, Any]) -> bytes:
    return b"data: " + _line(message) + b"\n"


def _ollama(ask: Ask, put: Callable[[str], Json]) -> Words:
    shared = {"model": ask.model, "created_at": _now()}
    before, after = _line(shared | put(_PLACE) | {"done": False}).split(_PLACE.encode())

    def last(text: str, spent: Spent) -> Json:
        numbers = {
            "total_duration": spent.total_ns,
            "load_duration": spent.load_ns,
            "prompt_eval_count": spent.prompt_tokens,
            "prompt_eval_duration": spent.prompt_ns,
            "eval_count": spent.tokens,
            "eval_duration": spent.decode_ns,
        }
        # Ollama leaves out what is zero.
        told = {name: number for name, number in numbers.items() if number}
        why = "length" if spent.limited else "stop"
        return shared | put(text) | {"done": True, "done_reason": why} | told

    return Words(
        kind="application/x-ndjson",
        opening=b"",
        before=before,
        after=after,
        end=lambda spent: _line(last("", spent)),
        whole=lambda text, spent: json.dumps(last(text, spent)),
    )


def _ollama_generate(ask: Ask) -> Words:
    return _ollama(ask, lambda text: {"response": text})


def _ollama_chat(ask: Ask) -> Words:
    return _ollama(ask, lambda text: {"message": {"role": "assistant", "content": text}})


def _llama(ask: Ask) -> Words:
    shared = {"index": 0, "id_slot": 0, "model": MODEL}
    before, after = _sse(shared | {"content": _PLACE, "stop": False}).split(_PLACE.encode())

    def last(text: str, spent: Spent) -> Json:
        return shared | {
            "content": text,
            "stop": True,
            "stop_type": "limit" if spent.limited else "eos",
            "tokens_predicted": spent.tokens,
            "tokens_evaluated": spent.prompt_tokens,
            "generation_settings": {"n_predict": ask.limit or -1, **ask.sampling},
            "timings": _timings(spent),
        }

    return Words(
        kind="text/event-stream",
        opening=b"",
        before=before,
        after=after,
        end=lambda spent: _sse(last("", spent)),
        whole=lambda text, spent: json.dumps(last(text, spent)),
    )


def _timings(spent: Spent) -> Json:
    return {
        "cache_n": 0,
        "prompt_n": spent.prompt_tokens,
        "prompt_ms": spent.prompt_ns / 1e6,
        "predicted_n": spent.tokens,
        "predicted_ms": spent.decode_ns / 1e6,
    }


def _openai(ask: Ask, kind: str, put: Callable[[str], Json], opening: Json | None) -> Words:
    shared = {"id": "fake-1", "object": kind, "created": 0, "model": MODEL}

    def choice(content: Json, reason: str | None = None) -> Json:
        return shared | {"choices": [{"index": 0, **content, "finish_reason": reason}]}

    before, after = _sse(choice(put(_PLACE))).split(_PLACE.encode())

    def usage(spent: Spent) -> Json:
        return {
            "usage": {
                "prompt_tokens": spent.prompt_tokens,
                "completion_tokens": spent.tokens,
                "total_tokens": spent.prompt_tokens + spent.tokens,
            },
            "timings": _timings(spent),
        }

    def end(spent: Spent) -> bytes:
        nothing: Json = {"delta": {}} if opening else put("")
        last = _sse(choice(nothing, "length" if spent.limited else "stop"))
        counts = _sse(shared | {"choices": []} | usage(spent)) if ask.usage else b""
        return last + counts + b"data: [DONE]\n\n"

    def whole(text: str, spent: Spent) -> str:
        said: Json = {"message": {"role": "assistant", "content": text}} if opening else put(text)
        return json.dumps(choice(said, "length" if spent.limited else "stop") | usage(spent))

    return Words(
        kind="text/event-stream",
        opening=_sse(choice(opening)) if opening else b"",
        before=before,
        after=after,
        end=end,
        whole=whole,
    )


def _openai_chat(ask: Ask) -> Words:
    # The role comes before the first token, so that a client which takes it for one is found out.
    return _openai(
        ask,
        "chat.completion.chunk",
        lambda text: {"delta": {"content": text}},
        {"delta": {"role": "assistant", "content": None}},
    )


def _openai_completion(ask: Ask) -> Words:
    return _openai(ask, "text_completion", lambda text: {"text": text}, None)


_WORDS: Mapping[str, Callable[[Ask], Words]] = {
    "/api/generate": _ollama_generate,
    "/api/chat": _ollama_chat,
    "/completion": _llama,
    "/v1/chat/completions": _openai_chat,
    "/v1/completions": _openai_completion,
}
GENERATING = frozenset(_WORDS)
