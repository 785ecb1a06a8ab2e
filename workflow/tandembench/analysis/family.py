"""Several comparisons of one family: what their verdicts come to together. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tandembench.analysis.intervals import Interval, logarithm
from tandembench.analysis.verdicts import (
    Verdict,
    difference_equivalence_p,
    difference_p,
    difference_verdict,
    ratio_verdict,
)

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Judged:
    """A comparison within its family.

    ``verdict`` is what holds in the family, ``alone`` what the interval would say by itself. ``p``
    is that of no difference, ``adjusted_p`` Holm's; None where there is no interval.
    """

    verdict: Verdict
    alone: Verdict
    p: float | None
    adjusted_p: float | None


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values: max over j <= i of min(1, (m - j + 1) p_(j)), p in ascending order.

    m counts the p-values that are known; None stays None. Rejecting where the adjusted p is below
    alpha makes any false rejection in the family at most alpha likely, whatever their dependence.
    Source: Holm 1979.
    """
    known = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = highest
    return adjusted


def kept(verdict: Verdict, adjusted_p: float | None) -> Verdict:
    """What a verdict becomes in its family: itself, or "inconclusive" if its p does not hold."""
    holds = adjusted_p is not None and adjusted_p < ALPHA
    return verdict if holds else "inconclusive"


def ratio_family(
    ratios: Sequence[Interval | None], margin: float, more_is_better: bool = True
) -> list[Judged]:
    """Ratios that were declared to be judged together, each with its verdict in the family."""
    alone = [ratio_verdict(one, margin, more_is_better) if one else None for one in ratios]
    logs = [None if one is None else logarithm(one) for one in ratios]
    return _judged(alone, logs, math.log1p(margin))


def difference_family(
    differences: Sequence[Interval | None], margin: float, more_is_better: bool = True
) -> list[Judged]:
    """The same for differences."""
    alone = [
        difference_verdict(one, margin, more_is_better) if one else None for one in differences
    ]
    return _judged(alone, differences, margin)


def _judged(
    alone: Sequence[Verdict | None], differences: Sequence[Interval | None], margin: float
) -> list[Judged]:
    """Claims of a difference and claims of equivalence are two families of as many tests each.

    In one, a handful of clear differences would lend their levels to a false equivalence.
    """
    ps = [None if one is None else difference_p(one) for one in differences]
    adjusted = holm(ps)
    equivalence = holm(
        [None if one is None else difference_equivalence_p(one, margin) for one in differences]
    )
    return [
        Judged(
            kept(verdict, equal if verdict == "equivalent" else differs)
            if verdict
            else "inconclusive",
            verdict or "inconclusive",
            p,
            differs,
        )
        for verdict, p, differs, equal in zip(alone, ps, adjusted, equivalence, strict=True)
    ]
