"""What one LLM call is before it is put into a protocol's words, and what it leaves behind."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any

from tandembench.text import sanitise
from tandembench.wire.key import unkeyed

# A JSON object of another program: any shape may come.
Json = dict[str, Any]
# Keeps out infinity and what no column holds.
_MAX_NUMBER = 1e15
# No server decodes one stream faster, tokens/s: the largest batches do ten times less.
_MAX_RATE = 5000.0
_REASON_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Ask:
    """One LLM call before it is put into a protocol's words.

    ``options`` are those of the study, under its names; a missing one is not sent, so that the
    server's default holds. ``fixed`` asks for exactly ``max_tokens`` tokens. ``seed`` is always
    sent: it belongs to the instrument, not to the configuration. ``threads``: so many compute
    threads, where the protocol can say it; None leaves them to the server.
    """

    model: str
    prompt: str
    options: Mapping[str, float]
    seed: int
    max_tokens: int
    fixed: bool
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Final:
    """What the server itself says of a finished stream; None where it is silent.

    Durations are the server's, in seconds; ``decode_s`` starts after the first token.
    ``settings`` are the sampling options as the server says that it applied them. ValueError for
    what is no such number.
    """

    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    cached_tokens: int | None = None
    stop_reason: str | None = None
    load_s: float | None = None
    prompt_s: float | None = None
    decode_s: float | None = None
    settings: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "answer_tokens", "cached_tokens"):
            object.__setattr__(self, name, whole(getattr(self, name)))
        for number in (self.load_s, self.prompt_s, self.decode_s):
            # A comparison with NaN is false.
            if number is not None and not 0 <= number < _MAX_NUMBER:
                raise ValueError("a duration out of range")
        if self.stop_reason is not None:
            # Servers spell it as they like, and it is shown to people.
            reason: Any = self.stop_reason
            text = reason if isinstance(reason, str) else json.dumps(reason)
            said = sanitise(unkeyed(text), _REASON_CHARACTERS)
            object.__setattr__(self, "stop_reason", said)

    def joined(self, later: "Final") -> "Final":
        """This and what the server said ``later``, which holds where both say something."""
        said = {one.name: getattr(later, one.name) for one in fields(self)}
        known = {name: value for name, value in said.items() if value is not None}
        return replace(self, **known | {"settings": {**self.settings, **later.settings}})


def whole(count: Any) -> int | None:  # noqa: ANN401 - JSON of another program
    """``count`` as a whole number, 0 or more; None stays None. ValueError for anything else."""
    if count is None:
        return None
    if isinstance(count, bool) or not isinstance(count, int | float) or count != count // 1:
        raise ValueError("a count that is not whole")
    if not 0 <= count < _MAX_NUMBER:
        raise ValueError("a count out of range")
    return int(count)


@dataclass(frozen=True, slots=True)
class Event:
    """One message of a stream: some text, what the server says of it (``final``), or its error.

    ``ends`` is true for the last one; a protocol may tell counts and end in different messages.
    ``tokens``, as the server counts, have been sent with it and before; ``strange`` is a message
    that has nothing of an answer.
    """

    content: str = ""
    final: Final | None = None
    ends: bool = False
    error: str | None = None
    tokens: int | None = None
    strange: str = ""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One LLM call as it was seen on the wire. Stamps are CLOCK_MONOTONIC, nanoseconds.

    ``request_ns``: last non-empty write of the request; ``chunk_ns``: arrival of every piece of
    content; ``chunk_tokens``: how many tokens had been sent by then, where the server counts as it
    goes; ``end_ns``: arrival of the protocol's end. ``clock`` is "kernel" where the kernel stamped
    all arrivals, else "data_received". ``error`` is None for a complete stream, else a stable
    reason code; the tokens received until then stay in ``chunk_ns`` and ``text``.
    """

    request_ns: int
    chunk_ns: tuple[int, ...]
    chunk_tokens: tuple[int, ...] | None
    end_ns: int
    text: str
    final: Final
    clock: str
    error: str | None = None
    detail: str = ""


def running_counts(
    counts: Sequence[int | None], answer_tokens: int | None
) -> tuple[int, ...] | None:
    """``counts`` of tokens, one a chunk, if they are what that means: each chunk adds some."""
    known = tuple(count for count in counts if type(count) is int)
    if answer_tokens is None or not known or len(known) < len(counts):
        return None
    rise = all(left < right for left, right in pairwise((0, *known)))
    return known if rise and known[-1] <= answer_tokens else None


def contradiction(tokens: int, chunks: int, max_tokens: int, took_s: float) -> str | None:
    """Why ``tokens`` cannot be the count of an answer that came in ``chunks`` within ``took_s``."""
    if tokens < chunks:
        return f"{tokens} tokens counted, but {chunks} pieces of content arrived"
    if tokens > max_tokens:
        return f"{tokens} tokens counted, but {max_tokens} at most were asked for"
    # Pieces that did arrive are not in doubt, however quick they were.
    if tokens > chunks and tokens > _MAX_RATE * took_s:
        return f"{tokens} tokens counted, but the answer took {took_s:.3f} s"
    return None
