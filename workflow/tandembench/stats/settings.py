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


@dataclass(frozen=True, slots=True)
class Unapplied:
    """Factors in which two sides differ, but which are not known to have been applied.

    ``all``: these are all in which they differ, so that no effect can be told. ``reported`` is
    False where no server reports any of them, rather than something else.
    """

    factors: tuple[str, ...]
    all: bool
    reported: bool


def between(
    a: tuple[Sequence[Check], Collection[str]],
    b: tuple[Sequence[Check], Collection[str]] | None,
    chosen: Collection[str] = (),
) -> Unapplied | None:
    """What stands between two sides, each the checks of its dataset and its configs.

    ``chosen`` are factors that made a side what it is, and so must hold in any case; without ``b``
    they alone count. None if every factor that matters was applied.
    """
    own = _of(*a) + (_of(*b) if b else [])
    factors = dict.fromkeys(check.factor for check in own)
    differing = [
        factor
        for factor in factors
        if factor in chosen or (b is not None and _levels(factor, *a) != _levels(factor, *b))
    ]
    loose = [one for one in differing if any(c.factor == one and not c.applied for c in own)]
    if not loose:
        return None
    said = any(check.factor in loose and check.applied is False for check in own)
    return Unapplied(tuple(loose), loose == differing, said)


def _of(checks: Sequence[Check], configs: Collection[str]) -> list[Check]:
    return [check for check in checks if not set(configs).isdisjoint(check.configs)]


def _levels(factor: str, checks: Sequence[Check], configs: Collection[str]) -> set[str | None]:
    """The values that the configs asked for; None stands for one that did not ask."""
    own = [check for check in _of(checks, configs) if check.factor == factor]
    asking = {config for check in own for config in check.configs}
    silent: set[str | None] = {None} if set(configs) - asking else set()
    return silent | {check.asked for check in own}
