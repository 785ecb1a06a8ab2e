"""Statistics of values that are known to lie between bounds, as printed ones are. Pure."""

import math
import statistics as plain
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tandembench.metrics import percentile

_RISING: Mapping[str, Callable[[Sequence[float]], float]] = {
    "mean": lambda values: math.fsum(values) / len(values),
    "median": plain.median,
    "min": min,
    "max": max,
    "sum": math.fsum,
    "share": lambda values: math.fsum(values) / len(values),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Values between ``low`` and ``high``; ``names`` are those of groups, or the values' own."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A number between bounds, or names; ``of`` how many were counted; ``text`` shows it."""

    text: str
    low: float = math.nan
    high: float = math.nan
    of: int | None = None
    names: tuple[str, ...] = ()


def statistic(name: str, rows: Rows) -> Outcome | None:
    """The statistic ``name`` of ``rows``; None where so few values have none.

    sd divides by n - 1; p50 to p99 are percentiles (type 7) where n reaches their floor; range is
    the largest less the smallest; highest and lowest name the groups that are so, several if tied.
    """
    if name in _SPECIAL:
        return _SPECIAL[name](rows)
    if name in _RISING:
        return _number(_RISING[name](rows.low), _RISING[name](rows.high))
    ends = [percentile(values, int(name[1:]) / 100) for values in (rows.low, rows.high)]
    return None if ends[0] is None or ends[1] is None else _number(ends[0], ends[1])


def _number(low: float, high: float) -> Outcome:
    return Outcome(f"{(low + high) / 2:.6g}", low, high)


def _only(rows: Rows) -> Outcome:
    names = tuple(dict.fromkeys(rows.names))
    return Outcome(" and ".join(names[:5]), names=(names[0] if len(names) == 1 else "several",))


def _count(rows: Rows) -> Outcome:
    count = math.fsum(rows.low)
    return Outcome(f"{count:g}/{len(rows.low)}", count, count, of=len(rows.low))


def _range(rows: Rows) -> Outcome:
    return _number(max(0.0, max(rows.low) - min(rows.high)), max(rows.high) - min(rows.low))


def _sd(rows: Rows) -> Outcome | None:
    middles = [(low + high) / 2 for low, high in zip(rows.low, rows.high, strict=True)]
    return _number(plain.stdev(middles), plain.stdev(middles)) if len(middles) > 1 else None


def _extreme(rows: Rows, highest: bool) -> Outcome:
    middles = [(low + high) / 2 for low, high in zip(rows.low, rows.high, strict=True)]
    order = sorted(set(middles), reverse=highest)
    names = [
        tuple(name for name, value in zip(rows.names, middles, strict=True) if value == wanted)
        for wanted in order[:2]
    ]
    shown = [f"{' and '.join(own)} ({at:.6g})" for own, at in zip(names, order[:2], strict=True)]
    return Outcome(", then ".join(shown), names=names[0])


_SPECIAL: Mapping[str, Callable[[Rows], Outcome | None]] = {
    "rows": lambda rows: _number(len(rows.low), len(rows.low)),
    "distinct": lambda rows: _number(len(set(rows.names)), len(set(rows.names))),
    "only": _only,
    "count": _count,
    "range": _range,
    "sd": _sd,
    "highest": lambda rows: _extreme(rows, True),
    "lowest": lambda rows: _extreme(rows, False),
}
