"""The HTTP client: the only module that knows httpx. Bytes in, stamped StreamRecord out."""

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.text import sanitise
from tandembench.wire.record import Event, Final, StreamRecord

Client = httpx.AsyncClient
CLOCK = "httpx_read"
# Ollama's last line lists the tokens of prompt and answer, some seven bytes each.
MAX_LINE_BYTES = 4 << 20
_MAX_REFUSAL_BYTES = 500
_MAX_NUMBER = 1e15
_STATUS_REASONS = {
    204: "empty",
    401: "unauthorised",
    403: "unauthorised",
    404: "not_found",
    429: "rate_limited",
    503: "busy",
}
# What runners say when they, or the kernel, ran out of memory.
_OUT_OF_MEMORY = re.compile(r"memory|allocat|signal: killed", re.IGNORECASE)


class StreamFault(Exception):
    """A stream that gives no number: ``reason`` is a stable code, ``detail`` a short text."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = sanitise(detail)


def open_client() -> httpx.AsyncClient:
    """A client that talks to the named server and to nothing else.

    No proxy from the environment (HTTP_PROXY would capture 127.0.0.1), no redirects, no
    compression (it would hide when a token came).
    """
    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
        # llama-server may close a kept connection while the next request is on its way.
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
    )


async def ask_json(
    client: httpx.AsyncClient,
    url: str,
    body: dict[str, Any] | None = None,
    timeout_s: float = 5.0,
) -> dict[str, Any]:
    """GET ``url``, or POST ``body`` to it, outside of any timed window.

    TandemError (exit 4) names the URL if it does not answer with a JSON object.
    """

    def fault(what: str) -> TandemError:
        return TandemError(
            sanitise(what),
            where=url,
            fix="check that the server runs and is the one you mean",
            exit_code=EXIT_ENVIRONMENT,
        )

    try:
        method = "GET" if body is None else "POST"
        # httpx's own timeout is per read: a slow drip would never end.
        async with asyncio.timeout(timeout_s):
            response = await client.request(method, url, json=body, timeout=None)
        answer = response.json() if response.is_success else None
    except TimeoutError:
        raise fault(f"no answer within {timeout_s:g} s") from None
    except httpx.RequestError as error:
        raise fault(f"no answer ({type(error).__name__}: {error})") from None
    except httpx.InvalidURL as error:
        raise fault(f"not a URL ({error})") from None
    except (ValueError, RecursionError):
        raise fault("the answer is not JSON") from None
    if not response.is_success:
        raise fault(f"status {response.status_code} {response.text[:80]}")
    if not isinstance(answer, dict):
        raise fault("the answer is not a JSON object")
    return answer


async def stream(
    client: httpx.AsyncClient,
    url: str,
    body: bytes,
    event: Callable[[bytes], Event | None],
    deadline_s: float,
    idle_s: float,
) -> StreamRecord:
    """POST ``body`` and follow the answer to its end, stamping every read.

    ``event`` reads one line. A stream that fails in any way comes back as a record with
    ``error`` set; only cancellation is raised. ``idle_s`` bounds each wait, ``deadline_s`` all.
    """
    seen = _Seen(request_ns=time.monotonic_ns())
    error: StreamFault | None = None
    try:
        async with asyncio.timeout(deadline_s):
            await _follow(client, url, body, event, idle_s, seen)
    except StreamFault as fault:
        error = fault
    except TimeoutError:
        error = StreamFault("deadline", f"no end after {deadline_s:g} s")
    except (httpx.RequestError, httpx.InvalidURL) as fault:
        error = StreamFault(_reason(fault, bool(seen.end_ns)), str(fault))
    return StreamRecord(
        request_ns=seen.request_ns,
        chunk_ns=tuple(seen.chunk_ns),
        end_ns=seen.end_ns or time.monotonic_ns(),
        text="".join(seen.text),
        final=seen.final or Final(),
        clock=CLOCK,
        error=error.reason if error else None,
        detail=error.detail if error else "",
    )


class _Seen:
    """What has arrived so far; kept outside the stream so that a failure loses none of it."""

    def __init__(self, request_ns: int) -> None:
        self.request_ns = request_ns
        self.chunk_ns: list[int] = []
        self.text: list[str] = []
        self.end_ns = 0
        self.final: Final | None = None

    async def stamp_request(self, name: str, _info: dict[str, Any]) -> None:
        """httpcore's trace hook: the request's start is the end of its last write."""
        if name == "http11.send_request_body.complete":
            self.request_ns = time.monotonic_ns()

    def take(self, line: bytes, at_ns: int, event: Callable[[bytes], Event | None]) -> None:
        try:
            heard = event(line)
            if heard is None:
                return
            _check_types(heard)
        except UnicodeError:
            raise StreamFault("bad_utf8", repr(line[:80])) from None
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            # Any JSON may come, of any shape and depth; no line of a protocol begins like HTML.
            reason = "not_ndjson" if line.lstrip().startswith(b"<") else "bad_json"
            raise StreamFault(reason, repr(line[:80])) from None
        if self.final is not None:
            raise StreamFault("protocol", "data after the end of the stream")
        if heard.error is not None:
            raise StreamFault(_server_fault(heard.error), heard.error)
        if heard.content:
            self.chunk_ns.append(at_ns)
            self.text.append(heard.content)
        self.final = heard.final


async def _follow(
    client: httpx.AsyncClient,
    url: str,
    body: bytes,
    event: Callable[[bytes], Event | None],
    idle_s: float,
    seen: _Seen,
) -> None:
    async with client.stream(
        "POST",
        url,
        content=body,
        headers={"Content-Type": "application/json"},
        timeout=httpx.Timeout(idle_s),
        extensions={"trace": seen.stamp_request},
    ) as response:
        if response.status_code != httpx.codes.OK:
            await _refuse(response)
        rest = b""
        async for data in response.aiter_raw():
            seen.end_ns = time.monotonic_ns()
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                seen.take(line, seen.end_ns, event)
            if len(rest) > MAX_LINE_BYTES:
                raise StreamFault("line_too_long", f"over {MAX_LINE_BYTES} bytes")
        if rest.strip():
            seen.take(rest, seen.end_ns, event)
        if not seen.end_ns:
            raise StreamFault("empty", "status 200 without a byte")
        if seen.final is None:
            raise StreamFault("no_terminal_event", "the stream stopped without its end")
        if not seen.chunk_ns:
            raise StreamFault("empty", "an answer without content")
        if seen.final.answer_tokens is None:
            raise StreamFault("no_token_count", "the server does not say how many tokens it sent")


async def _refuse(response: httpx.Response) -> None:
    status = response.status_code
    if response.is_redirect:
        raise StreamFault("redirect", f"to {response.headers.get('location', '?')}")
    said = b""
    # The status alone is a reason: neither an endless page nor a cut one may hide it.
    with suppress(httpx.TransportError):
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


def _check_types(heard: Event) -> None:
    """ValueError unless ``heard`` holds what its type promises; UnicodeError if no text can."""
    heard.content.encode("utf-8")
    final = heard.final or Final()
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
    if isinstance(error, httpx.ConnectError):
        unresolved = re.search("name|resolution|getaddrinfo", str(error), re.IGNORECASE)
        return "dns" if unresolved else "conn_refused"
    if isinstance(error, httpx.TimeoutException):
        return "stalled" if bytes_came else "no_first_byte"
    if isinstance(error, httpx.ReadError | httpx.WriteError):
        return "reset"
    text = str(error)
    if "without sending a response" in text:
        return "disconnect_before_first_byte"
    return "truncated_chunked" if "incomplete" in text else "protocol"
