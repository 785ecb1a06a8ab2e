"""Rows of what was looked at: how each is asked for, and the table of them for people."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from subprocess import SubprocessError
from typing import Literal, get_args

import psutil

from tandembench.errors import TandemError
from tandembench.text import counted, sanitise

State = Literal["fault", "warning", "ok"]  # in the order in which people are shown them
# What a look comes to: the state, what there is, and what mends it unless it is well.
Seen = tuple[State, str, str | None]
NOT_KNOWN = "not known on this system"
_WIDTH = 80
_NEXT = "tandembench doctor config/quick.yaml"
_ORDER: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that a run needs: a ``fault`` stops it, a ``warning`` makes its numbers worse."""

    what: str
    state: State
    found: str
    fix: str | None


def row(what: str, look: Callable[[], Seen]) -> Row:
    """What ``look`` comes to; a TandemError is a fault, what the system does not say is none."""
    try:
        return Row(what, *look())
    except TandemError as error:
        return refusal(what, error)
    except (
        OSError,
        AttributeError,
        NotImplementedError,
        ValueError,
        SubprocessError,
        psutil.Error,
    ):
        return Row(what, "ok", NOT_KNOWN, None)


def refusal(what: str, error: TandemError, state: State = "fault") -> Row:
    """The row of what a run would stop at."""
    return Row(what, state, f"{error.where}: {error.what}", error.fix)


def as_text(rows: Sequence[Row], command: str | None) -> str:
    """The table in 80 columns, faults first, and in a last sentence whether a run can start.

    ``command`` starts it; None if the rows are of no study.
    """
    width = max(len(one.what) for one in rows)
    margin = " " * (width + 10)
    lines = []
    for one in sorted(rows, key=lambda one: _ORDER.index(one.state)):
        lines += _lines(one.found, f"{one.state:<8} {one.what:<{width}} ", margin)
        if one.fix:
            words, colon, last = one.fix.rpartition(": ")
            fits = len(f"{margin}fix: {one.fix}") <= _WIDTH or not colon
            lines += _lines(one.fix if fits else f"{words}:", f"{margin}fix: ", margin)
            # A command that would be broken stands in a line of its own, to be copied.
            lines += [] if fits else [f"{margin}  {last}"]
    return "\n".join([*lines, "", _verdict(rows, command)])


def _verdict(rows: Sequence[Row], command: str | None) -> str:
    faults, warnings = (sum(one.state == state for one in rows) for state in _ORDER[:2])
    if faults:
        those = "the fault" if faults == 1 else f"the {faults} faults"
        return f"No run can start before {those} above {'is' if faults == 1 else 'are'} mended."
    doubt = f", with {counted(warnings, 'warning')} that may cost precision" if warnings else ""
    if command:
        return f"A run can start{doubt}:\n  {command}"
    return f"Nothing here stops a run{doubt}.\nWhether a study has what it needs: {_NEXT}"


def _lines(text: str, start: str, margin: str) -> list[str]:
    return textwrap.wrap(
        sanitise(text, 1000),
        _WIDTH,
        initial_indent=start,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
