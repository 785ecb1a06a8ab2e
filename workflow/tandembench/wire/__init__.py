"""wire: one LLM call over HTTP, from a request's bytes to a stamped StreamRecord."""

from collections.abc import Mapping

from tandembench.wire import llama, ollama, openai
from tandembench.wire.client import (
    Call,
    Client,
    NoAnswer,
    ask_json,
    open_client,
    unauthorised,
)
from tandembench.wire.driver import Driver, encode
from tandembench.wire.openai import worded
from tandembench.wire.record import Ask, Event, Final, Json, StreamRecord
from tandembench.wire.stream import stream

__all__ = [
    "DRIVERS",
    "Ask",
    "Call",
    "Client",
    "Driver",
    "Event",
    "Final",
    "Json",
    "NoAnswer",
    "StreamRecord",
    "ask_json",
    "encode",
    "open_client",
    "stream",
    "unauthorised",
    "worded",
]

# By engine and protocol; the embedded engine has one, without a name.
DRIVERS: Mapping[tuple[str, str | None], Driver] = {
    ("embedded", None): llama.COMPLETION,
    ("ollama", "generate"): ollama.GENERATE,
    ("ollama", "chat"): ollama.CHAT,
    ("openai", "chat"): openai.CHAT,
    ("openai", "completions"): openai.COMPLETIONS,
}
