"""Lock entries: what running servers are, and the file that pins it."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from attached_servers import MODEL, Q8, TINY, Replies, attached, lock, ollama, openai
from raw_servers import (
    listening,
    run,
    serves,
)
from ruamel.yaml import YAML

from tandembench.errors import TandemError
from tandembench.servers.lock import LockEntry, lock_entry, write_entry
from tandembench.study.lock import Ollama, OpenAI
from tandembench.wire import open_client


def locking(engine: str, servers: Sequence[Replies], *models: str) -> Any:
    """The lock entry of these servers."""

    async def measure() -> Any:
        async with AsyncExitStack() as stack:
            urls = [await stack.enter_async_context(listening(serves(one))) for one in servers]
            client = await stack.enter_async_context(open_client())
            return await lock_entry(engine, client, [*urls, *urls[:1]], models)

    return run(measure())


@pytest.mark.parametrize(
    ("engine", "servers", "models", "entry"),
    [
        ("ollama", [ollama(), ollama()], ("tiny:q8", "tiny", "tiny"), lock()),
        # a model may be on one of the servers only
        ("ollama", [ollama(tiny__latest=TINY), ollama(tiny__q8=Q8)], ("tiny", "tiny:q8"), lock()),
        ("openai", [openai(version={"version": "1"})], (MODEL, MODEL), lock("1", **{MODEL: None})),
        ("openai", [openai()], (MODEL,), lock(None, **{MODEL: None})),
    ],
)
def test_a_lock_entry_fits_its_schema_and_what_attaches(
    engine: str, servers: Sequence[Replies], models: Sequence[str], entry: dict[str, Any]
) -> None:
    assert locking(engine, servers, *models) == entry
    (Ollama if engine == "ollama" else OpenAI).model_validate(entry)
    if len(servers) == 1:
        attached(engine, servers, entry)


@pytest.mark.parametrize(
    ("engine", "servers", "words"),
    [
        ("ollama", [ollama(), ollama("0.13.0")], "version is not the same: 0.12.10 at http"),
        ("ollama", [ollama(), ollama(tiny__latest="f" * 64)], f"tiny is not the same: {TINY} at"),
        ("ollama", [ollama(other__latest=TINY)], "no model 'tiny'"),
        (
            "openai",
            [openai({"id": "tiny"}), openai({"id": "tiny"}, version={"version": "2"})],
            "version is not the same: not known at http",
        ),
        ("ollama", [], "no server is named"),
    ],
)
def test_servers_that_disagree_or_lack_the_model_cannot_be_locked(
    engine: str, servers: Sequence[Replies], words: str
) -> None:
    with pytest.raises(TandemError) as caught:
        locking(engine, servers, "tiny")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("before", "refused"),
    [
        ("# ours\nembedded: {version: 1}\n", ""),
        ("ollama: 5\n", ""),
        ("ollama: {models: [a]}\n", ""),
        ("ollama: [\n", "lock.yaml:2: no valid YAML"),
        ("", "lock.yaml:1: nothing in it"),
    ],
)
def test_an_entry_replaces_what_is_none_and_a_file_that_is_none_stays(
    tmp_path: Path, before: str, refused: str
) -> None:
    lock = tmp_path / "lock.yaml"
    lock.write_text(before, encoding="utf-8")
    entry: LockEntry = {"version": "0.12.10", "models": {"tiny": "ab" * 6}}
    if refused:
        with pytest.raises(TandemError, match=refused):
            write_entry("ollama", entry, lock)
        assert lock.read_text(encoding="utf-8") == before
    else:
        write_entry("ollama", entry, lock)
        assert YAML(typ="safe").load(lock)["ollama"] == entry
