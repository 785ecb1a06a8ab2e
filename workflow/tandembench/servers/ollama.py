"""The ollama engine: what running instances say of themselves and their models.

Source: ollama, docs/api.md and server/routes.go, v0.12.10 to v0.32.15.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tandembench.errors import TandemError
from tandembench.servers.address import unusable
from tandembench.servers.model import Effective, Server
from tandembench.text import sanitise
from tandembench.wire import Client, ask_json

ANSWER_TIMEOUT_S = 2.0
_PROBE_TIMEOUT_S = 0.5


@dataclass(frozen=True, slots=True)
class Instance:
    """A running Ollama. ``tags`` maps full names to what /api/tags says of these models."""

    url: str
    version: str
    tags: Mapping[str, Mapping[str, Any]]

    def has(self, model: str) -> bool:
        """Whether ``model`` is installed."""
        return full_name(model) in self.tags

    def digest(self, model: str) -> str:
        """The digest of ``model``; TandemError if it is not there, or runs elsewhere."""
        if not self.has(model):
            installed = sanitise(", ".join(sorted(self.tags)), 400) or "none"
            address = urlsplit(self.url).netloc
            raise unusable(
                f"no model '{model}' (installed: {installed})",
                self.url,
                f"run: OLLAMA_HOST={address} ollama pull {model}",
            )
        entry = self.tags[full_name(model)]
        if entry.get("remote_host"):
            raise unusable(
                f"'{model}' runs on {sanitise(str(entry['remote_host']))}, not here",
                self.url,
                "choose a model that this server runs itself",
            )
        digest = entry.get("digest")
        if not isinstance(digest, str) or not digest:
            raise unusable(f"no digest of '{model}'", self.url, "name a running Ollama server")
        return digest


async def instance(client: Client, url: str) -> Instance:
    """The Ollama at ``url``; TandemError if there is none."""
    try:
        answer = await ask_json(client, f"{url}/api/version", timeout_s=ANSWER_TIMEOUT_S)
    except TandemError:
        await _refuse_llama_server(client, url)
        raise
    version = answer.get("version")
    if not isinstance(version, str) or not version:
        raise unusable("/api/version names no version", url, "name a running Ollama server")
    tags = await ask_json(client, f"{url}/api/tags")
    entries = _entries(tags, f"{url}/api/tags")
    return Instance(url, sanitise(version), {_name(entry): entry for entry in entries})


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


async def memory_bytes(client: Client, server: Server) -> int | None:
    """What the server's /api/ps says that all loaded models take together; None if nothing."""
    answer = await ask_json(client, f"{server.url}/api/ps")
    sizes = [_whole(entry, "size") for entry in _entries(answer, f"{server.url}/api/ps")]
    return sum(size or 0 for size in sizes) or None


def full_name(model: str) -> str:
    """``model`` with its tag, in small letters: Ollama takes ``gemma3`` for ``gemma3:latest``."""
    last = model.rpartition("/")[2]
    return (model if ":" in last else f"{model}:latest").lower()


async def _refuse_llama_server(client: Client, url: str) -> None:
    try:
        await ask_json(client, f"{url}/props", timeout_s=_PROBE_TIMEOUT_S)
    except TandemError:
        return
    raise unusable(
        "this is a llama-server, not Ollama",
        url,
        "name a running Ollama server, or set engine: openai",
    )


def _entries(answer: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    entries = answer.get("models")
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise unusable("no list of models", where, "name a running Ollama server")
    return entries


def _name(entry: Mapping[str, Any]) -> str:
    return full_name(str(entry.get("model") or entry.get("name")))


def _whole(entry: Mapping[str, Any], name: str) -> int | None:
    value = entry.get(name)
    return value if type(value) is int and value >= 0 else None
