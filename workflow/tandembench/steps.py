"""LLM calls that answered: times, counts, which arrivals are tokens, loads and overlaps. Pure.

A chunk is a token only if the counts say so. Servers put several tokens into one chunk, or hide
some; proxies hold chunks back and send them at once.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise, takewhile
from typing import Literal, NamedTuple, get_args

# From when to when, in s.
Span = tuple[float, float]
FirstChunk = Literal["token", "burst", "bundle"]
FIRST_CHUNKS: tuple[FirstChunk, ...] = get_args(FirstChunk)
# Chunks that come closer together were held back and sent at once: no server decodes so fast.
_BURST_S = 2e-4
# Tokens that need not show: the one that ends an answer, or one in fifty, as part of a letter.
_UNSEEN = 50
# How much longer than the call itself the server's own durations may be, or shorter than what was
# seen to be decoded: clocks differ.
_CLOCKS, _CLOCKS_S = 1.01, 0.005
# So many times faster than they were decoded can pieces come only if they were held back before.
_HELD_BACK = 1.25


class Decoding(NamedTuple):
    """``tokens`` that were decoded one after the other took ``seconds``, as ``basis`` says.

    arrival: they came after the first arrival, until the last; server: its own duration, without
    the first token.
    """

    seconds: float
    tokens: int
    basis: Literal["arrival", "server"]


@dataclass(frozen=True)
class Step:
    """One LLM call that answered; one without content is a failed execution, never a Step.

    request_s: last non-empty request write; first_s, last_s: first and last chunk with content;
    end_s: the protocol's end; tokens, prompt_tokens: the server's counts; chunk_s: every chunk,
    empty where chunks are tokens by definition; prompt_s, load_s, decode_s: the server's durations
    of evaluating the prompt, loading the model and decoding; chunk_tokens: tokens sent with each
    chunk and before, where the server counts as it goes.
    """

    request_s: float
    first_s: float
    last_s: float
    end_s: float
    tokens: int
    chunk_s: tuple[float, ...] = ()
    prompt_tokens: int | None = None
    prompt_s: float | None = None
    load_s: float | None = None
    decode_s: float | None = None
    chunk_tokens: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        ordered = self.request_s <= self.first_s <= self.last_s <= self.end_s
        if not ordered or not math.isfinite(self.end_s - self.request_s) or self.tokens < 0:
            raise ValueError(f"stamps out of order, or a negative token count: {self}")

    @property
    def coalesced(self) -> int:
        """How many chunks arrived together with the one before."""
        return sum(after - before < _BURST_S for before, after in pairwise(self.chunk_s))

    @cached_property
    def first_chunk(self) -> FirstChunk:
        """What came first: one token; a burst of chunks; or a chunk of nobody knows how many.

        Only of a token is it known when it was there.
        """
        arrived = self._arrived
        if arrived and arrived[0] <= 1:
            return "burst" if self._held_back else "token"
        return "burst" if arrived and self._together > 1 else "bundle"

    @cached_property
    def decoding(self) -> Decoding | None:
        """What is known of decoding: by arrival, else by the server's durations, else nothing."""
        by_arrival = self._by_arrival
        if by_arrival and self._together == 1 and not self._held_back:
            return by_arrival
        # A burst may have waited for more, and begins and ends when it was sent.
        return self._by_server or by_arrival

    @cached_property
    def _by_arrival(self) -> Decoding | None:
        if not self._arrived:
            return None
        begin_s = self.chunk_s[self._together - 1] if self.chunk_s else self.first_s
        tokens = max(self._arrived[1] - self._arrived[0], 0)
        if self.chunk_s and self.tokens > 1 and not (tokens and self.last_s > begin_s):
            return None
        return Decoding(self.last_s - begin_s, tokens, "arrival")

    @cached_property
    def _by_server(self) -> Decoding | None:
        """Its own duration, if that fits into the call and covers what was seen."""
        decode_s = self.decode_s or 0.0
        of_server = sum(one or 0.0 for one in (self.load_s, self.prompt_s, decode_s))
        fits = of_server <= (self.end_s - self.request_s) * _CLOCKS + _CLOCKS_S
        fits = fits and self.last_s - self.first_s <= decode_s * _CLOCKS + _CLOCKS_S
        if fits and self.tokens > 1 and decode_s > (self.tokens - 1) * _BURST_S:
            return Decoding(decode_s, self.tokens - 1, "server")
        return None

    @property
    def _held_back(self) -> bool:
        """Whether pieces that came one by one were decoded more slowly than they came."""
        seen, said = self._by_arrival, self._by_server
        if not self.chunk_s or not seen or not said:
            return False
        decoded_s = seen.tokens * said.seconds / said.tokens
        return seen.seconds * _HELD_BACK + _CLOCKS_S < decoded_s

    def token_s(self, number: int) -> float | None:
        """When the token of this ``number``, from 1, was there; the last one if it has no more.

        By arrivals, else at the rate that is known; None if none is.
        """
        if number >= self.tokens:
            return self.last_s
        known = self.decoding
        if known is None or not known.tokens:
            return None
        if known.basis == "server" or not self.chunk_s:
            return self.last_s - (self.tokens - number) * known.seconds / known.tokens
        place = bisect_left(self.chunk_tokens, number) if self.chunk_tokens else number - 1
        return self.chunk_s[min(place, len(self.chunk_s) - 1)]

    @cached_property
    def _together(self) -> int:
        """How many chunks the first arrival brought; 1 where chunks are tokens by definition."""
        gaps = (after - before for before, after in pairwise(self.chunk_s))
        return 1 + sum(1 for _ in takewhile(lambda gap: gap < _BURST_S, gaps))

    @cached_property
    def _arrived(self) -> tuple[int, int] | None:
        """Tokens that the first arrival brought, and all until the last; None: nobody knows."""
        if not self.chunk_s:
            return min(self.tokens, 1), self.tokens
        chunks = len(self.chunk_s)
        if self.chunk_tokens:
            return self.chunk_tokens[self._together - 1], self.chunk_tokens[-1]
        if not chunks <= self.tokens <= chunks + max(1, self.tokens // _UNSEEN):
            return None
        return self._together, chunks


def load_spans(calls: Sequence[Sequence[Step]], least_s: float) -> list[list[Span]]:
    """By agent and call, from when to when one server loaded a model for it, in s.

    Before it unloads what others use, a server lets them end, and counts that as load: what is
    left is from the last end of another's call on. Empty for a load of ``least_s`` or less.
    """
    ends = [(i, step.end_s) for i, steps in enumerate(calls) for step in steps]

    def span(agent: int, step: Step) -> Span:
        load_s = step.load_s or 0.0
        loaded_s = step.request_s + (load_s if load_s > least_s else 0.0)
        before = (end for i, end in ends if i != agent and step.request_s < end <= loaded_s)
        return max(before, default=step.request_s), loaded_s

    return [[span(agent, step) for step in steps] for agent, steps in enumerate(calls)]


def union(spans: Iterable[Span]) -> list[Span]:
    """``spans`` without the empty ones, in order, those that overlap joined."""
    joined: list[Span] = []
    for begin, end in sorted(spans):
        if joined and begin < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        elif begin < end:
            joined.append((begin, end))
    return joined


def wait_in_line(step: Step, steps: Sequence[Step], slots: int) -> float:
    """Seconds that ``step`` waited for one of ``slots``, by the order in which calls ended."""
    ends = sorted((other.end_s for other in steps if other.first_s < step.first_s), reverse=True)
    free_s = ends[slots - 1] if len(ends) >= slots else step.request_s
    # else more requests were at work than there are said to be slots: nobody waited for one
    return max(0.0, free_s - step.request_s) if free_s <= step.first_s else 0.0


def service_order(first_s: Sequence[float]) -> list[int]:
    """Whose first content came when: ranks from 1, by agent; ties in the agents' order. Ours."""
    order = sorted(range(len(first_s)), key=lambda agent: first_s[agent])
    return [order.index(agent) + 1 for agent in range(len(first_s))]


def decode_overlap(windows: Sequence[Sequence[Span]]) -> list[tuple[float, float]]:
    """(beside others, alone) seconds of each agent's decoding; time beside several counts once.

    ``windows`` are (first token, last token) of each step by agent, in s.
    """
    shares = []
    for i, steps in enumerate(windows):
        others = sorted(window for j, of in enumerate(windows) if j != i for window in of)
        beside = math.fsum(_covered(window, others) for window in steps)
        shares.append((beside, math.fsum(end - begin for begin, end in steps) - beside))
    return shares


def _covered(window: Span, others: Sequence[Span]) -> float:
    begin, end = window  # ``others`` are sorted by their starts
    reached = accumulate((stop for _, stop in others), max, initial=begin)
    pieces = zip(others, reached, strict=False)
    return sum(max(0.0, min(stop, end) - max(start, before)) for (start, stop), before in pieces)
