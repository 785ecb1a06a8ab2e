"""Who may run: slots, the queue before them, and Ollama's reload when a model's options change."""

import asyncio
from collections import deque
from typing import NamedTuple


class Load(NamedTuple):
    """What Ollama loads a model with; ``num_gpu`` -1 leaves the layers to it."""

    model: str
    num_ctx: int
    num_gpu: int

    def fits(self, loaded: "Load | None") -> bool:
        """Whether ``loaded`` will do."""
        if loaded is None or loaded[:2] != self[:2]:
            return False
        return self.num_gpu in (-1, loaded.num_gpu)


class Turn(NamedTuple):
    """A slot that was taken: whether there was a wait at all, and whether a load was part of it."""

    slot: int
    waited: bool
    loaded: bool


class QueueFull(Exception):
    """As many requests wait as may."""


class Slots:
    """Hands out ``slots`` slots in the order of asking.

    A request for another ``load`` than the present one waits until nobody runs, and then holds the
    server alone while it loads for ``load_s``. None means: whatever is loaded.
    """

    def __init__(self, slots: int, max_queue: int, load_s: float) -> None:
        self._slots = slots
        self._max_queue = max_queue
        self._load_s = load_s
        self._free = set(range(slots))
        self._loading = False
        self._queue: deque[tuple[asyncio.Future[int], Load | None]] = deque()
        self.loaded: Load | None = None

    @property
    def running(self) -> int:
        """How many slots are taken."""
        return self._slots - len(self._free)

    async def take(self, load: Load | None = None) -> Turn:
        """Wait for a slot, and for ``load``. QueueFull if too many wait."""
        if len(self._queue) >= self._max_queue and not self._may_run(load):
            raise QueueFull
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.append((turn, load))
        self._serve()
        waited = not turn.done()
        try:
            slot = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._loading = False
                self.give_back(turn.result())
            self._serve()
            raise
        loads = self._loading  # nobody else's: while it lasts only the one that loads has a slot
        if loads:
            try:
                await asyncio.sleep(self._load_s)
                self.loaded = load
            except asyncio.CancelledError:
                self._free.add(slot)
                raise
            finally:
                self._loading = False
                self._serve()
        return Turn(slot, waited or loads, loads)

    def give_back(self, slot: int) -> None:
        """Free ``slot`` for the next in the queue."""
        self._free.add(slot)
        self._serve()

    def _may_run(self, load: Load | None) -> bool:
        if self._loading or not self._free:
            return False
        return load is None or load.fits(self.loaded) or not self.running

    def _serve(self) -> None:
        while self._queue:
            turn, load = self._queue[0]
            if turn.done():  # its client left
                self._queue.popleft()
                continue
            if not self._may_run(load):
                return
            self._queue.popleft()
            self._loading = load is not None and not load.fits(self.loaded)
            slot = min(self._free)
            self._free.discard(slot)
            turn.set_result(slot)
