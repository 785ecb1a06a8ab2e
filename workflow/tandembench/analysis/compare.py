"""One engine that compares configs: ratios, the family that they form, and what they come to. Pure.

Primary and secondary questions, options, controls and choices all come through here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tandembench.analysis.findings import Outcome, Verdict, Versus
from tandembench.analysis.intervals import ALPHA, holm
from tandembench.analysis.levels import Allowance, Fit, Side, Variance, allowance, behaves_like, fit
from tandembench.analysis.rounds import Rounds

_ANY = Side("", (), started=False)


@dataclass(frozen=True, slots=True)
class Compared:
    """``against``: each config but the reference against it, in the order of the rounds.

    ``adjusted_p``: the smallest p among them, Holm's; None where nothing pairs. ``best`` is a
    config where ``outcome`` is "fastest" or "among", ``rivals`` those not shown to be worse.
    """

    outcome: Outcome
    best: str | None
    rivals: tuple[str, ...]
    reference: str
    against: tuple[Versus, ...]
    adjusted_p: float | None


def compare(
    table: Rounds,
    reference: str,
    margin: float,
    sides: Mapping[str, Side] | None = None,
    twins: Sequence[tuple[Side, Fit]] = (),
) -> Compared:
    """Whether any config of ``table`` differs from ``reference``, and which is best.

    Each config against the reference is one of a family (Holm 1979): at most one study in twenty
    in which none differs says that one does. Only then is the best one named, and each other is a
    rival of it unless its own interval says that it is worse: all of them have to be, which needs
    no further correction (intersection-union, Berger 1982). ``sides`` say how configs are served;
    ``twins`` are pairs of the same config, whose blocks vary as those of like pairs do.
    """
    if reference not in table.logs or table.logs.shape[1] < 2:
        return Compared("not_measured", None, (), reference, (), None)
    sides = sides or {}
    others = [str(name) for name in table.logs.columns if name != reference]
    fits = _fits(table, [(name, reference) for name in others], sides, twins)
    adjusted = holm([one.p if one else None for one in fits])
    against = tuple(
        versus(name, reference, one, margin, adjusted_p)
        for name, one, adjusted_p in zip(others, fits, adjusted, strict=True)
    )
    smallest = min((p for p in adjusted if p is not None), default=None)
    if smallest is None:
        return Compared("not_measured", None, (), reference, against, None)
    verdicts = [one.verdict for one in against if one.ratio is not None]
    if not {"better", "worse"} & set(verdicts):
        outcome: Outcome = "equivalent" if set(verdicts) == {"equivalent"} else "inconclusive"
        return Compared(outcome, None, (), reference, against, smallest)
    best = _best(against, reference)
    beaten = [name for name in (reference, *others) if name != best]
    rivals = tuple(
        name
        for name, one in zip(
            beaten, _fits(table, [(best, name) for name in beaten], sides, twins), strict=True
        )
        if one is None or verdict(one, margin, one.p) != "better"
    )
    outcome = "among" if rivals else "fastest"
    return Compared(outcome, best, rivals, reference, against, smallest)


def versus(
    subject: str, other: str, one: Fit | None, margin: float, adjusted_p: float | None = None
) -> Versus:
    """A fit as a finding; ``adjusted_p`` takes the place of its own p in the verdict."""
    if one is None:
        return Versus(subject, other, None, "inconclusive", None, None, None, 0, 0, 0)
    return Versus(
        subject=subject,
        other=other,
        ratio=one.estimate(),
        verdict=verdict(one, margin, one.p if adjusted_p is None else adjusted_p),
        p=one.p,
        detectable=one.detectable,
        spread=one.error,
        rounds=one.rounds,
        blocks=one.blocks,
        sessions=one.sessions,
    )


def verdict(one: Fit, margin: float, p: float) -> Verdict:
    """Equivalent where the 95 % interval lies within 1/(1 + margin) and 1 + margin.

    That is two one-sided tests (Schuirmann 1987) in the stricter reading. Else above or below 1
    where ``p`` is under 0.05.
    """
    ratio = one.estimate()
    if ratio.low is not None and ratio.high is not None:
        if 1 / (1 + margin) < ratio.low and ratio.high < 1 + margin:
            return "equivalent"
        if p < ALPHA:
            return "better" if one.log > 0 else "worse"
    return "inconclusive"


def pair_fit(
    table: Rounds,
    subject: str,
    other: str,
    sides: Mapping[str, Side],
    alike: Variance | None = None,
) -> Fit | None:
    """How many times better ``subject`` is, by the rounds that hold both."""
    difference = table.logs[subject] - table.logs[other]
    both = table.where(difference.notna().to_numpy())
    allowed = allowance(sides.get(subject, _ANY), sides.get(other, _ANY))
    logs = difference.dropna().tolist()
    return fit(logs, both.blocks, both.sessions, both.seconds.tolist(), allowed, alike)


def _fits(
    table: Rounds,
    pairs: Sequence[tuple[str, str]],
    sides: Mapping[str, Side],
    twins: Sequence[tuple[Side, Fit]],
) -> list[Fit | None]:
    """The fit of each pair, its blocks' variance moderated by that of pairs that behave alike.

    Others count at most as much as the pair's own blocks: alike is an expectation, no knowledge.
    """
    alone = [pair_fit(table, first, second, sides) for first, second in pairs]
    kinds = [behaves_like(sides.get(a, _ANY), sides.get(b, _ANY)) for a, b in pairs]
    twin_kinds = [((False, frozenset[object](side.threads)), one) for side, one in twins]
    fits = []
    for place, ((first, second), one) in enumerate(zip(pairs, alone, strict=True)):
        others = [
            other
            for kind, other in [*zip(kinds, alone, strict=True), *twin_kinds]
            if other is not None and other is not one and kind == kinds[place]
        ]
        freedom = math.fsum(other.of_block_freedom for other in others)
        if one is None or not freedom or not one.of_block_freedom:
            fits.append(one)
            continue
        value = math.fsum(other.of_block * other.of_block_freedom for other in others) / freedom
        alike = Variance(value, min(freedom, one.of_block_freedom))
        fits.append(pair_fit(table, first, second, sides, alike))
    return fits


def _best(against: Sequence[Versus], reference: str) -> str:
    """The config with the highest ratio that is shown to beat the reference, else the reference."""
    above = [
        (one.ratio.value, one.subject)
        for one in against
        if one.verdict == "better" and one.ratio is not None
    ]
    return max(above)[1] if above else reference


def level_fit(table: Rounds, column: str) -> Fit | None:
    """The mean of one column of ``table`` against 1, by all of its known rounds."""
    values = table.logs[column]
    group = table.where(values.notna().to_numpy())
    logs = values.dropna().tolist()
    return fit(logs, group.blocks, group.sessions, group.seconds.tolist(), Allowance(0.0, 0.0))
