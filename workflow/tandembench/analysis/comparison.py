"""One side against another, paired by what may be paired. Pure.

Sessions differ, and so do invocations within one; a round measures both sides minutes apart. So
sides meet in three sessions or more, by their means, or within the invocations that hold both,
round by round. Else nothing is said: "different sessions".
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from tandembench.analysis.intervals import (
    MIN_SESSIONS,
    Basis,
    Interval,
    exponential,
    mean_interval,
    welch_interval,
)
from tandembench.analysis.verdicts import difference_p, smallest_detectable_difference

NOTHING_MEASURED = "nothing measured"
DIFFERENT_SESSIONS = "different sessions"
DIFFERENT_ROUNDS = "different rounds"
Key = TypeVar("Key", bound=Hashable)


class Observation(NamedTuple):
    """One value and where it was measured.

    ``session``: unlike those of any other dataset in the same comparison. ``invocation``: None is
    one invocation for all of the session. ``round``: whatever else pairs: the repetition, or the
    repetition and the cell of a design; values of one side in one round are averaged.
    """

    value: float
    session: Hashable
    invocation: Hashable
    round: Hashable


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison comes to.

    ``interval``: of the ratio (or difference), 95 %; None where nothing may be compared, and then
    ``reason`` says why. Its ``n`` is what it rests on: sessions where ``basis`` is "sessions",
    else rounds. ``pairs`` rounds hold both sides, in ``sessions`` sessions. ``p``: two-sided, of
    no difference; ``detectable``: the ratio above 1 (the difference above 0) that such a study
    would show with a chance of 80 %. Both None without bounds.
    """

    interval: Interval | None
    pairs: int
    sessions: int
    p: float | None = None
    detectable: float | None = None
    reason: str | None = None

    @property
    def basis(self) -> Basis | None:
        """Sessions, or rounds within one or two: then it describes these sessions alone."""
        return None if self.interval is None else self.interval.basis


def paired_ratio(subject: Sequence[Observation], reference: Sequence[Observation]) -> Comparison:
    """How many times the ``reference`` the ``subject`` is: `paired_difference` of logarithms.

    Values above 0. Source: Kalibera & Jones 2013.
    """
    found = paired_difference(*(_mapped(math.log, side) for side in (subject, reference)))
    if found.interval is None:
        return found
    detectable = None if found.detectable is None else math.exp(found.detectable)
    return replace(found, interval=exponential(found.interval), detectable=detectable)


def paired_difference(
    subject: Sequence[Observation], reference: Sequence[Observation]
) -> Comparison:
    """How much more the ``subject`` is than the ``reference``.

    Three sessions or more that hold both sides: t interval over one difference a session, that
    of its paired rounds if it has any, else of its two means. Three or more of each side, but not
    in common: Welch's interval over session means. Else, with pairs: t interval over the rounds
    that hold both sides in the same session and invocation, as ``basis`` "within".
    """
    if not subject or not reference:
        return Comparison(None, 0, 0, reason=NOTHING_MEASURED)
    pairs = _pairs(subject, reference)
    sides = [_means(side, _session) for side in (subject, reference)]
    shared = [session for session in sides[0] if session in sides[1]]
    if len(shared) >= MIN_SESSIONS:
        by_session = [
            _mean(pairs[session]) if session in pairs else sides[0][session] - sides[1][session]
            for session in shared
        ]
        found = replace(mean_interval(by_session), basis="sessions")
        return _compared(found, pairs, len(shared))
    if min(map(len, sides)) >= MIN_SESSIONS:
        means, reference_means = (list(side.values()) for side in sides)
        both = len({*sides[0], *sides[1]})
        found = replace(welch_interval(means, reference_means), n=both, basis="sessions")
        return _compared(found, pairs, both)
    if pairs:
        rounds = [difference for own in pairs.values() for difference in own]
        return _compared(mean_interval(rounds), pairs, len(pairs))
    places = [{(one.session, one.invocation) for one in side} for side in (subject, reference)]
    met = places[0] & places[1]
    return Comparison(None, 0, 0, reason=DIFFERENT_ROUNDS if met else DIFFERENT_SESSIONS)


def _compared(
    found: Interval, pairs: Mapping[Hashable, Sequence[float]], sessions: int
) -> Comparison:
    return Comparison(
        interval=found,
        pairs=sum(map(len, pairs.values())),
        sessions=sessions,
        p=difference_p(found),
        detectable=smallest_detectable_difference(found),
    )


def _pairs(
    subject: Sequence[Observation], reference: Sequence[Observation]
) -> dict[Hashable, list[float]]:
    """Differences of the rounds that hold both sides, by session."""
    rounds = [_means(side, _place) for side in (subject, reference)]
    found: dict[Hashable, list[float]] = {}
    for place, value in rounds[0].items():
        if place in rounds[1]:
            found.setdefault(place[0], []).append(value - rounds[1][place])
    return found


def _session(one: Observation) -> Hashable:
    return one.session


def _place(one: Observation) -> tuple[Hashable, Hashable, Hashable]:
    return one.session, one.invocation, one.round


def _means(side: Sequence[Observation], key: Callable[[Observation], Key]) -> dict[Key, float]:
    values: dict[Key, list[float]] = {}
    for one in side:
        values.setdefault(key(one), []).append(one.value)
    return {name: _mean(own) for name, own in values.items()}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _mapped(function: Callable[[float], float], side: Sequence[Observation]) -> list[Observation]:
    return [one._replace(value=function(one.value)) for one in side]
