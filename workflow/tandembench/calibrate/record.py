"""The form of a calibration: what its file and a dataset's descriptor hold, and its one reader."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.files import replacing
from tandembench.study.spec import canonical
from tandembench.text import sanitise

_FORM = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_Size = Annotated[float, Field(ge=0)]


def _of_known_cores(machine: Mapping[str, object]) -> Mapping[str, object]:
    if type(cores := machine.get("cores")) is not int or cores < 1:
        raise ValueError("it names no number of cores")
    return machine


@dataclass(frozen=True, slots=True)
class Spread:
    """Absolute errors, microseconds; ``p99`` is None if ``n`` is too small to know it."""

    __pydantic_config__: ClassVar = _FORM
    median: _Size
    p99: _Size | None
    n: Annotated[int, Field(ge=1)]


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
    tokens_per_s_sustained: Annotated[int, Field(ge=0)]
    cpu_s_per_10k_tokens: _Size
    clock: Annotated[str, Field(min_length=1, max_length=80)]


@dataclass(frozen=True, slots=True)
class Instrument(Figures):
    """The client's figures and, as ``control``, those of plain httpx from the same seconds.

    All of it is simulated in that no model ran; the clocks, sockets and clients are real. ``when``
    is UTC; ``machine`` is its fingerprint; load averages are those of a minute.
    """

    control: Figures
    session: Annotated[str, Field(pattern=r"^[a-z0-9]+([_.-][a-z0-9]+)*$")]
    when: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")]
    seconds: _Size
    load_before: _Size
    load_after: _Size
    machine: Annotated[Mapping[str, object], AfterValidator(_of_known_cores)]


_READER = TypeAdapter(Instrument)
_READER_OF_ALL = TypeAdapter(dict[str, Instrument] | None)


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
            one = _READER.validate_json(Path(name).read_bytes())
        except (OSError, ValueError) as error:
            raise _corrupt(error, name, fix) from None
        by_session[one.session] = one
    return by_session


def instruments_of(value: object, where: Path) -> dict[str, Instrument]:
    """What a descriptor holds of calibrations, by session; TandemError (exit 3) if it is none."""
    try:
        by_session = (
            TypeAdapter(dict[str, Instrument] | None).validate_json(json.dumps(value)) or {}
        )
        for name, one in by_session.items():
            if one.session != name:
                raise ValueError(f"the calibration of {name} names the session {one.session}")
    except ValueError as error:
        raise _corrupt(error, str(where), "make or copy the dataset again") from None
    return by_session


def _corrupt(error: Exception, where: str, fix: str) -> TandemError:
    said = str(error)
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    what = f"no calibration ({sanitise(said, 120)})"
    return TandemError(what, where=where, fix=fix, exit_code=EXIT_CORRUPT)
