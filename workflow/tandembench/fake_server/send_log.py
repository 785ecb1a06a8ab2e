"""The log of a fake server: when each token was due, and when it was really sent."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tandembench.fake_server.behaviour import SIMULATED, Behaviour

PROMPT_CHARACTERS = 64


@dataclass(slots=True)
class StreamLog:
    """One request to generate; times are CLOCK_MONOTONIC, nanoseconds.

    ``request``: its number, from 0. ``prompt``: its first 64 characters, to know it by.
    ``arrived_ns``: its last bytes reached this machine's TCP (the kernel's receive stamp), or None
    where the kernel gives none; ``read_ns``: the process read them. ``due_ns``, ``sent_ns``: each
    token's schedule, and the clock just before its ``send``. ``end_ns``: the same of the message
    that ends the answer; None if it was not sent.
    """

    request: int
    path: str
    prompt: str
    arrived_ns: int | None
    read_ns: int
    due_ns: list[int] = field(default_factory=list)
    sent_ns: list[int] = field(default_factory=list)
    end_ns: int | None = None

    @property
    def begun_ns(self) -> int:
        """When the request was here: the kernel's stamp if there is one."""
        return self.read_ns if self.arrived_ns is None else self.arrived_ns


class SendLog:
    """Keeps the streams' logs; with a file, writes them as NDJSON when no token waits for it."""

    def __init__(self, behaviour: Behaviour, path: Path | None = None) -> None:
        self.streams: list[StreamLog] = []
        self._written = 0
        self._file = None if path is None else path.open("w", encoding="utf-8")
        head = {"simulated": True, "server": SIMULATED, "clock": "CLOCK_MONOTONIC"}
        self._put(head | {"behaviour": asdict(behaviour)})

    def write(self) -> None:
        """Bring the file up to date."""
        for stream in self.streams[self._written :]:
            self._put({"simulated": True} | asdict(stream))
        self._written = len(self.streams)

    def close(self) -> None:
        """Write what is left."""
        self.write()
        if self._file is not None:
            self._file.close()

    def _put(self, entry: dict[str, object]) -> None:
        if self._file is None:
            return
        try:
            print(json.dumps(entry, separators=(",", ":")), file=self._file, flush=True)
        except OSError:  # a full disk ends the log, not the answers; who reads it hears of it
            self._file = None


def read_log(path: Path) -> list[StreamLog]:
    """The streams of a log file, in the order in which they ended; ValueError if it is cut off."""
    try:
        _, *lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    except ValueError:
        raise ValueError(f"the log of sends is cut off: is {path.parent} full?") from None
    return [StreamLog(**{k: v for k, v in line.items() if k != "simulated"}) for line in lines]
