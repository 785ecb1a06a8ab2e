"""The HTTP client: the only module that talks over httpcore, and what it asks outside of timing."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cached_property

import httpcore

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.text import sanitise
from tandembench.wire.clocks import KERNEL, keep_stamping
from tandembench.wire.key import API_KEY, api_key, unkeyed, unkeyed_json
from tandembench.wire.record import Json
from tandembench.wire.sockets import Backend, Unresolved, Untrusted

# More than any server lists of itself.
_MAX_ANSWER_BYTES = 16 << 20
STATUS_REASONS = {
    204: "empty",
    401: "unauthorised",
    403: "unauthorised",
    404: "not_found",
    429: "rate_limited",
    503: "busy",
}
# In this order: the first two are kinds of the third, and that of the last.
REASONS: Mapping[type[Exception], str] = {
    Unresolved: "dns",
    Untrusted: "tls",
    httpcore.ConnectError: "conn_refused",
    httpcore.NetworkError: "reset",
}
# What can come of a request whose answer never came, or not whole.
NO_ANSWER = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


class NoAnswer(TandemError):
    """A server that does not answer as it should now; ``reason`` is a code as of streams."""

    reason = "server_error"


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

    It comes without the key, should the server repeat it. NoAnswer (exit 4) names the URL if it
    does not answer with a JSON object, TandemError if it asks for a key.
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
            said, status = b"", response.status
            async for data in response.aiter_stream():
                said += data
                if len(said) > _MAX_ANSWER_BYTES:
                    raise fault(f"over {_MAX_ANSWER_BYTES >> 20} MiB", "line_too_long")
    except TimeoutError:
        raise fault(f"no answer within {timeout_s:g} s", "no_first_byte") from None
    except NO_ANSWER as error:
        reasons = (reason for kind, reason in REASONS.items() if isinstance(error, kind))
        what = f"no answer ({type(error).__name__}: {error})"
        raise fault(what, next(reasons, "protocol")) from None
    if status in (401, 403):
        raise unauthorised(url, str(status))
    if not 200 <= status < 300:
        what = f"status {status} {unkeyed(said.decode('utf-8', 'replace'))[:80]}"
        raise fault(what, STATUS_REASONS.get(status, "server_error"))
    try:
        answer = json.loads(said)
    except (ValueError, RecursionError):
        raise fault("the answer is not JSON", "bad_json") from None
    if not isinstance(answer, dict):
        raise fault("the answer is not a JSON object", "bad_json")
    return {unkeyed(name): unkeyed_json(value) for name, value in answer.items()}


def unauthorised(url: str, status: str = "401 or 403") -> TandemError:
    """The error (exit 4) of a server that asks for a key: no run of the study can do without it."""
    what = f"status {status}: the server asks for a key, or for another one"
    fix = f"set {API_KEY} to its key (engine openai)"
    return TandemError(what, where=url, fix=fix, exit_code=EXIT_ENVIRONMENT)


class Call:
    """A POST of ``body`` to ``url`` that waits to be made; ``idle_s`` bounds each of its waits.

    The body asks for ``max_tokens`` tokens at most.
    """

    def __init__(
        self, client: Client, url: str, body: bytes, idle_s: float, max_tokens: int
    ) -> None:
        self.client = client
        self.url = url
        self.body = body
        self.idle_s = idle_s
        self.max_tokens = max_tokens
        self.backend = client.backend(url)

    async def dial(self) -> None:
        """Connect now. Soon before the call only: a server closes what stays silent.

        If that fails, the call itself will tell.
        """
        with suppress(*NO_ANSWER):
            to = parsed(self.url).origin
            await self.backend.connect_tcp(to.host.decode(), to.port, self.idle_s)
