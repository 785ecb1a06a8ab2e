"""The fake server over real sockets: protocols, schedule, log, slots, reloads."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from raw_servers import OLLAMA, QUICK, call, run

from tandembench.cli import main
from tandembench.fake_server import (
    SIMULATED,
    Behaviour,
    FakeServer,
    StreamLog,
    fake_process,
    read_log,
    serving,
)
from tandembench.wire import DRIVERS, Ask, Driver, StreamRecord

Json = dict[str, Any]
CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
PATHS = {driver.path: driver for driver in DRIVERS.values()}
EACH = pytest.mark.parametrize("path", PATHS)


def served(check: Callable[[FakeServer], Awaitable[Any]], **changes: Any) -> Any:
    """What the coroutine ``check`` returns, with a quick fake server in its own event loop."""

    async def measure() -> Any:
        async with serving(replace(QUICK, **changes)) as server:
            return await check(server)

    return run(measure())


async def asked(
    server: FakeServer, driver: Driver = OLLAMA, prompt: str = "Hello there.", **changes: Any
) -> StreamRecord:
    """One call by the project's own client."""
    options = changes.pop("options", {})
    given: Json = {"model": "fake", "seed": 1, "max_tokens": 5, "fixed": False} | changes
    body = json.dumps(driver.body(Ask(prompt=prompt, options=options, **given))).encode()
    return await call(server.url, driver, body=body)


async def until(done: Callable[[], object]) -> None:
    """Wait, within the bound of ``run``."""
    while not done():
        await asyncio.sleep(0.001)


async def got(server: FakeServer, path: str, ask: Json | None = None) -> httpx.Response:
    """The answer to a plain client."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # noqa: S501 - http
        method, sent = ("POST", {"model": "fake"} | ask) if ask else ("GET", None)
        return await client.request(method, server.url + path, json=sent)


def events(text: str) -> list[Json]:
    """The JSON of NDJSON or server-sent events."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.strip()]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@EACH
def test_the_projects_own_client_reads_each_protocol(path: str) -> None:
    limits = ({"max_tokens": 50}, {"max_tokens": 3}, {"max_tokens": 50, "fixed": True})

    async def check(server: FakeServer) -> None:
        records = [await asked(server, PATHS[path], **given) for given in limits]
        ends = [(one.final.answer_tokens, one.final.stop_reason) for one in records]
        # Ollama cannot go on past the model's end
        fixed = (20, "stop") if path.startswith("/api/") else (50, "length")
        assert ends == [(20, "stop"), (3, "length"), fixed]
        for one, (tokens, _) in zip(records, ends, strict=True):
            assert (one.error, len(one.chunk_ns), one.final.prompt_tokens) == (None, tokens, 2)
            assert one.text == "".join(f"w{n} " for n in range(tokens))
        assert {(log.path, log.prompt) for log in server.streams} == {(path, "Hello there.")}
        assert all(log.end_ns is not None for log in server.streams)

    served(check)


# The text of a token of each protocol.
TEXTS: dict[str, Callable[[Json], str]] = {
    "/api/generate": lambda one: one["response"],
    "/api/chat": lambda one: one["message"]["content"],
    "/completion": lambda one: one["content"],
    "/v1/chat/completions": lambda one: one["choices"][0]["delta"].get("content") or "",
    "/v1/completions": lambda one: one["choices"][0]["text"],
}


@EACH
def test_each_protocols_stream_has_its_own_shape(path: str) -> None:
    ask = (CHAT if "chat" in path else {"prompt": "Hi"}) | {"stream": True}
    answer = served(lambda server: got(server, path, ask), tokens=3)
    assert answer.headers["server"] == SIMULATED
    said = events(answer.text)
    assert "".join(map(TEXTS[path], said)) == "w0 w1 w2 "
    assert all("fake" in one["model"] for one in said)
    assert answer.text.endswith("data: [DONE]\n\n") == path.startswith("/v1/")
    if path == "/v1/chat/completions":  # the role comes first, and is no token
        assert said[0]["choices"][0]["delta"] == {"role": "assistant", "content": None}


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"POST /api/generate HTTP/1.1\r\nContent-Length: 3\r\n\r\n[1]", b"400"),
        (b"POST /api/generate HTTP/1.1\r\nContent-Length: 1\r\n\r\n{", b"400"),
        (b"POST /completion HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", b"400"),  # no stream
        (b"POST /apply-template HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", b"400"),
        (b"hello\r\n\r\n", b""),
    ],
)
def test_bad_requests_are_answered_or_closed(sent: bytes, answer: bytes) -> None:
    async def check(server: FakeServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.url.rpartition(":")[2])
        writer.write(sent)
        assert answer in await reader.readline()
        writer.close()
        await writer.wait_closed()

    served(check)


def test_the_kernel_says_when_a_request_arrived_however_busy_the_loop() -> None:
    async def check(server: FakeServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.url.rpartition(":")[2])
        writer.write(b"GET /health HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"}")  # it is accepted
        body = b'{"model":"fake","prompt":"x"}'
        head = b"POST /api/generate HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        time.sleep(0.05)
        await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        (log,) = server.streams
        if log.arrived_ns is None:
            pytest.skip("no kernel stamps here")
        assert log.read_ns - log.arrived_ns >= 50_000_000
        assert log.begun_ns == log.arrived_ns

    served(check)


def test_more_requests_than_slots_wait_in_order() -> None:
    async def check(server: FakeServer) -> None:
        tasks = []
        for number, prompt in enumerate("abc", 1):
            tasks.append(asyncio.create_task(asked(server, prompt=prompt)))
            await until(lambda n=number: server.asked == n)
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


def test_another_context_waits_for_the_others_and_reloads() -> None:
    async def check(server: FakeServer) -> None:
        asks = [{"num_ctx": n} for n in (4096, 4096, 8192)] + [{"num_ctx": 8192, "top_k": 1}]
        loads = [(await asked(server, options=one)).final.load_s or 0.0 for one in asks]
        assert [load >= 0.05 for load in loads] == [True, False, True, False]
        (loaded,) = (await got(server, "/api/ps")).json()["models"]
        assert loaded["context_length"] == 8192
        # two agents with different contexts at once reload in turn, and each load says so
        both = (asked(server, options={"num_ctx": n}) for n in (4096, 8192))
        records = await asyncio.gather(*both)
        assert all((one.final.load_s or 0) >= 0.05 for one in records)

    served(check, load_s=0.05)


def test_a_client_that_leaves_frees_its_slot() -> None:
    async def check(server: FakeServer) -> None:
        leaving, waiting = (asyncio.create_task(asked(server, prompt=p)) for p in "lw")
        await until(lambda: server.asked == 2)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await until(lambda: server.streams)
        assert server.streams[0].end_ns is None
        assert (await waiting).error is None

    served(check, slots=1, first_token_s=0.3)


# In processes of their own


PLAIN: Json = {"first_token_s": 0.02, "gap_s": 0.01, "jitter_s": 0.0, "tokens": 4}


def together(folder: Path, behaviour: Behaviour, requests: int) -> list[StreamLog]:
    """The log of a server after as many requests, all at once."""

    async def ask_all(url: str) -> None:
        # no load in llama-server's protocol: a free slot's schedule starts when the request comes
        body = {"prompt": "x", "stream": True}
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # noqa: S501 - http
            asking = (client.post(f"{url}/completion", json=body) for _ in range(requests))
            answers = await asyncio.gather(*asking)
        assert all('"stop":true' in answer.text for answer in answers)

    with fake_process(behaviour, folder / "log.ndjson") as url:
        asyncio.run(ask_all(url))
    return read_log(folder / "log.ndjson")


def due_s(stream: StreamLog) -> float:
    """From the first token's due time to the last's: free of when the request came."""
    return (stream.due_ns[-1] - stream.due_ns[0]) / 1e9


def test_tokens_are_sent_when_they_are_due_and_the_log_says_so(tmp_path: Path) -> None:
    behaviour = Behaviour(**PLAIN | {"gap_s": 0.004, "tokens": 20}, slots=1)
    streams = together(tmp_path, behaviour, 3)
    head = json.loads((tmp_path / "log.ndjson").read_text().splitlines()[0])
    assert (head["simulated"], head["behaviour"]["gap_s"]) == (True, 0.004)
    assert sorted(one.request for one in streams) == [0, 1, 2]
    for one in streams:
        assert len(one.due_ns) == len(one.sent_ns) == 20
        assert one.due_ns[0] - one.begun_ns >= 20_000_000
        assert one.end_ns is not None
        assert one.end_ns >= one.sent_ns[-1]
    late = sorted(b - a for one in streams for a, b in zip(one.due_ns, one.sent_ns, strict=True))
    assert late[0] >= 0
    # half of the tokens come within a millisecond, on a machine however busy
    assert late[len(late) // 2] < 1_000_000


def test_two_slots_run_at_once(tmp_path: Path) -> None:
    behaviour = Behaviour(**PLAIN | {"first_token_s": 0.3}, slots=2, speed=0.6)
    first, second = together(tmp_path, behaviour, 2)
    assert due_s(first) == due_s(second) == pytest.approx(0.03 / 0.6)
    # each schedule starts when its request comes, while the other has not begun to answer
    for stream in (first, second):
        assert stream.due_ns[0] - stream.begun_ns == pytest.approx(0.5e9, abs=2)
    assert second.begun_ns < first.due_ns[0]


def test_a_log_says_what_the_machine_did(tmp_path: Path) -> None:
    behaviour = Behaviour(**PLAIN, drift=60.0, drift_turn_s=1.0, noise=0.2, hang_share=0.5)
    for stream in together(tmp_path, behaviour, 4):
        expected = behaviour.due_ns("x", 4, stream.request, stream.begun_ns)
        due = [at - stream.begun_ns for at in stream.due_ns]
        assert due == pytest.approx(expected, abs=2)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_a_process_ends_with_its_parent() -> None:
    program = (
        "import time\n"
        "from tandembench.fake_server import Behaviour, fake_process\n"
        "with fake_process(Behaviour()) as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().decode().strip()
        assert answers(url)
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while answers(url):
        assert time.monotonic() < deadline


def test_the_command_serves_until_it_is_told_to_stop_and_writes_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log.ndjson"
    command = [sys.executable, "-m", "tandembench", "fake-server", "--gap-ms", "1", "--tokens", "3"]
    with subprocess.Popen(
        [*command, "--log", str(log)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        record = asyncio.run(call(url))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert record.text == "w0 w1 w2 "
    (stream,) = read_log(log)
    assert len(stream.sent_ns) == 3


def test_the_command_refuses_in_one_line() -> None:
    for option, value, code, words in (
        ("--speed", "0", 2, "speed"),
        ("--host", "192.0.2.1", 4, "192.0.2.1 port 0"),
    ):
        done = CliRunner().invoke(main, ["fake-server", option, value])
        assert (done.exit_code, len(done.output.strip().splitlines())) == (code, 1)
        assert words in done.output
