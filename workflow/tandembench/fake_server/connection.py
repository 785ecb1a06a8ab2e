"""One TCP connection of a fake server: requests in, with the kernel's time of arrival; bytes out.

Raw non-blocking sockets on the event loop: asyncio's streams would put a buffer between the stamp
and the send.
"""

import asyncio
import re
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tandembench.fake_server.behaviour import SIMULATED

_READ_BYTES = 1 << 16
_MAX_REQUEST_BYTES = 1 << 26
# Linux, asm-generic/socket.h; Python 3.11 does not name it. The kernel adds a timespec to reads.
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("qq")
_LATEST_ARRIVAL_NS = 1_000_000_000


class BadRequest(Exception):
    """Bytes that are no HTTP request."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; ``arrived_ns`` and ``read_ns`` as in StreamLog."""

    method: str
    path: str
    body: bytes
    arrived_ns: int | None
    read_ns: int


def ask_for_stamps(listener: socket.socket) -> None:
    """Have the kernel stamp what connections accepted from ``listener`` receive, if it can."""
    if sys.platform == "linux":
        listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


class Connection:
    """Reads all the time, so that a client that leaves is noticed at once."""

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.on_close: Callable[[], object] = lambda: None
        self._loop = loop
        self._buffer = b""
        self._closed = False
        self._more = asyncio.Event()
        self._arrived_ns: int | None = None
        self._read_ns = 0
        loop.add_reader(sock, self._read)

    def _read(self) -> None:
        try:
            data, ancillary, _, _ = self.sock.recvmsg(_READ_BYTES, 64)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, ancillary = b"", []
        self._read_ns = time.monotonic_ns()
        self._arrived_ns = _arrival(ancillary, self._read_ns)
        self._buffer += data
        self._more.set()
        if not data or len(self._buffer) > _MAX_REQUEST_BYTES:
            self._closed = True
            self._loop.remove_reader(self.sock)
            self.on_close()

    async def request(self) -> Request | None:
        """The next request; None when the client has closed."""
        while b"\r\n\r\n" not in self._buffer:
            if not await self._grow():
                return None
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        first = re.match(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r?$", head, re.MULTILINE)
        if first is None:
            raise BadRequest
        length = re.search(rb"\ncontent-length: *(\d+)", head, re.IGNORECASE)
        size = int(length[1]) if length else 0
        while len(rest) < size:
            if not await self._grow():
                return None
            rest = self._buffer.partition(b"\r\n\r\n")[2]
        self._buffer = rest[size:]
        path = first[2].decode("latin-1").partition("?")[0]
        return Request(
            first[1].decode(), path, rest[:size], self._arrived_ns, read_ns=self._read_ns
        )

    async def _grow(self) -> bool:
        self._more.clear()
        if self._closed:
            return False
        await self._more.wait()
        return not self._closed

    async def send(self, data: bytes) -> tuple[int, int]:
        """Send ``data``; the clock just before, and just after the system took (most of) it."""
        before = time.monotonic_ns()
        try:
            sent = self.sock.send(data)
            after = time.monotonic_ns()
        except (BlockingIOError, InterruptedError):
            sent, after = 0, 0
        if sent < len(data):
            await self._loop.sock_sendall(self.sock, data[sent:])
            after = after or time.monotonic_ns()
        return before, after

    async def answer(self, status: str, kind: str, body: str) -> None:
        """A whole answer at once."""
        data = body.encode()
        moved = "Location: http://127.0.0.1:9/elsewhere\r\n" if status.startswith("3") else ""
        length = f"{moved}Content-Length: {len(data)}\r\n\r\n"
        await self.send(head(status, kind) + length.encode() + data)

    def close(self, reset: bool = False) -> None:
        """Close it; with ``reset`` by a TCP reset, before which what was sent still arrives."""
        if self.sock.fileno() < 0:
            return
        self._loop.remove_reader(self.sock)
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def head(status: str, kind: str) -> bytes:
    """Status line and headers, still open for more."""
    return f"HTTP/1.1 {status}\r\nServer: {SIMULATED}\r\nContent-Type: {kind}\r\n".encode()


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked answer."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def _arrival(ancillary: list[tuple[int, int, bytes]], read_ns: int) -> int | None:
    """The kernel's receive stamp on the monotonic clock; None if there is none to believe."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(data) >= _TIMESPEC.size:
            seconds, ns = _TIMESPEC.unpack_from(data)
            before = time.monotonic_ns()
            offset = time.time_ns() - before
            arrived: int = seconds * 1_000_000_000 + ns - offset
            # A wall clock that was stepped in between shows as a time that cannot be.
            return arrived if 0 <= read_ns - arrived < _LATEST_ARRIVAL_NS else None
    return None
