"""llama-server's own protocol: POST /completion, answered by server-sent events.

Source: llama.cpp, tools/server/README.md, and what xllamacpp 2026.10 answers.
"""

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.wire.client import Client, ask_json
from tandembench.wire.driver import Driver, failure, json_object, part, seconds, words
from tandembench.wire.framing import END, ServerSentEvents
from tandembench.wire.record import Ask, Event, Final, Json

# The study's names for sampling options; num_ctx, num_gpu and model belong to the server.
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty")
_STOP_REASONS = {"eos": "stop", "word": "stop", "limit": "length"}


def _body(ask: Ask) -> Json:
    """The request; the prompt must have been through ``_templated``."""
    request: Json = {
        "prompt": ask.prompt,
        "stream": True,
        "cache_prompt": False,
        "seed": ask.seed,
        "n_predict": ask.max_tokens,
        "ignore_eos": ask.fixed,
    }
    return request | {name: ask.options[name] for name in _SAMPLING if name in ask.options}


async def _templated(client: Client, url: str, prompt: str) -> str:
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


def _event(data: bytes) -> Event:
    if data.strip() == END:  # of a proxy that speaks OpenAI's protocol
        return Event(ends=True)
    message = json_object(data)
    if error := failure(message):
        return Event(error=error)
    content, sent = words(message, "content"), message.get("tokens_predicted")
    if not message.get("stop"):
        strange = "" if message.keys() & {"content", "stop"} else str(message)
        return Event(content, tokens=sent, strange=strange)
    settings, reason = part(message, "generation_settings"), message.get("stop_type")
    counts = Final(
        prompt_tokens=message.get("tokens_evaluated"),
        answer_tokens=sent,
        stop_reason=_STOP_REASONS.get(str(reason), reason) or None,
        settings={name: _six_digits(settings[name]) for name in _SAMPLING if name in settings},
    )
    return Event(content, counts.joined(timed(message)), ends=True, tokens=sent)


def timed(message: Json) -> Final:
    """What llama.cpp's ``timings`` in ``message`` tell, in whatever protocol they come."""
    timings = part(message, "timings")
    return Final(
        cached_tokens=timings.get("cache_n"),
        prompt_s=seconds(timings.get("prompt_ms"), 1e3),
        decode_s=seconds(timings.get("predicted_ms"), 1e3),
    )


def _six_digits(value: float) -> float:
    """Floats come back widened from 32 bits (0.800000011920929)."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


COMPLETION = Driver("/completion", True, ServerSentEvents, _body, _event, _templated)
