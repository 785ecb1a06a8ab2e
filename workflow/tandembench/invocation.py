"""Which invocation of the workflow measured what: a line when it starts, one when it ends."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

FILE = "invocations.ndjson"


def note(
    results: str, invocation: str, session: str, event: Literal["start", "done", "stopped"]
) -> None:
    """Append a line to the study's list of invocations; a killed one has a start and no end."""
    line = {
        "invocation": invocation,
        "session": session,
        "event": event,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    path = Path(results, FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")
