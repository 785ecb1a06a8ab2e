"""The openai engine: running servers that speak OpenAI's protocol, whatever they are.

Source: vLLM, vllm/entrypoints/openai (/version, max_model_len); llama.cpp, tools/server/README.md
(/props); OpenAI, API reference (/v1/models).
"""

from tandembench.errors import TandemError
from tandembench.servers.attach import ANSWER_TIMEOUT_S, Instance, listed, whole
from tandembench.servers.deployment import Effective, Server
from tandembench.servers.launch import launch
from tandembench.text import sanitise
from tandembench.wire import Client, Json, ask_json

# Where a server may say its version, and under which name: vLLM, llama-server. The head "Server"
# is no such place: it names the library under the server.
_VERSIONS = (("version", "version"), ("props", "build_info"))


async def instance(client: Client, url: str) -> Instance:
    """The server at ``url``; TandemError if it does not answer, or lists no models."""
    version = None
    for path, name in _VERSIONS:
        version = version or _text(await _asked(client, f"{url}/{path}"), name)
    return Instance(
        url=url,
        version=version,
        # Few servers tell a digest.
        digests={name: _text(one, "digest") for name, one in (await _models(client, url)).items()},
        advice="write one of these in the study, or start it there",
    )


async def effective(client: Client, server: Server, model: str) -> Effective:
    """Context as vLLM (/v1/models) or llama-server (/props) says it, slots as the latter does.

    Threads, and slots where nothing says them, are those of its processes, if they are here.
    """
    models = await _models(client, server.url)
    props = await _asked(client, f"{server.url}/props")
    settings = props.get("default_generation_settings")
    loaded = settings if isinstance(settings, dict) else {}
    context = whole(models.get(model, {}), "max_model_len") or whole(loaded, "n_ctx")
    launched = launch(server)
    slots = whole(props, "total_slots") or (launched.slots if launched else None)
    threads = launched.threads if launched else None
    return Effective(num_ctx=context or None, threads=threads, slots=slots)


async def _models(client: Client, url: str) -> dict[str, Json]:
    where = f"{url}/v1/models"
    answer = await ask_json(client, where, timeout_s=ANSWER_TIMEOUT_S)
    models = listed(answer, "data", where, "name a running server with OpenAI's protocol")
    return {str(one.get("id")): one for one in models}


async def _asked(client: Client, url: str) -> Json:
    """The answer of a place that a server need not have; nothing if it does not."""
    try:
        return await ask_json(client, url, timeout_s=ANSWER_TIMEOUT_S)
    except TandemError:
        return {}


def _text(entry: Json, name: str) -> str | None:
    value = entry.get(name)
    return sanitise(value) if isinstance(value, str) and value else None
