"""The ollama engine: attaches to running instances, and checks that they are the locked ones.

Source: ollama, docs/api.md and server/routes.go, v0.12.10 to v0.32.15.
"""

import asyncio
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from urllib.parse import urlsplit

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.servers.model import Effective, Server
from tandembench.text import sanitise
from tandembench.wire import Client, ask_json

ANSWER_TIMEOUT_S = 2.0
_PROBE_TIMEOUT_S = 0.5
_LOCK_FILE = "config/servers.lock.yaml"
_RELOCK = "install that again, or lock on purpose: tandembench servers lock STUDY"
# A server that listens everywhere is reached here. localhost may be ::1 first, where Ollama does
# not listen by default: it is settled once, and the address is what rows record.
_LOOPBACK = {"localhost": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


@dataclass(frozen=True, slots=True)
class _Instance:
    """A running Ollama. ``tags`` maps full names to what /api/tags says of these models."""

    url: str
    version: str
    tags: Mapping[str, Mapping[str, Any]]


async def attach(spec: Mapping[str, Any], client: Client) -> list[Server]:
    """The servers that ``spec`` names, in its order: one per agent for ``dual``, else one for all.

    TandemError (exit 4) if one does not answer, is no Ollama, lacks a model, is not the one that
    the lock entry pins, or is the same as another one.
    """
    models = [agent["model"] for agent in spec["agents"]]
    shares = [[model] for model in models] if spec["topology"] == "dual" else [models]
    servers = []
    for index, (url, share) in enumerate(zip(spec["servers"], shares, strict=True)):
        instance = await _instance(client, normalised(url))
        digests = {model: _digest(instance, model) for model in share}
        _check_locked(instance, digests, spec["lock"])
        servers.append(
            Server(
                index=index,
                engine="ollama",
                url=instance.url,
                version=instance.version,
                model_digests=digests,
            )
        )
    await _check_distinct([server.url for server in servers])
    return servers


async def effective(client: Client, server: Server, model: str) -> Effective:
    """What the server's /api/ps says of ``model``; all None if it is not loaded.

    Ollama tells neither its slots nor the layers that it put on a GPU; ``size_vram_bytes`` of
    ``size_bytes`` is how much of the model is there.
    """
    answer = await ask_json(client, f"{server.url}/api/ps")
    for entry in _entries(answer, f"{server.url}/api/ps"):
        if _name(entry) == full_name(model):
            return Effective(
                # Zero is how a server says that it does not know; of vram it is a finding.
                num_ctx=_whole(entry, "context_length") or None,
                size_bytes=_whole(entry, "size") or None,
                size_vram_bytes=_whole(entry, "size_vram"),
            )
    return Effective()


async def lock_entry(client: Client, urls: Iterable[str], models: Iterable[str]) -> dict[str, Any]:
    """The lock entry of the running instances: their version and the models' digests.

    A model must be on one of them at least. TandemError if they do not agree with each other.
    """
    distinct = dict.fromkeys(normalised(url) for url in urls)
    instances = [await _instance(client, url) for url in distinct]
    if not instances:
        raise TandemError(
            "no server is named", where="servers", fix="list the URLs of running Ollama servers"
        )
    return {
        "version": _agreed({instance.url: instance.version for instance in instances}, "Ollama"),
        "models": {
            model: _agreed(
                {
                    instance.url: _digest(instance, model)
                    for instance in instances
                    if full_name(model) in instance.tags
                }
                # None has it: the first one's error says so, and what is installed there.
                or {instances[0].url: _digest(instances[0], model)},
                model,
            )
            for model in sorted(set(models))
        },
    }


def normalised(url: str) -> str:
    """One spelling for one address: ``http://localhost:11434/`` is ``http://127.0.0.1:11434``."""
    ports = {"http": 80, "https": 443}
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or ports[parts.scheme]
    except (ValueError, KeyError):
        host, port = None, 0
    if not host:
        raise _fault("not a server's URL", url, "write it like http://127.0.0.1:11434")
    host = _LOOPBACK.get(host, host)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def full_name(model: str) -> str:
    """``model`` with its tag, in small letters: Ollama takes ``gemma3`` for ``gemma3:latest``."""
    last = model.rpartition("/")[2]
    return (model if ":" in last else f"{model}:latest").lower()


async def _instance(client: Client, url: str) -> _Instance:
    try:
        answer = await ask_json(client, f"{url}/api/version", timeout_s=ANSWER_TIMEOUT_S)
    except TandemError:
        await _refuse_llama_server(client, url)
        raise
    version = answer.get("version")
    if not isinstance(version, str) or not version:
        raise _fault("/api/version names no version", url, "name a running Ollama server")
    tags = await ask_json(client, f"{url}/api/tags")
    entries = _entries(tags, f"{url}/api/tags")
    return _Instance(url, sanitise(version), {_name(entry): entry for entry in entries})


async def _refuse_llama_server(client: Client, url: str) -> None:
    try:
        await ask_json(client, f"{url}/props", timeout_s=_PROBE_TIMEOUT_S)
    except TandemError:
        return
    raise _fault(
        "this is a llama-server, not Ollama",
        url,
        "name a running Ollama server, or set engine: embedded, which starts its own",
    )


def _entries(answer: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    entries = answer.get("models")
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise _fault("no list of models", where, "name a running Ollama server")
    return entries


def _name(entry: Mapping[str, Any]) -> str:
    return full_name(str(entry.get("model") or entry.get("name")))


def _whole(entry: Mapping[str, Any], name: str) -> int | None:
    value = entry.get(name)
    return value if type(value) is int and value >= 0 else None


def _digest(instance: _Instance, model: str) -> str:
    if full_name(model) not in instance.tags:
        installed = sanitise(", ".join(sorted(instance.tags)), 400) or "none"
        address = urlsplit(instance.url).netloc
        raise _fault(
            f"no model '{model}' (installed: {installed})",
            instance.url,
            f"run: OLLAMA_HOST={address} ollama pull {model}",
        )
    entry = instance.tags[full_name(model)]
    if entry.get("remote_host"):
        raise _fault(
            f"'{model}' runs on {sanitise(str(entry['remote_host']))}, not here",
            instance.url,
            "choose a model that this server runs itself",
        )
    digest = entry.get("digest")
    if not isinstance(digest, str) or not digest:
        raise _fault(f"no digest of '{model}'", instance.url, "name a running Ollama server")
    return digest


def _check_locked(instance: _Instance, digests: Mapping[str, str], lock: Mapping[str, Any]) -> None:
    if instance.version != lock["version"]:
        raise _mismatch("Ollama", instance.version, lock["version"], instance.url)
    for model, digest in digests.items():
        locked = lock["models"][model].removeprefix("sha256:")
        # `ollama list` shows the first twelve digits, and so may the lock.
        if not digest.removeprefix("sha256:").startswith(locked):
            raise _mismatch(model, digest, lock["models"][model], instance.url)


async def _check_distinct(urls: Sequence[str]) -> None:
    addresses = [await _addresses(url) for url in urls] if len(urls) > 1 else []
    for (one, at), (other, also_at) in combinations(zip(urls, addresses, strict=False), 2):
        if at & also_at:
            raise _fault(
                f"{one} and {other} are one server, but topology dual needs one per agent",
                "servers.dual",
                "start another: OLLAMA_HOST=127.0.0.1:11435 ollama serve",
            )


async def _addresses(url: str) -> set[tuple[str, int]]:
    parts = urlsplit(url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            parts.hostname, parts.port, type=socket.SOCK_STREAM
        )
    except OSError as error:
        raise _fault(f"the name cannot be resolved ({error})", url, "write its address") from None
    return {(str(at[0]), int(at[1])) for *_, at in found}


def _agreed(values: Mapping[str, str], what: str) -> str:
    if len(set(values.values())) > 1:
        told = ", ".join(f"{value} at {url}" for url, value in values.items())
        raise _fault(f"{what} is not the same: {told}", "servers", "install the same on all")
    return next(iter(values.values()))


def _mismatch(what: str, live: str, locked: str, url: str) -> TandemError:
    return _fault(f"{what} is {sanitise(live)}, but {_LOCK_FILE} says {locked}", url, _RELOCK)


def _fault(what: str, where: str, fix: str) -> TandemError:
    return TandemError(what, where=where, fix=fix, exit_code=EXIT_ENVIRONMENT)
