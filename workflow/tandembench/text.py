"""Foreign text - a server's, a model's, a file's - is data: made fit for one line of anything."""

import re

# C0 and C1 controls, invisible and bidirectional characters (tags included, which can carry a
# whole hidden text), and halves of surrogate pairs, which no file can hold.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    r"\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def sanitise(text: str, limit: int = 160) -> str:
    """``text`` in one harmless line of ``limit`` characters, for a log, a table or a terminal."""
    return _UNSAFE.sub(" ", text)[:limit]
