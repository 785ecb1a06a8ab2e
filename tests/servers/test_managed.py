"""Ollama servers that are started here, by a program that stands in for Ollama's."""

import asyncio
import os
import sys
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import gone
from raw_servers import digest_of
from run_specs import MODEL, an_agent, run_spec

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.fake_server.server import VERSION
from tandembench.servers.deployment import deployments
from tandembench.servers.open import open_servers, preflight
from tandembench.study.spec import RunSpec
from tandembench.wire import open_client

# It serves the fake server's models, and has a child as Ollama has runners.
OLLAMA = f"""#!{sys.executable}
import os, subprocess, sys
from pathlib import Path
from tandembench.fake_server.process import serve_command
if sys.argv[1] == "create":
    Path(os.environ["MADE"]).write_text(Path(sys.argv[4]).read_text() + sys.argv[2])
    sys.exit(0)
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
serve_command("127.0.0.1", int(os.environ["OLLAMA_HOST"].rpartition(":")[2]), None, {{}})
"""
FAKE = {"version": VERSION, "models": {"fake": digest_of("fake:latest")}, "files": {}}
IMPORTED = {"version": VERSION, "models": {MODEL: "0" * 64}, "files": {MODEL: "1" * 64}}


@pytest.fixture
def ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in, which is on the PATH; the user has set variables of Ollama."""
    program = tmp_path / "ollama"
    program.write_text(OLLAMA)
    program.chmod(0o755)
    monkeypatch.delenv("TANDEMBENCH_OLLAMA", raising=False)
    for name, value in {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "MADE": str(tmp_path / "made"),
        "OLLAMA_NUM_PARALLEL": "7",
        "OLLAMA_CONTEXT_LENGTH": "64",
        "OLLAMA_MODELS": "/somewhere",
        "LLAMA_ARG_THREADS": "9",
    }.items():
        monkeypatch.setenv(name, value)
    return program


def a_spec(*topologies: str, lock: Mapping[str, Any] = FAKE, model: str = "fake") -> RunSpec:
    agents = [an_agent(name, model=model) for name in ("collector", "insight")]
    changes: dict[str, Any] = {"engine": "ollama", "protocol": "generate", "lock": lock}
    return run_spec(*topologies, agents=agents, **changes)


def serves() -> list[psutil.Process]:
    """The stand-ins that run as servers of this test."""
    own = psutil.Process().children(recursive=True)
    return [one for one in own if one.is_running() and "serve" in one.cmdline()[-1:]]


def test_servers_have_their_settings_and_nothing_of_the_users_but_the_models(
    ollama: Path, tmp_path: Path
) -> None:
    spec = a_spec("single_parallel", "dual")
    places = deployments(spec, cores=2)

    async def block() -> list[psutil.Process]:
        with (tmp_path / "log").open("w") as log:
            async with (
                open_client() as client,
                open_servers(spec, tmp_path, client, log, places) as standing,
            ):
                seen = []
                for server in chain(*standing.values()):
                    assert not isinstance(server, str)
                    seen.append((server.slots, server.threads, server.version))
                assert seen == [(2, 2, VERSION), (1, 1, VERSION), (1, 1, VERSION)]
                environments = [one.environ() for one in serves()]
                assert sorted(one["OLLAMA_NUM_PARALLEL"] for one in environments) == ["1", "1", "2"]
                for one in environments:
                    assert one["OLLAMA_MODELS"] == "/somewhere"
                    assert one["GOMP_SPINCOUNT"]
                    assert "OLLAMA_CONTEXT_LENGTH" not in one
                families = [(one.parent(), *one.children(recursive=True)) for one in serves()]
                return [*serves(), *filter(None, chain(*families))]

    started = asyncio.run(block())
    assert started
    assert gone([one.pid for one in started])


@pytest.mark.parametrize("victim", ["server", "parent"])
def test_what_a_killed_server_leaves_behind_is_ended(
    ollama: Path, tmp_path: Path, victim: str
) -> None:
    spec = a_spec("single")

    async def block() -> list[int]:
        with (tmp_path / "log").open("w") as log:
            async with (
                open_client() as client,
                open_servers(spec, tmp_path, client, log, deployments(spec, cores=2)),
            ):
                (server,) = serves()
                pids = [one.pid for one in (server, *server.children())]
                assert len(pids) == 2
                (server if victim == "server" else server.parent()).kill()  # type: ignore[union-attr]
                if victim == "server":  # at once, not only when its block has ended
                    assert gone(pids)
                return pids

    assert gone(asyncio.run(block()))


@pytest.mark.parametrize(
    ("program", "lock", "what"),
    [
        (None, FAKE, "the program ollama is not on the PATH; install Ollama"),
        ("exit 3", FAKE, "a server did not start (exit 3): no room; see why"),
        (OLLAMA, FAKE | {"version": "9"}, f"the server's version is {VERSION}, but"),
        (OLLAMA, FAKE | {"models": {"fake": "2" * 64}}, f"fake is {digest_of('fake:latest')}, but"),
        (OLLAMA, {**FAKE, "models": {"other": "2" * 64}}, "no model 'other' (models there: fake"),
        (OLLAMA, IMPORTED, f"no model '{MODEL}'"),
    ],
    ids=["missing", "dies", "version", "digest", "model", "import"],
)
def test_an_ollama_that_cannot_be_measured_stops_the_study_with_one_line(
    ollama: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str | None,
    lock: Mapping[str, Any],
    what: str,
) -> None:
    (model,) = lock["models"]
    if program is None:
        monkeypatch.setenv("PATH", "/nowhere")
    elif program != OLLAMA:
        ollama.write_text(f"#!/bin/sh\necho no room >&2\n{program}\n")

    async def asked() -> None:
        with (tmp_path / "log").open("w") as log:
            async with open_client() as client:
                await preflight([a_spec("dual", lock=lock, model=model)], tmp_path, client, log)

    with pytest.raises(TandemError) as caught:
        asyncio.run(asked())
    assert caught.value.exit_code == EXIT_ENVIRONMENT
    assert what in str(caught.value)
    assert not serves()
    if lock is IMPORTED:  # the stand-in writes down what it was to make, and makes nothing
        assert (tmp_path / "made").read_text() == f"FROM {tmp_path / MODEL}.gguf\n{MODEL}"
