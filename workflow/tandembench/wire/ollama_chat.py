"""Ollama's chat: POST /api/chat, answered like /api/generate but for where the text stands.

Source: ollama, docs/api.md.
"""

from typing import Any

from tandembench.wire import ollama
from tandembench.wire.record import Ask, Event

PATH = "/api/chat"
PROMPT_CACHE_CAN_BE_OFF = ollama.PROMPT_CACHE_CAN_BE_OFF
templated = ollama.templated


def body(ask: Ask) -> dict[str, Any]:
    """The request for ``ask``: its prompt as one user message."""
    request = ollama.body(ask)
    del request["prompt"]
    return request | {"messages": [{"role": "user", "content": ask.prompt}]}


def event(line: bytes) -> Event | None:
    """Read one line of the stream; None if it is blank. ValueError if unreadable."""
    return ollama.read(line, lambda one: ollama.said(one.get("message") or {}, "content"))
