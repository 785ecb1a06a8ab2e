"""Which invocation of the workflow measured what: a line when it starts, one when it ends."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

FILE = "invocations.ndjson"


def note(
    results: str,
    invocation: str,
    session: str,
    event: Literal["start", "done", "stopped"],
    hypotheses: Mapping[str, str] | None = None,
) -> None:
    """Append a line to the study's list of invocations; a killed one has a start and no end.

    ``hypotheses`` are their digests by id, as they stand at the start.
    """
    line = {"invocation": invocation, "session": session, "event": event}
    line["at"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    stand = {} if hypotheses is None else {"hypotheses": dict(hypotheses)}
    path = Path(results, FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**line, **stand}, sort_keys=True) + "\n")


def declarations(results: Path) -> dict[str, dict[str, str]]:
    """Digests of the hypotheses by invocation, as they stood at its start.

    An invocation that noted none is missing: what stood then is not known.
    """
    path = results / FILE
    by_invocation: dict[str, dict[str, str]] = {}
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
            digests = {str(key): str(value) for key, value in line["hypotheses"].items()}
            by_invocation.setdefault(str(line["invocation"]), digests)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # an end, an older line, or one that a kill cut off
    return by_invocation
