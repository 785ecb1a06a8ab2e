"""The HTTP client: the only module that measures over httpcore. Bytes in, StreamRecord out."""

import asyncio
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cached_property

import httpcore

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.text import sanitise
from tandembench.wire.clocks import DATA_RECEIVED, KERNEL, keep_stamping
from tandembench.wire.key import API_KEY, api_key, unkeyed
from tandembench.wire.record import Event, Final, Json, StreamRecord
from tandembench.wire.sockets import Backend, Unresolved, Untrusted

# Ollama's last line lists the tokens of prompt and answer, some seven bytes each.
MAX_LINE_BYTES = 4 << 20
# More than is shown, so that a key that a refusal repeats is there whole, and is found.
_MAX_REFUSAL_BYTES = 4096
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
    httpcore.UnsupportedProtocol,
)


class NoAnswer(TandemError):
    """A server that does not answer as it should now; ``reason`` is a code as of streams."""

    reason = "server_error"


class StreamFault(Exception):
    """A stream that gives no number: ``reason`` is a stable code, ``detail`` a short text."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = sanitise(unkeyed(detail))


class Client:
    """Talks to the named server and to nothing else, one connection per request.

    No proxy from the environment (HTTP_PROXY would capture 127.0.0.1), no redirects, no
    compression (it would hide when a token came). A kept connection would gain nothing inside a
    timed window, and llama-server may close it while the next request is on its way.
    """

    def __init__(self, stamped: bool, trust: ssl.SSLContext | None, key: str | None) -> None:
        self._stamped = stamped
        if trust is not None:
            self._trust = trust
        self._headers = [("Accept", "*/*"), ("Accept-Encoding", "identity")]
        if key:
            self._headers.append(("Authorization", f"Bearer {key}"))

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """Whom the system trusts; read when the first server with TLS is asked."""
        return ssl.create_default_context()

    def backend(self, url: str) -> Backend:
        """What the connection for one request to ``url`` is made by."""
        return Backend(self._stamped, url.lower().startswith("https:"))

    @asynccontextmanager
    async def ask(
        self, url: str, body: bytes | None, idle_s: float | None, backend: Backend
    ) -> AsyncIterator[httpcore.Response]:
        """GET ``url``, or POST ``body`` to it; ``idle_s`` bounds each wait. httpcore's faults."""
        to = parsed(url)
        connection = httpcore.AsyncHTTPConnection(
            to.origin,
            ssl_context=self._trust if to.scheme == b"https" else None,
            network_backend=backend,
        )
        method, headers = "GET", self._headers
        if body is not None:
            method, headers = "POST", [*headers, ("Content-Type", "application/json")]
        waits = dict.fromkeys(("connect", "read", "write"), idle_s)
        try:
            async with connection.stream(
                method, to, headers=headers, content=body, extensions={"timeout": waits}
            ) as response:
                yield response
        finally:
            await connection.aclose()


def parsed(url: str) -> httpcore.URL:
    """The parts of ``url``; httpcore.UnsupportedProtocol if it is none of HTTP."""
    try:
        to = httpcore.URL(url)
    except (ValueError, TypeError):
        to = httpcore.URL()
    if to.scheme not in (b"http", b"https") or not to.host:
        raise httpcore.UnsupportedProtocol("not a URL with http:// or https://")
    return to


@asynccontextmanager
async def open_client(
    clock: str = KERNEL, ssl_context: ssl.SSLContext | None = None, keyed: bool = False
) -> AsyncIterator[Client]:
    """A client. ``clock`` may be DATA_RECEIVED to do without the kernel's stamps.

    ``ssl_context`` says whom to trust, by default whom the system trusts. ``keyed`` sends the API
    key of the environment with every request, if there is one.
    """
    key = api_key() if keyed else None
    keeper = keep_stamping() if clock == KERNEL else None
    try:
        yield Client(keeper is not None, ssl_context, key)
    finally:
        if keeper:
            keeper.close()


async def ask_json(
    client: Client, url: str, body: Json | None = None, timeout_s: float = 5.0
) -> Json:
    """GET ``url``, or POST ``body`` to it, outside of any timed window.

    NoAnswer (exit 4) names the URL if it does not answer with a JSON object, TandemError if it asks
    for a key.
    """

    def fault(what: str, reason: str) -> NoAnswer:
        fix = "check that the server runs and is the one you mean"
        error = NoAnswer(sanitise(unkeyed(what)), where=url, fix=fix, exit_code=EXIT_ENVIRONMENT)
        error.reason = reason
        return error

    content = None if body is None else json.dumps(body).encode()
    try:
        # The timeout of each wait would not do: a slow drip would never end.
        async with (
            asyncio.timeout(timeout_s),
            client.ask(url, content, None, client.backend(url)) as response,
        ):
            said, status = await response.aread(), response.status
    except TimeoutError:
        raise fault(f"no answer within {timeout_s:g} s", "no_first_byte") from None
    except _NO_ANSWER as error:
        reasons = (reason for kind, reason in _REASONS.items() if isinstance(error, kind))
        what = f"no answer ({type(error).__name__}: {error})"
        raise fault(what, next(reasons, "protocol")) from None
    if status in (401, 403):
        raise unauthorised(url, str(status))
    if not 200 <= status < 300:
        what = f"status {status} {unkeyed(said.decode('utf-8', 'replace'))[:80]}"
        raise fault(what, _STATUS_REASONS.get(status, "server_error"))
    try:
        answer = json.loads(said)
    except (ValueError, RecursionError):
        raise fault("the answer is not JSON", "bad_json") from None
    if not isinstance(answer, dict):
        raise fault("the answer is not a JSON object", "bad_json")
    return answer


def unauthorised(url: str, status: str = "401 or 403") -> TandemError:
    """The error (exit 4) of a server that asks for a key: no run of the study can do without it."""
    what = f"status {status}: the server asks for a key, or for another one"
    fix = f"set {API_KEY} to its key (engine openai)"
    return TandemError(what, where=url, fix=fix, exit_code=EXIT_ENVIRONMENT)


class Call:
    """A POST of ``body`` to ``url`` that waits to be made; ``idle_s`` bounds each of its waits."""

    def __init__(self, client: Client, url: str, body: bytes, idle_s: float) -> None:
        self.client = client
        self.url = url
        self.body = body
        self.idle_s = idle_s
        self.backend = client.backend(url)

    async def dial(self) -> None:
        """Connect now. Soon before the call only: a server closes what stays silent.

        If that fails, the call itself will tell.
        """
        with suppress(*_NO_ANSWER):
            to = parsed(self.url).origin
            await self.backend.connect_tcp(to.host.decode(), to.port, self.idle_s)


async def stream(
    call: Call, event: Callable[[bytes], Event | None], deadline_s: float
) -> StreamRecord:
    """Make ``call`` and follow the answer to its end, stamping every read.

    ``event`` reads one line. A stream that fails in any way comes back as a record with
    ``error`` set; only cancellation is raised. ``deadline_s`` bounds all of it.
    """
    seen = _Seen(call.backend, event)
    error: StreamFault | None = None
    try:
        async with (
            asyncio.timeout(deadline_s),
            call.client.ask(call.url, call.body, call.idle_s, call.backend) as response,
        ):
            if response.status != 200:
                await _refuse(response)
            await seen.follow(response)
        seen.check_end()
    except StreamFault as fault:
        error = fault
    except TimeoutError:
        error = StreamFault("deadline", f"no end after {deadline_s:g} s")
    except _NO_ANSWER as fault:
        error = seen.fault(fault)
    return seen.record(error)


class _Seen:
    """What has arrived so far; kept outside the stream so that a failure loses none of it.

    Arrivals are indices of the connection's reads; they become times when all is over.
    """

    def __init__(self, backend: Backend, event: Callable[[bytes], Event | None]) -> None:
        self.backend = backend
        self.event = event
        self.started_ns = time.monotonic_ns()
        self.last_read = -1
        self.chunk_reads: list[int] = []
        self.text: list[str] = []
        self.final = Final()
        self.raw_final = ""
        self.ended = False

    async def follow(self, response: httpcore.Response) -> None:
        """Take the answer's lines until it ends."""
        inbox = self.backend.inbox
        assert inbox is not None  # noqa: S101 - it answers
        inbox.patient = True
        rest = b""
        async for data in response.aiter_stream():
            # The parser asks for the next read only when it has given out all of the last.
            self.last_read = inbox.read_index
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.take(line)
            if len(rest) > MAX_LINE_BYTES:
                raise StreamFault("line_too_long", f"over {MAX_LINE_BYTES} bytes")
        if rest.strip():
            self.take(rest)

    def take(self, line: bytes) -> None:
        """Take one line of the read that came last."""
        try:
            heard = self.event(line)
            if heard is None:
                return
            heard.content.encode("utf-8")
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
            self.chunk_reads.append(self.last_read)
            self.text.append(heard.content)
        if heard.final is not None:
            self.final = self.final.joined(heard.final)
            # Why it stopped and how much it was may come in two lines: the counts are kept.
            if heard.final.answer_tokens is not None or not self.raw_final:
                self.raw_final = line.decode("utf-8").strip()
        self.ended = heard.ends

    def check_end(self) -> None:
        """StreamFault unless what arrived is a whole answer with its count."""
        if self.last_read < 0:
            raise StreamFault("empty", "status 200 without a byte")
        if not self.ended:
            raise StreamFault("no_terminal_event", "the stream stopped without its end")
        if not self.chunk_reads:
            raise StreamFault("empty", "an answer without content")
        if self.final.answer_tokens is None:
            raise StreamFault("no_token_count", "the server does not say how many tokens it sent")

    def fault(self, error: Exception) -> StreamFault:
        """What came of a request that ended in ``error``."""
        text = str(error)
        for kind, reason in _REASONS.items():
            if isinstance(error, kind):
                return StreamFault(reason, text)
        if isinstance(error, httpcore.TimeoutException):
            return StreamFault("stalled" if self.last_read >= 0 else "no_first_byte", text)
        first = self.backend.inbox.first if self.backend.inbox else b""
        # The HTTP parser waits for the end of a head, and does not look at what its begin is.
        if isinstance(error, httpcore.RemoteProtocolError) and first and first[:5] != b"HTTP/":
            return StreamFault("protocol", f"no HTTP: {first!r}")
        if "without sending a response" in text:
            return StreamFault("disconnect_before_first_byte", text)
        return StreamFault("truncated_chunked" if "incomplete" in text else "protocol", text)

    def record(self, error: StreamFault | None) -> StreamRecord:
        """All of it, with indices of reads turned into times."""
        inbox = self.backend.inbox
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


async def _refuse(response: httpcore.Response) -> None:
    """StreamFault: what the server says instead of a stream."""
    status = response.status
    if 300 <= status < 400:
        headers = {name.lower(): value for name, value in response.headers}
        raise StreamFault("redirect", f"to {headers.get(b'location', b'?').decode('latin-1')}")
    said = b""
    # The status alone is a reason: neither an endless page nor a cut one may hide it.
    with suppress(*_NO_ANSWER):
        async for data in response.aiter_stream():
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
