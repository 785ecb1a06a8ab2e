"""What one LLM call is before it is put into a protocol's words, and what it leaves behind."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

# A JSON object of another program: any shape may come.
Json = dict[str, Any]
# Keeps out infinity and what no column holds.
_MAX_NUMBER = 1e15


@dataclass(frozen=True, slots=True)
class Ask:
    """One LLM call before it is put into a protocol's words.

    ``options`` are those of the study, under its names; a missing one is not sent, so that the
    server's default holds. ``fixed`` asks for exactly ``max_tokens`` tokens. ``seed`` is always
    sent: it belongs to the instrument, not to the configuration.
    """

    model: str
    prompt: str
    options: Mapping[str, float]
    seed: int
    max_tokens: int
    fixed: bool


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
        counts = (self.prompt_tokens, self.answer_tokens, self.cached_tokens)
        numbers = (*counts, self.load_s, self.prompt_s, self.decode_s)
        # A comparison with NaN is false.
        if not all(number is None or 0 <= number < _MAX_NUMBER for number in numbers):
            raise ValueError("a number that is none")
        if not {type(count) for count in counts} <= {int, type(None)}:
            raise ValueError("a count that is not whole")
        if self.stop_reason is not None and not re.fullmatch("[a-z_]{1,32}", self.stop_reason):
            raise ValueError("a stop reason that is no code")

    def joined(self, later: "Final") -> "Final":
        """This and what the server said ``later``, which holds where both say something."""
        said = {one.name: getattr(later, one.name) for one in fields(self)}
        known = {name: value for name, value in said.items() if value is not None}
        return replace(self, **known | {"settings": {**self.settings, **later.settings}})


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a stream: some text, what the server says of it (``final``), or its error.

    ``ends`` is true for the last line. A protocol may tell counts and end in different lines.
    """

    content: str = ""
    final: Final | None = None
    ends: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One LLM call as it was seen on the wire. Stamps are CLOCK_MONOTONIC, nanoseconds.

    ``request_ns``: last non-empty write of the request; ``chunk_ns``: arrival of every piece of
    content; ``end_ns``: arrival of the last byte. ``clock`` is "kernel" where the kernel stamped
    all arrivals, else "data_received". ``coalesced`` pieces shared a read, and so a stamp, with
    the one before. ``raw_final`` is the line with the server's own numbers, as it came. ``error``
    is None for a complete stream, else a stable reason code; the tokens received until then stay
    in ``chunk_ns`` and ``text``.
    """

    request_ns: int
    chunk_ns: tuple[int, ...]
    end_ns: int
    coalesced: int
    text: str
    final: Final
    raw_final: str
    clock: str
    error: str | None = None
    detail: str = ""
