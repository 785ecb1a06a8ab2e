"""Attaching to servers of OpenAI's protocol: who is there, and is it the locked one."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ollama_standin import Handler, answer, listening, refuse
from run_specs import EMBEDDED, run_spec

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.fake_server import Behaviour, serving
from tandembench.servers.attach import attach, effective
from tandembench.servers.deployment import Deployment, deployments
from tandembench.servers.embedded import running
from tandembench.servers.lock import lock_entry
from tandembench.servers.model import Effective, Server, ServerFault
from tandembench.study.lock import OpenAI
from tandembench.wire import DRIVERS, Ask, Call, Client, StreamRecord, ask_json, open_client, stream
from tandembench.wire.key import API_KEY

MODEL = "org/Model-1"
LISTED = {"/v1/models": {"object": "list", "data": [{"id": MODEL, "object": "model"}]}}
LOCK = {"version": None, "models": {MODEL: None}}


def serves(replies: Mapping[str, Any], seen: list[str] | None = None) -> Handler:
    """A server with these answers by path; ``seen`` gets the heads of its requests."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            if seen is not None:
                seen.append(head)
            path = head.split(" ")[1]
            if path in replies:
                await answer(writer, replies[path])
            else:
                await refuse(writer, "404 Not Found", "application/json", '{"detail":"Not Found"}')

    return handle


def wanted(
    url: str, lock: Mapping[str, Any] = LOCK, model: str = MODEL
) -> tuple[Deployment, str, Mapping[str, Any]]:
    """What is attached to: one server of one model, and its lock entry."""
    return Deployment("k", urls=(url,), models=((model,),)), "openai", lock


def attached(replies: Mapping[str, Any], **changes: Any) -> tuple[Server, Effective]:
    async def measure() -> tuple[Server, Effective]:
        async with listening(serves(replies)) as url, open_client() as client:
            (server,) = await attach(*wanted(url, **changes), client)
            return server, await effective(client, server, MODEL)

    return asyncio.run(asyncio.wait_for(measure(), 10))


def refusal(replies: Mapping[str, Any], **changes: Any) -> str:
    """The line of the error that stops attaching."""
    with pytest.raises(TandemError) as caught:
        attached(replies, **changes)
    assert caught.value.exit_code == EXIT_ENVIRONMENT
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_server_that_says_nothing_of_itself_is_taken_as_it_is() -> None:
    server, heard = attached(LISTED)

    assert (server.engine, server.version, server.model_digests) == ("openai", None, {MODEL: None})
    assert heard == Effective()


def test_vllm_tells_its_version_and_its_context() -> None:
    listed = {"data": [{"id": MODEL, "owned_by": "vllm", "max_model_len": 8192}]}
    replies = {"/v1/models": listed, "/version": {"version": "0.11.0"}}
    server, heard = attached(replies, lock=LOCK | {"version": "0.11.0"})

    assert server.version == "0.11.0"
    assert heard == Effective(num_ctx=8192)


def test_llama_server_tells_its_build_its_context_and_its_slots() -> None:
    props = {
        "build_info": "b7000-abc",
        "total_slots": 2,
        "default_generation_settings": {"n_ctx": 512},
    }
    server, heard = attached(LISTED | {"/props": props}, lock=LOCK | {"version": "b7000-abc"})

    assert server.version == "b7000-abc"
    assert heard == Effective(num_ctx=512, slots=2)


@pytest.mark.parametrize(
    "props",
    [
        {"default_generation_settings": None, "total_slots": "2", "build_info": 7},
        {"error": "Unexpected endpoint or method. (GET /props)"},
        {"default_generation_settings": {"n_ctx": 0}, "total_slots": -1, "build_info": ""},
    ],
)
def test_what_is_no_answer_says_nothing(props: dict[str, Any]) -> None:
    server, heard = attached(LISTED | {"/props": props, "/version": props})

    assert server.version is None
    assert heard == Effective()


def test_another_version_than_the_locked_one_stops_with_both() -> None:
    told = refusal(LISTED | {"/version": {"version": "0.12.0"}}, lock=LOCK | {"version": "0.11.0"})
    assert "the server's version is 0.12.0, but config/servers.lock.yaml says 0.11.0" in told
    assert "servers lock" in told

    silent = refusal(LISTED, lock=LOCK | {"version": "0.11.0"})
    assert "is not known, but config/servers.lock.yaml says 0.11.0" in silent
    new = refusal(LISTED | {"/version": {"version": "0.12.0"}})
    assert "is 0.12.0, but config/servers.lock.yaml says not known" in new


@pytest.mark.parametrize(
    ("live", "locked", "words"),
    [
        ("sha256:abc", "sha256:abd", "is sha256:abc, but config/servers.lock.yaml says sha256:abd"),
        ("abc", None, "is abc, but config/servers.lock.yaml says not known"),
        (None, "abc", "is not known, but config/servers.lock.yaml says abc"),
    ],
)
def test_another_digest_than_the_locked_one_stops_with_both(
    live: str | None, locked: str | None, words: str
) -> None:
    listed = {"data": [{"id": MODEL, "digest": live}]}

    assert words in refusal({"/v1/models": listed}, lock=LOCK | {"models": {MODEL: locked}})


def test_a_digest_that_is_told_is_kept() -> None:
    listed = {"data": [{"id": MODEL, "digest": "sha256:abc"}]}
    lock = LOCK | {"models": {MODEL: "sha256:abc"}}

    assert attached({"/v1/models": listed}, lock=lock)[0].model_digests == {MODEL: "sha256:abc"}


def test_a_missing_model_lists_those_that_are_served() -> None:
    listed = {"data": [{"id": "beta"}, {"id": "alpha\u202e"}]}

    told = refusal({"/v1/models": listed})
    assert f"no model '{MODEL}' (served: alpha , beta)" in told
    assert "(served: none)" in refusal({"/v1/models": {"data": []}})


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ({"models": []}, "no list of models"),
        ({"data": None}, "no list of models"),
        ({"data": ["a"]}, "no list of models"),
    ],
)
def test_what_lists_no_models_is_refused(listed: dict[str, Any], words: str) -> None:
    assert f"/v1/models: {words}; name a running server" in refusal({"/v1/models": listed})


def test_a_server_of_another_protocol_is_refused() -> None:
    assert "/v1/models: status 404" in refusal({"/api/version": {"version": "0.12.10"}})


def test_the_lock_entry_fits_its_schema_and_what_attaches() -> None:
    async def measure() -> dict[str, Any]:
        replies = LISTED | {"/version": {"version": "0.11.0"}}
        async with listening(serves(replies)) as url, open_client() as client:
            entry = await lock_entry("openai", client, [url, url], [MODEL, MODEL])
            await attach(*wanted(url, lock=entry), client)
            return entry

    entry = asyncio.run(measure())

    assert entry == {"version": "0.11.0", "models": {MODEL: None}}
    OpenAI.model_validate(entry)
    OpenAI.model_validate(LOCK)


def test_servers_that_disagree_cannot_be_locked() -> None:
    async def measure() -> str:
        newer = LISTED | {"/version": {"version": "2"}}
        async with (
            listening(serves(LISTED)) as one,
            listening(serves(newer)) as other,
            open_client() as client,
        ):
            with pytest.raises(TandemError) as caught:
                await lock_entry("openai", client, [one, other], [MODEL])
            return str(caught.value)

    assert "the server's version is not the same: not known at http" in asyncio.run(measure())


def test_every_question_carries_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY, "secret")
    heads: list[str] = []

    async def measure() -> None:
        async with listening(serves(LISTED, heads)) as url, open_client(keyed=True) as client:
            await attach(*wanted(url), client)

    asyncio.run(measure())

    assert len(heads) >= 2
    assert all("Authorization: Bearer secret\r\n" in head for head in heads)


def test_the_fake_server_attaches() -> None:
    async def measure() -> list[Server]:
        async with serving(Behaviour()) as server, open_client() as client:
            entry = await lock_entry("openai", client, [server.url], ["fake"])
            return await attach(*wanted(server.url, lock=entry, model="fake"), client)

    (server,) = asyncio.run(measure())

    assert (server.version, server.model_digests) == ("0.0.0-fake", {"fake": None})


@pytest.mark.parametrize("protocol", ["chat", "completions"])
def test_a_real_llama_server_is_measured_over_openais_protocol(
    protocol: str, model_file: Path, tmp_path: Path
) -> None:
    driver = DRIVERS["openai", protocol]

    async def measure(url: str) -> tuple[Server, Effective, StreamRecord]:
        async with open_client() as client:
            (model,) = await served(client, url)
            entry = await lock_entry("openai", client, [url], [model])
            (server,) = await attach(*wanted(url, lock=entry, model=model), client)
            ask = Ask(model, "Count to ten.", {"temperature": 0.8, "top_k": 40}, 1, 24, fixed=True)
            body = json.dumps(driver.body(ask)).encode()
            record = await stream(Call(client, url + driver.PATH, body, 60), driver.event, 60)
            return server, await effective(client, server, model), record

    places = deployments(run_spec("single"), cores=2)
    with (
        (tmp_path / "log").open("w") as log,
        running(places, EMBEDDED, model_file.parent, log) as standing,
    ):
        embedded = standing[places[0].key]
        assert not isinstance(embedded, ServerFault)
        server, heard, record = asyncio.run(measure(embedded[0].url))

    assert server.version is not None
    assert (heard.num_ctx, heard.slots) == (512, 1)
    assert (record.error, record.detail) == (None, "")
    # exactly as many as asked for, past the model's own end
    assert (record.final.answer_tokens, record.final.stop_reason) == (24, "length")
    assert record.final.prompt_tokens is not None
    assert record.final.decode_s is not None
    # pieces hold whole letters, so that there may be fewer than tokens; a role is none
    assert 1 < len(record.chunk_ns) <= 24
    assert '"usage"' in record.raw_final


async def served(client: Client, url: str) -> list[str]:
    """The ids of the models at ``url``."""
    return [one["id"] for one in (await ask_json(client, f"{url}/v1/models"))["data"]]
