"""One LLM call over HTTP and what comes of it: stamped bytes in, StreamRecord out."""

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import cast

import httpcore

from tandembench.text import sanitise
from tandembench.wire.client import NO_ANSWER, REASONS, STATUS_REASONS, Call
from tandembench.wire.clocks import DATA_RECEIVED
from tandembench.wire.driver import Driver, failure
from tandembench.wire.framing import Lines, Message
from tandembench.wire.key import unkeyed
from tandembench.wire.record import Event, Final, StreamRecord, contradiction, running_counts
from tandembench.wire.sockets import Backend

# Ollama's last line lists the tokens of prompt and answer, some seven bytes each.
MAX_LINE_BYTES = 4 << 20
# What an answer may be longer than was asked for, in pieces, the bytes that one piece may take with
# all that servers write around it, and its text alone, which is kept, before it is a flood.
SLACK_PIECES = 16
_PIECE_BYTES = 1 << 12
_PIECE_TEXT = 1 << 8
_SLACK_TEXT = 1 << 16
# How long after finish reason and counts the end may come, or after the end the counts, if they
# come: some servers send neither, and keep the connection open.
_GRACE_S = 0.05
# More than is shown, so that a key that a refusal repeats is there whole, and is found.
_MAX_REFUSAL_BYTES = 4096
# What runners say when they, or the kernel, ran out of memory.
_OUT_OF_MEMORY = re.compile(r"memory|allocat|signal: killed", re.IGNORECASE)
# Finish reasons of an answer that the server gave up (vLLM, DeepSeek, Zhipu), in small letters.
_BROKEN = {"abort", "aborted", "cancelled", "canceled", "error", "failed", "timeout"}
_BROKEN |= {"insufficient_system_resource", "model_error", "network_error", "server_error"}
# What may stand before a body's first word, and what it then begins with if it is compressed.
_BLANK = b"\xef\xbb\xbf \t\r\n"
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"x\x9c": "deflate",
    b"x\x01": "deflate",
}
_LONGEST_MAGIC = 4
_STREAM_TYPES = ("text/event-stream", "ndjson", "jsonl", "stream+json")


class StreamFault(Exception):
    """A stream that gives no number: ``reason`` is a stable code, ``detail`` a short text."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = sanitise(unkeyed(detail))


async def stream(call: Call, driver: Driver, deadline_s: float) -> StreamRecord:
    """Make ``call`` and follow the answer to the end of its protocol, stamping every read.

    A stream that fails in any way comes back as a record with ``error`` set; only cancellation is
    raised. ``deadline_s`` bounds all of it.
    """
    seen = _Seen(call, driver)
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
    except NO_ANSWER as fault:
        error = seen.fault(fault)
    return seen.record(error)


class _Seen:
    """What has arrived so far; kept outside the stream so that a failure loses none of it.

    Arrivals are indices of the connection's reads; they become times when all is over.
    """

    def __init__(self, call: Call, driver: Driver) -> None:
        self.backend: Backend = call.backend
        self.driver = driver
        self.framing = driver.framing()
        self.most_pieces = call.max_tokens + SLACK_PIECES
        self.max_tokens = call.max_tokens
        self.started_ns = time.monotonic_ns()
        self.last_read = -1
        self.end_read = -1
        self.chunk_reads: list[int] = []
        self.chunk_tokens: list[int | None] = []
        self.text: list[str] = []
        self.characters = 0
        self.final = Final()
        self.head: bytes | None = b""
        self.kind = ""
        self.read_bytes = 0
        self.messages = 0
        self.strange = ""
        self.ended = False
        self.resting = False

    @property
    def complete(self) -> bool:
        """Whether all is there that an answer needs, the word that ends it aside."""
        return self.final.stop_reason is not None and self.final.answer_tokens is not None

    async def follow(self, response: httpcore.Response) -> None:
        """Take the answer's messages until its protocol says that it ends, or its body does."""
        inbox = self.backend.inbox
        assert inbox is not None  # noqa: S101 - it answers
        inbox.patient = True
        headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        self.kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        coding = headers.get(b"content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise StreamFault("compressed", coding)
        most_bytes = MAX_LINE_BYTES + self.most_pieces * _PIECE_BYTES
        grace = asyncio.timeout(None)
        try:
            async with grace, aclosing(_body(response)) as body:
                async for data in body:
                    # The parser asks for the next read only when it has given out the last.
                    self.last_read = inbox.read_index
                    self.read_bytes += len(data)
                    if self.head is not None:
                        await self.look(data, body)
                    for message in self.framing.feed(data, self.last_read):
                        self.take(message)
                    if self.framing.waiting > MAX_LINE_BYTES:
                        raise StreamFault("line_too_long", f"over {MAX_LINE_BYTES} bytes")
                    if self.read_bytes > most_bytes:
                        raise StreamFault("flood", f"over {most_bytes} bytes")
                    if self.ended and self.final.answer_tokens is not None:
                        return
                    if not self.resting:
                        grace.reschedule(None)
                    elif grace.when() is None:
                        grace.reschedule(asyncio.get_running_loop().time() + _GRACE_S)
        except TimeoutError:
            if not grace.expired():
                raise
        for message in self.framing.close(self.last_read):
            self.take(message)

    async def look(self, data: bytes, body: AsyncIterator[bytes]) -> None:
        """StreamFault if the body begins like something that is no stream of this protocol."""
        self.head = ((self.head or b"") + data).lstrip(_BLANK)
        if len(self.head) < _LONGEST_MAGIC:
            return
        head, self.head = self.head, None
        for magic, name in _MAGIC.items():
            if head.startswith(magic):
                raise StreamFault("compressed", name)
        if head.startswith(b"<"):
            raise StreamFault("not_ndjson", f"a page of HTML: {_start(head)}")
        if self.driver.framing is not Lines and head[:1] in (b"{", b"[", b'"'):
            said = await _said(body, head)
            with suppress(ValueError, AttributeError, RecursionError):
                if error := failure(json.loads(said)):
                    raise StreamFault(_server_fault(error), error)
            raise StreamFault("not_streamed", f"{self.kind or 'JSON'}: {_start(said)}")

    def take(self, message: Message) -> None:
        """Take one message."""
        heard = self.heard(message)
        if heard is None:
            return
        self.messages += 1
        reason = self.final.stop_reason
        if self.ended:
            # A second [DONE] does no harm, nor counts that come late.
            if heard.content or (heard.ends and heard.final):
                raise StreamFault("protocol", "data after the end of the stream")
        elif heard.content or heard.final or heard.ends:
            self.end_read = message.read
        if heard.error is not None:
            raise StreamFault(_server_fault(heard.error), heard.error)
        if heard.content:
            self.chunk_reads.append(message.read)
            self.chunk_tokens.append(heard.tokens)
            self.text.append(heard.content)
            self.characters += len(heard.content)
            most = _SLACK_TEXT + self.most_pieces * _PIECE_TEXT
            if len(self.text) > self.most_pieces or self.characters > most:
                what = f"{len(self.text)} pieces, {self.characters} characters"
                raise StreamFault("flood", f"{what}, {self.max_tokens} tokens asked for")
        if heard.final is not None:
            self.final = self.final.joined(heard.final)
            if _BROKEN.intersection(re.findall(r"\w+", (self.final.stop_reason or "").lower())):
                raise StreamFault("server_error", f"finish_reason {self.final.stop_reason}")
        self.strange = heard.strange or self.strange
        self.ended = self.ended or heard.ends
        # What some servers send for a reason with every piece of content is no end.
        last = not heard.content or (reason is None and len(self.text) > 1)
        self.resting = last and (self.ended or self.complete)

    def heard(self, message: Message) -> Event | None:
        """What ``message`` says, if anything."""
        data, name = message.data, message.name
        if name == b"error":
            return Event(error=data.decode("utf-8", "replace") or "an event named error")
        if not data.strip() or (name not in (b"", b"message") and data.lstrip()[:1] not in b"{["):
            return None  # heartbeats, and events that are not for us
        try:
            return self.driver.event(data)
        except UnicodeError:
            reason = "bad_utf8"
        except (json.JSONDecodeError, RecursionError):
            if not self.messages and self.kind.endswith("/json"):
                raise StreamFault("not_streamed", f"{self.kind}: {_start(data)}") from None
            reason = "bad_json"
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            # Any JSON may come, of any shape.
            raise StreamFault("bad_shape", f"{error}: {_start(data)}") from None
        if self.ended:  # the answer is whole: what else a proxy says is not for us
            return None
        raise StreamFault(reason, _start(data))

    def check_end(self) -> None:
        """StreamFault unless what arrived is a whole answer with its count."""
        if self.last_read < 0:
            raise StreamFault("empty", "status 200 without a byte")
        if self.strange and self.final.stop_reason is None:
            raise StreamFault(_server_fault(self.strange), self.strange)
        if not self.ended and not self.complete:
            typed = not self.kind or self.kind.endswith(_STREAM_TYPES)
            if not self.messages and self.head != b"" and not typed:
                raise StreamFault("not_streamed", self.kind)
            raise StreamFault("no_terminal_event", "the stream stopped without its end")
        if not self.chunk_reads:
            raise StreamFault("empty", "an answer without content")
        if self.final.answer_tokens is None:
            raise StreamFault("no_token_count", "the server does not say how many tokens it sent")

    def fault(self, error: Exception) -> StreamFault:
        """What came of a request that ended in ``error``."""
        text = str(error)
        for kind, reason in REASONS.items():
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
        """All of it, with indices of reads turned into times, and held against each other."""
        inbox = self.backend.inbox
        stamps, clock = inbox.stamps() if inbox else ([], DATA_RECEIVED)
        request_ns = (inbox.request_ns if inbox else 0) or self.started_ns
        last = self.last_read if error else self.end_read
        end_ns = stamps[last] if last >= 0 else time.monotonic_ns()
        # Halves of a surrogate pair may come in two pieces.
        joined = "".join(self.text).encode("utf-16", "surrogatepass")
        counts, tokens = self.chunk_tokens, self.final.answer_tokens
        if error is None and tokens is not None:
            took_s = (end_ns - request_ns) / 1e9
            why = contradiction(tokens, len(counts), self.max_tokens, took_s)
            error = StreamFault("count_contradicts", why) if why else None
        try:
            text = joined.decode("utf-16")
        except UnicodeError:
            text = joined.decode("utf-16", "replace")
            error = error or StreamFault("bad_utf8", "half a surrogate pair")
        return StreamRecord(
            request_ns=request_ns,
            chunk_ns=tuple([stamps[read] for read in self.chunk_reads]),
            chunk_tokens=running_counts(counts, tokens),
            end_ns=end_ns,
            text=unkeyed(text),
            final=self.final,
            clock=clock,
            error=error.reason if error else None,
            detail=error.detail if error else "",
        )


def _start(data: bytes) -> str:
    # The key is looked for in more than is shown.
    return unkeyed(repr(data[:_MAX_REFUSAL_BYTES]))[:80]


def _body(response: httpcore.Response) -> AsyncGenerator[bytes, None]:
    return cast(AsyncGenerator[bytes, None], response.aiter_stream())


async def _said(body: AsyncIterator[bytes], said: bytes = b"") -> bytes:
    """``said`` and the first kilobytes of the rest of a body that is no stream."""
    # Neither an endless page nor a cut one may hide what it is.
    with suppress(*NO_ANSWER):
        async for data in body:
            said += data
            if len(said) > _MAX_REFUSAL_BYTES:
                break
    return said[:_MAX_REFUSAL_BYTES]


async def _refuse(response: httpcore.Response) -> None:
    """StreamFault: what the server says instead of a stream."""
    status = response.status
    if 300 <= status < 400:
        headers = {name.lower(): value for name, value in response.headers}
        raise StreamFault("redirect", f"to {headers.get(b'location', b'?').decode('latin-1')}")
    async with aclosing(_body(response)) as body:
        said = await _said(body)
    text = said.decode("utf-8", "replace")
    generic = _server_fault(text) if status >= 500 else f"http_{status}"
    if text.lstrip().startswith("<"):  # of a proxy: what its status says holds all the same
        generic, text = "not_ndjson", f"status {status}, a page of HTML"
    raise StreamFault(STATUS_REASONS.get(status, generic), text)


def _server_fault(text: str) -> str:
    return "oom" if _OUT_OF_MEMORY.search(text) else "server_error"
