"""One side against another, paired by what may be paired. Pure.

Sessions differ, and so do invocations within one; a block measures both sides minutes apart. So
sides meet in three sessions or more, by their means, or within the invocations that hold both,
block by block. Else nothing is said: "different sessions".
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tandembench.analysis.intervals import (
    MIN_SESSIONS,
    Basis,
    Interval,
    Moments,
    difference_p,
    exponential,
    interval_of_moments,
    moments,
    smallest_detectable_difference,
    together,
    welch_from_moments,
)

if TYPE_CHECKING:  # a difference of two datasets needs none, and it takes half a second
    import pandas as pd

NOTHING_MEASURED = "nothing measured"
DIFFERENT_SESSIONS = "different sessions"
DIFFERENT_ROUNDS = "different rounds"


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


_SESSION, _PLACE = itemgetter(1), itemgetter(1, 2, 3)


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


def observations(runs: "pd.DataFrame", column: str, cell: Hashable = None) -> list[Observation]:
    """The known values of a column for a comparison; those of one ``cell`` pair by repetition.

    Rounds of one block are not independent: a comparison takes their mean. Twins are left out.
    """
    group = runs[~runs["twin"].astype(bool)] if "twin" in runs else runs
    columns = (group[name].tolist() for name in ("session", "invocation", "repetition"))
    values = group[column].to_numpy(dtype=float, na_value=np.nan).tolist()
    return [
        Observation(
            value,
            str(session),
            # Imported runs have none: one invocation for each session then.
            invocation if isinstance(invocation, str) else None,
            (cell, int(repetition)),
        )
        for session, invocation, repetition, value in zip(*columns, values, strict=True)
        if not math.isnan(value)
    ]


def paired_ratio(subject: Sequence[Observation], reference: Sequence[Observation]) -> Comparison:
    """How many times the ``reference`` the ``subject`` is: `paired_difference` of logarithms.

    Values above 0. Source: Kalibera & Jones 2013.
    """
    logs = paired_difference(
        *(
            [one._replace(value=math.log(one.value)) for one in side]
            for side in (subject, reference)
        )
    )
    return replace(
        logs,
        interval=logs.interval and exponential(logs.interval),
        detectable=None if logs.detectable is None else math.exp(logs.detectable),
    )


def paired_difference(
    subject: Sequence[Observation], reference: Sequence[Observation]
) -> Comparison:
    """How much more the ``subject`` is than the ``reference``, by `difference`.

    Rounds that hold both sides in the same session and invocation are pairs.
    """
    if not subject or not reference:
        return Comparison(None, 0, 0, reason=NOTHING_MEASURED)
    ours, theirs = (_means(side, _PLACE) for side in (subject, reference))
    pairs: dict[Hashable, list[float]] = {}
    for place, value in ours.items():
        if place in theirs:
            pairs.setdefault(place[0], []).append(value - theirs[place])
    met = {place[:2] for place in ours} & {place[:2] for place in theirs}
    return difference(
        _means(subject, _SESSION),
        _means(reference, _SESSION),
        {session: moments(group) for session, group in pairs.items()},
        DIFFERENT_ROUNDS if met else DIFFERENT_SESSIONS,
    )


def difference(
    subject: Mapping[Any, float],
    reference: Mapping[Any, float],
    pairs: Mapping[Any, Moments],
    reason: str,
) -> Comparison:
    """The difference of two sides by the means of their sessions, and of their pairs in each.

    Three sessions or more that hold both sides: t interval over one difference a session, that
    of its pairs if it has any, else of its two means. Three or more of each side, but not in
    common: Welch's interval over session means. Else, with pairs: t interval over them, as
    ``basis`` "within". Else nothing, for that ``reason``. Source: Kalibera & Jones 2013.
    """
    shared = [session for session in subject if session in reference]
    sessions = len(shared)
    if len(shared) >= MIN_SESSIONS:
        result = interval_of_moments(
            moments(
                [
                    pairs[session][0] if session in pairs else subject[session] - reference[session]
                    for session in shared
                ]
            ),
            basis="sessions",
        )
    elif min(len(subject), len(reference)) >= MIN_SESSIONS:
        sessions = len({*subject, *reference})
        apart = welch_from_moments(moments([*subject.values()]), moments([*reference.values()]))
        result = replace(apart, n=sessions, basis="sessions")
    elif pairs:
        sessions = len(pairs)
        result = interval_of_moments(together([*pairs.values()]))
    else:
        return Comparison(None, 0, 0, reason=reason)
    return Comparison(
        interval=result,
        pairs=sum(part[2] for part in pairs.values()),
        sessions=sessions,
        p=difference_p(result),
        detectable=smallest_detectable_difference(result),
    )


def _means(side: Sequence[Observation], key: Callable[[Observation], Any]) -> dict[Any, float]:
    values: dict[Any, list[float]] = {}
    for one in side:
        values.setdefault(key(one), []).append(one.value)
    return {place: _mean(group) for place, group in values.items()}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
