"""The openai engine: running servers that speak OpenAI's protocol, whatever they are.

What they say of themselves stands beside /v1, at the root of their prefix. Source: vLLM,
vllm/entrypoints/openai (/version, max_model_len); llama.cpp, tools/server/README.md (/props);
SGLang, python/sglang/srt/entrypoints/http_server.py (/server_info, once /get_server_info); LM
Studio, developer docs, REST API (/api/v0/models); OpenAI, API reference (/v1/models). /metrics,
where there is one, tells load and no limit.
"""

from contextlib import suppress

from tandembench.errors import TandemError
from tandembench.servers import ollama
from tandembench.servers.attach import ANSWER_TIMEOUT_S, Instance, listed, whole
from tandembench.servers.deployment import Effective, Server
from tandembench.servers.launch import launch
from tandembench.text import sanitise
from tandembench.wire import Client, Json, ask_json

# Where a server may say its version, and under which name: vLLM, llama-server, SGLang, Ollama. The
# head "Server" is no such place: it names the library under the server.
_VERSIONS = (
    ("version", "version"),
    ("props", "build_info"),
    ("server_info", "version"),
    ("get_server_info", "version"),
    ("api/version", "version"),
)


async def instance(client: Client, url: str) -> Instance:
    """The server at ``url``; TandemError if it does not answer, or lists no models."""
    models, version = await _models(client, url), None
    for path, name in _VERSIONS:
        version = version or _text(await _asked(client, f"{url}/{path}"), name)
    return Instance(
        url=url,
        version=version,
        # Few servers tell a digest.
        digests={name: _text(one, "digest") for name, one in models.items()},
        advice="write one of these in the study, or start it there",
        share="start it there too, or write other URLs in the study",
    )


async def effective(client: Client, server: Server, model: str) -> Effective:
    """Context and slots, as far as the server says them in one of the places above.

    Threads, and slots where nothing says them, are those of its processes, if they are here.
    """
    url = server.url
    said = (await _models(client, url)).get(model, {})
    props = await _asked(client, f"{url}/props")
    context = whole(said, "max_model_len") or whole(
        _part(props, "default_generation_settings"), "n_ctx"
    )
    slots = whole(props, "total_slots")
    if not slots:
        info = await _asked(client, f"{url}/server_info")
        info = info or await _asked(client, f"{url}/get_server_info")
        states = info.get("internal_states")
        # What was asked for may be more than memory allows.
        state = _part({"first": states[0]}, "first") if isinstance(states, list) and states else {}
        slots = whole(state, "effective_max_running_requests_per_dp")
        slots = slots or whole(info, "max_running_requests")
        context = context or whole(info, "context_length")
    if not context:
        with suppress(TandemError):
            loaded = (await _models(client, url, "api/v0/models")).get(model, {})
            context = whole(loaded, "loaded_context_length")
    if not context:
        with suppress(TandemError):
            return await ollama.effective(client, server, model)
    launched = launch(server)
    slots = slots or (launched.slots if launched else None)
    threads = launched.threads if launched else None
    return Effective(num_ctx=context or None, threads=threads, slots=slots)


async def _models(client: Client, url: str, path: str = "v1/models") -> dict[str, Json]:
    where = f"{url}/{path}"
    answer = await ask_json(client, where, timeout_s=ANSWER_TIMEOUT_S)
    models = listed(answer, "data", where, "name a running server with OpenAI's protocol")
    return {str(one.get("id")): one for one in models}


async def _asked(client: Client, url: str) -> Json:
    """The answer of a place that a server need not have; nothing if it does not."""
    try:
        return await ask_json(client, url, timeout_s=ANSWER_TIMEOUT_S)
    except TandemError:
        return {}


def _part(entry: Json, name: str) -> Json:
    value = entry.get(name)
    return value if isinstance(value, dict) else {}


def _text(entry: Json, name: str) -> str | None:
    value = entry.get(name)
    return sanitise(value) if isinstance(value, str) and value else None
