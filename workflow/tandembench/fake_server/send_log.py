"""The log of a fake server: when each token was due, and when it was really sent."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tandembench.fake_server.behaviour import SIMULATED, Behaviour, dump

PROMPT_CHARACTERS = 64


@dataclass(slots=True)
class StreamLog:
    """One request to generate; times are CLOCK_MONOTONIC, nanoseconds.

    ``arrived_ns``: the request's last bytes reached this machine's TCP (the kernel's receive
    stamp), or None where the kernel gives none; ``read_ns``: the process read them. ``due_ns``,
    ``sent_ns``, ``sent_after_ns``: each token's schedule, and the clock just before and just after
    its ``send``. ``end_ns``, ``end_after_ns``: the same of the message that ends the answer.
    ``complete``: all of it was sent. ``prompt``: its first 64 characters, to know the request by.
    """

    request: int
    path: str
    prompt: str
    arrived_ns: int | None
    read_ns: int
    due_ns: list[int] = field(default_factory=list)
    sent_ns: list[int] = field(default_factory=list)
    sent_after_ns: list[int] = field(default_factory=list)
    end_ns: int | None = None
    end_after_ns: int | None = None
    fault: str | None = None
    complete: bool = False

    @property
    def begun_ns(self) -> int:
        """When the request was here: the kernel's stamp if there is one."""
        return self.read_ns if self.arrived_ns is None else self.arrived_ns


class SendLog:
    """Keeps the streams' logs; with a file, writes them as NDJSON while no stream is running."""

    def __init__(self, behaviour: Behaviour, path: Path | None = None) -> None:
        self.streams: list[StreamLog] = []
        self._file = None if path is None else path.open("w", encoding="utf-8")
        self._written = 0
        if self._file is not None:
            head = {"simulated": True, "server": SIMULATED, "clock": "CLOCK_MONOTONIC"}
            settings = json.loads(dump(behaviour))
            self._file.write(json.dumps(head | {"behaviour": settings}) + "\n")
            self._file.flush()

    def write(self) -> None:
        """Bring the file up to date; called when no token waits for it."""
        if self._file is None or self._written == len(self.streams):
            return
        for stream in self.streams[self._written :]:
            line = json.dumps({"simulated": True} | asdict(stream), separators=(",", ":"))
            self._file.write(line + "\n")
        self._written = len(self.streams)
        self._file.flush()

    def close(self) -> None:
        """Write what is left."""
        self.write()
        if self._file is not None:
            self._file.close()


def read_log(path: Path) -> list[StreamLog]:
    """The streams of a log file, in the order in which they ended."""
    _, *lines = path.read_text(encoding="utf-8").splitlines()
    streams = []
    for line in lines:
        stream = json.loads(line)
        del stream["simulated"]
        streams.append(StreamLog(**stream))
    return streams
