"""The ollama engine, started here: one `ollama serve` per server, in an environment of our own."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from tandembench.errors import TandemError
from tandembench.servers import ollama
from tandembench.servers.attach import unusable
from tandembench.servers.deployment import Deployment, ServerFault, Settings
from tandembench.servers.embedded import model_file
from tandembench.servers.processes import Process, spawn, starting, urls
from tandembench.text import sanitise
from tandembench.wire import Client, NoAnswer

PROGRAM = "TANDEMBENCH_OLLAMA"
_WRAPPER = "tandembench.servers.ollama_process"
# The servers of a study are gone by the time that somebody reads this.
_ADVICE = (
    "get it: OLLAMA_HOST=127.0.0.1:11500 ollama serve, and meanwhile in another terminal"
    " OLLAMA_HOST=127.0.0.1:11500 ollama pull {model}; or name the folder that has it in"
    " OLLAMA_MODELS (the Linux service's is /usr/share/ollama/.ollama/models)"
)


def program() -> str:
    """The path of the user's Ollama; TandemError (exit 4) if there is none."""
    named = os.environ.get(PROGRAM)
    path = shutil.which(named or "ollama")
    if path is None:
        what = f"'{named}' is no program" if named else "the program ollama is not on the PATH"
        fix = f"install Ollama (https://ollama.com/download), or name the program in {PROGRAM}"
        raise unusable(what, PROGRAM if named else "engine: ollama", fix)
    return str(Path(path).resolve())


def start_fault(fault: ServerFault) -> TandemError:
    """The error (exit 4) of an Ollama that does not start for anybody."""
    return unusable(fault.detail, "engine: ollama", f"see why: {program()} serve")


@asynccontextmanager
async def running(
    wanted: Sequence[Deployment],
    lock: Mapping[str, Any],
    models: Path,
    log: IO[str],
    client: Client,
) -> AsyncIterator[dict[str, Deployment | ServerFault]]:
    """The deployments of ``wanted`` by key, with the URLs of servers that run for them alone.

    They have the models that they need: a GGUF file of ``lock`` is imported unless that is done.
    Started and stopped as `starting` says. TandemError (exit 4) if no Ollama is there.
    """
    path, store = program(), models / "ollama"

    def start(settings: Settings) -> Process:
        environment = _environment(settings, store if _imported(settings, lock) else None)
        return spawn(_WRAPPER, settings, {"program": path}, environment, log)

    with starting(wanted, start) as processes:
        there: dict[str, Deployment | ServerFault] = {}
        created: set[str] = set()  # all servers of imported models have one store
        for one in wanted:
            try:
                place = replace(
                    one,
                    urls=tuple(urls(one, processes[one.key], log)),
                    num_thread=one.settings[0].threads,  # the same in all servers of a config
                )
                for settings, url in zip(place.settings, place.urls, strict=True):
                    here = replace(await ollama.instance(client, url), advice=_ADVICE)
                    for model in settings.models:
                        if model not in lock["files"]:
                            here.digest(model)  # which says how it is got
                        elif model not in created:
                            created.add(model)
                            if lock["models"].get(model) not in here.digests.values():
                                await asyncio.to_thread(_create, path, url, model, models)
                there[one.key] = place
            except ServerFault as fault:
                there[one.key] = fault
            except NoAnswer as error:
                there[one.key] = ServerFault(error.reason, str(error))
        yield there


def _imported(settings: Settings, lock: Mapping[str, Any]) -> list[str]:
    """The models of a server that are GGUF files of the lock; TandemError if only some are."""
    files = [model for model in settings.models if model in lock["files"]]
    if files and len(files) < len(settings.models):
        others = ", ".join(model for model in settings.models if model not in files)
        what = f"{files[0]} comes from a file of the lock and {others} from your own models"
        raise unusable(what, "one server", "use topology: dual, which has a server for each")
    return files


def _environment(settings: Settings, store: Path | None) -> dict[str, str]:
    """What `ollama serve` runs in: of the user's OLLAMA_ variables only where models are."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OLLAMA_")}
    where = str(store.resolve()) if store else os.environ.get("OLLAMA_MODELS")
    return (
        kept
        | ({"OLLAMA_MODELS": where} if where else {})
        | {
            "OLLAMA_HOST": "127.0.0.1:0",  # any free port
            "OLLAMA_NUM_PARALLEL": str(settings.slots),
            "OLLAMA_KEEP_ALIVE": "-1",  # for ever
            "OLLAMA_NOPRUNE": "1",
        }
    )


def _create(path: str, url: str, model: str, models: Path) -> None:
    """Import the GGUF file of ``model`` by a Modelfile; TandemError (exit 4) if that fails."""
    file = model_file(models, model)
    with tempfile.NamedTemporaryFile("w", suffix=".Modelfile") as modelfile:
        modelfile.write(f"FROM {file.resolve()}\n")
        modelfile.flush()
        done = subprocess.run(  # noqa: S603 - the user's own Ollama, no shell
            [path, "create", model, "-f", modelfile.name],
            env=os.environ | {"OLLAMA_HOST": url},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        last = sanitise((done.stderr.strip().splitlines() or ["no reason given"])[-1], 200)
        raise unusable(
            f"ollama create {model} failed ({last})", str(file), "see why, and run it again"
        )
