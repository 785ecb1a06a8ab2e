"""Foreign text - a server's, a model's, a file's - is data: made fit for one line of anything."""

import re

# C0 and C1 controls, zero-width and bidirectional characters, and halves of surrogate pairs, which
# no file can hold.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)


def sanitise(text: str, limit: int = 160) -> str:
    """``text`` in one harmless line of ``limit`` characters, for a log, a table or a terminal."""
    return _UNSAFE.sub(" ", text)[:limit]
