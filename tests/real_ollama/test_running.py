"""Instances of a real Ollama that run already: their runners, threads, slots and memory."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from raw_servers import run

from tandembench.servers.deployment import Effective, Server
from tandembench.servers.lock import LockEntry, lock_entry
from tandembench.servers.open import effective, memory_bytes
from tandembench.servers.requests import accepted
from tandembench.study.lock import Request
from tandembench.system import Family, listener
from tandembench.wire import open_client

OLLAMA = os.environ.get("TANDEMBENCH_OLLAMA", "ollama")


@contextmanager
def instance(store: Path, **variables: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as place:
        host = f"127.0.0.1:{place.getsockname()[1]}"
    of_its_own = {"OLLAMA_HOST": host, "OLLAMA_MODELS": str(store), "OLLAMA_NOPRUNE": "1"}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(
        [OLLAMA, "serve"], env=os.environ | of_its_own | variables, **silent
    ) as one:
        try:
            transport = httpx.HTTPTransport(retries=9)  # 0, 0.5, 1, 2, ... seconds apart
            with httpx.Client(transport=transport, timeout=60) as client:
                client.get(f"http://{host}/api/version").raise_for_status()
            yield f"http://{host}"
        finally:
            for each in (*psutil.Process(one.pid).children(recursive=True), one):
                each.kill()


@pytest.fixture(scope="module")
def urls(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """One instance as it comes, and one with two slots, that have the model "tiny"."""
    folder = tmp_path_factory.mktemp("ollama")
    (folder / "Modelfile").write_text(f"FROM {model_file.resolve()}\n", encoding="utf-8")
    with ExitStack() as stack:
        variables = ({}, {"OLLAMA_NUM_PARALLEL": "2", "LLAMA_ARG_THREADS": "1"})
        there = [stack.enter_context(instance(folder / "store", **each)) for each in variables]
        words = [OLLAMA, "create", "tiny", "-f", str(folder / "Modelfile")]
        subprocess.run(words, check=True, env=os.environ | {"OLLAMA_HOST": there[0]})
        yield there


def asked(url: str, **options: int) -> None:
    body = {"model": "tiny", "prompt": "One", "stream": False}
    body["options"] = {"num_predict": 8, "num_ctx": 512} | options
    httpx.post(f"{url}/api/generate", json=body, timeout=60).raise_for_status()


def heard(url: str) -> tuple[Server, Effective, int | None]:
    port = int(url.rpartition(":")[2])
    pid, unseen = listener(port)
    server = Server(0, "ollama", url, None, {}, pid=pid, port=port, unseen=unseen)

    async def ask() -> tuple[Server, Effective, int | None]:
        async with open_client() as client:
            said = await effective(client, server, "tiny")
            return server, said, await memory_bytes(client, [server])

    return run(ask())


@pytest.mark.parametrize(
    ("which", "options", "threads", "slots"),
    [(0, {"num_thread": 1}, 1, 1), (0, {"num_thread": 2}, 2, 1), (1, {}, 1, 2)],
)
def test_what_an_instance_runs_with_is_read(
    urls: list[str], which: int, options: dict[str, int], threads: int, slots: int
) -> None:
    asked(urls[which], **options)
    server, said, memory = heard(urls[which])
    assert server.pid is not None
    assert (said.threads, said.slots, said.num_ctx) == (threads, slots, 512)
    # this machine's Ollama has no GPU, whatever it says
    assert said.size_vram_bytes == 0
    assert said.size_bytes
    assert memory is not None
    assert memory > said.size_bytes


def test_a_runner_that_is_killed_is_followed_by_the_next(urls: list[str]) -> None:
    asked(urls[0])
    server, *_ = heard(urls[0])
    assert server.pid is not None
    family = Family(server.pid, server.port)
    first = family.members()[-1]
    used = family.cpu_s()
    assert first.pid != server.pid
    first.send_signal(signal.SIGKILL)
    psutil.wait_procs([first], timeout=20)
    # the next request may still meet the one that is gone
    with suppress(httpx.HTTPStatusError):
        asked(urls[0])
    asked(urls[0])
    last = family.members()[-1]
    assert last.pid not in (first.pid, server.pid)
    assert family.cpu_s() > used


def test_its_openai_protocol_is_locked_with_the_requests_that_it_takes(urls: list[str]) -> None:
    places = {url: {"tiny:latest": {"temperature": 0.8, "top_k": 40}} for url in urls}

    async def ask() -> tuple[LockEntry, Request, Effective]:
        async with open_client() as client:
            entry = await lock_entry("openai", client, places)
            taken = await accepted(client, places, "chat", 120)
            server = Server(0, "openai", urls[0], None, {})
            return entry, taken, await effective(client, server, "tiny:latest")

    entry, taken, said = run(ask())
    assert (entry["version"] is None, entry["models"]) == (False, {"tiny:latest": None})
    assert (taken.limit, taken.stream_options) == ("max_tokens", True)
    assert said.num_ctx
