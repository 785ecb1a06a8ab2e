"""Text for people and programs: foreign text fit for one line of anything, and values as JSON."""

import json
import math
import re
from dataclasses import fields, is_dataclass
from typing import Any

# C0 and C1 controls, invisible and bidirectional characters (tags included, which can carry a
# whole hidden text), and halves of surrogate pairs, which no file can hold.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    r"\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def sanitise(text: str, limit: int = 160) -> str:
    """``text`` in one harmless line of ``limit`` characters, for a log, a table or a terminal."""
    return _UNSAFE.sub(" ", text)[:limit]


def counted(number: int, noun: str) -> str:
    """A number of things, such as "1 block" or "6 blocks"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def as_json(content: object) -> str:
    """``content`` as JSON text in ASCII: what a foreign text holds cannot act in a terminal."""
    return json.dumps(plain(content), indent=1, sort_keys=True, allow_nan=False) + "\n"


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """``value`` as JSON has it: objects of data classes, null of what is not finite."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
