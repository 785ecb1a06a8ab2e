"""Attaching to Ollama: the right servers with the right models, or one clear line."""

import asyncio
import json
import socket
import time
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import pytest
from ollama_standin import (
    CTX_FLOOR,
    SIZE_BYTES,
    VERSION,
    answer,
    digest_of,
    listening,
    read_request,
    refuse,
    standin,
    standin_thread,
)

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.servers import ollama
from tandembench.servers.address import normalised
from tandembench.servers.attach import attach, memory_bytes
from tandembench.servers.deployment import Deployment
from tandembench.servers.lock import lock_entry
from tandembench.servers.model import Effective, Server
from tandembench.study.lock import Ollama
from tandembench.wire import Ask, Call, open_client, stream
from tandembench.wire import ollama as driver

T = TypeVar("T")
TINY = digest_of("tiny:latest")
LOCK = {"version": VERSION, "models": {"tiny": TINY, "tiny:q8": digest_of("tiny:q8")}}


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, 10))


Wanted = tuple[Deployment, str, Mapping[str, Any]]


def wanted(
    urls: list[str], models: tuple[str, ...] = ("tiny", "tiny"), lock: Mapping[str, Any] = LOCK
) -> Wanted:
    """What is attached to: one server for the models of all agents, or one for each."""
    shares = tuple((one,) for one in models) if len(urls) > 1 else (tuple(dict.fromkeys(models)),)
    return Deployment("k", urls=tuple(urls), models=shares), "ollama", lock


async def attached(asked: Wanted) -> list[Server]:
    async with open_client() as client:
        return await attach(*asked, client)


def refusal(asked: Wanted) -> str:
    """The line of the error that stops attaching."""
    with pytest.raises(TandemError) as caught:
        run(attached(asked))
    assert caught.value.exit_code == EXIT_ENVIRONMENT
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_server_for_all_agents() -> None:
    with standin_thread() as url:
        found = run(attached(wanted([url], ("tiny", "tiny:q8"))))

    digests = {"tiny": TINY, "tiny:q8": digest_of("tiny:q8")}
    assert found == [Server(0, "ollama", url, VERSION, digests)]


def test_one_server_per_agent_for_dual() -> None:
    with standin_thread() as one, standin_thread() as other:
        found = run(attached(wanted([other, one], ("tiny", "tiny:q8"))))

    assert [server.url for server in found] == [other, one]
    assert [server.index for server in found] == [0, 1]
    assert [list(server.model_digests) for server in found] == [["tiny"], ["tiny:q8"]]


@pytest.mark.parametrize("name", ["tiny", "tiny:latest", "Tiny", "hf.co/someone/other"])
def test_a_name_without_tag_is_the_latest(name: str) -> None:
    full = "hf.co/someone/other:latest" if "/" in name else "tiny:latest"
    lock = {"version": VERSION, "models": {name: digest_of(full)}}
    with standin_thread() as url:
        found = run(attached(wanted([url], (name,), lock)))

    assert found[0].model_digests == {name: digest_of(full)}


@pytest.mark.parametrize("locked", [TINY, f"sha256:{TINY}", TINY[:12]])
def test_the_lock_may_spell_a_digest_as_ollama_does(locked: str) -> None:
    lock = {"version": VERSION, "models": {"tiny": locked}}
    with standin_thread() as url:
        found = run(attached(wanted([url], lock=lock)))

    assert found[0].model_digests == {"tiny": TINY}


def test_another_version_than_the_locked_one_stops_with_both() -> None:
    with standin_thread(version="0.13.0") as url:
        line = refusal(wanted([url]))

    assert line.startswith(f"{url}: ")
    assert "0.13.0" in line
    assert VERSION in line
    assert "servers lock" in line


def test_another_digest_than_the_locked_one_stops_with_both() -> None:
    other = "f" * 64
    with standin_thread(digests={"tiny:latest": other}) as url:
        line = refusal(wanted([url]))

    assert other in line
    assert TINY in line


def test_the_second_server_is_checked_too() -> None:
    with standin_thread() as one, standin_thread(version="0.13.0") as other:
        assert refusal(wanted([one, other])).startswith(f"{other}: ")


def test_a_missing_model_lists_the_installed_ones_and_how_to_get_it() -> None:
    with standin_thread(models=("beta:latest", "alpha:7b")) as url:
        line = refusal(wanted([url]))

    assert "no model 'tiny' (installed: alpha:7b, beta:latest)" in line
    assert f"OLLAMA_HOST={url.removeprefix('http://')} ollama pull tiny" in line


def test_no_model_at_all() -> None:
    with standin_thread(models=()) as url:
        assert "(installed: none)" in refusal(wanted([url]))


def test_a_model_that_runs_elsewhere_is_refused() -> None:
    with standin_thread(remote_host="https://ollama.com:443") as url:
        assert "'tiny' runs on https://ollama.com:443, not here" in refusal(wanted([url]))


def test_nobody_there_is_told_within_two_seconds() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        start = time.monotonic()
        line = refusal(wanted([url]))

    assert line.startswith(url)
    assert time.monotonic() - start < 2


def test_a_llama_server_is_told_apart() -> None:
    async def llama(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_request(reader):
            if request[1] == "/props":
                await answer(writer, {"total_slots": 1})
            else:
                await refuse(writer, "404 Not Found", "application/json", "{}")

    async def attempt() -> str:
        async with listening(llama) as url:
            with pytest.raises(TandemError) as caught:
                await attached(wanted([url]))
            return str(caught.value)

    assert "this is a llama-server, not Ollama; name a running Ollama" in run(attempt())


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ({"/api/version": {"name": "x"}}, "names no version"),
        ({"/api/version": {"version": VERSION}}, "status 404"),
        (
            {"/api/version": {"version": VERSION}, "/api/tags": {"models": None}},
            "no list of models",
        ),
        ({"/api/version": {"version": VERSION}, "/api/tags": {"models": [1]}}, "no list of models"),
        (
            {"/api/version": {"version": VERSION}, "/api/tags": {"models": [{"name": "tiny"}]}},
            "no digest of 'tiny'",
        ),
    ],
)
def test_something_else_at_that_url_is_refused(replies: Mapping[str, Any], words: str) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_request(reader):
            if request[1] in replies:
                await answer(writer, replies[request[1]])
            else:
                await refuse(writer, "404 Not Found", "text/plain", "no")

    async def attempt() -> str:
        async with listening(other) as url:
            with pytest.raises(TandemError) as caught:
                await attached(wanted([url]))
            return str(caught.value)

    assert words in run(attempt())


def test_two_names_of_one_server_are_no_dual() -> None:
    with standin_thread() as url:
        line = refusal(wanted([url, url.replace("127.0.0.1", "localhost")]))

    assert "are one server" in line
    assert "OLLAMA_HOST=" in line


def test_two_hosts_with_one_address_are_one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def aliased(host: str | bytes, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if "box" in str(host) else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", aliased)
    with standin_thread() as url:
        line = refusal(wanted([url.replace("127.0.0.1", "box.invalid"), url]))

    assert "are one server" in line


@pytest.mark.parametrize(
    ("url", "spelled"),
    [
        ("http://localhost:11434/", "http://127.0.0.1:11434"),
        ("http://LOCALHOST:11434", "http://127.0.0.1:11434"),
        ("http://0.0.0.0:11434", "http://127.0.0.1:11434"),
        ("http://[::]:11434", "http://[::1]:11434"),
        ("http://box", "http://box:80"),
        ("https://Box.example", "https://box.example:443"),
    ],
)
def test_urls_have_one_spelling(url: str, spelled: str) -> None:
    assert normalised(url) == spelled
    assert normalised(spelled) == spelled


@pytest.mark.parametrize(
    "url", ["box:11434", "ftp://box", "http://", "http://box:99999", "http://["]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(TandemError, match="not a server's URL"):
        normalised(url)


@pytest.mark.parametrize(("asked", "applied"), [(512, CTX_FLOOR), (8192, 8192)])
def test_effective_is_what_the_server_applies_not_what_was_asked(asked: int, applied: int) -> None:
    async def load_and_look() -> tuple[Effective, Effective]:
        async with standin(vram_share=0.5) as url, open_client() as client:
            (server,) = await attach(*wanted([url]), client)
            before = await ollama.effective(client, server, "tiny")
            ask = Ask("tiny", "a", {"num_ctx": asked}, 1, 4, fixed=True)
            body = json.dumps(driver.body(ask)).encode()
            await stream(Call(client, f"{url}{driver.PATH}", body, 5), driver.event, 5)
            return before, await ollama.effective(client, server, "tiny")

    before, after = run(load_and_look())

    assert before == Effective()
    assert after == Effective(
        num_ctx=applied, size_bytes=SIZE_BYTES, size_vram_bytes=SIZE_BYTES // 2
    )


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, Effective()),
        ({"context_length": 0, "size": 0, "size_vram": 0}, Effective(size_vram_bytes=0)),
        ({"context_length": "4096", "size": -1, "size_vram": None}, Effective()),
        ({"context_length": 4096, "size": 9}, Effective(num_ctx=4096, size_bytes=9)),
    ],
)
def test_effective_is_none_where_the_server_is_silent(
    entry: dict[str, Any], expected: Effective
) -> None:
    async def ps(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            await answer(writer, {"models": [{"name": "tiny:latest", **entry}]})

    async def look() -> Effective:
        async with listening(ps) as url, open_client() as client:
            return await ollama.effective(client, Server(0, "ollama", url, VERSION, {}), "tiny")

    assert run(look()) == expected


def test_memory_is_that_of_all_loaded_models() -> None:
    async def load_and_look() -> list[int | None]:
        async with standin() as url, open_client() as client:
            (server,) = await attach(*wanted([url]), client)
            seen = [await memory_bytes(client, server)]
            for model in ("tiny", "tiny:q8"):
                body = json.dumps(driver.body(Ask(model, "a", {}, 1, 2, fixed=True))).encode()
                await stream(Call(client, f"{url}{driver.PATH}", body, 5), driver.event, 5)
                seen.append(await memory_bytes(client, server))
            return seen

    assert run(load_and_look()) == [None, SIZE_BYTES, 2 * SIZE_BYTES]


async def locked(urls: list[str], models: list[str]) -> dict[str, Any]:
    async with open_client() as client:
        return await lock_entry("ollama", client, urls, models)


def test_the_lock_entry_fits_its_schema_and_what_attaches() -> None:
    with standin_thread() as one, standin_thread() as other:
        entry = run(locked([one, other, one], ["tiny:q8", "tiny"]))
        run(attached(wanted([one, other], lock=entry)))

    assert entry == LOCK
    Ollama.model_validate(entry)


def test_a_model_may_be_on_one_of_the_servers_only() -> None:
    with standin_thread(models=("tiny:latest",)) as one, standin_thread(models=("tiny:q8",)) as two:
        assert run(locked([one, two], ["tiny", "tiny:q8"])) == LOCK


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"version": "0.13.0"}, f"the server's version is not the same: {VERSION} at "),
        ({"digests": {"tiny:latest": "f" * 64}}, f"tiny is not the same: {TINY} at "),
    ],
)
def test_servers_that_disagree_cannot_be_locked(settings: dict[str, Any], words: str) -> None:
    with (
        standin_thread() as one,
        standin_thread(**settings) as other,
        pytest.raises(TandemError) as caught,
    ):
        run(locked([one, other], ["tiny"]))

    assert words in str(caught.value)
    assert one in str(caught.value)
    assert other in str(caught.value)


def test_a_model_that_no_server_has_cannot_be_locked() -> None:
    with standin_thread() as one, pytest.raises(TandemError, match="no model 'absent'"):
        run(locked([one], ["absent"]))


def test_no_server_cannot_be_locked() -> None:
    with pytest.raises(TandemError, match="no server is named"):
        run(locked([], ["tiny"]))
