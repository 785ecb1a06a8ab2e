"""Every driver against servers that are not what they should be, or not where; real sockets."""

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
import time
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from ollama_standin import Handler, listening
from raw_servers import LIMIT_S, run, says

from tandembench.errors import TandemError
from tandembench.wire import (
    DRIVERS,
    Ask,
    Call,
    Client,
    Driver,
    StreamRecord,
    ask_json,
    llama,
    ollama,
    ollama_chat,
    open_client,
    openai,
    openai_completions,
    stream,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CLOSING = HEAD + b"Connection: close\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
OVER = b'{"done":true,"done_reason":"length","total_duration":1,"eval_count":2}\n'
FINISH = b'data: {"choices":[{"index":0,"delta":{},"text":"","finish_reason":"length"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"
# A token of each protocol, around its text, and how a stream of two tokens ends.
TOKENS: dict[Driver, tuple[bytes, bytes, bytes]] = {
    llama: (
        b'data: {"content":"',
        b'","stop":false}\n\n',
        b'data: {"content":"","stop":true,"stop_type":"limit","tokens_predicted":2}\n\n',
    ),
    ollama: (b'{"response":"', b'","done":false}\n', OVER),
    ollama_chat: (b'{"message":{"role":"assistant","content":"', b'"},"done":false}\n', OVER),
    openai: (b'data: {"choices":[{"delta":{"content":"', b'"}}]}\n\n', FINISH + USAGE + DONE),
    openai_completions: (b'data: {"choices":[{"text":"', b'"}]}\n\n', FINISH + USAGE + DONE),
}
ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}\n\n'
EACH = pytest.mark.parametrize("driver", TOKENS, ids=lambda driver: driver.PATH)
OPENAI = pytest.mark.parametrize(
    "driver", [openai, openai_completions], ids=lambda driver: driver.PATH
)


def token(driver: Driver, text: str) -> bytes:
    before, after, _ = TOKENS[driver]
    return before + text.encode() + after


def end(driver: Driver) -> bytes:
    return TOKENS[driver][2]


async def call(client: Client, url: str, driver: Driver) -> StreamRecord:
    ask = Ask("tiny", "a b c", {}, seed=1, max_tokens=2, fixed=True)
    body = json.dumps(driver.body(ask)).encode()
    return await stream(Call(client, url + driver.PATH, body, LIMIT_S), driver.event, LIMIT_S)


def outcome(driver: Driver, data: bytes) -> StreamRecord:
    """What comes of one call to a server that answers ``data``."""

    async def measure() -> StreamRecord:
        async with listening(says(data)) as url, open_client() as client:
            return await call(client, url, driver)

    return run(measure())


def complaint(handler: Handler) -> str:
    """The line that a user reads who named this server."""

    async def measure() -> str:
        async with listening(handler) as url, open_client() as client:
            with pytest.raises(TandemError) as caught:
                await ask_json(client, f"{url}/x")
            assert str(caught.value).startswith(f"{url}/x: ")
            return str(caught.value)

    line = run(measure())
    assert "\n" not in line
    return line


def test_every_driver_is_here() -> None:
    assert set(TOKENS) == set(DRIVERS.values())


# Streams


@EACH
def test_a_stream_cut_in_the_middle_of_letters_and_lines_is_whole(driver: Driver) -> None:
    data = token(driver, "f\u00fcr ") + token(driver, "\u6771\U0001f600") + end(driver)
    cut = b"".join(b"1\r\n%c\r\n" % byte for byte in data)

    record = outcome(driver, CHUNKED + cut + b"0\r\n\r\n")

    assert (record.error, record.text) == (None, "f\u00fcr \u6771\U0001f600")
    assert len(record.chunk_ns) == 2
    assert (record.final.answer_tokens, record.final.stop_reason) == (2, "length")


@OPENAI
def test_counts_and_end_in_lines_of_their_own_are_one_record(driver: Driver) -> None:
    first = ROLE if driver is openai else b""
    tokens = token(driver, "a") + token(driver, "b")
    usage = USAGE.decode().strip()

    record = outcome(driver, CLOSING + first + tokens + FINISH + USAGE + DONE)
    early = outcome(driver, CLOSING + first + tokens + USAGE + FINISH + DONE)

    for one in (record, early):
        assert (one.error, one.text, one.raw_final) == (None, "ab", usage)
        assert (one.final.prompt_tokens, one.final.answer_tokens) == (3, 2)
        assert one.final.stop_reason == "length"
        # all came in one read; a role, a reason, counts and the end are no pieces of content
        assert (len(one.chunk_ns), one.coalesced) == (2, 1)


@OPENAI
def test_without_counts_there_is_no_number_but_the_tokens_stay(driver: Driver) -> None:
    record = outcome(driver, CLOSING + token(driver, "a") + token(driver, "b") + FINISH + DONE)

    assert (record.error, len(record.chunk_ns)) == ("no_token_count", 2)
    assert (record.final.prompt_tokens, record.final.answer_tokens) == (None, None)
    assert record.final.stop_reason == "length"


@EACH
def test_a_stream_of_no_tokens_is_empty(driver: Driver) -> None:
    assert outcome(driver, CLOSING + end(driver)).error == "empty"
    assert outcome(driver, CLOSING + token(driver, "") + end(driver)).error == "empty"
    if driver is openai:
        assert outcome(driver, CLOSING + ROLE + end(driver)).error == "empty"


@EACH
def test_a_server_that_closes_in_mid_stream_gives_no_number(driver: Driver) -> None:
    one = token(driver, "a")

    whole = outcome(driver, CLOSING + one)
    half = outcome(driver, CLOSING + one + one[: len(one) // 2])
    chunk = outcome(driver, CHUNKED + b"%x\r\n%s\r\n" % (len(one), one))

    found = [(record.error, record.text) for record in (whole, half, chunk)]
    reasons = ("no_terminal_event", "bad_json", "truncated_chunked")
    assert found == [(reason, "a") for reason in reasons]


@OPENAI
def test_counts_without_an_end_are_no_whole_answer(driver: Driver) -> None:
    record = outcome(driver, CLOSING + token(driver, "a") + FINISH + USAGE)

    assert (record.error, record.final.answer_tokens) == ("no_terminal_event", 2)


@EACH
def test_data_after_the_end_is_a_fault(driver: Driver) -> None:
    whole = token(driver, "a") + end(driver)

    assert outcome(driver, CLOSING + whole + b"\n\n").error is None
    assert outcome(driver, CLOSING + whole + token(driver, "b")).error == "protocol"


@EACH
def test_an_error_in_a_stream_is_no_success(driver: Driver) -> None:
    event = b'{"error":{"message":"the engine died","code":500}}\n\n'
    line = event if driver in (ollama, ollama_chat) else b"data: " + event

    record = outcome(driver, CLOSING + token(driver, "a") + line + end(driver))

    assert (record.error, record.text) == ("server_error", "a")
    assert "the engine died" in record.detail


# Not the server that it should be


@pytest.mark.parametrize(
    ("driver", "other"), list(permutations(TOKENS, 2)), ids=lambda driver: driver.PATH
)
def test_the_stream_of_another_protocol_gives_no_number(driver: Driver, other: Driver) -> None:
    spoken = token(other, "a") + token(other, "b") + end(other)

    record = outcome(driver, CLOSING + spoken)

    assert record.error in ("bad_json", "no_terminal_event", "empty", "not_ndjson")
    assert record.text == ""


@EACH
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (CLOSING + b"<!DOCTYPE html>\n<html><body>It works!</body></html>\n", "not_ndjson"),
        (b"SSH-2.0-OpenSSH_9.6p1 Debian-3\r\n", "protocol"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64", "protocol"),
        (CLOSING + b'{"object":"list","data":[]}\n', None),
    ],
    ids=["html", "ssh", "http2", "json"],
)
def test_what_speaks_no_such_protocol_is_told_apart(
    driver: Driver, said: bytes, reason: str | None
) -> None:
    # JSON of one line: NDJSON that says nothing, and no event at all
    plain = "no_terminal_event" if driver in (ollama, ollama_chat) else "bad_json"

    record = outcome(driver, said)

    assert (record.error, record.chunk_ns) == (reason or plain, ())
    if said.startswith(b"SSH"):
        assert "no HTTP: b'SSH-2.0-OpenSSH_9.6p1" in record.detail


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (CLOSING + b"<html>It works!</html>", "the answer is not JSON"),
        (b"SSH-2.0-OpenSSH_9.6p1 Debian-3\r\n", "no answer (RemoteProtocolError"),
        (b"", "no answer (RemoteProtocolError"),
    ],
    ids=["html", "ssh", "closed"],
)
def test_asking_such_a_server_is_one_clear_line(said: bytes, words: str) -> None:
    assert words in complaint(says(said))


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate of 127.0.0.1, and the context of a server that shows it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        + ["-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=test"]
        + ["-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def over_tls(
    server: ssl.SSLContext, trusted: ssl.SSLContext | None = None, scheme: str = "https"
) -> tuple[StreamRecord, str]:
    """What a stream and a question to a server with TLS come to."""

    async def measure() -> tuple[StreamRecord, str]:
        data = CLOSING + token(openai, "a") + end(openai)
        async with (
            listening(says(data), tls=server) as url,
            open_client(ssl_context=trusted) as client,
        ):
            asked = scheme + url.removeprefix("https")
            record = await call(client, asked, openai)
            with pytest.raises(TandemError) as caught:
                await ask_json(client, asked)
            return record, str(caught.value)

    return run(measure())


@pytest.mark.filterwarnings("ignore:.*SSL.*")
def test_a_certificate_that_nobody_vouches_for_is_a_fault_of_tls(
    certificate: tuple[Path, ssl.SSLContext],
) -> None:
    record, line = over_tls(certificate[1])

    assert (record.error, record.chunk_ns) == ("tls", ())
    assert "self-signed certificate" in record.detail
    assert "https://127.0.0.1:" in line
    assert "self-signed certificate" in line
    assert "\n" not in line


def test_a_trusted_certificate_gives_a_record_by_the_other_clock(
    certificate: tuple[Path, ssl.SSLContext],
) -> None:
    trusted = ssl.create_default_context(cafile=certificate[0])
    before = time.monotonic_ns()
    record, line = over_tls(certificate[1], trusted)

    assert (record.error, record.text) == (None, "a")
    # the kernel stamps what TLS packed, not what came out
    assert record.clock == "data_received"
    stamps = [before, record.request_ns, *record.chunk_ns, record.end_ns, time.monotonic_ns()]
    assert stamps == sorted(stamps)
    assert "the answer is not JSON" in line


def test_whom_to_trust_may_stand_in_the_environment(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    assert over_tls(certificate[1])[0].error is None


def test_http_to_a_server_with_tls_is_a_fault(certificate: tuple[Path, ssl.SSLContext]) -> None:
    record, line = over_tls(certificate[1], scheme="http")

    assert record.error in ("protocol", "disconnect_before_first_byte", "reset")
    assert "no answer" in line


def test_https_to_a_server_without_tls_is_a_fault_of_tls() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async def measure() -> StreamRecord:
        async with listening(refuse) as url, open_client() as client:
            return await call(client, url.replace("http:", "https:"), openai)

    record = run(measure())

    assert record.error == "tls"
    assert record.detail


def test_no_proxy_of_the_environment_is_asked_for_tls_either(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = ssl.create_default_context(cafile=certificate[0])
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        proxy.setblocking(False)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        record, _ = over_tls(certificate[1], trusted)
        with pytest.raises(BlockingIOError):
            proxy.accept()

    assert record.error is None


# IPv6


def over_ipv6(name: str) -> StreamRecord:
    async def measure() -> StreamRecord:
        data = CLOSING + token(openai, "a") + end(openai)
        async with listening(says(data), host="::1") as url, open_client() as client:
            return await call(client, url.replace("[::1]", name), openai)

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 loopback")
    return run(measure())


def test_an_address_of_ipv6_is_an_address() -> None:
    assert over_ipv6("[::1]").error is None


def test_a_name_that_has_ipv6_only_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def six(host: str | bytes, *rest: Any, **more: Any) -> Any:
        if host == "six.invalid" and not more.get("flags"):
            return resolve("::1", *rest, **more)
        return resolve(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", six)

    assert over_ipv6("six.invalid").error is None
    # who listens on IPv6 alone is not found by the other family's address
    assert over_ipv6("127.0.0.1").error == "conn_refused"
