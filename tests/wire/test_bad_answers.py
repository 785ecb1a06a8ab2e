"""What comes of bytes that are no answer: a reason code and no number, within a bound."""

import asyncio
import gzip

import pytest
from ollama_standin import (
    Handler,
    listening,
)
from raw_servers import (
    CHUNKED,
    CLOSING,
    DONE,
    HEAD,
    IDLE_S,
    LIMIT_S,
    TOKEN,
    call,
    outcome,
    repeats,
    run,
    says,
    says_and_waits,
)

from tandembench.wire import StreamRecord, llama
from tandembench.wire.client import MAX_LINE_BYTES


@pytest.mark.parametrize(
    ("handler", "reason", "tokens"),
    [
        pytest.param(says(), "disconnect_before_first_byte", 0, id="closed"),
        pytest.param(
            says(b"HTTP/1.1 200 OK\r\nCont"), "disconnect_before_first_byte", 0, id="head"
        ),
        pytest.param(
            says(CHUNKED, b"%x\r\n%s\r\n" % (len(TOKEN), TOKEN), b"ff\r\n" + TOKEN),
            "truncated_chunked",
            2,
            id="inside_a_chunk",
        ),
        pytest.param(
            says(CHUNKED, b"%x\r\n%s\r\n" % (len(TOKEN), TOKEN)),
            "truncated_chunked",
            1,
            id="between_chunks",
        ),
        pytest.param(says(CLOSING, TOKEN), "no_terminal_event", 1, id="close_delimited"),
        pytest.param(says(CLOSING, TOKEN, DONE, DONE), "protocol", 1, id="two_ends"),
        pytest.param(says(CLOSING, b"\n\n"), "no_terminal_event", 0, id="blank"),
        pytest.param(says(b"220 mail.example ESMTP\r\n\r\n"), "protocol", 0, id="not_http"),
        pytest.param(says(b"HTTP/1.1 204 No Content\r\n\r\n"), "empty", 0, id="204"),
        pytest.param(says(HEAD + b"Content-Length: 0\r\n\r\n"), "empty", 0, id="empty"),
        pytest.param(
            says(HEAD + b"Content-Length: 999\r\n\r\n" + TOKEN), "protocol", 1, id="short"
        ),
        pytest.param(
            says(CLOSING + b'{"detail":"not what was asked for"}\n'),
            "no_terminal_event",
            0,
            id="json",
        ),
        pytest.param(
            says(
                b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
                + gzip.compress(TOKEN + DONE)
            ),
            "bad_utf8",
            0,
            id="gzip",
        ),
    ],
)
def test_broken_framing(handler: Handler, reason: str, tokens: int) -> None:
    record = outcome(handler)

    assert (record.error, len(record.chunk_ns)) == (reason, tokens)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (201, "http_201"),
        (400, "http_400"),
        (401, "unauthorised"),
        (403, "unauthorised"),
        (404, "not_found"),
        (429, "rate_limited"),
        (500, "server_error"),
        (503, "busy"),
    ],
)
def test_a_refusal_is_its_status(status: int, reason: str) -> None:
    body = b'{"error":"no"}'
    head = b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n" % (status, len(body))

    record = outcome(says(head + body))

    assert (record.error, record.detail) == (reason, '{"error":"no"}')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"model requires more system memory (9 GiB) than is available (1 GiB)", "oom"),
        (b"llama runner process has terminated: cudaMalloc failed: out of memory", "oom"),
        (b"llama runner process has terminated: signal: killed", "oom"),
        (b"unable to allocate CUDA0 buffer", "oom"),
        (b"llama runner process has terminated: exit status 2", "server_error"),
    ],
)
def test_out_of_memory_is_told_apart(text: bytes, reason: str) -> None:
    head = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: %d\r\n\r\n" % len(text)
    inside = b'{"error":"' + text + b'"}\n'

    assert outcome(says(head + text)).error == reason
    assert outcome(says(CLOSING, TOKEN, inside)).error == reason


def test_the_status_of_a_refusal_holds_whatever_its_page_is_like() -> None:
    head = b"HTTP/1.1 503 Busy\r\n"

    assert outcome(repeats(head + b"Connection: close\r\n\r\n", b"x" * 65536)).error == "busy"
    assert outcome(says(head + b"Content-Length: 99\r\n\r\nbusy")).error == "busy"
    packed = head + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\nnot gzip"
    assert outcome(says(packed)).error == "busy"


def test_a_redirect_is_refused_and_says_where_to() -> None:
    visits: list[None] = []

    async def elsewhere(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        visits.append(await reader.read())

    async def measure() -> tuple[str, StreamRecord]:
        async with listening(elsewhere) as other:
            moved = f"HTTP/1.1 307 Moved\r\nLocation: {other}/x\r\nContent-Length: 0\r\n\r\n"
            async with listening(says(moved.encode())) as url:
                return other, await call(url)

    other, record = run(measure())

    assert record.error == "redirect"
    assert other in record.detail
    assert visits == []


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"response":1,"done":false}',
        b'{"response":["a"],"done":false}',
        b'{"response":{"a":1},"done":false}',
        b'{"done":true,"total_duration":1,"eval_count":"many"}',
        b'{"done":true,"total_duration":1,"eval_count":1.5}',
        b'{"done":true,"total_duration":1,"eval_count":true}',
        b'{"done":true,"total_duration":1,"eval_count":-1}',
        b'{"done":true,"total_duration":1,"eval_count":1' + b"0" * 400 + b"}",
        b'{"done":true,"total_duration":1,"eval_duration":"1 s"}',
        b'{"done":true,"total_duration":1,"eval_duration":-5}',
        b'{"done":true,"total_duration":1,"eval_duration":NaN}',
        b'{"done":true,"total_duration":1,"eval_duration":Infinity}',
        b'{"done":true,"total_duration":1,"eval_duration":1' + b"0" * 400 + b"}",
        b'{"done":true,"total_duration":1,"done_reason":{"a":1}}',
        b'{"done":true,"total_duration":1,"done_reason":"| forged | row |"}',
    ],
    ids=range(16),
)
def test_json_of_any_shape_is_a_fault_and_never_an_exception(line: bytes) -> None:
    assert outcome(says(CLOSING, TOKEN, line + b"\n")).error == "bad_json"


@pytest.mark.parametrize(
    "words",
    [
        b'{"content":1}',
        b'{"stop":true,"timings":null}',
        b'{"stop":true,"timings":[1]}',
        b'{"stop":true,"timings":{"predicted_ms":"1"}}',
        b'{"stop":true,"stop_type":["eos"]}',
        b'{"stop":true,"tokens_predicted":"64"}',
    ],
)
def test_events_of_any_shape_are_a_fault_and_never_an_exception(words: bytes) -> None:
    record = outcome(says(CLOSING, b"data: " + words + b"\n\n"), driver=llama)

    assert record.error == "bad_json"


def test_half_a_surrogate_pair_is_not_text() -> None:
    record = outcome(says(CLOSING, TOKEN, b'{"response":"\\ud83d","done":false}\n', DONE))

    assert (record.error, record.text) == ("bad_utf8", "w ")
    record.text.encode()


def test_an_endless_line_ends_at_the_bound() -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await says(CLOSING, TOKEN)(reader, writer)
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    record = outcome(endless)

    assert (record.error, len(record.chunk_ns)) == ("line_too_long", 1)
    # What is under way in buffers of the kernel and of asyncio comes on top.
    assert sent < MAX_LINE_BYTES + (16 << 20)


@pytest.mark.parametrize(
    ("handler", "reason", "tokens"),
    [
        pytest.param(says_and_waits(), "no_first_byte", 0, id="no_headers"),
        pytest.param(says_and_waits(CHUNKED), "no_first_byte", 0, id="headers_only"),
        pytest.param(says_and_waits(CLOSING, TOKEN), "stalled", 1, id="one_token"),
        pytest.param(says_and_waits(CLOSING, TOKEN, DONE), "stalled", 1, id="no_close"),
    ],
)
def test_silence_is_bounded(handler: Handler, reason: str, tokens: int) -> None:
    record = outcome(handler, idle_s=IDLE_S)

    assert (record.error, len(record.chunk_ns)) == (reason, tokens)


def test_a_drip_ends_at_the_deadline_with_its_tokens() -> None:
    record = outcome(repeats(CLOSING, TOKEN, 0.002), deadline_s=0.3)

    assert record.error == "deadline"
    assert record.chunk_ns
    assert record.text == "w " * len(record.chunk_ns)
    assert record.end_ns - record.request_ns < LIMIT_S * 1e9 / 2


def test_a_flood_ends_at_the_deadline_too() -> None:
    record = outcome(repeats(CLOSING, TOKEN * 100), deadline_s=0.2)

    assert record.error == "deadline"


@pytest.mark.parametrize("limit_s", [0.05, 0.1])
def test_equal_limits_give_one_of_two_reasons(limit_s: float) -> None:
    record = outcome(says_and_waits(CLOSING, TOKEN), deadline_s=limit_s, idle_s=limit_s)

    assert record.error in ("stalled", "deadline")
