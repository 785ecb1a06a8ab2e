"""The HTTP client: the only module that knows httpx. Bytes in, stamped StreamRecord out."""

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any

import httpcore
import httpx

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.text import sanitise
from tandembench.wire.key import API_KEY, api_key, unkeyed
from tandembench.wire.record import Event, Final, StreamRecord
from tandembench.wire.sockets import (
    DATA_RECEIVED,
    KERNEL,
    Backend,
    Unresolved,
    Untrusted,
    keep_stamping,
)

# Ollama's last line lists the tokens of prompt and answer, some seven bytes each.
MAX_LINE_BYTES = 4 << 20
# More than is shown, so that a key that a refusal repeats is there whole, and is found.
_MAX_REFUSAL_BYTES = 4096
_MAX_NUMBER = 1e15
_STATUS_REASONS = {
    204: "empty",
    401: "unauthorised",
    403: "unauthorised",
    404: "not_found",
    429: "rate_limited",
    503: "busy",
}
# In this order: the first two are kinds of the third, and that of the last.
_REASONS: Mapping[type[Exception], str] = {
    Unresolved: "dns",
    Untrusted: "tls",
    httpcore.ConnectError: "conn_refused",
    httpcore.NetworkError: "reset",
}
# What runners say when they, or the kernel, ran out of memory.
_OUT_OF_MEMORY = re.compile(r"memory|allocat|signal: killed", re.IGNORECASE)
# What can come of a request whose answer never came, or not whole.
_NO_ANSWER = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpx.RequestError,
)


class StreamFault(Exception):
    """A stream that gives no number: ``reason`` is a stable code, ``detail`` a short text."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = sanitise(unkeyed(detail))


def open_client(
    clock: str = KERNEL, ssl_context: ssl.SSLContext | None = None, keyed: bool = False
) -> "Client":
    """A client that talks to the named server and to nothing else, one connection per request.

    No proxy from the environment (HTTP_PROXY would capture 127.0.0.1), no redirects, no
    compression (it would hide when a token came). ``clock`` may be DATA_RECEIVED to do without
    the kernel's stamps; ``ssl_context`` says whom to trust, by default whom the system trusts.
    ``keyed`` sends the API key of the environment with every request, if there is one.
    """
    key = api_key() if keyed else None
    headers = {"Accept-Encoding": "identity"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return Client(_Transport(clock, ssl_context), headers)


class Client(httpx.AsyncClient):
    """What ``open_client`` opens; ``dial`` makes the connection of a request ahead of it."""

    def __init__(self, transport: "_Transport", headers: Mapping[str, str]) -> None:
        super().__init__(
            transport=transport, trust_env=False, follow_redirects=False, headers=headers
        )
        self.dial = transport.dial


class _Transport(httpx.AsyncBaseTransport):
    """One connection per request, whose socket stamps what it receives.

    A kept connection would gain nothing inside a timed window, and llama-server may close it while
    the next request is on its way. httpcore's exceptions go through as they are.
    """

    def __init__(self, clock: str, ssl_context: ssl.SSLContext | None) -> None:
        self._keeper = keep_stamping() if clock == KERNEL else None
        self._clock = KERNEL if self._keeper else DATA_RECEIVED
        self._ssl_context = ssl_context

    async def aclose(self) -> None:
        if self._keeper:
            self._keeper.close()

    def _backend(self, url: httpx.URL) -> Backend:
        # What TLS unpacks is stamped when it is unpacked: the kernel's reads are not those.
        return Backend(DATA_RECEIVED if url.scheme == "https" else self._clock)

    async def dial(self, url: httpx.URL, timeout_s: float) -> Backend | None:
        """Connect to ``url`` and wait; None if that fails, which the request itself will tell."""
        backend = self._backend(url)
        try:
            await backend.connect_tcp(url.raw_host.decode(), _port(url), timeout_s)
        except (httpcore.NetworkError, httpcore.TimeoutException):
            return None
        return backend

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if url.scheme not in ("http", "https") or not url.host:
            raise httpx.UnsupportedProtocol("neither http:// nor https://", request=request)
        secure = url.scheme == "https"
        port = _port(url)
        if secure and self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        seen = request.extensions.get("seen") or _Seen()
        backend = seen.backend = seen.backend or self._backend(url)
        connection = httpcore.AsyncHTTPConnection(
            origin=httpcore.Origin(url.raw_scheme, url.raw_host, port),
            ssl_context=self._ssl_context,
            network_backend=backend,
        )
        answer = await connection.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer, connection)
        )


class _Body(httpx.AsyncByteStream):
    """The body of an answer; closing it closes the connection."""

    def __init__(self, answer: httpcore.Response, connection: httpcore.AsyncHTTPConnection) -> None:
        self._answer = answer
        self._connection = connection

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._answer.aiter_stream()

    async def aclose(self) -> None:
        await self._answer.aclose()
        await self._connection.aclose()


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


async def ask_json(
    client: Client,
    url: str,
    body: dict[str, Any] | None = None,
    timeout_s: float = 5.0,
) -> dict[str, Any]:
    """GET ``url``, or POST ``body`` to it, outside of any timed window.

    TandemError (exit 4) names the URL if it does not answer with a JSON object.
    """

    def fault(
        what: str, fix: str = "check that the server runs and is the one you mean"
    ) -> TandemError:
        return TandemError(sanitise(unkeyed(what)), where=url, fix=fix, exit_code=EXIT_ENVIRONMENT)

    try:
        method = "GET" if body is None else "POST"
        # httpx's own timeout is per read: a slow drip would never end.
        async with asyncio.timeout(timeout_s):
            response = await client.request(method, url, json=body, timeout=None)
        answer = response.json() if response.is_success else None
    except TimeoutError:
        raise fault(f"no answer within {timeout_s:g} s") from None
    except _NO_ANSWER as error:
        raise fault(f"no answer ({type(error).__name__}: {error})") from None
    except httpx.InvalidURL as error:
        raise fault(f"not a URL ({error})") from None
    except (ValueError, RecursionError):
        raise fault("the answer is not JSON") from None
    if response.status_code in (401, 403):
        what = f"status {response.status_code}: the server asks for a key, or for another one"
        raise fault(what, f"set {API_KEY} to its key (engine openai)")
    if not response.is_success:
        raise fault(f"status {response.status_code} {unkeyed(response.text)[:80]}")
    if not isinstance(answer, dict):
        raise fault("the answer is not a JSON object")
    return answer


class Call:
    """A POST of ``body`` to ``url`` that waits to be made; ``idle_s`` bounds each of its waits.

    What can be done before the clock runs is done here: building the request takes httpx a
    millisecond, which would count as the client's own time.
    """

    def __init__(self, client: Client, url: str, body: bytes, idle_s: float) -> None:
        self.client = client
        self.seen = _Seen()
        self.fault: httpx.InvalidURL | None = None
        self._idle_s = idle_s
        try:
            self.request = client.build_request(
                "POST",
                url,
                content=body,
                headers={"Content-Type": "application/json"},
                timeout=httpx.Timeout(idle_s),
                extensions={"seen": self.seen},
            )
        except httpx.InvalidURL as fault:
            self.fault = fault

    async def dial(self) -> None:
        """Connect now. Soon before the call only: a server closes what stays silent."""
        if self.fault is None and self.request.url.host:
            self.seen.backend = await self.client.dial(self.request.url, self._idle_s)


async def stream(
    call: Call, event: Callable[[bytes], Event | None], deadline_s: float
) -> StreamRecord:
    """Make ``call`` and follow the answer to its end, stamping every read.

    ``event`` reads one line. A stream that fails in any way comes back as a record with
    ``error`` set; only cancellation is raised. ``deadline_s`` bounds all of it.
    """
    seen = call.seen
    error: StreamFault | None = None
    try:
        if call.fault is not None:
            raise call.fault
        async with asyncio.timeout(deadline_s):
            await _follow(call, event, seen)
    except StreamFault as fault:
        error = fault
    except TimeoutError:
        error = StreamFault("deadline", f"no end after {deadline_s:g} s")
    except (*_NO_ANSWER, httpx.InvalidURL) as fault:
        error = seen.fault(fault)
    return seen.record(error)


class _Seen:
    """What has arrived so far; kept outside the stream so that a failure loses none of it.

    Arrivals are indices of the connection's reads; they become times when all is over.
    """

    def __init__(self) -> None:
        self.started_ns = time.monotonic_ns()
        self.backend: Backend | None = None
        self.last_read = -1
        self.chunk_reads: list[int] = []
        self.text: list[str] = []
        self.final = Final()
        self.raw_final = ""
        self.ended = False

    def take(self, line: bytes, read: int, event: Callable[[bytes], Event | None]) -> None:
        try:
            heard = event(line)
            if heard is None:
                return
            heard.content.encode("utf-8")
            if heard.final is not None:
                _check_types(heard.final)
        except UnicodeError:
            raise StreamFault("bad_utf8", _start(line)) from None
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            # Any JSON may come, of any shape and depth; no line of a protocol begins like HTML.
            reason = "not_ndjson" if line.lstrip().startswith(b"<") else "bad_json"
            raise StreamFault(reason, _start(line)) from None
        if self.ended:
            raise StreamFault("protocol", "data after the end of the stream")
        if heard.error is not None:
            raise StreamFault(_server_fault(heard.error), heard.error)
        if heard.content:
            self.chunk_reads.append(read)
            self.text.append(heard.content)
        if heard.final is not None:
            self.final = self.final.joined(heard.final)
            # Why it stopped and how much it was may come in two lines: the counts are kept.
            if heard.final.answer_tokens is not None or not self.raw_final:
                self.raw_final = line.decode("utf-8").strip()
        self.ended = heard.ends

    def fault(self, error: Exception) -> StreamFault:
        """What came of a request that ended in ``error``."""
        first = self.backend.inbox.first if self.backend and self.backend.inbox else b""
        # The HTTP parser waits for the end of a head, and does not look at what its begin is.
        if isinstance(error, httpcore.RemoteProtocolError) and first and first[:5] != b"HTTP/":
            return StreamFault("protocol", f"no HTTP: {first!r}")
        return StreamFault(_reason(error, self.last_read >= 0), str(error))

    def record(self, error: StreamFault | None) -> StreamRecord:
        inbox = self.backend.inbox if self.backend else None
        stamps, clock = inbox.stamps() if inbox else ([], DATA_RECEIVED)
        return StreamRecord(
            request_ns=(inbox.request_ns if inbox else 0) or self.started_ns,
            chunk_ns=tuple([stamps[read] for read in self.chunk_reads]),
            end_ns=stamps[self.last_read] if self.last_read >= 0 else time.monotonic_ns(),
            coalesced=len(self.chunk_reads) - len(set(self.chunk_reads)),
            text="".join(self.text),
            final=self.final,
            raw_final=self.raw_final,
            clock=clock,
            error=error.reason if error else None,
            detail=error.detail if error else "",
        )


def _start(line: bytes) -> str:
    return unkeyed(repr(line))[:80]


async def _follow(call: Call, event: Callable[[bytes], Event | None], seen: _Seen) -> None:
    async with aclosing(await call.client.send(call.request, stream=True)) as response:
        if response.status_code != httpx.codes.OK:
            await _refuse(response)
        inbox = seen.backend.inbox if seen.backend else None
        assert inbox is not None  # noqa: S101 - the transport is ours
        inbox.patient = True
        rest = b""
        async for data in response.aiter_raw():
            # The parser asks for the next read only when it has given out all of the last.
            seen.last_read = read = inbox.read_index
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                seen.take(line, read, event)
            if len(rest) > MAX_LINE_BYTES:
                raise StreamFault("line_too_long", f"over {MAX_LINE_BYTES} bytes")
        if rest.strip():
            seen.take(rest, seen.last_read, event)
    if seen.last_read < 0:
        raise StreamFault("empty", "status 200 without a byte")
    if not seen.ended:
        raise StreamFault("no_terminal_event", "the stream stopped without its end")
    if not seen.chunk_reads:
        raise StreamFault("empty", "an answer without content")
    if seen.final.answer_tokens is None:
        raise StreamFault("no_token_count", "the server does not say how many tokens it sent")


async def _refuse(response: httpx.Response) -> None:
    status = response.status_code
    if response.is_redirect:
        raise StreamFault("redirect", f"to {response.headers.get('location', '?')}")
    said = b""
    # The status alone is a reason: neither an endless page nor a cut one may hide it.
    with suppress(*_NO_ANSWER):
        async for data in response.aiter_raw():
            said += data
            if len(said) > _MAX_REFUSAL_BYTES:
                break
    text = said[:_MAX_REFUSAL_BYTES].decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        raise StreamFault("not_ndjson", f"status {status}, a page of HTML")
    generic = _server_fault(text) if status >= 500 else f"http_{status}"
    raise StreamFault(_STATUS_REASONS.get(status, generic), text)


def _server_fault(text: str) -> str:
    return "oom" if _OUT_OF_MEMORY.search(text) else "server_error"


def _check_types(final: Final) -> None:
    """ValueError unless ``final`` holds what its type promises."""
    numbers = (
        final.prompt_tokens,
        final.answer_tokens,
        final.cached_tokens,
        final.load_s,
        final.prompt_s,
        final.decode_s,
    )
    # The bound keeps out infinity and what no column holds; a comparison with NaN is false.
    if not all(number is None or 0 <= number < _MAX_NUMBER for number in numbers):
        raise ValueError("a number that is none")
    if not {type(count) for count in numbers[:3]} <= {int, type(None)}:
        raise ValueError("a count that is not whole")
    if final.stop_reason is not None and not re.fullmatch("[a-z_]{1,32}", final.stop_reason):
        raise ValueError("a stop reason that is no code")


def _reason(error: Exception, bytes_came: bool) -> str:
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason
    if isinstance(error, httpcore.TimeoutException):
        return "stalled" if bytes_came else "no_first_byte"
    text = str(error)
    if "without sending a response" in text:
        return "disconnect_before_first_byte"
    return "truncated_chunked" if "incomplete" in text else "protocol"
