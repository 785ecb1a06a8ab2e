"""The form of a calibration: what its file and a dataset's descriptor hold, and its one reader."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_type_hints

from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.files import replacing
from tandembench.study.spec import canonical
from tandembench.text import sanitise

_TEXTS = {
    "session": re.compile(r"[a-z0-9]+([_.-][a-z0-9]+)*"),
    "when": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"),
    "clock": re.compile(r".{1,80}", re.DOTALL),
}
_LARGEST = 1e15  # keeps out infinity


@dataclass(frozen=True, slots=True)
class Spread:
    """Absolute errors, microseconds; ``p99`` is None if ``n`` is too small to know it."""

    median: float
    p99: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One client's errors with several streams, and with these while its loop is busy.

    ``tokens_per_s_sustained``: two streams from a server that sends as fast as it can, median of
    rounds. ``cpu_s_per_10k_tokens``: the process's CPU time at 4,000 tokens/s, median of rounds.
    """

    token_stamp_error_us: Spread
    ttft_error_us: Spread
    gap_error_us: Spread
    duration_error_us: Spread
    busy_loop_token_stamp_error_us: Spread
    tokens_per_s_sustained: float
    cpu_s_per_10k_tokens: float
    clock: str


@dataclass(frozen=True, slots=True)
class Instrument(Figures):
    """The client's figures and, as ``control``, those of plain httpx from the same seconds.

    ``when`` is UTC; ``machine`` is its fingerprint; load averages are those of a minute.
    """

    control: Figures
    session: str
    when: str
    seconds: float
    load_before: float
    load_after: float
    machine: Mapping[str, object]


def write_instrument(output: Path, instrument: Instrument) -> None:
    """Write a calibration file, canonical JSON, whole or not at all."""
    with replacing(output) as partial:
        partial.write_text(canonical(asdict(instrument)) + "\n", encoding="utf-8")


def read_instruments(files: Sequence[str]) -> dict[str, Instrument]:
    """The calibrations in ``files`` by session; TandemError (exit 3) for one that is none."""
    by_session: dict[str, Instrument] = {}
    for name in files:
        fix = "delete it and run snakemake, which measures it again"
        try:
            one = _parsed(Instrument, json.loads(Path(name).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise _corrupt(error, name, fix) from None
        by_session[one.session] = one
    return by_session


def instruments_of(value: object, where: Path) -> dict[str, Instrument]:
    """What a descriptor holds of calibrations, by session; TandemError (exit 3) if it is none."""
    try:
        if not isinstance(value, Mapping | None):
            raise ValueError("instrument: not an object")
        by_session = {name: _parsed(Instrument, one, name) for name, one in (value or {}).items()}
        for name, one in by_session.items():
            if one.session != name:
                raise ValueError(f"the calibration of {name} names the session {one.session}")
    except ValueError as error:
        raise _corrupt(error, str(where), "make or copy the dataset again") from None
    return by_session


def _parsed(kind: Any, value: object, place: str = "calibration") -> Any:  # noqa: ANN401 - of ``kind``
    """``value``, parsed JSON, as ``kind``; ValueError with its place if it is none."""
    if kind not in (Spread, Figures, Instrument):
        if not _fits(kind, value, place.rpartition(".")[2]):
            raise ValueError(f"{place}: {value} is not allowed")
        return value
    hints = get_type_hints(kind)
    if not isinstance(value, Mapping) or value.keys() != hints.keys():
        raise ValueError(f"{place}: expected the keys {', '.join(hints)}")
    return kind(**{key: _parsed(hint, value[key], f"{place}.{key}") for key, hint in hints.items()})


def _fits(kind: object, value: object, name: str) -> bool:
    if kind is str:
        return isinstance(value, str) and _TEXTS[name].fullmatch(value) is not None
    if kind == Mapping[str, object]:
        return isinstance(value, Mapping) and _fits(int, value.get("cores"), "cores")
    if value is None:
        return kind == float | None
    whole = kind is int
    return type(value) in ((int,) if whole else (int, float)) and int(whole) <= value <= _LARGEST  # type: ignore[operator]


def _corrupt(error: Exception, where: str, fix: str) -> TandemError:
    what = f"no calibration ({sanitise(str(error), 120)})"
    return TandemError(what, where=where, fix=fix, exit_code=EXIT_CORRUPT)
