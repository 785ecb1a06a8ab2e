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

_MAX_REQUEST_BYTES = 1 << 26
# Linux, asm-generic/socket.h; Python 3.11 does not name it. The kernel adds a timespec to reads.
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("qq")
_LATEST_ARRIVAL_NS = 1_000_000_000


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
    """Reads all the time, so that a client that leaves is noticed at once: ``on_close``."""

    def __init__(self, sock: socket.socket, on_close: Callable[[], object]) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._more = asyncio.Event()
        self._arrived_ns: int | None = None
        self._read_ns = 0
        self._loop.add_reader(sock, self._read)

    def _read(self) -> None:
        try:
            data, ancillary, _, _ = self._sock.recvmsg(1 << 16, 64)
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        self._read_ns = time.monotonic_ns()
        self._arrived_ns = _arrival(ancillary, self._read_ns)
        self._buffer += data
        self._more.set()
        if not data or len(self._buffer) > _MAX_REQUEST_BYTES:
            self._loop.remove_reader(self._sock)
            self._on_close()

    async def request(self) -> Request | None:
        """The next request; None if what came is no HTTP."""
        while b"\r\n\r\n" not in self._buffer:
            await self._grow()
        head, _, body = self._buffer.partition(b"\r\n\r\n")
        first = re.match(rb"([A-Z]+) ([^ ?]+)\S* HTTP/1\.[01]\r?$", head, re.MULTILINE)
        if first is None:
            return None
        length = re.search(rb"\ncontent-length: *(\d+)", head, re.IGNORECASE)
        end = len(self._buffer) - len(body) + (int(length[1]) if length else 0)
        while len(self._buffer) < end:
            await self._grow()
        body, self._buffer = self._buffer[len(head) + 4 : end], self._buffer[end:]
        method, path = first[1].decode(), first[2].decode("latin-1")
        return Request(method, path, body, self._arrived_ns, self._read_ns)

    async def _grow(self) -> None:
        self._more.clear()
        await self._more.wait()

    async def send(self, data: bytes) -> int:
        """Send ``data``; the clock just before."""
        before = time.monotonic_ns()
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            await self._loop.sock_sendall(self._sock, data[sent:])
        return before

    async def answer(self, status: str, body: str, kind: str = "application/json") -> None:
        """A whole answer at once."""
        data = body.encode()
        await self.send(head(status, kind) + b"Content-Length: %d\r\n\r\n%s" % (len(data), data))

    def close(self) -> None:
        """Close it."""
        self._loop.remove_reader(self._sock)
        self._sock.close()


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
