"""What attaching does alike for both engines: who is not there, or is something else."""

import asyncio
import socket
import time
from typing import Any

import pytest
from ollama_standin import Handler, listening, read_request

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.fake_server import Behaviour, listen, serving
from tandembench.servers.attach import attach
from tandembench.servers.deployment import Deployment
from tandembench.servers.lock import lock_entry
from tandembench.wire import open_client

ENGINES = pytest.mark.parametrize("engine", ["ollama", "openai"])
HTML = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>It works!</html>"


Wanted = tuple[Deployment, str, dict[str, Any]]


def wanted(engine: str, urls: list[str], lock: dict[str, Any] | None = None) -> Wanted:
    """What is attached to: servers of the model "fake", and their lock entry."""
    place = Deployment("k", urls=tuple(urls), models=(("fake",),) * len(urls))
    return place, engine, lock or {"version": "1", "models": {"fake": "0" * 12}}


async def refused(asked: Wanted) -> str:
    """The line of the error that stops attaching."""
    async with open_client() as client:
        with pytest.raises(TandemError) as caught:
            await attach(*asked, client)
    assert caught.value.exit_code == EXIT_ENVIRONMENT
    assert "\n" not in str(caught.value)
    return str(caught.value)


def says(data: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(data)
        await writer.drain()

    return handle


@ENGINES
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (HTML, "the answer is not JSON"),
        (b"SSH-2.0-OpenSSH_9.6p1 Debian-3\r\n", "no answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "the answer is not a JSON object"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "status 302"),
    ],
    ids=["html", "ssh", "json", "redirect"],
)
def test_what_is_no_such_server_is_one_line_with_its_url(
    engine: str, data: bytes, words: str
) -> None:
    async def attempt() -> tuple[str, str]:
        async with listening(says(data)) as url:
            return url, await refused(wanted(engine, [url]))

    url, line = asyncio.run(asyncio.wait_for(attempt(), 10))

    assert line.startswith(url)
    assert words in line


@ENGINES
def test_nobody_there_is_told_within_two_seconds(engine: str) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        start = time.monotonic()
        line = asyncio.run(refused(wanted(engine, [url])))

    assert line.startswith(url)
    assert time.monotonic() - start < 2


@ENGINES
def test_a_server_on_ipv6_alone_attaches(engine: str) -> None:
    async def measure() -> tuple[str, str]:
        try:
            listener = listen("::1")
        except OSError:
            pytest.skip("no IPv6 loopback")
        async with serving(Behaviour(), listener) as server, open_client() as client:
            entry = await lock_entry(engine, client, [server.url], ["fake"])
            (found,) = await attach(*wanted(engine, [server.url], entry), client)
            return server.url, found.url

    asked, found = asyncio.run(measure())

    assert asked == found
    assert found.startswith("http://[::1]:")


@ENGINES
def test_two_names_of_one_server_are_no_dual(engine: str) -> None:
    async def attempt() -> str:
        async with serving(Behaviour()) as server, open_client() as client:
            entry = await lock_entry(engine, client, [server.url], ["fake"])
            urls = [server.url, server.url.replace("127.0.0.1", "localhost")]
            return await refused(wanted(engine, urls, entry))

    assert "are one server, but topology dual needs one per agent" in asyncio.run(attempt())


@ENGINES
def test_no_server_cannot_be_locked(engine: str) -> None:
    async def attempt() -> None:
        async with open_client() as client:
            await lock_entry(engine, client, [], ["fake"])

    with pytest.raises(TandemError, match="no server is named"):
        asyncio.run(attempt())
