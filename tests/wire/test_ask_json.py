"""Questions beside the stream, to a server that may say anything."""

import asyncio
import json
from typing import Any

import pytest
from ollama_standin import (
    Handler,
    answer,
    listening,
    read_request,
    standin,
)
from raw_servers import (
    CLOSING,
    IDLE_S,
    repeats,
    run,
    says,
    says_and_waits,
)

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.wire import ask_json, llama, open_client


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
