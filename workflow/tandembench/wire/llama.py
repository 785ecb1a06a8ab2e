"""llama-server's own protocol: POST /completion, answered by server-sent events.

Source: llama.cpp, tools/server/README.md, and what xllamacpp 2026.10 answers.
"""

import json
from collections.abc import Mapping
from typing import Any

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.wire.client import Client, ask_json
from tandembench.wire.lines import event_data, json_object
from tandembench.wire.record import Ask, Event, Final

PATH = "/completion"
PROMPT_CACHE_CAN_BE_OFF = True

# The study's names for sampling options; num_ctx, num_gpu and model belong to the server.
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty")


def body(ask: Ask) -> dict[str, Any]:
    """The request for ``ask``. The prompt must have been through ``templated``."""
    request: dict[str, Any] = {
        "prompt": ask.prompt,
        "stream": True,
        "cache_prompt": False,
        "seed": ask.seed,
        "n_predict": ask.max_tokens,
        "ignore_eos": ask.fixed,
    }
    return request | {name: ask.options[name] for name in _SAMPLING if name in ask.options}


async def templated(client: Client, url: str, _model: str, prompt: str) -> str:
    """``prompt`` as one user message in the chat template of the model that ``url`` serves."""
    message = {"messages": [{"role": "user", "content": prompt}]}
    answer = await ask_json(client, f"{url}/apply-template", message)
    rendered = answer.get("prompt")
    if not isinstance(rendered, str):
        raise TandemError(
            "no prompt in the answer",
            where=f"{url}/apply-template",
            fix="check that this is a llama-server",
            exit_code=EXIT_ENVIRONMENT,
        )
    return rendered


def event(line: bytes) -> Event | None:
    """Read one line of the stream; None for blank lines and comments. ValueError if unreadable."""
    data = event_data(line)
    if data is None:
        return None
    message = json_object(data)
    if "error" in message:
        return Event(error=json.dumps(message["error"]))
    content = message.get("content") or ""
    if not message.get("stop"):
        return Event(content)
    return Event(content, final=_final(message), ends=True)


def timed(timings: Mapping[str, Any]) -> Final:
    """What llama.cpp's ``timings`` tell, in whatever protocol they come."""
    return Final(
        cached_tokens=timings.get("cache_n"),
        prompt_s=_seconds(timings.get("prompt_ms")),
        decode_s=_seconds(timings.get("predicted_ms")),
    )


def _final(message: Mapping[str, Any]) -> Final:
    settings = message.get("generation_settings", {})
    told = Final(
        prompt_tokens=message.get("tokens_evaluated"),
        answer_tokens=message.get("tokens_predicted"),
        stop_reason={"eos": "stop", "word": "stop", "limit": "length"}.get(
            message.get("stop_type", ""), message.get("stop_type")
        ),
        # Floats come back widened from 32 bits (0.800000011920929).
        settings={name: _six_digits(settings[name]) for name in _SAMPLING if name in settings},
    )
    return told.joined(timed(message.get("timings", {})))


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _six_digits(value: Any) -> Any:  # noqa: ANN401 - a JSON scalar
    return float(f"{value:.6g}") if isinstance(value, float) else value
