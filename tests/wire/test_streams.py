"""Streams over real sockets: a good one is stamped and whole, any other a reason and no number."""

import asyncio
import gzip
import json
import time
from itertools import permutations
from typing import Any

import pytest
import raw_servers
from raw_servers import (
    CHAT,
    CHUNKED,
    CLOSING,
    COMPLETIONS,
    DONE,
    FINISH,
    HEAD,
    IDLE_S,
    IN_CHOICE,
    LIMIT_S,
    LLAMA,
    OLLAMA,
    OPENAI_DONE,
    PLAIN,
    QUICK,
    RESET,
    ROLE,
    TOKEN,
    TOKENS,
    USAGE,
    WAIT,
    Handler,
    Reader,
    Writer,
    call,
    chunk,
    listening,
    outcome,
    read_request,
    repeats,
    request,
    run,
    says,
    whole,
)

from tandembench.fake_server import Behaviour, StreamLog, serving
from tandembench.text import sanitise
from tandembench.wire import DRIVERS, Call, Driver, StreamRecord, open_client, stream
from tandembench.wire.stream import MAX_LINE_BYTES

EACH = pytest.mark.parametrize("driver", DRIVERS.values(), ids=lambda driver: driver.path)
OPENAI = pytest.mark.parametrize("driver", [CHAT, COMPLETIONS], ids=lambda driver: driver.path)


def token(driver: Driver, text: str) -> bytes:
    before, after, _ = TOKENS[driver]
    return before + text.encode() + after


def end(driver: Driver) -> bytes:
    return TOKENS[driver][2]


# Good streams


def test_stamps_lie_between_those_of_the_server_and_the_clock_after() -> None:
    async def measure() -> tuple[StreamRecord, StreamLog]:
        behaviour = Behaviour(first_token_s=0.01, gap_s=0.002, tokens=8, spin_s=0)
        async with serving(behaviour) as server:
            return await call(server.url), server.streams[0]

    before = time.monotonic_ns()
    record, log = run(measure())

    assert record.error is None
    assert record.text == "".join(f"w{i} " for i in range(8))
    assert len(record.chunk_ns) == len(log.sent_ns) == 8
    stamps = [before, record.request_ns, *record.chunk_ns, record.end_ns, time.monotonic_ns()]
    assert stamps == sorted(stamps)
    assert record.request_ns <= log.read_ns
    # each arrived after it was sent, to the error of reading two clocks
    sent = [*log.sent_ns, log.end_ns or 0]
    arrived = [*record.chunk_ns, record.end_ns]
    assert all(at > left - 20_000 for left, at in zip(sent, arrived, strict=True))
    assert (record.final.prompt_tokens, record.final.answer_tokens) == (3, 8)
    assert record.final.stop_reason == "stop"
    assert record.final.decode_s


@EACH
def test_a_stream_cut_in_the_middle_of_letters_and_lines_is_whole(driver: Driver) -> None:
    data = token(driver, "für ") + token(driver, "東\U0001f600") + end(driver)
    cut = b"".join(chunk(data[i : i + 1]) for i in range(len(data)))

    record = outcome(CHUNKED + cut + b"0\r\n\r\n", driver=driver)

    assert (record.error, record.text) == (None, "für 東\U0001f600")
    assert len(record.chunk_ns) == 2
    assert (record.final.answer_tokens, record.final.stop_reason) == (2, "length")


@OPENAI
@pytest.mark.parametrize(
    ("last", "error", "counts"),
    [
        (FINISH + USAGE + OPENAI_DONE, None, (3, 2)),
        (USAGE + FINISH + OPENAI_DONE, None, (3, 2)),
        # all is told: an end, though [DONE] never comes
        (FINISH + USAGE, None, (3, 2)),
        # late, or twice, does no harm
        (FINISH + OPENAI_DONE + USAGE, None, (3, 2)),
        (FINISH + USAGE + OPENAI_DONE + OPENAI_DONE, None, (3, 2)),
        (FINISH.replace(b'"length"', b'"length","usage":' + IN_CHOICE) + OPENAI_DONE, None, (3, 2)),
        (FINISH + OPENAI_DONE, "no_token_count", (None, None)),
        (USAGE, "no_terminal_event", (3, 2)),
    ],
)
def test_counts_and_end_in_lines_of_their_own_are_one_record(
    driver: Driver, last: bytes, error: str | None, counts: tuple[int | None, int | None]
) -> None:
    first = ROLE if driver is CHAT else b""

    one = outcome(CLOSING + first + token(driver, "a") + token(driver, "b") + last, driver=driver)

    assert (one.error, one.text) == (error, "ab")
    assert (one.final.prompt_tokens, one.final.answer_tokens) == counts
    assert one.final.stop_reason == (None if last == USAGE else "length")
    # all came in one read; a role, a reason, counts and the end are no pieces of content
    assert (len(one.chunk_ns), len(set(one.chunk_ns))) == (2, 1)


@pytest.mark.parametrize("reason", ["null", "no_reason_of_ours"])
def test_what_comes_with_every_piece_is_no_end(reason: str) -> None:
    piece = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"%b"}],"usage":%b}\n\n'
    piece %= reason.encode(), IN_CHOICE

    one = outcome(says(CLOSING, piece, 0.1, piece, 0.1, FINISH + USAGE + OPENAI_DONE), driver=CHAT)

    assert (one.error, one.text, one.final.stop_reason) == (None, "aa", "length")


LONG = json.dumps(
    {"done": True, "total_duration": 1, "eval_count": 1, "context": [123456] * 250000}
)


@pytest.mark.parametrize(
    "script",
    [
        (CLOSING, TOKEN, DONE.strip()),
        (CLOSING, TOKEN, DONE, b"\n\n"),
        (CLOSING, TOKEN, LONG.encode() + b"\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", CLOSING, TOKEN, DONE),
        (b"HTTP/1.0 200 OK\r\n\r\n", TOKEN, DONE),
    ],
    ids=["no newline", "blank lines", "long context", "continue", "1.0"],
)
def test_odd_streams_that_are_whole(script: tuple[bytes, ...]) -> None:
    record = outcome(says(*script))

    assert (record.error, record.detail, record.text) == (None, "", "w ")


# Faults that are the same in every protocol


@EACH
@pytest.mark.parametrize(
    ("cut", "reason", "text"),
    [
        (lambda one, _: CLOSING + one, "no_terminal_event", "a"),
        (lambda one, _: CLOSING + one + one[: len(one) // 2], "bad_json", "a"),
        (lambda one, last: CLOSING + one + last.replace(b"2", b"null"), "no_token_count", "a"),
        (lambda one, last: CLOSING + one + last.replace(b"2", b"0"), "count_contradicts", "a"),
        (lambda one, last: CLOSING + one * 3 + last, "count_contradicts", "aaa"),
        (lambda one, last: CLOSING + one + last.replace(b"2", b"101"), "count_contradicts", "a"),
        (lambda one, last: CLOSING + one + last.replace(b"2", b"99"), "count_contradicts", "a"),
        (lambda one, last: CLOSING + one * 117 + last, "flood", "a" * 117),
        (lambda one, _: CHUNKED + chunk(one), "truncated_chunked", "a"),
        (lambda one, _: CHUNKED + chunk(one) + b"ff\r\n" + one, "truncated_chunked", "aa"),
        (lambda one, last: CLOSING + one + last + one, "protocol", "a"),
        (lambda _, last: CLOSING + last, "empty", ""),
        (lambda one, last: CLOSING + one.replace(b'"a"', b'""') + last, "empty", ""),
        (lambda one, _: HEAD + b"Content-Length: 999\r\n\r\n" + one, "protocol", "a"),
    ],
    ids=[
        "closed",
        "half",
        "uncounted",
        "none",
        "few",
        "many",
        "fast",
        "flood",
        "between",
        "inside",
        "after end",
        "no token",
        "blank",
        "short",
    ],
)
def test_a_stream_that_is_not_whole_gives_no_number(
    driver: Driver, cut: Any, reason: str, text: str
) -> None:
    record = outcome(cut(token(driver, "a"), end(driver)), driver=driver)

    assert (record.error, record.text) == (reason, text)
    assert len(record.chunk_ns) == len(text)
    assert record.end_ns >= record.request_ns


@pytest.mark.parametrize(
    ("driver", "other"), list(permutations(TOKENS, 2)), ids=lambda driver: driver.path
)
def test_the_stream_of_another_protocol_gives_no_number(driver: Driver, other: Driver) -> None:
    spoken = token(other, "a") + token(other, "b") + end(other)

    record = outcome(CLOSING + spoken, driver=driver)

    assert record.error in ("bad_json", "server_error", "empty", "not_streamed")
    assert record.text == ""


@EACH
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (CLOSING + b"<!DOCTYPE html>\n<html><body>It works!</body></html>\n", "not_ndjson"),
        (b"SSH-2.0-OpenSSH_9.6p1 Debian-3\r\n", "protocol"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64", "protocol"),
        # NDJSON that is no part of an answer, and no event at all
        (CLOSING + b'{"object":"list","data":[]}\n', None),
    ],
    ids=["html", "ssh", "http2", "json"],
)
def test_what_speaks_no_such_protocol_is_told_apart(
    driver: Driver, said: bytes, reason: str | None
) -> None:
    record = outcome(said, driver=driver)

    plain = "server_error" if driver in PLAIN else "not_streamed"
    assert (record.error, record.chunk_ns) == (reason or plain, ())
    if said.startswith(b"SSH"):
        assert "no HTTP: b'SSH-2.0-OpenSSH_9.6p1" in record.detail


# Faults by reason, in Ollama's words; how many tokens came before


REFUSED = b'{"error":"no"}'
MEMORY = [
    "model requires more system memory (9 GiB) than is available (1 GiB)",
    "llama runner process has terminated: cudaMalloc failed: out of memory",
    "llama runner process has terminated: signal: killed",
    "unable to allocate CUDA0 buffer",
]
STATUSES = {201: "http_201", 400: "http_400", 401: "unauthorised", 403: "unauthorised"}
STATUSES |= {404: "not_found", 429: "rate_limited", 500: "server_error", 503: "busy"}
CRASH = "llama runner process has terminated: exit status 2"


@pytest.mark.parametrize(
    ("handler", "reason", "tokens"),
    [
        (b"", "disconnect_before_first_byte", 0),
        (b"HTTP/1.1 200 OK\r\nCont", "disconnect_before_first_byte", 0),
        (says(RESET), "reset", 0),
        (says(CLOSING, TOKEN * 3, 0.01, RESET), "reset", 3),
        (CLOSING + b"\n\n", "no_terminal_event", 0),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "empty", 0),
        (HEAD + b"Content-Length: 0\r\n\r\n", "empty", 0),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
            + gzip.compress(TOKEN + DONE),
            "compressed",
            0,
        ),
        (CLOSING + TOKEN + b'{"response":"\xff\xfe","done":false}\n', "bad_utf8", 1),
        (CLOSING + TOKEN + b'{"response":"' + b"x" * 5_000_000 + b'"}\n', "line_too_long", 1),
        # silence is bounded
        (says(WAIT), "no_first_byte", 0),
        (says(CHUNKED, WAIT), "no_first_byte", 0),
        (says(CLOSING, TOKEN, WAIT), "stalled", 1),
        # a refusal is its status
        *((whole(REFUSED, f"{status} No"), reason, 0) for status, reason in STATUSES.items()),
        (whole(b"<html>Bad Gateway</html>", "502 Bad Gateway"), "not_ndjson", 0),
        *(
            (whole(b"<html>No</html>", f"{status} No"), STATUSES[status], 0)
            for status in (401, 404, 429, 503)
        ),
        # whatever its page is like
        (repeats(b"HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n", b"x" * 65536), "busy", 0),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 99\r\n\r\nbusy", "busy", 0),
        (whole(b"not gzip", "503 Busy", "Content-Encoding: gzip\r\n"), "busy", 0),
        # out of memory is told apart, before the stream and in it
        *((whole(text.encode(), "500 Error"), "oom", 0) for text in MEMORY),
        *((CLOSING + TOKEN + json.dumps({"error": t}).encode() + b"\n", "oom", 1) for t in MEMORY),
        (whole(CRASH.encode(), "500 Error"), "server_error", 0),
        (CLOSING + TOKEN + json.dumps({"error": CRASH}).encode() + b"\n", "server_error", 1),
    ],
)
def test_a_fault_has_its_reason_and_keeps_the_tokens(
    handler: Handler | bytes, reason: str, tokens: int
) -> None:
    record = outcome(handler, idle_s=IDLE_S if reason in ("no_first_byte", "stalled") else LIMIT_S)

    assert (record.error, len(record.chunk_ns), record.text) == (reason, tokens, "w " * tokens)
    assert record.end_ns >= record.request_ns
    assert record.detail == sanitise(record.detail)


OVER_WITH = '{"done":true,"total_duration":1,'
ODD_VALUES = {
    "eval_count": ('"many"', "1.5", "true", "-1", "1" + "0" * 400),
    "eval_duration": ('"1 s"', "-5", "NaN", "Infinity", "1" + "0" * 400),
}
ODD_WORDS = ['{"response":1,"done":false}', '{"response":{"a":1},"done":false}']
ODD_WORDS += [f'{OVER_WITH}"{name}":{one}}}' for name, odd in ODD_VALUES.items() for one in odd]
ODD_EVENTS = ['{"content":1}', '{"stop":true,"tokens_predicted":"64"}']
ODD_EVENTS += [f'{{"stop":true,"timings":{odd}}}' for odd in ("[1]", '{"predicted_ms":"1"}')]


@pytest.mark.parametrize(
    ("driver", "odd"),
    [(OLLAMA, words) for words in ODD_WORDS] + [(LLAMA, f"data: {e}\n") for e in ODD_EVENTS],
    ids=range(len(ODD_WORDS) + len(ODD_EVENTS)),
)
def test_json_of_any_shape_is_a_fault_and_never_an_exception(driver: Driver, odd: str) -> None:
    said = CLOSING + token(driver, "a") + odd.encode() + b"\n"
    assert outcome(said, driver=driver).error in ("bad_shape", "bad_json")


def test_an_endless_line_ends_at_the_bound() -> None:
    sent = 0

    async def endless(reader: Reader, writer: Writer) -> None:
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
    ("piece", "pause_s", "deadline_s", "error"),
    [
        (TOKEN, 0.002, 0.6, "deadline"),
        (b"\n", 0.01, 0.6, "deadline"),
        (TOKEN * 100, 0.0, LIMIT_S, "flood"),
    ],
)
def test_a_drip_ends_at_the_deadline_and_a_flood_before_it_with_their_tokens(
    piece: bytes, pause_s: float, deadline_s: float, error: str
) -> None:
    record = outcome(repeats(CLOSING, piece, pause_s), deadline_s=deadline_s, max_tokens=3000)

    assert record.error == error
    assert bool(record.chunk_ns) == (b"w" in piece)
    assert record.text == "w " * len(record.chunk_ns)
    assert record.end_ns - record.request_ns < LIMIT_S * 1e9 / 2


def test_a_redirect_is_refused_and_says_where_to() -> None:
    visits: list[bytes] = []

    async def elsewhere(reader: Reader, _: Writer) -> None:
        visits.append(await reader.read())

    async def measure() -> tuple[str, StreamRecord]:
        async with listening(elsewhere) as other:
            moved = whole(b"", "307 Moved", f"Location: {other}/x\r\n")
            async with listening(says(moved)) as url:
                return other, await call(url)

    other, record = run(measure())

    assert record.error == "redirect"
    assert other in record.detail
    assert visits == []


def test_the_next_stream_after_a_fault_is_good() -> None:
    faults = [[CLOSING, TOKEN], [RESET], [whole(b"", "503 Busy")], [CLOSING, TOKEN, WAIT]]

    async def measure() -> list[str | None]:
        async with (
            raw_servers.faked(QUICK, lambda n, _: (faults + [None])[n]) as url,
            open_client() as client,
        ):
            calls = (Call(client, url + OLLAMA.path, request(), IDLE_S, 100) for _ in range(5))
            return [(await stream(one, OLLAMA, LIMIT_S)).error for one in calls]

    assert run(measure()) == ["no_terminal_event", "reset", "busy", "stalled", None]


def test_cancelling_is_raised_and_leaves_the_server_alone() -> None:
    async def measure() -> None:
        started, left = asyncio.Event(), asyncio.Event()

        async def handle(reader: Reader, writer: Writer) -> None:
            await read_request(reader)
            writer.write(CLOSING + TOKEN)
            started.set()
            await reader.read()
            left.set()

        async with listening(handle) as url:
            task = asyncio.create_task(call(url))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await left.wait()

    run(measure())
