"""Lock entries: what running servers are, and the file that pins it."""

import json
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
from study_texts import BASE, REPOSITORY, with_configs
from study_texts import read as read_study

from tandembench.errors import TandemError
from tandembench.servers.lock import LockEntry, lock_entry, write_entry
from tandembench.study.lock import LOCK_FILE, Ollama, OpenAI, locked, read_lock
from tandembench.wire import open_client


def locking(engine: str, servers: Sequence[Replies], *models: Sequence[str]) -> Any:
    """The lock entry of these servers, of which each is to have ``models`` of its own."""

    async def measure() -> Any:
        async with AsyncExitStack() as stack:
            urls = [await stack.enter_async_context(listening(serves(one))) for one in servers]
            client = await stack.enter_async_context(open_client())
            wanted = {
                url: {model: {} for model in each} for url, each in zip(urls, models, strict=True)
            }
            return await lock_entry(engine, client, wanted)

    return run(measure())


@pytest.mark.parametrize(
    ("engine", "servers", "models", "entry"),
    [
        ("ollama", [ollama(), ollama()], (["tiny:q8", "tiny"], ["tiny"]), lock()),
        # what a server is not asked for it need not have
        (
            "ollama",
            [ollama(tiny__latest=TINY), ollama(tiny__q8=Q8)],
            (["tiny"], ["tiny:q8"]),
            lock(),
        ),
        ("openai", [openai(version={"version": "1"})], ([MODEL],), lock("1", **{MODEL: None})),
        ("openai", [openai()], ([MODEL],), lock(None, **{MODEL: None})),
    ],
)
def test_a_lock_entry_fits_its_schema_and_what_attaches(
    engine: str,
    servers: Sequence[Replies],
    models: Sequence[Sequence[str]],
    entry: dict[str, Any],
) -> None:
    assert locking(engine, servers, *models) == entry
    (Ollama if engine == "ollama" else OpenAI).model_validate(entry)
    if len(servers) == 1:
        attached(engine, servers, entry)


@pytest.mark.parametrize(
    ("engine", "servers", "words", "fix"),
    [
        (
            "ollama",
            [ollama(), ollama("0.13.0")],
            "version is not the same: 0.12.10 at http",
            "same",
        ),
        (
            "ollama",
            [ollama(), ollama(tiny__latest="f" * 64)],
            f"tiny is not the same: {TINY} at",
            "install the same",
        ),
        ("ollama", [ollama(other__latest=TINY)], "no model 'tiny'", " ollama pull tiny"),
        # one that another server has may be in no registry
        *(
            ("ollama", servers, "no model 'tiny', which http", " OLLAMA_MODELS=FOLDER ollama serve")
            for servers in ([ollama(), ollama(b="1")], [ollama(b="1"), ollama()])
        ),
        ("ollama", [ollama("0.0.0")], "its version is 0.0.0, which pins nothing", "-ldflags"),
        (
            "openai",
            [openai({"id": "tiny"}), openai({"id": "tiny"}, version={"version": "2"})],
            "version is not the same: not known at http",
            "",
        ),
        ("openai", [openai({"id": "tiny"}), openai()], "no model 'tiny', which http", "start it"),
        ("ollama", [], "no server is named", ""),
    ],
)
def test_servers_that_disagree_or_lack_the_model_cannot_be_locked(
    engine: str, servers: Sequence[Replies], words: str, fix: str
) -> None:
    with pytest.raises(TandemError) as caught:
        locking(engine, servers, *([["tiny"]] * len(servers)))
    what, _, advice = str(caught.value).rpartition("; ")
    assert words in what
    assert fix in f"{what}; {advice}"
    assert "pull tiny" not in advice or "which" not in what


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
            write_entry("ollama", "ollama", entry, lock)
        assert lock.read_text(encoding="utf-8") == before
    else:
        write_entry("ollama", "ollama", entry, lock)
        assert YAML(typ="safe").load(lock)["ollama"] == entry


TWO = "servers: {dual: ['http://h:1', 'http://h:2']}\n"
NAMES = (
    "/models/a b.gguf",
    "org/M-1@q4_k_m",
    "C:\\m: x",
    "\u00fc# \u4e2d",
    "70",
    "null",
    "- a",
    "{b}",
    "'q\"",
    "@at",
    "1e3",
    "2026-11-28",
)


def test_entries_of_one_engine_stand_under_names_with_models_of_any_name(tmp_path: Path) -> None:
    lock = tmp_path / "lock.yaml"
    written = (REPOSITORY / LOCK_FILE).read_text(encoding="utf-8")
    lock.write_text(written, encoding="utf-8")
    for name, version in (("openai", "1"), ("vllm-2", "2")):
        entry: LockEntry = {"version": version, "models": dict.fromkeys(NAMES)}
        write_entry(name, "openai", entry | {"request": {"limit": "max_tokens"}}, lock)
    read = read_lock(lock.read_text(encoding="utf-8"))
    for name, version in ((None, "1"), ("vllm-2", "2")):
        key = f"lock: {name}\n" if name else ""
        for model in NAMES:
            text = with_configs("{scenario: chimera_homo}", top=f"engine: openai\n{TWO}{key}")
            study = read_study(text.replace("model: m\n", f"model: {json.dumps(model)}\n"))
            pinned = locked(read, study, study.comparisons[0], "my.yaml")
            assert (pinned["version"], pinned["models"]) == (version, {model: None})
    with pytest.raises(TandemError, match="the entry 'vllm-2' is of engine openai"):
        write_entry("vllm-2", "ollama", {"version": "1", "models": {}}, lock)
    ollama = read_study(BASE + f"engine: ollama\n{TWO}lock: vllm-2\n")
    with pytest.raises(TandemError, match=r"'vllm-2' of .* is of engine openai, not ollama"):
        locked(read, ollama, ollama.comparisons[0], "my.yaml")


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("{version: 1}", "expected a mapping with engine"),
        ("{engine: vllm, version: 1}", "expected"),
        ("{engine: openai, version: '1', models: {}, request: {limit: 5}}", "limit: 5 is not"),
        ("{engine: ollama, version: '1', modles: {}}", "did you mean 'models'"),
    ],
)
def test_a_named_entry_that_is_none_is_one_line(entry: str, line: str) -> None:
    written = (REPOSITORY / LOCK_FILE).read_text(encoding="utf-8")
    with pytest.raises(TandemError, match=f"^{LOCK_FILE}:[0-9]+: other") as caught:
        read_lock(f"{written}other: {entry}\n")
    assert line in str(caught.value)
