"""The API key: sent where it is to go, and nowhere to be read."""

import asyncio
import json
from collections.abc import Callable

import pytest
from ollama_standin import answer, listening, read_request, refuse

from tandembench.errors import TandemError
from tandembench.wire import Call, Client, StreamRecord, ask_json, open_client, openai, stream
from tandembench.wire.key import API_KEY, api_key, unkeyed

KEY = "sk-Abc_123.x/y+z=="
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY, KEY)


async def heads_of(keyed: bool) -> list[str]:
    """The head of the request that a client makes, line by line."""
    heads: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.extend((await reader.readuntil(b"\r\n\r\n")).decode().splitlines())
        await answer(writer, {})

    async with listening(handle) as url, open_client(keyed=keyed) as client:
        await ask_json(client, url)
    return heads


def test_the_key_is_sent_as_a_bearer_if_asked_for_only() -> None:
    assert f"Authorization: Bearer {KEY}" in asyncio.run(heads_of(keyed=True))
    assert KEY not in "".join(asyncio.run(heads_of(keyed=False)))


@pytest.mark.parametrize("none", ["", " ", "\n"])
def test_no_key_is_no_head(none: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY, none)

    assert api_key() is None
    assert unkeyed("any text") == "any text"
    assert "authorization" not in "".join(asyncio.run(heads_of(keyed=True))).lower()


def test_the_line_break_of_a_file_is_no_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY, f"{KEY}\n")

    assert api_key() == KEY


@pytest.mark.parametrize(
    "bad", ["two words", "a\r\nX-Other: b", "k\u00e9y", "\udcff", 'a"b', "a'b", "a\\b", "x" * 1001]
)
def test_what_is_no_key_is_one_line_without_it(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY, bad)
    with pytest.raises(TandemError, match=f"{API_KEY}: not a key") as caught:
        open_client(keyed=True)

    assert bad not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None


def said(*pieces: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.writelines(pieces)
        await writer.drain()

    return handle


# Where a server gives back what it was sent; a key at a cut must not leave a part of it.
ECHOES = {
    "refusal": b"HTTP/1.1 401 No\r\nConnection: close\r\n\r\nbad key " + KEY.encode(),
    "refusal cut": b"HTTP/1.1 400 No\r\nConnection: close\r\n\r\n" + b"x" * 145 + KEY.encode(),
    "cut": b"HTTP/1.1 500 No\r\nConnection: close\r\n\r\n" + b"x" * 75 + KEY.encode(),
    "event": SSE + b"data: " + json.dumps({"error": f"key {KEY}"}).encode() + b"\n\n",
    "event cut": SSE + b"data: " + json.dumps({"error": "x" * 145 + KEY}).encode() + b"\n\n",
    "no event": SSE + b"x" * 70 + KEY.encode() + b"\n\n",
    "no json": SSE + b"data: {" + KEY.encode() + b"\n\n",
    "no utf-8": SSE + b"data: \xff" + b"x" * 60 + KEY.encode() + b"\n\n",
    "redirect": b"HTTP/1.1 307 Go\r\nLocation: /" + KEY.encode() + b"\r\n\r\n",
    "no http far": b"x" * 75 + KEY.encode() + b"\r\n\r\n",
    "no http": KEY.encode() + b"\r\n\r\n",
}


async def both(client: Client, url: str) -> tuple[StreamRecord, str]:
    """The record and the error that a stream and a question come to."""
    record = await stream(Call(client, url + openai.PATH, b"{}", 5), openai.event, 5)
    with pytest.raises(TandemError) as caught:
        await ask_json(client, url)
    return record, str(caught.value)


@pytest.mark.parametrize("echo", ECHOES)
def test_a_server_that_gives_the_key_back_does_not_get_it_into_any_error(echo: str) -> None:
    async def measure() -> tuple[StreamRecord, str]:
        async with listening(said(ECHOES[echo])) as url, open_client(keyed=True) as client:
            return await both(client, url)

    record, line = asyncio.run(measure())

    assert record.error is not None
    for text in (record.detail, line):
        # not even the first letters of it
        assert KEY[:6] not in text


def test_a_refused_key_says_what_to_set() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await refuse(writer, "403 Forbidden", "text/plain", KEY)

    async def measure() -> str:
        async with listening(handle) as url, open_client(keyed=True) as client:
            with pytest.raises(TandemError) as caught:
                await ask_json(client, f"{url}/v1/models")
            return str(caught.value)

    line = asyncio.run(measure())

    assert f"status 403: the server asks for a key, or for another one; set {API_KEY}" in line
