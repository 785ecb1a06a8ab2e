"""How a server is reached: dialled ahead, by name, under TLS, with a key, past proxies, or not."""

import asyncio
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from raw_servers import (
    CLOSING,
    DONE,
    IDLE_S,
    LIMIT_S,
    OLLAMA,
    TOKEN,
    WAIT,
    Handler,
    Reader,
    Request,
    Writer,
    call,
    listening,
    outcome,
    play,
    repeats,
    request,
    run,
    says,
    serves,
    whole,
)

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.wire import DRIVERS, Call, StreamRecord, ask_json, open_client, stream
from tandembench.wire.key import API_KEY, api_key, unkeyed, unkeyed_json

LLAMA, CHAT = DRIVERS["embedded", None], DRIVERS["openai", "chat"]
GOOD = CLOSING + TOKEN + DONE


async def dialled(url: str, released: asyncio.Event | None = None) -> tuple[int, StreamRecord]:
    """The clock before a call that was dialled ahead, and what came of it."""
    async with open_client() as client:
        asked = Call(client, f"{url}{OLLAMA.path}", request(), IDLE_S, 100)
        await asked.dial()
        if released:
            await released.wait()
        return time.monotonic_ns(), await stream(asked, OLLAMA, LIMIT_S)


def test_a_call_dialled_ahead_leaves_with_its_first_write_and_uses_that_connection() -> None:
    connected: list[int] = []
    there = asyncio.Event()

    async def handle(reader: Reader, writer: Writer) -> None:
        connected.append(time.monotonic_ns())
        there.set()
        await says(GOOD)(reader, writer)

    async def measure() -> tuple[int, StreamRecord]:
        async with listening(handle) as url:
            return await dialled(url, there)

    released_ns, record = run(measure())

    assert (record.error, len(connected)) == (None, 1)
    assert connected[0] < released_ns <= record.request_ns <= record.chunk_ns[0]


@pytest.mark.parametrize("url", ["http://", "http://[::1", "ftp://x", "x", "http://x:99999"])
def test_what_is_no_url_is_a_fault_whether_dialled_or_not(url: str) -> None:
    assert run(call(url)).error == "protocol"
    assert run(dialled(url))[1].error == "protocol"


def test_nobody_there_is_a_refused_connection() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        for record in (run(call(url)), run(dialled(url))[1]):
            assert (record.error, record.chunk_ns) == ("conn_refused", ())
            assert record.end_ns >= record.request_ns


def test_a_connection_that_the_server_closed_meanwhile_is_a_fault_not_an_exception() -> None:
    async def measure() -> StreamRecord:
        gone = asyncio.Event()

        async def handle(_: Reader, writer: Writer) -> None:
            writer.close()
            await writer.wait_closed()
            gone.set()

        async with listening(handle) as url:
            return (await dialled(url, gone))[1]

    assert run(measure()).error in ("disconnect_before_first_byte", "reset")


def test_an_unknown_name_is_a_fault_of_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    assert run(call("http://nobody.invalid")).error == "dns"


def test_a_server_on_ipv6_alone_is_reached_by_address_and_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve = socket.getaddrinfo

    def six(host: str | bytes, *rest: Any, **more: Any) -> Any:
        name_is_asked = host == "six.invalid" and not more.get("flags")
        return resolve("::1" if name_is_asked else host, *rest, **more)

    async def measure() -> list[str | None]:
        async with listening(says(GOOD), host="::1") as url:
            names = ("[::1]", "six.invalid", "127.0.0.1")
            return [(await call(url.replace("[::1]", name))).error for name in names]

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 loopback")
    monkeypatch.setattr(socket, "getaddrinfo", six)
    assert run(measure()) == [None, None, "conn_refused"]


@pytest.mark.parametrize("clock", ["kernel", "data_received"])
def test_stamps_are_of_the_clock_that_the_record_names(clock: str) -> None:
    async def measure() -> StreamRecord:
        async with listening(says(CLOSING, TOKEN, 0.01, TOKEN + DONE)) as url:
            return await call(url, clock=clock)

    before = time.monotonic_ns()
    record = run(measure())

    assert record.clock in (clock, "data_received")
    stamps = [before, record.request_ns, *record.chunk_ns, record.end_ns, time.monotonic_ns()]
    assert stamps == sorted(stamps)
    assert record.chunk_ns[1] - record.chunk_ns[0] >= 9_000_000


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
    server: ssl.SSLContext | None,
    trusted: ssl.SSLContext | None = None,
    scheme: str = "https",
    said: bytes = GOOD,
) -> tuple[StreamRecord, str]:
    """What a stream and a question to a server with TLS come to."""

    async def measure() -> tuple[StreamRecord, str]:
        async with (
            listening(says(said), tls=server) as there,
            open_client(ssl_context=trusted) as client,
        ):
            url = f"{scheme}:{there.partition(':')[2]}"
            long = request() + b" " * (1 << 20)  # more than one write takes
            record = await call(url, ssl_context=trusted, body=long)
            with pytest.raises(TandemError) as caught:
                await ask_json(client, url)
            return record, str(caught.value)

    return run(measure())


@pytest.mark.filterwarnings("ignore:.*SSL.*")
def test_a_certificate_that_nobody_vouches_for_is_a_fault_of_tls(
    certificate: tuple[Path, ssl.SSLContext],
) -> None:
    record, line = over_tls(certificate[1])

    assert (record.error, record.chunk_ns) == ("tls", ())
    for text in (record.detail, line):
        assert "self-signed certificate" in text


def test_a_trusted_certificate_gives_a_record_by_the_other_clock(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, line = over_tls(certificate[1], ssl.create_default_context(cafile=certificate[0]))

    # the kernel stamps what TLS packed, not what came out
    assert (record.error, record.text, record.clock) == (None, "w ", "data_received")
    assert record.request_ns <= record.chunk_ns[0] <= record.end_ns
    assert "the answer is not JSON" in line
    # whom to trust may stand in the environment
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    assert over_tls(certificate[1])[0].error is None


def test_tls_on_one_side_only_is_a_fault(certificate: tuple[Path, ssl.SSLContext]) -> None:
    record, line = over_tls(certificate[1], scheme="http")
    assert record.error in ("protocol", "disconnect_before_first_byte", "reset")
    assert "no answer" in line

    async def refuse(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        await play([whole(b"", "400 Bad Request")], reader, writer)

    async def measure() -> str | None:
        async with listening(refuse) as url:
            return (await call(url.replace("http:", "https:"))).error

    assert run(measure()) == "tls"


def test_a_proxy_of_the_environment_is_never_asked(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = ssl.create_default_context(cafile=certificate[0])
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        proxy.setblocking(False)
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            for spelled in (name, name.upper()):
                monkeypatch.setenv(spelled, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert over_tls(certificate[1], trusted)[0].error is None
        assert outcome(GOOD).error is None
        with pytest.raises(BlockingIOError):
            proxy.accept()


# Questions beside the stream


def asked(handler: Handler | bytes, **client: Any) -> str:
    """The line of the error that a question comes to, without the URL that it starts with."""

    async def measure() -> str:
        said = says(handler) if isinstance(handler, bytes) else handler
        async with listening(said) as url, open_client(**client) as opened:
            with pytest.raises(TandemError) as caught:
                await ask_json(opened, f"{url}/props", timeout_s=IDLE_S)
            assert caught.value.exit_code == EXIT_ENVIRONMENT
            assert str(caught.value).startswith(f"{url}/props: ")
            return str(caught.value).removeprefix(f"{url}/props: ")

    line = run(measure())
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "no answer (RemoteProtocolError"),
        (b"SSH-2.0-OpenSSH_9.6p1 Debian-3\r\n", "no answer (RemoteProtocolError"),
        (says(WAIT), "no answer within 0.4 s"),
        (repeats(CLOSING, b" ", 0.002), "no answer within 0.4 s"),
        (CLOSING + b"[" * 100_000, "not JSON"),
        (whole(b"no", more="Content-Encoding: gzip\r\n"), "not JSON"),
        (CLOSING + b"[1]", "not a JSON object"),
        (whole(b"gone", "404 Not Found"), "status 404 gone"),
        (whole(b"no", "403 Forbidden"), "status 403: the server asks for a key, or for another "),
        (whole(b"", "302 Found", "Location: /x\r\n"), "status 302"),
    ],
)
def test_a_question_that_is_not_answered_is_one_line(said: Handler | bytes, words: str) -> None:
    assert words in asked(said)


def test_llama_server_puts_a_prompt_into_its_template() -> None:
    seen: list[Request] = []

    async def measure(replies: dict[str, Any]) -> str:
        async with listening(serves(replies, seen)) as url, open_client() as client:
            return await LLAMA.templated(client, url, "hello")

    assert run(measure({"/apply-template": {"prompt": "<user>hello"}})) == "<user>hello"
    assert json.loads(seen[0].body) == {"messages": [{"role": "user", "content": "hello"}]}
    with pytest.raises(TandemError, match="/apply-template: no prompt"):
        run(measure({"/apply-template": {}}))
    # the other protocols' servers do that themselves
    assert run(CHAT.templated(None, "http://x", "as it is")) == "as it is"


# The key


KEY = "sk-Abc_123.x/y+z=="
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
SENT = KEY.encode()


@pytest.mark.parametrize(
    ("key", "keyed", "sent"),
    [
        (KEY, True, KEY),
        (KEY, False, None),
        # the line break of a file is no part of the key
        (f"{KEY}\n", True, KEY),
        ("", True, None),
        (" ", True, None),
    ],
)
def test_the_key_is_sent_as_a_bearer_if_asked_for_only(
    key: str, keyed: bool, sent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(API_KEY, key)
    seen: list[Request] = []

    async def measure() -> None:
        async with listening(serves({"/x": {}}, seen)) as url, open_client(keyed=keyed) as client:
            await ask_json(client, f"{url}/x")

    run(measure())

    heads = re.findall(r"(?i)\r\nauthorization: (.*)\r\n", seen[0].head)
    assert heads == ([f"Bearer {sent}"] if sent else [])
    assert api_key() == (key.strip() or None)
    assert unkeyed("any text") == "any text"


@pytest.mark.parametrize(
    "bad", ["two words", "a\r\nX-Other: b", "k\u00e9y", "\udcff", 'a"b', "a'b", "a\\b", "x" * 1001]
)
def test_what_is_no_key_is_one_line_without_it(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY, bad)
    with pytest.raises(TandemError, match=f"{API_KEY}: not a key") as caught:
        run(call("http://127.0.0.1:9", keyed=True))

    assert bad not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "echo",
    [
        # where a server gives back what it was sent; a key at a cut must not leave a part of it
        b"HTTP/1.1 401 No\r\nConnection: close\r\n\r\nbad key " + SENT,
        b"HTTP/1.1 400 No\r\nConnection: close\r\n\r\n" + b"x" * 145 + SENT,
        b"HTTP/1.1 500 No\r\nConnection: close\r\n\r\n" + b"x" * 75 + SENT,
        SSE + b"data: " + json.dumps({"error": f"key {KEY}"}).encode() + b"\n\n",
        SSE + b"data: " + json.dumps({"error": "x" * 145 + KEY}).encode() + b"\n\n",
        SSE + b"x" * 70 + SENT + b"\n\n",
        SSE + b"data: {" + SENT + b"\n\n",
        SSE + b"data: \xff" + b"x" * 60 + SENT + b"\n\n",
        b"HTTP/1.1 307 Go\r\nLocation: /" + SENT + b"\r\n\r\n",
        b"x" * 75 + SENT + b"\r\n\r\n",
        SENT + b"\r\n\r\n",
    ],
)
def test_a_server_that_gives_the_key_back_does_not_get_it_into_any_error(
    echo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(API_KEY, KEY)

    async def measure() -> StreamRecord:
        async with listening(says(echo)) as url:
            return await call(url, CHAT, keyed=True)

    record = run(measure())

    assert record.error is not None
    for text in (record.detail, asked(echo, keyed=True)):
        # not even the first letters of it
        assert KEY[:6] not in text


@pytest.mark.parametrize(
    "spell",
    [
        lambda key: key.replace("/", "\\/"),
        lambda key: "".join(f"\\x{ord(c):02X}" for c in key),
        lambda key: key.replace("/", "&sol;").replace("=", "=3D"),
        lambda key: quote(quote(key, safe=""), safe=""),
        lambda key: "".join(f"&#{ord(c)};" for c in key),
        lambda key: "".join(f"&#x{ord(c):X};" for c in key),
        lambda key: quote(b64encode(key.encode()), safe=""),
        lambda key: b64encode(f"x{key}yyy".encode()).decode(),
        lambda key: b64encode(f"xx{key}yyy".encode()).decode(),
        lambda key: urlsafe_b64encode(f"{key}~".encode()).decode(),
        lambda key: encodebytes(b"\0" * 50 + key.encode()).decode(),
        lambda key: key.encode().hex(" "),
        lambda key: f"{key[:9]}\u200b{key[9:12]}\\n{key[12:]}",
    ],
    ids=["JSON", "literal", "HTML", "HTML by number", "HTML by hex", "URL", "Base64 in a URL"]
    + ["Base64 after one", "Base64 after two", "Base64 for a URL", "MIME", "hex", "broken"],
)
def test_the_key_is_known_in_other_spellings(
    spell: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-Ab/9+xyz_Q=t.e~s-t01?>"
    monkeypatch.setenv(API_KEY, key)

    seen = unkeyed(f"a{spell(key)}z")

    assert "(key)" in seen
    assert unkeyed_json({key: [key]}) == {"(key)": ["(key)"]}
    # of Base64 a letter at each end holds bits of what stands beside it
    assert len(seen.replace("A", "")) < 40
