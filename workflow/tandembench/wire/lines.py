"""What the protocols share: a line of bytes becomes a JSON object, plain or as an event's data."""

import json
from typing import Any


def json_object(text: str) -> dict[str, Any]:
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
