"""Contexts as JSON: the numbers of a page before they are rounded, for programs."""

import json
import math
from dataclasses import fields, is_dataclass
from typing import Any

from tandembench.analysis.intervals import Interval


def as_json(content: object) -> str:
    """``content`` as JSON text in ASCII: what a foreign text holds cannot act in a terminal."""
    return json.dumps(plain(content), indent=1, sort_keys=True, allow_nan=False) + "\n"


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """``value`` as JSON has it: intervals become mappings, NaN null, numpy's numbers Python's."""
    if isinstance(value, Interval):
        return {
            "mean": plain(value.mean),
            "low": plain(value.low),
            "high": plain(value.high),
            "n": value.n,
        }
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value
