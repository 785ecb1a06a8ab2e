"""A session's calibration: measured while nothing else is, and written for its dataset."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tandembench.calibrate.session import Calibration, calibrate
from tandembench.calibrate.text import as_json, in_short
from tandembench.files import replacing
from tandembench.measure.exclusive import exclusive
from tandembench.measure.machine import fingerprint
from tandembench.measure.progress import teller
from tandembench.study.spec import canonical


def measure(
    session: str, seconds: float, log_path: Path | None = None
) -> tuple[Calibration, dict[str, Any]]:
    """A calibration, and when, where and for which session it was made.

    Keeps other measurements out meanwhile. TandemError (exit 4) if nothing can be measured.
    """
    with ExitStack() as stack:
        log = log_path or Path(os.devnull)
        log.parent.mkdir(parents=True, exist_ok=True)
        tell = teller(stack.enter_context(log.open("a", encoding="utf-8")))
        stack.enter_context(exclusive(f"calibration of {session}", tell))
        tell(f"calibrating the instrument for session {session}: about {seconds:.0f} s")
        machine = fingerprint()
        del machine["load_1min"]  # told beside it, before and after
        when = datetime.now(UTC).isoformat(timespec="seconds")
        result = calibrate(seconds)
        tell(in_short(result))
    return result, {"session": session, "when": when, "machine": machine}


def write_calibration(output: Path, result: Calibration, circumstances: Mapping[str, Any]) -> None:
    """Write a calibration file, canonical JSON, whole or not at all."""
    content = {
        **as_json(result),
        **circumstances,
        "seconds": round(result.seconds, 1),
        "load_before": round(result.load_before, 2),
        "load_after": round(result.load_after, 2),
    }
    with replacing(output) as partial:
        partial.write_text(canonical(content) + "\n", encoding="utf-8")
