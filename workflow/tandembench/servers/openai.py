"""The openai engine: running servers that speak OpenAI's protocol, whatever they are.

Source: vLLM, vllm/entrypoints/openai (/version, max_model_len); llama.cpp, tools/server/README.md
(/props); OpenAI, API reference (/v1/models).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tandembench.errors import TandemError
from tandembench.servers.address import unusable
from tandembench.servers.model import Effective, Server
from tandembench.text import sanitise
from tandembench.wire import Client, ask_json

ANSWER_TIMEOUT_S = 2.0
_NO_SERVER = "name a running server with OpenAI's protocol"
# Where a server may say its version, and under which name: vLLM, llama-server. The head "Server"
# is no such place: it names the library under the server.
_VERSIONS = (("/version", "version"), ("/props", "build_info"))


@dataclass(frozen=True, slots=True)
class Instance:
    """A running server. ``models`` maps ids to what /v1/models says of these models."""

    url: str
    version: str | None
    models: Mapping[str, Mapping[str, Any]]

    def has(self, model: str) -> bool:
        """Whether ``model`` is served under this very name."""
        return model in self.models

    def digest(self, model: str) -> str | None:
        """The digest in /v1/models, which few servers give; TandemError without ``model``."""
        if not self.has(model):
            served = sanitise(", ".join(sorted(self.models)), 400) or "none"
            what = f"no model '{model}' (served: {served})"
            raise unusable(what, self.url, "write one of these in the study, or start it there")
        digest = self.models[model].get("digest")
        return sanitise(digest) if isinstance(digest, str) and digest else None


async def instance(client: Client, url: str) -> Instance:
    """The server at ``url``; TandemError if it does not answer, or lists no models."""
    return Instance(url, await _version(client, url), await _models(client, url))


async def effective(client: Client, server: Server, model: str) -> Effective:
    """Context as vLLM (/v1/models) or llama-server (/props) says it, slots as the latter does."""
    models = await _models(client, server.url)
    props = await _asked(client, f"{server.url}/props")
    settings = props.get("default_generation_settings")
    loaded = settings if isinstance(settings, dict) else {}
    return Effective(
        num_ctx=_whole(models.get(model, {}), "max_model_len") or _whole(loaded, "n_ctx"),
        slots=_whole(props, "total_slots"),
    )


async def _models(client: Client, url: str) -> dict[str, Mapping[str, Any]]:
    answer = await ask_json(client, f"{url}/v1/models", timeout_s=ANSWER_TIMEOUT_S)
    entries = answer.get("data")
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise unusable("no list of models", f"{url}/v1/models", _NO_SERVER)
    return {str(one.get("id")): one for one in entries}


async def _version(client: Client, url: str) -> str | None:
    for path, name in _VERSIONS:
        version = (await _asked(client, url + path)).get(name)
        if isinstance(version, str) and version:
            return sanitise(version)
    return None


async def _asked(client: Client, url: str) -> Mapping[str, Any]:
    """The answer of a place that a server need not have; nothing if it does not."""
    try:
        return await ask_json(client, url, timeout_s=ANSWER_TIMEOUT_S)
    except TandemError:
        return {}


def _whole(entry: Mapping[str, Any], name: str) -> int | None:
    value = entry.get(name)
    return value if type(value) is int and value > 0 else None
