"""The embedded engine: llama.cpp's own server, started here, one process per server."""

import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.servers.deployment import (
    Deployment,
    Effective,
    Server,
    ServerFault,
    Settings,
    Standing,
)
from tandembench.wire import Client, ask_json

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0
_PROGRAM = "tandembench.servers.llama_process"
# How compute threads wait for each other. OpenMP's default spins for milliseconds: as fast as
# `brief` on an idle machine, but beside one busy foreign process two threads on two cores fell
# from 95 tokens/s to 5, some requests to none; with a brief spin to 28 (10 trials).
_WAITING = {"brief": {"GOMP_SPINCOUNT": "1000"}, "passive": {"OMP_WAIT_POLICY": "PASSIVE"}}
_THREAD_VARIABLES = ("OMP_", "GOMP_", "KMP_", "GGML_", "LLAMA_")
Process = subprocess.Popen[bytes]


def model_file(models: Path, model: str) -> Path:
    """Where the workflow puts the GGUF file of ``model``."""
    return models / f"{model}.gguf"


@contextmanager
def running(
    wanted: Sequence[Deployment], lock: Mapping[str, Any], models: Path, log: IO[str]
) -> Iterator[dict[str, Standing]]:
    """All servers of ``wanted``, by key; stopped on the way out, whatever happened inside.

    They start at the same time. Where one does not come up, its deployment's fault stands in
    place of its servers. What they write goes to ``log``. TandemError unless the locked engine
    and models are here.
    """
    _check_locked("xllamacpp", version("xllamacpp"), lock["version"], "install requirements.lock")
    files = {model: model_file(models, model) for model in lock["models"]}
    for path in files.values():
        if not path.is_file():
            raise TandemError(
                "no model file",
                where=str(path),
                fix="run snakemake, which fetches it",
                exit_code=EXIT_ENVIRONMENT,
            )
    started: dict[str, list[Process]] = {one.key: [] for one in wanted}
    try:
        for one in wanted:
            _start_all(one, models, log, started[one.key])
        # Hashed while the servers load: it takes as long as they do.
        for model, path in files.items():
            digest = _sha256(path, path.stat().st_mtime_ns)
            _check_locked(f"SHA-256 of {path}", digest, lock["models"][model], "delete the file")
        yield {one.key: _standing(one, started[one.key], lock["models"]) for one in wanted}
    finally:
        _stop([process for processes in started.values() for process in processes])


@cache
def _sha256(path: Path, _mtime_ns: int) -> str:
    """Of a file that is still the same, once a process: it takes a tenth of a second."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_locked(what: str, live: str, locked: str, fix: str) -> None:
    if live != locked:
        raise TandemError(
            f"{what} is {live}, but config/servers.lock.yaml says {locked}",
            where="servers",
            fix=f"{fix}, or change the lock on purpose",
            exit_code=EXIT_ENVIRONMENT,
        )


def _start_all(
    deployment: Deployment, models: Path, log: IO[str], processes: list[Process]
) -> None:
    """Start the servers of ``deployment`` into ``processes``, as many as the system lets."""
    with suppress(OSError):  # those that are missing are noticed when all are awaited
        for one in deployment.settings:
            # One by one, since what runs must be known if the next one fails.
            processes.append(_start(one, model_file(models, one.model), log))  # noqa: PERF401 - a started one counts at once


def _standing(
    deployment: Deployment, processes: Sequence[Process], digests: Mapping[str, str]
) -> Standing:
    """The servers of ``deployment`` once they answer; what did not come up leaves none behind."""
    try:
        if len(processes) < len(deployment.settings):
            raise ServerFault("server_start", "the system has no process left for it")
        return tuple(
            Server(
                index=index,
                engine="embedded",
                url=_await_url(process),
                version=version("xllamacpp"),
                model_digests={one.model: digests[one.model]},
                slots=one.slots,
                threads=one.threads,
                wait_policy=one.wait_policy,
                pid=process.pid,
            )
            for index, (one, process) in enumerate(zip(deployment.settings, processes, strict=True))
        )
    except ServerFault as fault:
        _stop(processes)
        return fault


async def effective(client: Client, server: Server) -> Effective:
    """What the server's /props says of the loaded model."""
    props = await ask_json(client, f"{server.url}/props")
    return Effective(
        num_ctx=props["default_generation_settings"]["n_ctx"], slots=props["total_slots"]
    )


def _start(settings: Settings, model: Path, log: IO[str]) -> Process:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(_THREAD_VARIABLES)}
    environment |= _WAITING[settings.wait_policy]
    given = json.dumps(asdict(settings) | {"path": str(model.resolve())})
    return subprocess.Popen(  # noqa: S603 - our own program, no shell
        [sys.executable, "-m", _PROGRAM, str(os.getpid()), given],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
    )


def _await_url(process: Process) -> str:
    """What the server prints when it is ready; ServerFault if that does not come."""
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    output = process.stdout.fileno()
    # A binary, unbuffered readline would block past the timeout; select does not.
    deadline = time.monotonic() + _START_TIMEOUT_S
    said = b""
    while not said.endswith(b"\n"):
        ready, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(output, 4096) if ready else b""
        if not data:
            how = f"exit {process.wait()}" if ready else f"silent for {_START_TIMEOUT_S:g} s"
            # Who ends a server that starts is the kernel, when memory runs out.
            reason = "oom" if process.returncode == -signal.SIGKILL else "server_start"
            raise ServerFault(reason, f"embedded server did not start ({how})")
        said += data
    return said.decode().strip()


def _stop(processes: Sequence[Process]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.communicate(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
