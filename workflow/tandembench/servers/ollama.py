"""The ollama engine: what running instances say of themselves and their models.

Source: ollama, docs/api.md and server/routes.go, v0.12.10 to v0.32.15.
"""

import re
from contextlib import suppress
from urllib.parse import urlsplit

from tandembench.errors import TandemError
from tandembench.servers.attach import ANSWER_TIMEOUT_S, Instance, listed, unusable, whole
from tandembench.servers.deployment import Effective, Server
from tandembench.servers.launch import default_threads, launch
from tandembench.text import sanitise
from tandembench.wire import Client, Json, NoAnswer, ask_json

_PROBE_TIMEOUT_S = 0.5
_NO_OLLAMA = "name a running Ollama server"


async def instance(client: Client, url: str) -> Instance:
    """The Ollama at ``url``; TandemError if there is none."""
    try:
        version = (await ask_json(client, f"{url}/api/version", timeout_s=ANSWER_TIMEOUT_S)).get(
            "version"
        )
    except TandemError as error:
        await _refuse_llama_server(client, url)
        if isinstance(error, NoAnswer) and error.reason == "conn_refused":
            error.fix = f"start it there: OLLAMA_HOST={urlsplit(url).netloc} ollama serve"
        raise
    if not isinstance(version, str) or not version:
        raise unusable("/api/version names no version", url, _NO_OLLAMA)
    return Instance(
        url=url,
        version=sanitise(version),
        digests={_name(one): _digest(one, url) for one in await _models(client, url, "tags")},
        advice=f"run: OLLAMA_HOST={urlsplit(url).netloc} ollama pull {{model}}",
        # A model that a Modelfile made is in no registry, and none says whether it is one.
        share=f"start it with the models of the other: OLLAMA_HOST={urlsplit(url).netloc} "
        "OLLAMA_MODELS=FOLDER ollama serve, with the OLLAMA_MODELS of {other} (by default "
        "~/.ollama/models of whoever started it); on another machine, pull or create it there",
        full_name=full_name,
    )


async def effective(client: Client, server: Server, model: str) -> Effective:
    """What the server's /api/ps says of ``model``; all None if it is not loaded.

    Ollama tells neither its threads and slots, which are read from its processes, nor the layers
    that it put on a GPU; ``size_vram_bytes`` of ``size_bytes`` is how much of the model is there.
    Where no process of it has a GPU open that is nothing, whatever it has taken from its runner.
    """
    for entry in await _models(client, server.url, "ps"):
        if _name(entry) == full_name(model):
            launched = launch(server)
            threads = (launched and launched.threads) or server.num_thread
            if threads is None:
                threads = await _num_thread(client, server.url, model)
            if threads is None and launched:
                threads = default_threads()
            on_gpu = whole(entry, "size_vram")
            return Effective(
                threads=threads,
                slots=launched.slots if launched else None,
                # Zero is how a server says that it does not know; of vram it is a finding.
                num_ctx=whole(entry, "context_length") or None,
                size_bytes=whole(entry, "size") or None,
                size_vram_bytes=0 if launched and launched.gpu is False else on_gpu,
                expires_at=str(entry.get("expires_at") or "") or None,
            )
    return Effective()


async def _num_thread(client: Client, url: str, model: str) -> int | None:
    """The threads that the Modelfile of ``model`` names; None if it names none."""
    with suppress(TandemError):
        shown = (await ask_json(client, f"{url}/api/show", {"model": model})).get("parameters")
        named = re.search(r"^num_thread +([1-9][0-9]*)$", str(shown), re.MULTILINE)
        return int(named[1]) if named else None
    return None


async def memory_bytes(client: Client, server: Server) -> int | None:
    """What the server's /api/ps says that all loaded models take together; None if nothing."""
    loaded = await _models(client, server.url, "ps")
    return sum(whole(entry, "size") or 0 for entry in loaded) or None


def full_name(model: str) -> str:
    """``model`` with its tag, in small letters: Ollama takes ``gemma3`` for ``gemma3:latest``."""
    last = model.rpartition("/")[2]
    return (model if ":" in last else f"{model}:latest").lower()


def _digest(entry: Json, url: str) -> str | TandemError:
    if entry.get("remote_host"):
        return unusable(
            f"'{_name(entry)}' runs on {sanitise(str(entry['remote_host']))}, not here",
            url,
            "choose a model that this server runs itself",
        )
    digest = entry.get("digest")
    if not isinstance(digest, str) or not digest:
        return unusable(f"no digest of '{_name(entry)}'", url, _NO_OLLAMA)
    return digest


async def _refuse_llama_server(client: Client, url: str) -> None:
    try:
        await ask_json(client, f"{url}/props", timeout_s=_PROBE_TIMEOUT_S)
    except TandemError:
        return
    fix = f"{_NO_OLLAMA}, or set engine: openai"
    raise unusable("this is a llama-server, not Ollama", url, fix)


async def _models(client: Client, url: str, which: str) -> list[Json]:
    where = f"{url}/api/{which}"
    return listed(await ask_json(client, where), "models", where, _NO_OLLAMA)


def _name(entry: Json) -> str:
    return full_name(str(entry.get("model") or entry.get("name")))
