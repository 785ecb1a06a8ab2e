"""Two streams that share a rate by a stated rule, so that the true gain is known. Pure."""

from collections.abc import Hashable


class SharedRate:
    """A fluid model of decoding. Times in ns on one clock, work in tokens.

    One stream decodes at ``rate`` r tokens/s. k >= 2 streams decode at ``gain`` * r together, each
    at gain * r / k: g = 1 is a server that takes turns, g = 2 one that two streams do not slow
    down. A stream joins with its work, and leaves at the instant in which that is done; the rate
    of the others changes at that very instant, whatever the process was doing then.

    So two streams of solo times t1 <= t2 that start together end after 2 t1 / g + t2 - t1.
    """

    def __init__(self, rate: float, gain: float) -> None:
        self._per_ns = rate / 1e9
        self._gain = gain
        self._now = 0.0
        # by stream: work done at _now, work in all
        self._streams: dict[Hashable, tuple[float, int]] = {}

    def join(self, stream: Hashable, at_ns: float, tokens: int) -> None:
        """``stream`` begins to decode ``tokens`` tokens at ``at_ns``."""
        self._advance(at_ns)
        self._streams[stream] = (0.0, tokens)

    def drop(self, stream: Hashable, at_ns: float) -> None:
        """``stream`` leaves at ``at_ns``, its work done or not; no error if it left by itself."""
        self._advance(at_ns)
        self._streams.pop(stream, None)

    def due_ns(self, stream: Hashable, token: int) -> float:
        """When ``stream`` will have decoded ``token`` tokens, if nobody joins or drops before.

        A stream that is done is not here: that instant is past.
        """
        now, streams = self._now, dict(self._streams)
        if stream not in streams:
            return now
        while True:
            done, _ = streams[stream]
            rate = self._each(len(streams))
            due = now + (token - done) / rate
            end = now + self._next_end(streams) / rate
            if due <= end or len(streams) == 1:
                return due
            streams = self._after(streams, (end - now) * rate)
            if stream not in streams:  # its own end, reached within the rounding
                return end
            now = end

    def _advance(self, to_ns: float) -> None:
        # The stamps of two joins may come out of order by some microseconds.
        while self._now < to_ns and self._streams:
            rate = self._each(len(self._streams))
            end = self._now + self._next_end(self._streams) / rate
            step = min(end, to_ns)
            self._streams = self._after(self._streams, (step - self._now) * rate)
            self._now = step
        self._now = max(self._now, to_ns)

    def _each(self, streams: int) -> float:
        return self._per_ns if streams == 1 else self._gain * self._per_ns / streams

    @staticmethod
    def _next_end(streams: dict[Hashable, tuple[float, int]]) -> float:
        return min(total - done for done, total in streams.values())

    @staticmethod
    def _after(
        streams: dict[Hashable, tuple[float, int]], work: float
    ) -> dict[Hashable, tuple[float, int]]:
        # Work is counted in tokens: a millionth of one is rounding, not work.
        return {
            name: (done + work, total)
            for name, (done, total) in streams.items()
            if done + work < total - 1e-6
        }
