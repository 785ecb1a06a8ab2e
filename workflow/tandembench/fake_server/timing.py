"""When tokens go out: waits that end on time, and streams that share a rate by a stated rule."""

import asyncio
import selectors
import time
from collections.abc import Callable, Hashable

from tandembench.system import sharp_timers

# How long streams that are behind may keep the event loop to themselves.
_TURN_NS = 1_000_000
# Work is counted in tokens: a millionth of one is rounding, not work.
_ROUNDING = 1e-6


def sharp_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose sleeps end on time: select takes microseconds, epoll milliseconds."""
    sharp_timers()
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


class Waiter:
    """All waits of one event loop. For the last ``spin_s`` a wait watches the clock."""

    def __init__(self, spin_s: float) -> None:
        self._spin_ns = spin_s * 1e9
        self._naps: set[asyncio.Event] = set()
        self._turn_ns = 0

    def changed(self) -> None:
        """Have everybody who waits look again for when to wake up."""
        for nap in self._naps:
            nap.set()

    async def until(self, due_ns: Callable[[], float]) -> float:
        """Wait until ``due_ns()``, which may change while waiting; what it was in the end."""
        now = time.monotonic_ns()
        if due_ns() <= now and now - self._turn_ns > _TURN_NS:
            await asyncio.sleep(0)
            self._turn_ns = time.monotonic_ns()
        while (left_ns := (due := due_ns()) - time.monotonic_ns()) > self._spin_ns:
            nap = asyncio.Event()
            sleep_s = (left_ns - self._spin_ns) / 1e9
            timer = asyncio.get_running_loop().call_later(sleep_s, nap.set)
            self._naps.add(nap)
            try:
                await nap.wait()
            finally:
                timer.cancel()
                self._naps.discard(nap)
        while time.monotonic_ns() < due:
            pass
        return due


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
        # by stream: its work in all, and what is left of it at _now
        self._total: dict[Hashable, int] = {}
        self._left: dict[Hashable, float] = {}

    def join(self, stream: Hashable, at_ns: float, tokens: int) -> None:
        """``stream`` begins to decode ``tokens`` tokens at ``at_ns``."""
        self._advance(at_ns)
        self._total[stream] = tokens
        self._left[stream] = tokens

    def drop(self, stream: Hashable, at_ns: float) -> None:
        """``stream`` leaves at ``at_ns``, its work done or not; no error if it left by itself."""
        self._advance(at_ns)
        self._left.pop(stream, None)

    def due_ns(self, stream: Hashable, token: int) -> float:
        """When ``stream`` will have decoded ``token`` tokens, if nobody joins or drops before.

        A stream that is done is not here: that instant is past.
        """
        if stream not in self._left:
            return self._now
        work = token - (self._total[stream] - self._left[stream])
        at, done = self._now, 0.0
        # All decode at one rate: those with the least left end first.
        for place, left in enumerate(sorted(self._left.values())):
            at += (min(left, work) - done) / self._each(len(self._left) - place)
            done = left
            if left >= work:
                break
        return at

    def _advance(self, to_ns: float) -> None:
        # The stamps of two joins may come out of order by some microseconds.
        while self._now < to_ns and self._left:
            rate = self._each(len(self._left))
            step = min(to_ns, self._now + min(self._left.values()) / rate)
            done = (step - self._now) * rate
            self._left = {k: v - done for k, v in self._left.items() if v - done > _ROUNDING}
            self._now = step
        self._now = max(self._now, to_ns)

    def _each(self, streams: int) -> float:
        return self._per_ns if streams == 1 else self._gain * self._per_ns / streams
