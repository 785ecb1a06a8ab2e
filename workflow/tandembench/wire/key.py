"""The API key of running servers: from the environment to the request's head, and nowhere else."""

import os
import re

from tandembench.errors import EXIT_ENVIRONMENT, TandemError

API_KEY = "TANDEMBENCH_API_KEY"
# Visible ASCII, less what would be spelt in another way in JSON or by repr.
_KEY = re.compile(r"[!-~]{0,1000}")
_ESCAPED = re.compile(r"[\"'\\]")


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
    """``text`` without the key: servers may give back what they were sent."""
    key = _key()
    return text.replace(key, "(key)") if key else text


def _key() -> str:
    return os.environ.get(API_KEY, "").strip()
