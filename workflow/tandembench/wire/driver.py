"""What a protocol is to the client, and the two formats of lines that protocols share."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tandembench.wire.client import Client
from tandembench.wire.record import Ask, Event, Json


async def as_it_is(_client: Client, _url: str, prompt: str) -> str:
    """``prompt`` where the server itself puts it into the model's chat template, or none is."""
    return prompt


@dataclass(frozen=True, slots=True)
class Driver:
    """The words of one protocol.

    ``body`` makes the request for an Ask; ``event`` reads one line of the answer, None if it says
    nothing, ValueError if unreadable; ``templated`` makes of a prompt, for the server at a URL,
    what the protocol wants.
    """

    path: str
    prompt_cache_can_be_off: bool
    body: Callable[[Ask], Json]
    event: Callable[[bytes], Event | None]
    templated: Callable[[Client, str, str], Awaitable[str]] = as_it_is


def json_object(text: str) -> Json:
    """The JSON object that ``text`` is; ValueError if it is none."""
    message = json.loads(text)
    if not isinstance(message, dict):
        raise ValueError("a line that is no JSON object")
    return message


def event_data(line: bytes) -> str | None:
    """What one line of server-sent events carries; None for lines that carry nothing.

    An ``error:`` line, which older llama-servers send, comes back as the data of an error.
    ValueError if it is no such line. Source: WHATWG HTML, server-sent events.
    """
    name, _, value = line.decode("utf-8").strip().partition(":")
    if name in ("", "event", "id", "retry"):  # "" is a blank line or a comment
        return None
    if name == "error":
        return f'{{"error":{value}}}'
    if name != "data":
        raise ValueError("no line of server-sent events")
    return value.strip()


def seconds(amount: float | None, per_second: float) -> float | None:
    """An amount of time of which ``per_second`` make a second; None stays None."""
    return None if amount is None else amount / per_second
