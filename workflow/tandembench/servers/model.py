"""What the other rooms know of a server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Server:
    """One running server. ``model_digests`` maps model names to what identifies their weights.

    ``version``, digests, ``slots``, ``threads``, ``wait_policy`` and ``pid`` are None where the
    engine does not tell.
    """

    index: int
    engine: str
    url: str
    version: str | None
    model_digests: Mapping[str, str | None]
    slots: int | None = None
    threads: int | None = None
    wait_policy: str | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Effective:
    """What a server says that it applies to a loaded model, whatever it was asked for.

    ``num_ctx`` in tokens a slot; ``size_vram_bytes`` of ``size_bytes`` are on a GPU.
    """

    num_ctx: int | None = None
    slots: int | None = None
    size_bytes: int | None = None
    size_vram_bytes: int | None = None


class ServerFault(Exception):
    """A server that cannot be measured now; ``reason`` is the stable code of the result."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


# What became of a deployment: its servers, or why it has none.
Standing = Sequence[Server] | ServerFault
