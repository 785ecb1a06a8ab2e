"""Attaching to running servers: the right ones with the right models, or one clear line."""

import asyncio
import json
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attached_servers import MODEL, Q8, TINY, Replies, attached, lock, ollama, openai
from raw_servers import (
    CLOSING,
    Handler,
    call,
    listening,
    run,
    says,
    serves,
)
from run_specs import EMBEDDED, run_spec

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.fake_server import Behaviour, serving
from tandembench.servers.attach import attach, check_apart
from tandembench.servers.deployment import (
    Deployment,
    Effective,
    Server,
    ServerFault,
    deployments,
)
from tandembench.servers.embedded import running
from tandembench.servers.lock import lock_entry
from tandembench.servers.open import ASKERS, effective, memory_bytes
from tandembench.wire import DRIVERS, Ask, StreamRecord, ask_json, open_client

ENGINES = pytest.mark.parametrize("engine", ["ollama", "openai"])


def refusal(
    engine: str, servers: Sequence[Replies | Handler], locked: Mapping[str, Any], *models: str
) -> str:
    """The line of the error that stops attaching."""
    with pytest.raises(TandemError) as caught:
        attached(engine, servers, locked, *models)
    assert caught.value.exit_code == EXIT_ENVIRONMENT
    line, urls = caught.value.args
    assert "\n" not in line
    for number, url in enumerate(urls):
        line = line.replace(url, f"server {number}")
    return line


# Who is there


def test_one_ollama_for_all_agents_or_one_for_each() -> None:
    (server,) = attached("ollama", [ollama()], lock(), "tiny", "tiny:q8")
    assert (server.engine, server.version, server.index) == ("ollama", "0.12.10", 0)
    assert server.model_digests == {"tiny": TINY, "tiny:q8": Q8}

    dual = attached("ollama", [ollama(), ollama()], lock(), "tiny", "tiny:q8")
    assert [one.index for one in dual] == [0, 1]
    assert len({one.url for one in dual}) == 2
    assert [list(one.model_digests) for one in dual] == [["tiny"], ["tiny:q8"]]


@pytest.mark.parametrize("name", ["tiny", "tiny:latest", "Tiny", "hf.co/someone/other"])
@pytest.mark.parametrize("spelled", [TINY, f"sha256:{TINY}", TINY[:12]])
def test_an_ollama_name_without_tag_is_the_latest_and_a_digest_has_three_spellings(
    name: str, spelled: str
) -> None:
    there = ollama(tiny__latest=TINY, **{"hf.co/someone/other__latest": TINY})
    (server,) = attached("ollama", [there], lock(**{name: spelled}))
    assert server.model_digests == {name: TINY}


VLLM = {"id": MODEL, "max_model_len": 8192}
LLAMA_PROPS: dict[str, Any] = {"build_info": "b7000-abc", "total_slots": 2}
LLAMA_PROPS |= {"default_generation_settings": {"n_ctx": 512}}
SGLANG: dict[str, Any] = {"version": "0.5.3", "context_length": 4096, "max_running_requests": 32}
SGLANG |= {"internal_states": [{"effective_max_running_requests_per_dp": 9}]}
LM_STUDIO: Replies = {
    "/props": {"error": "Unexpected endpoint or method. (GET /props)"},
    "/api/v0/models": {"data": [{"id": MODEL, "loaded_context_length": 2048}]},
}


@pytest.mark.parametrize(
    ("there", "version", "digest", "heard"),
    [
        (openai(), None, None, Effective()),
        (openai(VLLM, version={"version": "0.11.0"}), "0.11.0", None, Effective(num_ctx=8192)),
        (openai(props=LLAMA_PROPS), "b7000-abc", None, Effective(num_ctx=512, slots=2)),
        (openai({"id": MODEL, "digest": "sha256:abc"}), None, "sha256:abc", Effective()),
        (openai(server_info=SGLANG), "0.5.3", None, Effective(num_ctx=4096, slots=9)),
        (
            openai(get_server_info=SGLANG | {"internal_states": []}),
            "0.5.3",
            None,
            Effective(num_ctx=4096, slots=32),
        ),
        (openai() | LM_STUDIO, None, None, Effective(num_ctx=2048)),
        (
            openai()
            | ollama(ps=[{"name": f"{MODEL}:latest", "context_length": 512, "size_vram": 0}]),
            "0.12.10",
            None,
            Effective(num_ctx=512, size_vram_bytes=0),
        ),
        # what is no answer says nothing
        *(
            (openai(props=odd, version=odd), None, None, Effective())
            for odd in (
                {"default_generation_settings": None, "total_slots": "2", "build_info": 7},
                {"error": "Unexpected endpoint or method. (GET /props)"},
                {"default_generation_settings": {"n_ctx": 0}, "total_slots": -1, "build_info": ""},
            )
        ),
    ],
    ids=["silent", "vllm", "llama-server", "digest", "sglang", "old sglang", "lm studio", "ollama"]
    + ["odd", "error", "empty"],
)
def test_a_server_of_openais_protocol_is_what_it_says(
    there: Replies, version: str | None, digest: str | None, heard: Effective
) -> None:
    locked = lock(version, **{MODEL: digest})
    (server,) = attached("openai", [there], locked)
    assert (server.version, server.model_digests) == (version, {MODEL: digest})

    async def look() -> Effective:
        # Behind a proxy all of it has a prefix.
        prefixed = {f"/llm{path}": answer for path, answer in there.items()}
        async with listening(serves(prefixed)) as url, open_client() as client:
            return await effective(client, Server(0, "openai", f"{url}/llm", None, {}), MODEL)

    assert run(look()) == heard


# What stops a study


PINNED = "is {}, but config/servers.lock.yaml says {}"
NO_LIST = "no list of models"
FOREIGN = {"name": "tiny", "remote_host": "https://ollama.com:443"}


def tags(*models: Any) -> Replies:
    """The answers of an Ollama whose list of models is this one."""
    return ollama() | {"/api/tags": {"models": list(models)}}


@pytest.mark.parametrize(
    ("there", "locked", "words"),
    [
        (ollama("0.13.0"), lock(), PINNED.format("0.13.0", "0.12.10")),
        (ollama(tiny__latest="f" * 64), lock(tiny=TINY), PINNED.format("f" * 64, TINY)),
        (
            ollama(beta__latest="1", alpha__7b="2"),
            lock(tiny=TINY),
            "no model 'tiny' (models there: alpha:7b, beta:latest)",
        ),
        (tags(), lock(), "(models there: none)"),
        (tags(FOREIGN), lock(tiny=TINY), "'tiny:latest' runs on https://ollama.com:443, not here"),
        ({"/props": {"total_slots": 1}}, lock(), "this is a llama-server, not Ollama"),
        ({"/api/version": {"name": "x"}}, lock(), "names no version"),
        ({"/api/version": {"version": "1"}}, lock(), "status 404"),
        (ollama() | {"/api/tags": {"models": None}}, lock(), NO_LIST),
        (tags(1), lock(), NO_LIST),
        (tags({"name": "tiny"}), lock(tiny=TINY), "no digest of 'tiny:latest'"),
        (says(CLOSING + b"<html>It works!</html>"), lock(), "the answer is not JSON"),
    ],
)
def test_another_ollama_than_the_locked_one_is_one_line_with_its_url(
    there: Replies | Handler, locked: Mapping[str, Any], words: str
) -> None:
    line = refusal("ollama", [there], locked)
    assert line.startswith("server 0")
    assert words in line


@pytest.mark.parametrize(
    ("there", "version", "digest", "words"),
    [
        *(
            (openai(version={"version": live}), pinned, None, PINNED.format(said, expected))
            for live, pinned, said, expected in (
                ("0.12.0", "0.11.0", "0.12.0", "0.11.0"),
                (None, "0.11.0", "not known", "0.11.0"),
                ("0.12.0", None, "0.12.0", "not known"),
            )
        ),
        *(
            (
                openai({"id": MODEL, "digest": live}),
                None,
                pinned,
                PINNED.format(live or "not known", pinned or "not known"),
            )
            for live, pinned in (("sha256:abc", "sha256:abd"), ("abc", None), (None, "abc"))
        ),
        (
            openai({"id": "beta"}, {"id": "alpha\u202e"}),
            None,
            None,
            f"no model '{MODEL}' (models there: alpha , beta)",
        ),
        *(({"/v1/models": odd}, None, None, NO_LIST) for odd in ({"data": None}, {"data": ["a"]})),
        (ollama(), None, None, "/v1/models: status 404"),
        (says(b"SSH-2.0-OpenSSH_9.6p1 Debian-3\r\n"), None, None, "no answer"),
    ],
)
def test_another_server_of_openais_protocol_is_one_line_with_its_url(
    there: Replies | Handler, version: str | None, digest: str | None, words: str
) -> None:
    line = refusal("openai", [there], lock(version, **{MODEL: digest}))
    assert line.startswith("server 0")
    assert words in line


def test_the_second_server_is_checked_too_and_a_missing_model_has_its_command() -> None:
    assert refusal("ollama", [ollama(), ollama("0.13.0")], lock()).startswith("server 1: ")
    assert " ollama pull tiny" in refusal("ollama", [ollama(beta="1")], lock(tiny=TINY))


@pytest.mark.parametrize("other", ["localhost", "box.invalid"])
def test_two_names_of_one_server_are_no_dual(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def aliased(host: str | bytes, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if "box" in str(host) else host, *rest, **more)

    async def attempt(prefix: str) -> None:
        async with serving(Behaviour()) as server:
            await check_apart((server.url, server.url.replace("127.0.0.1", other) + prefix))

    monkeypatch.setattr(socket, "getaddrinfo", aliased)
    with pytest.raises(TandemError, match="are one server, but topology dual needs one per agent"):
        run(attempt(""))
    run(attempt("/another"))  # one that a proxy hands on to elsewhere


# What Ollama applies


def loaded(**said: Any) -> dict[str, Any]:
    return {"name": "tiny:latest"} | said


@pytest.mark.parametrize(
    ("listed", "heard", "memory"),
    [
        ([], Effective(), None),
        ([{"name": "tiny:q8", "size": 9}], Effective(), 9),
        ([loaded()], Effective(), None),
        (
            [loaded(context_length=0, size=0, size_vram=0)],
            Effective(size_vram_bytes=0),
            None,
        ),
        ([loaded(context_length="4096", size=-1, size_vram=None)], Effective(), None),
        (
            [loaded(context_length=2048, size=10, size_vram=5), {"name": "tiny:q8", "size": 9}],
            Effective(num_ctx=2048, size_bytes=10, size_vram_bytes=5),
            19,
        ),
    ],
)
def test_effective_and_memory_are_what_ollama_says_is_loaded(
    listed: list[Any], heard: Effective, memory: int | None
) -> None:
    async def look() -> tuple[Effective, int | None]:
        async with listening(serves(ollama(ps=listed))) as url, open_client() as client:
            server = Server(0, "ollama", url, "0.12.10", {})
            return await effective(client, server, "tiny"), await memory_bytes(client, [server])

    assert run(look()) == (heard, memory)


SHOWN = 'stop    "<|im_start|>"\nnum_thread                     3\ntemperature  0.8'


@pytest.mark.parametrize(
    ("shown", "asked", "threads"),
    [
        ({"parameters": SHOWN}, None, 3),
        ({"parameters": SHOWN}, 2, 2),  # a request's number counts
        ({"parameters": "num_ctx 4096"}, None, None),
        ({}, None, None),
        ({"parameters": None}, 2, 2),
    ],
)
def test_threads_are_what_is_asked_for_or_what_the_modelfile_says(
    shown: Replies, asked: int | None, threads: int | None
) -> None:
    there = {**ollama(ps=[loaded()]), "/api/show": shown}

    async def look() -> Effective:
        async with listening(serves(there)) as url, open_client() as client:
            server = Server(0, "ollama", url, "0.12.10", {}, num_thread=asked)
            return await effective(client, server, "tiny")

    assert run(look()).threads == threads


# Servers that really answer


@pytest.mark.parametrize("protocol", ["chat", "completions"])
def test_a_real_llama_server_is_measured_over_openais_protocol(
    protocol: str, model_file: Path, tmp_path: Path
) -> None:
    driver = DRIVERS["openai", protocol]

    async def measure(url: str) -> tuple[Server, Effective, StreamRecord]:
        async with open_client() as client:
            (listed,) = (await ask_json(client, f"{url}/v1/models"))["data"]
            model = listed["id"]
            entry = await lock_entry("openai", client, {url: {model: {}}})
            place = Deployment("k", urls=(url,), models=((model,),))
            (server,) = await attach(place, "openai", ASKERS["openai"], entry, client)
            ask = Ask(model, "Count to ten.", {"temperature": 0.8, "top_k": 40}, 1, 24, fixed=True)
            record = await call(url, driver, 60, 60, json.dumps(driver.body(ask)).encode())
            return server, await effective(client, server, model), record

    places = deployments(run_spec("single"), cores=2)
    with (
        (tmp_path / "log").open("w") as log,
        running(places, EMBEDDED, model_file.parent, log) as standing,
    ):
        embedded = standing[places[0].key]
        assert not isinstance(embedded, ServerFault)
        server, heard, record = asyncio.run(measure(embedded[0].url))

    assert (server.version is None, heard.num_ctx, heard.slots) == (False, 512, 1)
    assert (record.error, record.detail) == (None, "")
    # exactly as many as asked for, past the model's own end
    assert (record.final.answer_tokens, record.final.stop_reason) == (24, "length")
    assert record.final.prompt_tokens is not None
    assert record.final.decode_s is not None
    # pieces hold whole letters, so that there may be fewer than tokens; a role is none
    assert 1 < len(record.chunk_ns) <= 24
