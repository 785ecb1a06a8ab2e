"""What the workflow writes down for its commands.

RunSpecs, manifests of what tables hold, and a list of invocations: a line when one starts, which
also holds the digests of the hypotheses as they stood then, and one when it ends.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from tandembench.errors import EXIT_CORRUPT, EXIT_ENVIRONMENT, TandemError
from tandembench.files import read_text, way_out, write_text
from tandembench.study.spec import RunSpec

_INVOCATIONS = "invocations.ndjson"
_MADE_BY = "run snakemake, which writes it"
_MAX_BYTES = 1 << 28  # a RunSpec holds every prompt


def write_texts(texts: Mapping[str, str]) -> None:
    """Write each text to the file that it is mapped from, whole or not at all.

    What stands there already is only touched: the newest manifest is that of the study as it is.
    """
    for name, text in texts.items():
        path = Path(name)
        if path.is_file() and path.read_bytes() == text.encode():
            path.touch()
        else:
            write_text(path, text)


def read_spec(path: Path) -> RunSpec:
    """The RunSpec at ``path``; TandemError if it is not there or (exit 3) is none."""
    try:
        return RunSpec.from_json(read_text(path, _MADE_BY, _MAX_BYTES))
    except (ValueError, KeyError, TypeError, RecursionError):
        fix = "delete it and run snakemake, which writes it again"
        where = str(path)
        raise TandemError("no RunSpec", where=where, fix=fix, exit_code=EXIT_CORRUPT) from None


def note(
    results: str,
    invocation: str,
    session: str,
    event: Literal["start", "done", "stopped"],
    hypotheses: Mapping[str, str] | None = None,
) -> None:
    """Append a line to the study's list of invocations; a killed one has a start and no end.

    ``hypotheses`` are their digests by id, as they stand at the start. TandemError (exit 4) if it
    cannot be written.
    """
    line = {"invocation": invocation, "session": session, "event": event}
    line["at"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    stand = {} if hypotheses is None else {"hypotheses": dict(hypotheses)}
    path = Path(results, _INVOCATIONS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**line, **stand}, sort_keys=True) + "\n"
        with path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read() != b"\n":  # a line that a kill cut off keeps to itself
                    text = "\n" + text
            file.write(text.encode())
    except OSError as error:
        what = f"cannot be written ({error.strerror}), so that this {event} is not noted"
        fix = f"{way_out(error)}; measuring goes on"
        raise TandemError(what, where=str(path), fix=fix, exit_code=EXIT_ENVIRONMENT) from None


def declarations(results: Path) -> dict[str, dict[str, str]]:
    """Digests of the hypotheses by invocation, as they stood at its start.

    An invocation that noted none is missing: what stood then is not known.
    """
    path = results / _INVOCATIONS
    by_invocation: dict[str, dict[str, str]] = {}
    lines = path.read_text("utf-8", "replace").splitlines() if path.is_file() else ()
    for text in lines:
        try:
            line = json.loads(text)
            digests = {str(key): str(value) for key, value in line["hypotheses"].items()}
            by_invocation.setdefault(str(line["invocation"]), digests)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # an end, an older line, or one that a kill cut off
    return by_invocation
