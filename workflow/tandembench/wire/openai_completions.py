"""OpenAI's completions: POST /v1/completions, a prompt without a chat template.

Answered like the chat but for where the text stands. Source: OpenAI, API reference.
"""

from typing import Any

from tandembench.wire import openai
from tandembench.wire.record import Ask, Event

PATH = "/v1/completions"
PROMPT_CACHE_CAN_BE_OFF = openai.PROMPT_CACHE_CAN_BE_OFF
templated = openai.templated


def body(ask: Ask) -> dict[str, Any]:
    """The request for ``ask``: the model goes on where its prompt ends."""
    return {"prompt": ask.prompt} | openai.settings(ask)


def event(line: bytes) -> Event | None:
    """Read one line of the stream; None for blank lines and comments. ValueError if unreadable."""
    return openai.read(line, lambda choice: choice.get("text") or "")
