"""wire: one LLM call over HTTP, from a request's bytes to a stamped StreamRecord.

A driver is a module with the words of one protocol: ``PATH``, ``PROMPT_CACHE_CAN_BE_OFF``,
``body(ask)``, ``event(line)`` and ``templated(client, url, model, prompt)``.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from tandembench.wire import llama, ollama, ollama_chat, openai, openai_completions
from tandembench.wire.client import Call, Client, ask_json, open_client, stream
from tandembench.wire.record import Ask, Event, Final, StreamRecord

__all__ = [
    "DRIVERS",
    "Ask",
    "Call",
    "Client",
    "Driver",
    "Event",
    "Final",
    "StreamRecord",
    "ask_json",
    "open_client",
    "stream",
]


class Driver(Protocol):
    """The words of one protocol."""

    PATH: str
    PROMPT_CACHE_CAN_BE_OFF: bool

    def body(self, ask: Ask) -> dict[str, Any]:
        """The request for ``ask``, JSON."""

    def event(self, line: bytes) -> Event | None:
        """One line of the answer; None if it says nothing. ValueError if unreadable."""

    async def templated(self, client: Client, url: str, model: str, prompt: str) -> str:
        """``prompt`` as the protocol wants it: in the model's chat template, or as it is."""


# By engine and protocol; the embedded engine has one, without a name.
DRIVERS: Mapping[tuple[str, str | None], Driver] = {
    ("embedded", None): llama,
    ("ollama", "generate"): ollama,
    ("ollama", "chat"): ollama_chat,
    ("openai", "chat"): openai,
    ("openai", "completions"): openai_completions,
}
