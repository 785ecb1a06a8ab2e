"""The fake server over real sockets: protocols, schedule, log, slots, reloads, faults."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tandembench.fake_server import (
    FAULTS,
    SIMULATED,
    Behaviour,
    FakeServer,
    read_log,
    serving,
)
from tandembench.fake_server.words import token
from tandembench.servers.fake import fake_process
from tandembench.wire import (
    DRIVERS,
    Ask,
    Call,
    Driver,
    StreamRecord,
    llama,
    ollama,
    open_client,
    openai,
    openai_completions,
    stream,
)

QUICK = {"first_token_s": 0.002, "gap_s": 0.001, "jitter_s": 0.0, "load_s": 0.0, "spin_s": 0.0}
TRUST = ssl.create_default_context()  # made once, since it takes longer than most tests
Json = dict[str, Any]


def served(check: Callable[[FakeServer, httpx.AsyncClient], Any], **changes: Any) -> Any:
    """What the coroutine ``check`` returns, with a quick fake server in its own event loop."""

    async def run() -> Any:
        async with (
            serving(Behaviour(**(QUICK | changes))) as server,
            httpx.AsyncClient(trust_env=False, base_url=server.url, verify=TRUST) as client,
        ):
            return await check(server, client)

    return asyncio.run(run())


async def asked(
    server: FakeServer, driver: Driver = ollama, prompt: str = "Hello there.", **changes: Any
) -> StreamRecord:
    """One call by the project's own client."""
    options = changes.pop("options", {})
    given: Json = {"model": "fake", "seed": 1, "max_tokens": 5, "fixed": False} | changes
    body = json.dumps(driver.body(Ask(prompt=prompt, options=options, **given))).encode()
    async with open_client() as client:
        return await stream(Call(client, server.url + driver.PATH, body, 2), driver.event, 10)


def events(text: str) -> list[Json]:
    """The JSON of NDJSON or server-sent events."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.strip()]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(("/api/version", 200), ("/api/tags", 200), ("/api/ps", 200), ("/health", 200)),
        *(("/props", 200), ("/slots", 200), ("/v1/models", 200), ("/nowhere", 404)),
    ],
)
def test_every_answer_says_that_it_is_simulated(path: str, status: int) -> None:
    async def check(_: FakeServer, client: httpx.AsyncClient) -> None:
        answer = await client.get(path)
        assert answer.status_code == status
        assert answer.headers["server"] == SIMULATED
        assert "simulated" in SIMULATED

    served(check)


@pytest.mark.parametrize("driver", DRIVERS.values(), ids=lambda driver: driver.PATH)
def test_the_projects_own_client_reads_each_protocol(driver: Driver) -> None:
    async def check(server: FakeServer, _: httpx.AsyncClient) -> None:
        record = await asked(server, driver)
        assert record.error is None, record.detail
        assert record.text == "".join(token(i) for i in range(5))
        assert record.final.answer_tokens == len(record.chunk_ns) == 5
        assert record.final.prompt_tokens == 2
        (log,) = server.streams
        assert log.complete
        assert log.prompt == "Hello there."

    served(check)


CHAT = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("path", "ask", "of"),
    [
        ("/api/generate", {"prompt": "Hi"}, lambda one: one["response"]),
        ("/api/chat", CHAT, lambda one: one["message"]["content"]),
        ("/completion", {"prompt": "Hi", "stream": True}, lambda one: one["content"]),
        (
            "/v1/chat/completions",
            CHAT | {"stream": True},
            lambda one: one["choices"][0]["delta"].get("content") or "",
        ),
        (
            "/v1/completions",
            {"prompt": "Hi", "stream": True},
            lambda one: one["choices"][0]["text"],
        ),
    ],
)
def test_each_protocols_stream_has_its_own_shape(
    path: str, ask: Json, of: Callable[[Json], str]
) -> None:
    async def check(_: FakeServer, client: httpx.AsyncClient) -> None:
        answer = await client.post(path, json={"model": "fake"} | ask)
        said = events(answer.text)
        assert "".join(map(of, said)) == "w0 w1 w2 "
        assert all("fake" in one["model"] for one in said)
        assert answer.text.endswith("data: [DONE]\n\n") == path.startswith("/v1/")
        whole = await client.post(path, json={"model": "fake"} | ask | {"stream": False})
        assert "w0 w1 w2 " in whole.text
        assert whole.headers["content-type"] == "application/json"

    served(check, tokens=3)


def test_openai_counts_come_if_they_are_asked_for() -> None:
    async def check(_: FakeServer, client: httpx.AsyncClient) -> None:
        ask = CHAT | {"stream": True}
        plain = await client.post("/v1/chat/completions", json=ask)
        counted = await client.post(
            "/v1/chat/completions", json=ask | {"stream_options": {"include_usage": True}}
        )
        assert "usage" not in plain.text
        last = events(counted.text)[-1]
        assert last["usage"]["completion_tokens"] == 3
        # the role comes first, and is no token
        assert events(plain.text)[0]["choices"][0]["delta"] == {
            "role": "assistant",
            "content": None,
        }

    served(check, tokens=3)


@pytest.mark.parametrize(
    "driver", [llama, openai, openai_completions], ids=lambda driver: driver.PATH
)
def test_a_limit_ends_an_answer_early_and_ignore_eos_late(driver: Driver) -> None:
    async def check(server: FakeServer, _: httpx.AsyncClient) -> None:
        natural = await asked(server, driver, max_tokens=50)
        limited = await asked(server, driver, max_tokens=3)
        fixed = await asked(server, driver, max_tokens=50, fixed=True)
        told = [(one.final.answer_tokens, one.final.stop_reason) for one in (natural, limited)]
        assert told == [(20, "stop"), (3, "length")]
        assert len(fixed.chunk_ns) == fixed.final.answer_tokens == 50

    served(check)


def test_tokens_are_sent_when_they_are_due_and_the_log_is_on_disk(tmp_path: Path) -> None:
    behaviour = Behaviour(first_token_s=0.03, gap_s=0.004, jitter_s=0.002, tokens=20, load_s=0.0)
    log = tmp_path / "a log.ndjson"

    async def ask(url: str) -> None:
        async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
            for prompt in ("one", "two", "one"):
                await client.post("/api/generate", json={"model": "fake", "prompt": prompt})

    with fake_process(behaviour, log) as url:
        asyncio.run(ask(url))
    head = json.loads(log.read_text().splitlines()[0])
    assert head["simulated"] is True
    assert head["behaviour"]["gap_s"] == 0.004
    streams = read_log(log)
    assert [one.prompt for one in streams] == ["one", "two", "one"]
    gaps = []
    for one in streams:
        assert len(one.due_ns) == len(one.sent_ns) == len(one.sent_after_ns) == 20
        assert one.due_ns[0] - one.begun_ns >= 30_000_000
        assert all(b - a >= 0 for a, b in zip(one.due_ns, one.sent_ns, strict=True))
        assert all(b - a > 0 for a, b in zip(one.sent_ns, one.sent_after_ns, strict=True))
        assert one.end_ns is not None
        assert one.end_ns >= one.sent_ns[-1]
        gaps.append([b - a for a, b in zip(one.due_ns, one.due_ns[1:], strict=False)])
    # the jitter is of the seed and the prompt
    assert gaps[0] == gaps[2] != gaps[1]
    assert all(2_000_000 - 2 <= gap <= 6_000_000 + 2 for gap in gaps[0])
    assert len(set(gaps[0])) > 10
    # half of the tokens come within a millisecond, on a machine however busy
    late = sorted(b - a for one in streams for a, b in zip(one.due_ns, one.sent_ns, strict=True))
    assert late[len(late) // 2] < 1_000_000


def test_the_kernel_says_when_a_request_arrived_however_busy_the_loop() -> None:
    async def check(server: FakeServer, client: httpx.AsyncClient) -> None:
        await client.get("/health")
        asking = asyncio.create_task(
            client.post("/api/generate", json={"model": "fake", "prompt": "x"})
        )
        await asyncio.sleep(0.001)  # sent
        time.sleep(0.05)
        await asking
        (log,) = server.streams
        if log.arrived_ns is None:
            pytest.skip("no kernel stamps here")
        assert log.read_ns - log.arrived_ns >= 0
        assert log.begun_ns == log.arrived_ns

    served(check)


def test_more_requests_than_slots_wait_in_order() -> None:
    async def check(server: FakeServer, _: httpx.AsyncClient) -> None:
        tasks = []
        for prompt in "abc":
            tasks.append(asyncio.create_task(asked(server, prompt=prompt)))
            await asyncio.sleep(0.004)
        records = await asyncio.gather(*tasks)
        assert [one.prompt for one in server.streams] == list("abc")
        for earlier, later in zip(server.streams, server.streams[1:], strict=False):
            assert earlier.end_ns is not None
            assert earlier.end_ns <= later.sent_ns[0]
        # the wait for a slot is in none of the server's durations
        assert records[2].final.load_s == 0
        assert records[2].final.prompt_s is not None
        assert records[2].final.prompt_s < records[2].chunk_ns[0] - records[2].request_ns

    served(check, slots=1, tokens=20)


def test_a_full_queue_refuses() -> None:
    async def check(server: FakeServer, _: httpx.AsyncClient) -> None:
        records = await asyncio.gather(*(asked(server) for _ in range(4)))
        assert sorted(str(one.error) for one in records) == ["None", "None", "busy", "busy"]

    served(check, slots=1, max_queue=1, first_token_s=0.05)


def test_another_context_waits_for_the_others_and_reloads() -> None:
    async def check(server: FakeServer, client: httpx.AsyncClient) -> None:
        first = await asked(server, options={"num_ctx": 512})
        again = await asked(server, options={"num_ctx": 512})
        other = await asked(server, options={"num_ctx": 1024})
        same = await asked(server, options={"num_ctx": 1024, "temperature": 0.1})
        layers = await asked(server, options={"num_ctx": 1024, "num_gpu": 7})
        loads = [one.final.load_s or 0.0 for one in (first, again, other, same, layers)]
        assert [load >= 0.05 for load in loads] == [True, False, True, False, True]
        (loaded,) = (await client.get("/api/ps")).json()["models"]
        assert loaded["context_length"] == 1024

    served(check, load_s=0.05)


def test_two_agents_with_different_contexts_on_one_server_reload_in_turn() -> None:
    async def check(server: FakeServer, _: httpx.AsyncClient) -> None:
        for context in (512, 1024):
            await asked(server, options={"num_ctx": context})
        records = await asyncio.gather(
            *(asked(server, options={"num_ctx": context}) for context in (512, 1024))
        )
        assert all(one.error is None for one in records)
        # the second waits for the first, and its load says so
        assert (records[0].final.load_s or 0) >= 0.02
        assert (records[1].final.load_s or 0) >= 0.02

    served(check, load_s=0.02)


def test_a_client_that_leaves_frees_its_slot() -> None:
    async def check(server: FakeServer, client: httpx.AsyncClient) -> None:
        leaving = asyncio.create_task(asked(server, prompt="leaves"))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(asked(server, prompt="waits"))
        await asyncio.sleep(0.05)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        left = time.monotonic()
        while (await client.get("/slots")).json()[0]["is_processing"]:
            if [one.prompt for one in server.streams] == ["leaves"]:
                break
            await asyncio.sleep(0.005)
        assert time.monotonic() - left < 1
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not server.streams[0].complete

    served(check, slots=1, first_token_s=5.0)


FAULT_REASONS = {
    "busy": "busy",
    "not_found": "not_found",
    "unauthorised": "unauthorised",
    "rate_limited": "rate_limited",
    "oom": "oom",
    "html": "not_ndjson",
    "html_502": "not_ndjson",
    "redirect": "redirect",
    "empty": "empty",
    "error_line": "server_error",
    "oom_line": "oom",
    "no_end": "no_terminal_event",
    "half_line": "bad_json",
    "bad_utf8": "bad_utf8",
    "long_line": "line_too_long",
    "after_end": "protocol",
    "reset": "reset",
    "truncated": "truncated_chunked",
    "stall": "stalled",
    "drip": "deadline",
    "close": "disconnect_before_first_byte",
    "no_headers": "no_first_byte",
    "not_http": "protocol",
}


@pytest.mark.parametrize("driver", [ollama, llama, openai], ids=lambda driver: driver.PATH)
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_what_a_client_takes_it_for(fault: str, driver: Driver) -> None:
    async def check(server: FakeServer, _: httpx.AsyncClient) -> None:
        ask = Ask(model="fake", prompt="x", options={}, seed=1, max_tokens=9, fixed=False)
        body = json.dumps(driver.body(ask)).encode()
        async with open_client() as client:
            url = server.url + driver.PATH
            good = await stream(Call(client, url, body, 1), driver.event, 2)
            bad = await stream(Call(client, url, body, 0.2), driver.event, 0.5)
        assert good.error is None
        assert bad.error == FAULT_REASONS[fault], bad.detail
        assert [one.fault for one in server.streams[:2]] == [None, fault][: len(server.streams)]

    served(check, fault=fault, faulty_request=1)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("gap_s", -1.0), ("first_token_s", float("nan")), ("tokens", 0), ("slots", 0)),
        *(("gain", 0.0), ("shared_rate", 0.0), ("fault", "nonsense")),
    ],
)
def test_settings_that_make_no_server_are_refused(setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=setting if setting != "fault" else "nonsense"):
        Behaviour(**{setting: value})


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /api/generate HTTP/1.1\r\nContent-Length: 3\r\n\r\n[1]", b"400"),
        (b"POST /api/generate HTTP/1.1\r\nContent-Length: 1\r\n\r\n{", b"400"),
        (b"POST /apply-template HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", b"400"),
        (b'POST /api/show HTTP/1.1\r\nContent-Length: 13\r\n\r\n{"model":"x"}', b"404"),
        (b"hello\r\n\r\n", b"400"),
    ],
)
def test_bad_requests_are_answered_in_kind(sent: bytes, status: bytes) -> None:
    async def check(server: FakeServer, _: httpx.AsyncClient) -> None:
        port = int(server.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        assert (await reader.readline()).split()[1] == status
        writer.close()
        await writer.wait_closed()

    served(check)


def test_requests_that_come_in_pieces_or_together_are_all_answered() -> None:
    async def check(server: FakeServer, _: httpx.AsyncClient) -> None:
        port = int(server.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        for piece in (request[:9], request[9:] + request + request[:3], request[3:]):
            writer.write(piece)
            await asyncio.sleep(0.01)
        for _ in range(3):
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(16) == b'{"status": "ok"}'
        writer.close()
        await writer.wait_closed()

    served(check)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_it_listens_on_ipv6() -> None:
    from tandembench.fake_server import listen, url_of  # noqa: PLC0415

    try:
        listener = listen("::1")
    except OSError:
        pytest.skip("no IPv6 loopback")
    with listener:
        assert url_of(listener).startswith("http://[::1]:")
