"""What was asked of servers and what they did: whether a difference may be put down to it. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """A setting as ``configs`` asked for it. ``effective`` is None where nothing reports it.

    ``applied`` is None then too.
    """

    factor: str
    asked: str
    effective: str | None
    applied: bool | None
    configs: tuple[str, ...]


# The checks of a dataset, and the configs of it that make a side.
Side = tuple[Sequence[Check], Collection[str]]


@dataclass(frozen=True, slots=True)
class Unapplied:
    """Factors in which sides differ, but which are not known to have been applied.

    ``all``: these are all in which they differ, so that no effect can be told. ``reported`` is
    False where no server reports any of them, rather than something else.
    """

    factors: tuple[str, ...]
    all: bool
    reported: bool


def unapplied(sides: Sequence[Side], chosen: Collection[str] = ()) -> Unapplied | None:
    """What stands between sides; None if every factor that matters was applied.

    ``chosen`` are factors that made a side what it is, and so must hold in any case; of a single
    side they alone count.
    """
    own = [check for side in sides for check in _of(side)]
    differing = [
        factor
        for factor in dict.fromkeys(check.factor for check in own)
        if factor in chosen or len({_levels(factor, side) for side in sides}) > 1
    ]
    loose = [one for one in differing if any(c.factor == one and not c.applied for c in own)]
    if not loose:
        return None
    said = any(check.factor in loose and check.applied is False for check in own)
    return Unapplied(tuple(loose), loose == differing, said)


def _of(side: Side) -> list[Check]:
    checks, configs = side
    return [check for check in checks if not set(configs).isdisjoint(check.configs)]


def _levels(factor: str, side: Side) -> frozenset[str | None]:
    """The values that the configs asked for; None stands for one that did not ask."""
    own = [check for check in _of(side) if check.factor == factor]
    asking = {config for check in own for config in check.configs}
    silent: set[str | None] = {None} if set(side[1]) - asking else set()
    return frozenset(silent | {check.asked for check in own})
