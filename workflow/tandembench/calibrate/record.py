"""The form of a calibration: what its file and a dataset's descriptor hold, and its one reader."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.files import write_text
from tandembench.study.spec import canonical, digest
from tandembench.text import sanitise

_FORM = {"strict": True, "extra": "forbid", "allow_inf_nan": False}
_SESSION = re.compile(r"[a-z0-9]+([_.-][a-z0-9]+)*")
_WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


@dataclass(frozen=True, slots=True)
class Spread:
    """Absolute errors, microseconds; ``p99`` is None if ``n`` is too small to know it."""

    __pydantic_config__: ClassVar = _FORM
    median: float
    p99: float | None
    n: int

    def __post_init__(self) -> None:
        if min(self.median, self.p99 or 0.0) < 0 or self.n < 1:
            raise ValueError("an error below 0, or of no values")


@dataclass(frozen=True, slots=True)
class Figures:
    """One client's errors with several streams, and with these while its loop is busy.

    ``token_stamp``: its stamp of a token less the clock just before the server's send. ``ttft``:
    its first stamp less its request's, against the server's first send less the request's arrival
    there (in the kernel, where that is known). ``gap``: between two tokens. ``duration``: as ttft,
    to the end of the answer. ``tokens_per_s_sustained``: two streams from a server that sends as
    fast as it can; ``cpu_s_per_10k_tokens``: this process's CPU time at 4,000 tokens/s; both are
    medians of rounds.
    """

    __pydantic_config__: ClassVar = _FORM
    token_stamp_error_us: Spread
    ttft_error_us: Spread
    gap_error_us: Spread
    duration_error_us: Spread
    busy_loop_token_stamp_error_us: Spread
    tokens_per_s_sustained: int
    cpu_s_per_10k_tokens: float
    clock: str

    def __post_init__(self) -> None:
        if min(self.tokens_per_s_sustained, self.cpu_s_per_10k_tokens) < 0:
            raise ValueError("a rate or a time below 0")
        if not 1 <= len(self.clock) <= 80:
            raise ValueError("no name of a clock")


@dataclass(frozen=True, slots=True)
class Instrument(Figures):
    """The client's figures and, as ``control``, those of plain httpx from the same seconds.

    All of it is simulated in that no model ran; the clocks, sockets and clients are real. ``when``
    is UTC; ``machine`` is its fingerprint; load averages are those of a minute.
    """

    control: Figures
    session: str
    when: str
    seconds: float
    load_before: float
    load_after: float
    machine: Mapping[str, object]

    def __post_init__(self) -> None:
        Figures.__post_init__(self)
        if not _SESSION.fullmatch(self.session) or not _WHEN.fullmatch(self.when):
            raise ValueError("no label of a session, or no time in UTC")
        if min(self.seconds, self.load_before, self.load_after) < 0:
            raise ValueError("a time or a load below 0")
        if type(self.machine.get("cores")) is not int:
            raise ValueError("a machine of no known cores")


def write_instrument(output: Path, instrument: Instrument) -> None:
    """Write a calibration file, canonical JSON that holds its name and its digest, whole or not."""
    content = {**asdict(instrument), "file": output.name}
    write_text(output, canonical(content | {"digest": digest(content)}) + "\n")


def read_instruments(files: Sequence[str]) -> dict[str, Instrument]:
    """The calibrations in ``files`` by session; TandemError (exit 3) for one that is none.

    A file is called ``<session>.<digest of the code>.json``, and is refused under another name.
    """
    by_session: dict[str, Instrument] = {}
    for path in map(Path, files):
        fix = "delete it and run snakemake, which measures it again"
        try:
            content = json.loads(path.read_bytes())
            if content.pop("digest") != digest(content) or content.pop("file") != path.name:
                raise ValueError("it is not what was measured under this name")
            one: Instrument = _parsed(Instrument, canonical(content))
            if one.session != path.name.rsplit(".", 2)[0]:
                raise ValueError(f"it is that of session {one.session}")
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise _corrupt(error, str(path), fix) from None
        by_session[one.session] = one
    return by_session


def instruments_of(value: object, where: Path) -> dict[str, Instrument]:
    """What a descriptor holds of calibrations, by session; TandemError (exit 3) if it is none."""
    try:
        by_session: dict[str, Instrument] = (
            _parsed(dict[str, Instrument] | None, json.dumps(value)) or {}
        )
        for name, one in by_session.items():
            if one.session != name:
                raise ValueError(f"the calibration of {name} names the session {one.session}")
    except ValueError as error:
        raise _corrupt(error, str(where), "make or copy the dataset again") from None
    return by_session


def _parsed(kind: Any, text: str | bytes) -> Any:  # noqa: ANN401 - a type, and one of it
    """The JSON ``text`` as ``kind``; ValueError with the place of its first fault."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - no measuring process reads

    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _corrupt(error: Exception, where: str, fix: str) -> TandemError:
    what = f"no calibration ({sanitise(str(error), 120)})"
    return TandemError(what, where=where, fix=fix, exit_code=EXIT_CORRUPT)
