"""Streams and calls: stamps from a good one, reasons from the stand-in's faults, connections."""

import asyncio
import json
import socket
import time
from typing import Any

import pytest
from ollama_standin import (
    FAULTS,
    TOKENS_BEFORE_FAULT,
    listening,
    read_request,
    reset,
    standin,
    tokens_of,
)
from raw_servers import (
    CLOSING,
    DONE,
    IDLE_S,
    LIMIT_S,
    TOKEN,
    call,
    outcome,
    request,
    run,
    says,
)

from tandembench.text import sanitise
from tandembench.wire import Call, StreamRecord, ask_json, llama, ollama, open_client, stream

K = TOKENS_BEFORE_FAULT

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
