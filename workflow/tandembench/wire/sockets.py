"""The sockets under httpcore: what arrived, and when."""

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterable

import httpcore

from tandembench.wire.clocks import (
    ANCILLARY_BYTES,
    ask_for_stamps,
    kernel_stamp_ns,
    monotonic_stamps,
    realtime_offset_ns,
)

_READ_BYTES = 1 << 16
# Bytes that may wait for a reader before the socket is no longer asked.
_MAX_WAITING_BYTES = 1 << 18
# How long bytes may wait for more of them: their stamp is taken, only their reader is not woken.
_BATCH_NS = 5_000_000
# The last bytes of a chunked answer, which nothing follows that were worth waiting for.
_LAST_CHUNK = b"0\r\n\r\n"


class Unresolved(httpcore.ConnectError):
    """The name of the host is not known."""


class Untrusted(httpcore.ConnectError):
    """TLS could not be agreed upon: a certificate, or no TLS at all."""


class Backend(httpcore.AsyncNetworkBackend):
    """Opens the connection of one request and keeps it in ``inbox``.

    ``stamped`` has the kernel stamp what arrives. Under TLS (``secure``) it cannot: what TLS
    unpacks is stamped when it is unpacked.
    """

    def __init__(self, stamped: bool, secure: bool) -> None:
        self._stamped = stamped and not secure
        self._kind = _TlsInbox if secure else _PlainInbox
        self.inbox: Inbox | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of ``host`` that takes the connection, once."""
        if self.inbox is None:
            try:
                async with asyncio.timeout(timeout):
                    self.inbox = self._kind(await _connect(host, port, self._stamped))
            except TimeoutError:
                raise httpcore.ConnectTimeout(f"no connection within {timeout:g} s") from None
        return self.inbox


class Inbox(httpcore.AsyncNetworkStream):
    """What arrived over one connection: each read's bytes until they are taken, and its stamps.

    ``request_ns`` is the last non-empty write, CLOCK_MONOTONIC; ``read_index`` the read whose bytes
    were taken last; ``first`` the bytes of the first read. ``patient`` lets bytes wait a few
    milliseconds for more before their reader is woken: it costs no stamp, and at thousands of
    tokens a second half of the CPU time.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.request_ns = 0
        self.read_index = -1
        self.first = b""
        self.patient = False
        self._sock = sock
        self._reads: list[tuple[int, int]] = []
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._end: Exception | None = None
        self._at_end = False
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._woken_ns = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._offset_ns = realtime_offset_ns()

    def stamps(self) -> tuple[list[int], str]:
        """When each read arrived, CLOCK_MONOTONIC ns, and the clock that says so."""
        return monotonic_stamps(self._reads, self._offset_ns, realtime_offset_ns())

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The bytes of the next read, b"" at the end. An HTTP parser takes as many as there are."""
        if not self._waiting and not self._at_end:
            self._news.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._news.wait()
            except TimeoutError:
                raise httpcore.ReadTimeout(f"nothing within {timeout:g} s") from None
        if not self._waiting:
            if self._end is not None:
                raise httpcore.ReadError(str(self._end)) from self._end
            return b""
        self.read_index += 1
        data = self._waiting.popleft()
        self._waiting_bytes -= len(data)
        if self._paused and not self._waiting:
            self._paused = False
            self._resume()
        return data

    def _arrived(self, data: bytes, real_ns: int) -> None:
        """Take in the bytes of one read; ``real_ns`` is the kernel's stamp, 0 for none."""
        now_ns = time.monotonic_ns()
        if not self._reads:
            self.first = data
        self._reads.append((real_ns, now_ns))
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if (
            not self.patient
            or now_ns - self._woken_ns > _BATCH_NS
            or self._waiting_bytes > _READ_BYTES
            or data.endswith(_LAST_CHUNK)
        ):
            self._wake()
        elif self._alarm is None:
            wait_s = (self._woken_ns + _BATCH_NS - now_ns) / 1e9
            self._alarm = self._loop.call_later(wait_s, self._wake)
        if self._waiting_bytes > _MAX_WAITING_BYTES and not self._paused:
            self._paused = True
            self._pause()

    def _ended(self, fault: Exception | None) -> None:
        """Nothing more will arrive: the peer has closed, or the connection broke."""
        self._at_end = True
        self._end = fault
        self._wake()

    def _wake(self) -> None:
        self._woken_ns = time.monotonic_ns()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._news.set()

    def _pause(self) -> None:
        raise NotImplementedError

    def _resume(self) -> None:
        raise NotImplementedError


class _PlainInbox(Inbox):
    """A socket of our own, whose reads bring the kernel's stamp with them if it was asked to."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._resume()

    def _receive(self) -> None:
        fault: OSError | None = None
        try:
            data, ancillary, _, _ = self._sock.recvmsg(_READ_BYTES, ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            data, ancillary, fault = b"", [], error
        if data:
            self._arrived(data, kernel_stamp_ns(ancillary))
        else:
            self._pause()
            self._ended(fault)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of ``buffer``; the stamp is taken as its last part goes out."""
        rest = memoryview(buffer)
        try:
            async with asyncio.timeout(timeout):
                while rest:
                    now_ns = time.monotonic_ns()
                    try:
                        rest = rest[self._sock.send(rest) :]
                        self.request_ns = now_ns
                    except BlockingIOError:
                        room = asyncio.Event()
                        self._loop.add_writer(self._sock, room.set)
                        try:
                            await room.wait()
                        finally:
                            self._loop.remove_writer(self._sock)
        except TimeoutError:
            raise httpcore.WriteTimeout(f"not sent within {timeout:g} s") from None
        except OSError as fault:
            raise httpcore.WriteError(str(fault)) from fault

    async def aclose(self) -> None:
        """Close, and let the server see it at once."""
        if self._sock.fileno() != -1:
            self._pause()
            self._sock.close()
        self._waiting.clear()
        self._ended(None)

    def _pause(self) -> None:
        self._loop.remove_reader(self._sock)

    def _resume(self) -> None:
        self._loop.add_reader(self._sock, self._receive)


class _TlsInbox(Inbox, asyncio.Protocol):
    """A connection under TLS, which the event loop unpacks; stamped in data_received."""

    _transport: asyncio.Transport | None = None

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Go on under TLS. Untrusted says what was wrong with the server's certificate."""
        self._room = asyncio.Event()
        try:
            async with asyncio.timeout(timeout):
                self._transport, _ = await self._loop.create_connection(
                    lambda: self, sock=self._sock, ssl=ssl_context, server_hostname=server_hostname
                )
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"no TLS within {timeout:g} s") from None
        except OSError as fault:
            raise Untrusted(str(fault)) from fault
        finally:
            if self._transport is None:
                await self.aclose()
        self._transport.set_write_buffer_limits(high=0)
        self._room.set()
        return self

    def data_received(self, data: bytes) -> None:
        """Part of asyncio.Protocol."""
        self._arrived(data, 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio.Protocol."""
        self._ended(exc)
        self._room.set()

    def pause_writing(self) -> None:
        """Part of asyncio.Protocol."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Part of asyncio.Protocol."""
        self._room.set()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of ``buffer``; the stamp is taken as it, or its last part, goes out."""
        if not buffer:
            return
        if self._transport is None or self._at_end:
            raise httpcore.WriteError(str(self._end or "the server has closed the connection"))
        self.request_ns = time.monotonic_ns()
        self._transport.write(buffer)
        if not self._room.is_set():
            try:
                await asyncio.wait_for(self._room.wait(), timeout)
            except TimeoutError:
                raise httpcore.WriteTimeout(f"not sent within {timeout:g} s") from None
            self.request_ns = time.monotonic_ns()

    async def aclose(self) -> None:
        """Close, and let the server see it at once."""
        if self._transport is None:
            self._sock.close()
        else:
            self._transport.abort()
        await asyncio.sleep(0)  # the loop closes the socket in its next turn

    def get_extra_info(self, info: str) -> object:
        """What httpcore asks for: the TLS object, to see which HTTP was agreed upon."""
        return self._transport and self._transport.get_extra_info(info)

    def _pause(self) -> None:
        if self._transport:
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport:
            self._transport.resume_reading()


async def _connect(host: str, port: int, stamped: bool) -> socket.socket:
    """A connected socket; every address of ``host`` is tried in turn."""
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    try:
        # An address needs no look-up, which asyncio would make in another thread.
        numeric = socket.AI_NUMERICHOST
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=numeric)
    except OSError:
        try:
            addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as fault:
            raise Unresolved(str(fault)) from fault
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if stamped:
                ask_for_stamps(sock)
            await loop.sock_connect(sock, address)
        except BaseException as fault:
            sock.close()
            if not isinstance(fault, OSError):
                raise
            failure = fault
        else:
            return sock
    raise httpcore.ConnectError(str(failure))
