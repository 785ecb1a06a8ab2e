"""What a client saw against what the server's log says was sent. Pure; errors in microseconds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tandembench.calibrate.record import Spread
from tandembench.fake_server import StreamLog
from tandembench.metrics import percentile


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer as a client saw it, CLOCK_MONOTONIC, ns: as in StreamRecord."""

    request_ns: int
    chunk_ns: tuple[int, ...]
    end_ns: int


@dataclass(frozen=True, slots=True)
class Errors:
    """How far a client was off, by figure.

    ``token_stamp``: its stamp of a token less the clock just before the server's send. ``ttft``:
    its first stamp less its request's, against the server's first send less the request's arrival
    there (in the kernel, where that is known). ``gap``: between two tokens. ``duration``: as ttft,
    to the end of the answer.
    """

    token_stamp: Spread
    ttft: Spread
    gap: Spread
    duration: Spread


def errors_of(pairs: Sequence[tuple[Seen, StreamLog]]) -> Errors:
    """The errors of all ``pairs``, tokens matched by their order.

    ValueError if a client saw more or fewer tokens than were sent, or there is no gap at all.
    """
    stamps: list[float] = []
    ttfts: list[float] = []
    gaps: list[float] = []
    durations: list[float] = []
    for seen, log in pairs:
        if len(seen.chunk_ns) != len(log.sent_ns) or not log.sent_ns or log.end_ns is None:
            raise ValueError(f"{len(seen.chunk_ns)} tokens seen of {len(log.sent_ns)} sent")
        late = [at - sent for at, sent in zip(seen.chunk_ns, log.sent_ns, strict=True)]
        asked = seen.request_ns - log.begun_ns
        stamps += late
        ttfts.append(late[0] - asked)
        gaps += [later - earlier for earlier, later in pairwise(late)]
        durations.append(seen.end_ns - log.end_ns - asked)
    return Errors(*map(_spread, (stamps, ttfts, gaps, durations)))


def _spread(errors_ns: Sequence[float]) -> Spread:
    sizes = [abs(error) / 1e3 for error in errors_ns]
    return Spread(statistics.median(sizes), percentile(sizes, 0.99), len(sizes))
