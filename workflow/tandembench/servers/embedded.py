"""The embedded engine: llama.cpp's own server, started here, one process per server."""

import hashlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.servers.model import Effective, Server, ServerFault
from tandembench.wire import Client, ask_json

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 5.0
_PROGRAM = "tandembench.servers.llama_process"
# How compute threads wait for each other. OpenMP's default spins for milliseconds: as fast as
# `brief` on an idle machine, but beside one busy foreign process two threads on two cores fell
# from 95 tokens/s to 5, some requests to none; with a brief spin to 28 (10 trials).
_WAITING = {"brief": {"GOMP_SPINCOUNT": "1000"}, "passive": {"OMP_WAIT_POLICY": "PASSIVE"}}
_THREAD_VARIABLES = ("OMP_", "GOMP_", "KMP_", "GGML_", "LLAMA_")


def layout(spec: Mapping[str, Any], cores: int) -> list[dict[str, Any]]:
    """Equal hardware: the settings of each server of a config, from the same total of threads.

    ``dual`` gives each of N servers total/N threads; every other topology gives all of them to
    its one server, with N slots for ``single_parallel`` and one slot else. The total is the
    study's ``threads_total``, else what ``cores`` allow. A shared server holds the largest
    context and the most layers that any of its agents asks for.
    """
    agents = spec["agents"]
    total = spec["threads_total"] or _default_threads(cores, len(agents))
    dual = spec["topology"] == "dual"
    shares = [[agent] for agent in agents] if dual else [agents]
    threads = max(1, total // len(shares))
    slots = len(agents) if spec["topology"] == "single_parallel" else 1
    # Threads that outnumber the cores must sleep at once: to spin is a collapse there.
    passive = threads > 1 and threads * len(shares) > cores
    default_ctx = spec["lock"]["default_num_ctx"]
    return [
        {
            "model": share[0]["model"],
            "num_ctx": max(agent["options"].get("num_ctx", default_ctx) for agent in share),
            "num_gpu": max(agent["options"].get("num_gpu", 0) for agent in share),
            "slots": slots,
            "threads": threads,
            "wait_policy": "passive" if passive else "brief",
        }
        for share in shares
    ]


def _default_threads(cores: int, agents: int) -> int:
    """The cores, one of more than two left to the client, and a multiple of the agents.

    What does not split evenly would be hardware that dual does not get and a shared server does.
    """
    free = cores - 1 if cores > 2 else cores
    return free - free % agents or free


def check_installed(spec: Mapping[str, Any], models: Path) -> None:
    """TandemError unless the locked engine is installed and every model file is there."""
    installed, locked = version("xllamacpp"), spec["lock"]["version"]
    if installed != locked:
        raise _mismatch("xllamacpp", installed, locked, "install requirements.lock")
    for model in spec["lock"]["models"]:
        path = model_file(models, model)
        if not path.is_file():
            raise TandemError(
                "no model file",
                where=str(path),
                fix="run snakemake, which fetches it",
                exit_code=EXIT_ENVIRONMENT,
            )


def check_models(spec: Mapping[str, Any], models: Path) -> dict[str, str]:
    """The SHA-256 of each model file of ``spec``; TandemError with both values on a mismatch."""
    digests = {}
    for model, pinned in spec["lock"]["models"].items():
        path = model_file(models, model)
        with path.open("rb") as file:
            digests[model] = hashlib.file_digest(file, "sha256").hexdigest()
        if digests[model] != pinned:
            raise _mismatch(f"SHA-256 of {path}", digests[model], pinned, "delete the file")
    return digests


def model_file(models: Path, model: str) -> Path:
    """Where the workflow puts the GGUF file of ``model``."""
    return models / f"{model}.gguf"


@contextmanager
def running(spec: Mapping[str, Any], models: Path, log: IO[str]) -> Iterator[list[Server]]:
    """All servers of ``spec``, awaited; stopped on the way out, whatever happened inside.

    What the servers write goes to ``log``. ServerFault if one does not come up.
    """
    check_installed(spec, models)
    settings = layout(spec, len(os.sched_getaffinity(0)))
    processes = []
    try:
        for one in settings:
            path = str(model_file(models, one["model"]).resolve())
            processes.append(_start(one | {"path": path}, log))
        # Hashed while the servers load: it takes as long as they do.
        digests = check_models(spec, models)
        yield [
            Server(
                index=index,
                engine="embedded",
                url=_await_url(process),
                version=version("xllamacpp"),
                model_digests={one["model"]: digests[one["model"]]},
                slots=one["slots"],
                threads=one["threads"],
                wait_policy=one["wait_policy"],
                pid=process.pid,
            )
            for index, (one, process) in enumerate(zip(settings, processes, strict=True))
        ]
    finally:
        _stop(processes)


async def effective(client: Client, server: Server) -> Effective:
    """What the server's /props says of the loaded model."""
    props = await ask_json(client, f"{server.url}/props")
    return Effective(
        num_ctx=props["default_generation_settings"]["n_ctx"], slots=props["total_slots"]
    )


def _mismatch(what: str, live: str, locked: str, fix: str) -> TandemError:
    return TandemError(
        f"{what} is {live}, but config/servers.lock.yaml says {locked}",
        where="servers",
        fix=f"{fix}, or change the lock on purpose",
        exit_code=EXIT_ENVIRONMENT,
    )


def _start(settings: Mapping[str, Any], log: IO[str]) -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(_THREAD_VARIABLES)}
    environment |= _WAITING[settings["wait_policy"]]
    return subprocess.Popen(  # noqa: S603 - our own program, no shell
        [sys.executable, "-m", _PROGRAM, str(os.getpid()), json.dumps(settings)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
    )


def _await_url(process: subprocess.Popen[bytes]) -> str:
    output = process.stdout
    if output is None:
        raise ValueError("started without a pipe")
    # A binary, unbuffered readline would block past the timeout; select does not.
    deadline = time.monotonic() + START_TIMEOUT_S
    said = b""
    while not said.endswith(b"\n"):
        ready, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(output.fileno(), 4096) if ready else b""
        if not data:
            how = f"exit {process.wait()}" if ready else f"silent for {START_TIMEOUT_S:g} s"
            raise ServerFault("server_start", f"embedded server did not start ({how})")
        said += data
    return said.decode().strip()


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
