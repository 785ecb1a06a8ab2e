"""What a request of OpenAI's protocol must be like is asked once, of servers that are picky."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from raw_servers import (
    CLOSING,
    FINISH,
    LIMIT_S,
    OPENAI_DONE,
    Handler,
    Reader,
    Writer,
    listening,
    play,
    read_request,
    run,
    whole,
)

from tandembench.errors import TandemError
from tandembench.servers.requests import SHORT_TOKENS, accepted
from tandembench.study.lock import Request
from tandembench.wire import DRIVERS, Ask, open_client, worded

# As OpenAI, vLLM (strict) and a server of few words refuse a key.
UNSUPPORTED = "Unsupported parameter: '{0}'. Use 'max_completion_tokens' instead."
FORBIDDEN = "[{{'type': 'extra_forbidden', 'loc': ('body', '{0}'), 'msg': 'Extra inputs'}}]"
CURT = "Bad request"


def picky(
    *refused: str,
    words: str = FORBIDDEN,
    status: str = "400 Bad Request",
    natural: int = 2,
    forced: bool = True,
    usage: bool = True,
    seen: list[Mapping[str, Any]] | None = None,
) -> Handler:
    """A server that refuses these keys, and ends by itself after ``natural`` tokens.

    Unless it is told not to, and listens (``forced``).
    """

    async def handle(reader: Reader, writer: Writer) -> None:
        asked = await read_request(reader)
        assert asked is not None
        body = asked.json
        if seen is not None:
            seen.append(body)
        for key in refused:
            if key in body:
                message = {"error": {"message": words.format(key)}}
                await play([whole(message, status)], reader, writer)
                return
        limit = body.get("max_tokens") or body["max_completion_tokens"]
        tokens = limit if forced and body.get("ignore_eos") else natural
        counts = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": tokens}}
        told = b"data: %s\n\n" % json.dumps(counts).encode() if usage else b""
        piece = b'data: {"choices":[{"delta":{"content":"w "}}]}\n\n'
        await play([CLOSING, piece * tokens + FINISH + told + OPENAI_DONE], reader, writer)

    return handle


def wanted_by(*servers: Handler, options: Mapping[str, Any]) -> Request:
    async def ask() -> Request:
        async with AsyncExitStack() as stack:
            urls = [await stack.enter_async_context(listening(one)) for one in servers]
            client = await stack.enter_async_context(open_client())
            places = {url: {"m/ \u00fc@1": dict(options)} for url in urls}
            return await accepted(client, places, "chat", LIMIT_S)

    return run(ask())


NEW = "max_completion_tokens"


@pytest.mark.parametrize(
    ("servers", "wanted"),
    [
        ([picky()], Request()),
        ([picky(forced=False)], Request(ignore_eos=False)),
        ([picky("max_tokens", words=UNSUPPORTED)], Request(limit=NEW)),
        ([picky("stream_options")], Request(stream_options=False)),
        ([picky("ignore_eos", status="422 Unprocessable")], Request(ignore_eos=False)),
        (
            [picky("ignore_eos", "stream_options", "max_tokens")],
            Request(limit=NEW, stream_options=False, ignore_eos=False),
        ),
        (
            [picky("stream_options", "max_tokens", words=CURT)],
            Request(limit=NEW, stream_options=False),
        ),
        # one way for all servers
        ([picky(), picky("max_tokens", words=UNSUPPORTED)], Request(limit=NEW)),
        ([picky(), picky("ignore_eos")], Request(ignore_eos=False)),
        ([picky(), picky(forced=False)], Request(ignore_eos=False)),
    ],
)
def test_what_all_servers_take_is_kept(servers: Sequence[Handler], wanted: Request) -> None:
    assert wanted_by(*servers, options={"temperature": 0.8}) == wanted


@pytest.mark.parametrize(
    ("servers", "options", "words"),
    [
        ([picky("top_k")], {"top_k": 4}, "'top_k'"),
        ([picky(usage=False)], {}, "no_token_count"),
        ([picky("max_tokens"), picky(NEW)], {}, "max_completion_tokens"),
        ([picky("model", status="500 Internal Server Error")], {}, "server_error"),
        ([picky("model", status="401 Unauthorized")], {}, "asks for a key"),
    ],
)
def test_servers_that_take_none_are_one_line(
    servers: Sequence[Handler], options: Mapping[str, Any], words: str
) -> None:
    with pytest.raises(TandemError) as caught:
        wanted_by(*servers, options=options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", ["chat", "completions"])
def test_each_request_is_put_as_it_is_wanted(protocol: str) -> None:
    driver = DRIVERS["openai", protocol]
    ask = Ask("m", "p", {"top_k": 4}, 1, SHORT_TOKENS, fixed=True)
    usual = driver.body(ask)
    assert worded(driver, Request().model_dump()).body(ask) == usual
    wanted = Request(limit=NEW, stream_options=False, ignore_eos=False).model_dump()
    least = {"max_tokens", "stream_options", "ignore_eos"}
    expected = {name: value for name, value in usual.items() if name not in least}
    assert worded(driver, wanted).body(ask) == expected | {NEW: SHORT_TOKENS}
