"""Waits until an instant, to some microseconds, unless something changes the instant meanwhile."""

import asyncio
import ctypes
import selectors
import sys
import time
from collections.abc import Callable

_PR_SET_TIMERSLACK = 29
# How long streams that are behind may keep the event loop to themselves.
_TURN_NS = 1_000_000


def sharp_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose sleeps end on time: select takes microseconds, epoll milliseconds."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


class Waiter:
    """All waits of one event loop. For the last ``spin_s`` a wait watches the clock."""

    def __init__(self, spin_s: float) -> None:
        self._spin_ns = spin_s * 1e9
        self._naps: set[asyncio.Future[None]] = set()
        self._turn_ns = 0

    def changed(self) -> None:
        """Have everybody who waits look again for when to wake up."""
        for nap in self._naps:
            _wake(nap)

    async def until(self, due_ns: Callable[[], float]) -> float:
        """Wait until ``due_ns()``, which may change while waiting; what it was in the end."""
        now = time.monotonic_ns()
        if due_ns() <= now and now - self._turn_ns > _TURN_NS:
            await asyncio.sleep(0)
            self._turn_ns = time.monotonic_ns()
        while (left_ns := (due := due_ns()) - time.monotonic_ns()) > self._spin_ns:
            await self._nap((left_ns - self._spin_ns) / 1e9)
        while time.monotonic_ns() < due:
            pass
        return due

    async def _nap(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        nap = loop.create_future()
        timer = loop.call_later(seconds, _wake, nap)
        self._naps.add(nap)
        try:
            await nap
        finally:
            timer.cancel()
            self._naps.discard(nap)


def _wake(nap: "asyncio.Future[None]") -> None:
    if not nap.done():
        nap.set_result(None)
