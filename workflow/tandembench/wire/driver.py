"""What a protocol is to the client, and how its JSON is read."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tandembench.wire.client import Client
from tandembench.wire.framing import Lines
from tandembench.wire.record import Ask, Event, Json


async def as_it_is(_client: Client, _url: str, prompt: str) -> str:
    """``prompt`` where the server itself puts it into the model's chat template, or none is."""
    return prompt


@dataclass(frozen=True, slots=True)
class Driver:
    """The words of one protocol.

    ``body`` makes the request for an Ask; ``framing`` cuts the answer into messages; ``event``
    reads one of them, ValueError, TypeError or AttributeError if it is none of the protocol's;
    ``templated`` makes of a prompt, for the server at a URL, what the protocol wants.
    """

    path: str
    prompt_cache_can_be_off: bool
    framing: type[Lines]
    body: Callable[[Ask], Json]
    event: Callable[[bytes], Event]
    templated: Callable[[Client, str, str], Awaitable[str]] = as_it_is


def encode(driver: Driver, ask: Ask) -> bytes:
    """The body of the request for ``ask``."""
    return json.dumps(driver.body(ask), ensure_ascii=False, separators=(",", ":")).encode()


def json_object(data: bytes) -> Json:
    """The JSON object that ``data`` is; ValueError if it is none."""
    message = json.loads(data.decode("utf-8"))
    if not isinstance(message, dict):
        raise TypeError("no JSON object")
    return message


def failure(message: Json) -> str | None:
    """The error that ``message`` holds; null and "" are none."""
    error = message.get("error")
    if not error:
        return None
    return error if isinstance(error, str) else json.dumps(error)


def part(message: Json, name: str) -> Json:
    """The object under ``name``, empty if there is none; TypeError for anything else."""
    value = message.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError(f"{name} is no object")
    return value


def words(message: Json, *names: str) -> str:
    """The first text under one of ``names``; TypeError for what is none."""
    for name in names:
        value = message.get(name)
        if not isinstance(value, str | None):
            raise TypeError(f"{name} is no text")
        if value:
            return value
    return ""


def seconds(amount: float | None, per_second: float) -> float | None:
    """An amount of time of which ``per_second`` make a second; None stays None."""
    return None if amount is None else amount / per_second
