"""The API key of running servers: from the environment to the request's head, and nowhere else."""

import os
import re
from base64 import b64encode
from functools import lru_cache
from html.entities import html5
from typing import Any

from tandembench.errors import EXIT_ENVIRONMENT, TandemError

API_KEY = "TANDEMBENCH_API_KEY"
# Visible ASCII, less what would be spelt in another way in JSON or by repr.
_KEY = re.compile(r"[!-~]{0,1000}")
_ESCAPED = re.compile(r"[\"'\\]")
# Fewer characters of Base64 may be anything.
_LEAST_CODED = 8
# What may break a long text: a line's end, written out or not, and characters that do not show.
_BROKEN = r"(?:\\+[rn]|[\r\n\xad\u200b-\u200f\u2060\ufeff])*"


def api_key() -> str | None:
    """The key of the environment, None without one. TandemError, without the key, if it is none."""
    key = _key()
    if not _KEY.fullmatch(key) or _ESCAPED.search(key):
        raise TandemError(
            "not a key: it holds a space, a line break, a quote, a backslash or a letter outside "
            "ASCII, or more than 1000 characters",
            where=API_KEY,
            fix="set it to the key alone",
            exit_code=EXIT_ENVIRONMENT,
        )
    return key or None


def unkeyed(text: str) -> str:
    """``text`` without the key: servers may give back what they were sent, in other codes too."""
    key = _key()
    return _spellings(key).sub("(key)", text) if key else text


def unkeyed_json(value: Any) -> Any:  # noqa: ANN401 - JSON
    """``value``, of JSON, without the key in any of its texts and names."""
    if isinstance(value, str):
        return unkeyed(value)
    if isinstance(value, list):
        return [unkeyed_json(one) for one in value]
    if isinstance(value, dict):
        return {unkeyed(name): unkeyed_json(one) for name, one in value.items()}
    return value


@lru_cache(1)
def _spellings(key: str) -> re.Pattern[str]:
    """The key in the codes that servers and proxies write in, and Base64 or hex of it in those.

    Base64 has three forms of it, since what stands before it may be of any length.
    """
    forms = [_BROKEN.join(map(_escapes, key))]
    for before in range(3):
        coded = b64encode(b"\0" * before + key.encode()).decode().rstrip("=")
        # Characters at the ends hold bits of what stands beside the key.
        core = coded[(0, 2, 3)[before] : len(coded) - bool((before + len(key)) % 3)]
        if len(core) >= _LEAST_CODED:
            both = ("|".join(map(_escapes, {"+": "+-", "/": "/_"}.get(c, c))) for c in core)
            forms.append(_BROKEN.join(f"(?:{one})" for one in both))
    if 2 * len(key) >= _LEAST_CODED:
        forms.append("[ :]?".join(f"(?i:{ord(c):02x})" for c in key))
    return re.compile("|".join(forms))


def _escapes(c: str) -> str:
    """``c`` as it is, or escaped as in URLs, JSON and other literals, HTML, or e-mail."""
    code = ord(c)
    named = "".join(f"|&{re.escape(name)}" for name, one in html5.items() if one == c)
    coded = rf"(?:%(?:25)*|=|\\+(?:x|u00|u\{{0*)){code:02x}\}}?|&#0*{code};|&#x0*{code:x};"
    return rf"(?:\\*{re.escape(c)}|(?i:{coded}){named})"


def _key() -> str:
    return os.environ.get(API_KEY, "").strip()
