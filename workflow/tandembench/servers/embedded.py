"""The embedded engine: llama.cpp's own server, started here, one process per server."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
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
from tandembench.servers.processes import Process, spawn, starting, urls
from tandembench.wire import Client, ask_json

_PROGRAM = "tandembench.servers.llama_process"


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
    files = files_of(lock, models)

    def start(settings: Settings) -> Process:
        (model,) = settings.models
        given = asdict(settings) | {"path": str(files[model].resolve())}
        return spawn(_PROGRAM, settings, given, os.environ, log)

    with starting(wanted, start) as processes:
        # Hashed while the servers load: it takes as long as they do.
        check_files(files, lock)
        yield {one.key: _standing(one, processes[one.key], lock["models"], log) for one in wanted}


def files_of(lock: Mapping[str, Any], models: Path) -> dict[str, Path]:
    """The files of the locked models; TandemError unless they and the locked engine are here."""
    try:
        live = version("xllamacpp")
    except PackageNotFoundError:
        live = "not installed"
    _check_locked("xllamacpp", live, lock["version"], "install requirements.lock")
    files = {model: model_file(models, model) for model in lock["models"]}
    for path in files.values():
        if not path.is_file():
            raise TandemError(
                "no model file",
                where=str(path),
                fix="run snakemake, which fetches it",
                exit_code=EXIT_ENVIRONMENT,
            )
    return files


def check_files(files: Mapping[str, Path], lock: Mapping[str, Any]) -> None:
    """TandemError if the content of one is not the locked one."""
    for model, path in files.items():
        digest = _sha256(path, path.stat().st_mtime_ns)
        _check_locked(f"SHA-256 of {path}", digest, lock["models"][model], "delete the file")


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


def _standing(
    deployment: Deployment,
    processes: Sequence[Process],
    digests: Mapping[str, str],
    log: IO[str],
) -> Standing:
    """The servers of ``deployment`` once they answer."""
    try:
        addresses = urls(deployment, processes, log)
    except ServerFault as fault:
        return fault
    return tuple(
        Server(
            index=index,
            engine="embedded",
            url=url,
            version=version("xllamacpp"),
            model_digests={model: digests[model] for model in one.models},
            slots=one.slots,
            threads=one.threads,
            wait_policy=one.wait_policy,
            pid=process.pid,
        )
        for index, (one, process, url) in enumerate(
            zip(deployment.settings, processes, addresses, strict=True)
        )
    )


async def effective(client: Client, server: Server) -> Effective:
    """What the server's /props says of the loaded model."""
    props = await ask_json(client, f"{server.url}/props")
    return Effective(
        num_ctx=props["default_generation_settings"]["n_ctx"], slots=props["total_slots"]
    )
