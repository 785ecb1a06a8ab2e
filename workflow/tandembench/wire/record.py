"""What one LLM call leaves behind, whatever protocol it was made over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Ask:
    """One LLM call before it is put into a protocol's words.

    ``options`` are those of the study, under its names; a missing one is not sent, so that the
    server's default holds. ``fixed`` asks for exactly ``max_tokens`` tokens. ``seed`` is always
    sent: it belongs to the instrument, not to the configuration.
    """

    model: str
    prompt: str
    options: Mapping[str, Any]
    seed: int
    max_tokens: int
    fixed: bool


@dataclass(frozen=True, slots=True)
class Final:
    """What the server itself says of a finished stream; None where it is silent.

    Durations are the server's, in seconds; ``decode_s`` starts after the first token.
    ``settings`` are the sampling options as the server says that it applied them.
    """

    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    cached_tokens: int | None = None
    stop_reason: str | None = None
    load_s: float | None = None
    prompt_s: float | None = None
    decode_s: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a stream: some text, or the end (``final``), or the server's error."""

    content: str = ""
    final: Final | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One LLM call as it was seen on the wire. Stamps are CLOCK_MONOTONIC, nanoseconds.

    ``request_ns``: last non-empty write of the request; ``chunk_ns``: arrival of every piece of
    content; ``end_ns``: arrival of the last byte. ``error`` is None for a complete stream, else
    a stable reason code; the tokens received until then stay in ``chunk_ns`` and ``text``.
    """

    request_ns: int
    chunk_ns: tuple[int, ...]
    end_ns: int
    text: str
    final: Final
    clock: str
    error: str | None = None
    detail: str = ""
