"""What comes of a stream: stamps from a good one, a reason code and no number from a bad one."""

import asyncio
import gzip
import json
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from ollama_standin import (
    FAULTS,
    TOKENS_BEFORE_FAULT,
    Handler,
    answer,
    listening,
    read_request,
    reset,
    standin,
    tokens_of,
)

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.text import sanitise
from tandembench.wire import (
    Ask,
    Call,
    Driver,
    Event,
    StreamRecord,
    ask_json,
    llama,
    ollama,
    open_client,
    stream,
)
from tandembench.wire.client import MAX_LINE_BYTES

T = TypeVar("T")
K = TOKENS_BEFORE_FAULT
LIMIT_S = 10.0
# Long enough for a busy machine to answer in, short enough to wait for.
IDLE_S = 0.4

# The reason of every fault of the stand-in, and how many tokens came before it.
REASONS = {
    "busy": ("busy", 0),
    "not_found": ("not_found", 0),
    "oom": ("oom", 0),
    "html": ("not_ndjson", 0),
    "html_502": ("not_ndjson", 0),
    "redirect": ("redirect", 0),
    "empty": ("empty", 0),
    "error_line": ("server_error", K),
    "oom_line": ("oom", K),
    "no_done": ("no_terminal_event", K),
    "half_line": ("bad_json", K),
    "bad_utf8": ("bad_utf8", K),
    "long_line": ("line_too_long", K),
    "after_done": ("protocol", 8),
    "reset": ("reset", K),
    "stall": ("stalled", K),
}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSING = HEAD + b"Connection: close\r\n\r\n"
TOKEN = b'{"response":"w ","done":false}\n'
DONE = b'{"done":true,"done_reason":"stop","total_duration":1,"eval_count":1}\n'


def run(measurement: Coroutine[Any, Any, T]) -> T:
    """The outcome of ``measurement``, which must not hang."""
    return asyncio.run(asyncio.wait_for(measurement, LIMIT_S))


def request(driver: Driver = ollama, **options: float) -> bytes:
    return json.dumps(driver.body(Ask("tiny", "a b c", options, 1, 100, fixed=True))).encode()


async def call(
    url: str,
    deadline_s: float = LIMIT_S,
    idle_s: float = LIMIT_S,
    driver: Driver = ollama,
    event: Callable[[bytes], Event | None] | None = None,
) -> StreamRecord:
    async with open_client() as client:
        asked = Call(client, f"{url}{driver.PATH}", request(driver), idle_s)
        return await stream(asked, event or driver.event, deadline_s)


def says(*pieces: bytes) -> Handler:
    """A server that reads a request, sends ``pieces`` and closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return handle


def says_and_waits(*pieces: bytes) -> Handler:
    """The same, but it never closes before the client does."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(*pieces)(reader, writer)
        await reader.read()

    return handle


def repeats(head: bytes, piece: bytes, pause_s: float = 0.0) -> Handler:
    """A server that sends ``piece`` for as long as the client stays."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(head)(reader, writer)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return handle


def outcome(handler: Handler, **limits: Any) -> StreamRecord:
    """What comes of one call to a server of raw bytes."""

    async def measure() -> StreamRecord:
        async with listening(handler) as url:
            return await call(url, **limits)

    return run(measure())


def test_a_good_stream_is_stamped_in_order_and_whole() -> None:
    async def measure() -> StreamRecord:
        async with standin() as url:
            return await call(url)

    before = time.monotonic_ns()
    record = run(measure())

    assert record.error is None
    assert record.text == "".join(tokens_of(8))
    assert len(record.chunk_ns) == 8
    stamps = [before, record.request_ns, *record.chunk_ns, record.end_ns, time.monotonic_ns()]
    assert stamps == sorted(stamps)
    assert (record.final.prompt_tokens, record.final.answer_tokens) == (3, 8)
    assert record.final.stop_reason == "stop"
    assert record.final.decode_s is not None
    assert record.final.decode_s > 0


def test_a_thinking_token_is_the_first_token() -> None:
    async def measure() -> StreamRecord:
        async with standin(thinking_tokens=5) as url:
            return await call(url)

    assert len(run(measure()).chunk_ns) == 8


def test_server_sent_events_are_followed_to_their_end() -> None:
    record = outcome(
        says(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n",
            b'data: {"content":"a","stop":false}\n\n',
            b'data: {"content":"b","stop":false}\n\ndata: {"content":"",',
            b'"stop":true,"stop_type":"limit","tokens_predicted":2}\n\n',
        ),
        driver=llama,
    )

    assert (record.error, record.text, record.final.answer_tokens) == (None, "ab", 2)


def test_a_token_cut_anywhere_is_one_token() -> None:
    whole = '{"response":"für","done":false}\n'.encode() + DONE
    cuts = [whole[i : i + 1] for i in range(len(whole))]

    record = outcome(says(CLOSING, *cuts))

    assert (record.error, record.text, len(record.chunk_ns)) == (None, "für", 1)


def test_a_last_line_without_a_newline_counts() -> None:
    assert outcome(says(CLOSING, TOKEN, DONE.strip())).error is None


def test_a_last_line_with_a_long_context_is_no_fault() -> None:
    long = {"done": True, "total_duration": 1, "context": [123_456] * 250_000}

    record = outcome(says(CLOSING, TOKEN, json.dumps(long).encode() + b"\n"))

    assert record.error is None


def test_every_fault_of_the_standin_has_its_reason() -> None:
    assert set(REASONS) == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_gives_its_reason_and_keeps_the_tokens(fault: str) -> None:
    async def measure() -> StreamRecord:
        async with standin(fault=fault) as url:
            return await call(url, idle_s=IDLE_S if fault == "stall" else LIMIT_S)

    record = run(measure())
    reason, tokens = REASONS[fault]

    assert record.error == reason
    assert len(record.chunk_ns) == tokens
    assert record.text == "".join(tokens_of(tokens))
    assert record.end_ns >= record.request_ns
    assert record.detail == sanitise(record.detail)


def test_the_next_stream_after_a_fault_is_good() -> None:
    async def measure() -> list[str | None]:
        faults = dict(enumerate(FAULTS))
        async with standin(fault=faults.get) as url, open_client() as client:
            address = f"{url}{ollama.PATH}"
            records = [
                await stream(Call(client, address, request(), IDLE_S), ollama.event, LIMIT_S)
                for _ in range(len(FAULTS) + 1)
            ]
        return [record.error for record in records]

    *failed, last = run(measure())

    assert failed == [REASONS[fault][0] for fault in FAULTS]
    assert last is None


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


def test_a_call_dialled_ahead_leaves_with_its_first_write_and_uses_that_connection() -> None:
    connections = []
    quiet = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(time.monotonic_ns())
        quiet.set()
        await says(CLOSING, TOKEN, DONE)(reader, writer)

    async def measure() -> tuple[int, StreamRecord]:
        async with listening(handle) as url, open_client() as client:
            asked = Call(client, f"{url}{ollama.PATH}", request(), IDLE_S)
            await asked.dial()
            await quiet.wait()
            released_ns = time.monotonic_ns()
            return released_ns, await stream(asked, ollama.event, LIMIT_S)

    released_ns, record = run(measure())
    assert record.error is None
    assert len(connections) == 1
    assert connections[0] < released_ns <= record.request_ns <= record.chunk_ns[0]


def test_a_dial_that_fails_leaves_the_reason_to_the_call() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"

        async def measure(address: str) -> StreamRecord:
            async with open_client() as client:
                asked = Call(client, address, request(), IDLE_S)
                await asked.dial()
                return await stream(asked, ollama.event, LIMIT_S)

        assert run(measure(url)).error == "conn_refused"
        assert run(measure("http://")).error == "protocol"
        assert run(measure("http://[::1")).error == "protocol"


def test_a_connection_that_the_server_closed_meanwhile_is_a_fault_not_an_exception() -> None:
    async def measure() -> StreamRecord:
        gone = asyncio.Event()

        async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()
            await writer.wait_closed()
            gone.set()

        async with listening(handle) as url, open_client() as client:
            asked = Call(client, f"{url}{ollama.PATH}", request(), IDLE_S)
            await asked.dial()
            await gone.wait()
            return await stream(asked, ollama.event, LIMIT_S)

    assert run(measure()).error in ("disconnect_before_first_byte", "reset")


def test_nobody_there_is_a_refused_connection() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        record = run(call(f"http://127.0.0.1:{unheard.getsockname()[1]}"))

    assert (record.error, record.chunk_ns) == ("conn_refused", ())
    assert record.end_ns >= record.request_ns


def test_an_unknown_name_is_a_fault_of_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    assert run(call("http://nobody.invalid")).error == "dns"


def test_a_reset_before_the_first_byte_is_a_reset() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        reset(writer)

    assert outcome(handle).error == "reset"


def test_cancelling_is_raised_and_leaves_the_server_alone() -> None:
    async def measure() -> None:
        started, left = asyncio.Event(), asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await says(CLOSING, TOKEN)(reader, writer)
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


def test_a_proxy_of_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    visits: list[bytes] = []

    async def trap(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        visits.append(await reader.readline())

    async def measure() -> tuple[StreamRecord, dict[str, Any]]:
        async with listening(trap) as proxy, standin() as url:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
                monkeypatch.setenv(name, proxy)
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            async with open_client() as client:
                return await call(url), await ask_json(client, f"{url}/api/version")

    record, version = run(measure())

    assert record.error is None
    assert version
    assert visits == []


@pytest.mark.parametrize(("parallel", "together"), [(1, False), (2, True)])
def test_slots_are_shared_or_waited_for(parallel: int, together: bool) -> None:
    async def measure() -> list[StreamRecord]:
        async with standin(answer_tokens=20, parallel=parallel) as url:
            return list(await asyncio.gather(call(url), call(url)))

    first, second = sorted(run(measure()), key=lambda record: record.chunk_ns[0])

    assert (first.error, second.error) == (None, None)
    assert (second.chunk_ns[0] < first.chunk_ns[-1]) is together


def test_ask_json_reads_and_posts() -> None:
    async def measure() -> list[dict[str, Any]]:
        async with standin() as url, open_client() as client:
            return [
                await ask_json(client, f"{url}/api/ps"),
                await ask_json(client, f"{url}/api/show", {"model": "tiny"}),
            ]

    ps, show = run(measure())

    assert ps == {"models": []}
    assert "details" in show


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (says(), "RemoteProtocolError"),
        (says_and_waits(), "no answer within 0.4 s"),
        (repeats(CLOSING, b" ", 0.002), "no answer within 0.4 s"),
        (says(CLOSING + b"<html>"), "not JSON"),
        (says(CLOSING + b"[" * 100_000), "not JSON"),
        (says(CLOSING + b"[1]"), "not a JSON object"),
        (says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"), "status 404 gone"),
        (says(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"), "status 302"),
        (
            says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\nno"),
            "no answer (DecodingError",
        ),
    ],
    ids=["closed", "silent", "drip", "html", "deep", "list", "404", "redirect", "gzip"],
)
def test_ask_json_names_the_url_and_the_fault(handler: Handler, words: str) -> None:
    async def measure() -> tuple[str, TandemError]:
        async with listening(handler) as url, open_client() as client:
            with pytest.raises(TandemError) as caught:
                await ask_json(client, f"{url}/props", timeout_s=IDLE_S)
            return url, caught.value

    url, error = run(measure())

    assert str(error).startswith(f"{url}/props: ")
    assert words in str(error)
    assert error.exit_code == EXIT_ENVIRONMENT


def test_llama_server_puts_a_prompt_into_its_template() -> None:
    async def template(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await read_request(reader):
            (message,) = json.loads(asked[2])["messages"]
            await answer(writer, {"prompt": f"<{message['role']}>{message['content']}"})

    async def measure() -> str:
        async with listening(template) as url, open_client() as client:
            return await llama.templated(client, url, "any", "hello")

    assert run(measure()) == "<user>hello"


def test_a_template_without_a_prompt_is_one_clear_line() -> None:
    async def measure() -> None:
        async with listening(says(CLOSING + b"{}")) as url, open_client() as client:
            with pytest.raises(TandemError, match=f"{url}/apply-template: no prompt"):
                await llama.templated(client, url, "any", "hello")

    run(measure())


def test_sanitise_leaves_one_harmless_line() -> None:
    wild = "a\x1b[2J\n\u202eb\u200b\u061c\ud800\ufeff" + "x" * 500

    tame = sanitise(wild)

    assert tame == "a [2J  b    " + "x" * 148
    tame.encode()
