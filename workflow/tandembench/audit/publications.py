"""Two publications: what both print of one subject, and what their n, mean and sd allow to say."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from tandembench.analysis.findings import Verdict
from tandembench.analysis.intervals import Interval, Moments, difference_verdict, welch_from_moments
from tandembench.audit.sides import Cell

SCOPES = ("overall", "phase", "scenario", "level", "config")
STATISTICS = ("mean", "value", "median", "sd", "min", "max", "peak", "best")
BASIS = "printed n, mean and sd"
_WITH_MOMENTS = ("speedup_estimate", "efficiency_estimate")
_Key = tuple[str, str, str, str]


class Both(TypedDict):
    """A number that both print, and the ``difference`` B - A in the metric's unit."""

    scope: str
    subject: str
    metric: str
    statistic: str
    unit: str
    a: float
    b: float
    a_n: int | None
    b_n: int | None
    a_section: str
    b_section: str
    difference: Interval
    basis: str | None
    verdict: Verdict


def differences(a: Sequence[Cell], b: Sequence[Cell]) -> list[Both]:
    """Numbers that both print of one subject.

    Means with n and sd of both have Welch's interval (``basis`` says so); of them more is better.
    All others have none, and no verdict: a printed number alone says nothing of how sure it is.
    """
    left, right = _numbers(a), _numbers(b)
    means = [printed_means(side) for side in (a, b)]
    rows: list[Both] = []
    for key in sorted(left.keys() & right.keys(), key=_place):
        (one, value), (other, value_b) = left[key], right[key]
        of_a, of_b = (_moments(own.get(key[:3])) if key[3] == "mean" else None for own in means)
        known = welch_from_moments(of_b, of_a) if of_a and of_b else None
        difference = known or Interval(value_b - value, None, None, 1)
        rows.append(
            Both(
                scope=key[0],
                subject=key[1],
                metric=key[2],
                statistic=key[3],
                unit=one["unit"],
                a=value,
                b=value_b,
                a_n=of_a[2] if of_a else None,
                b_n=of_b[2] if of_b else None,
                a_section=f"{one['report']} {one['section']}",
                b_section=f"{other['report']} {other['section']}",
                difference=difference,
                basis=BASIS if known else None,
                verdict=difference_verdict(difference, 0.0),
            )
        )
    return rows


def printed_means(cells: Sequence[Cell]) -> dict[tuple[str, str, str], dict[str, float]]:
    """Mean, sd and n of each (scope, subject, metric) as far as they are printed."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    counts: dict[tuple[str, str], float] = {}
    for cell in cells:
        value, subject = cell["value"], (cell["scope"], cell["subject"])
        if subject[0] not in SCOPES or subject[0] == "level" or value is None:
            continue
        if (cell["metric"], cell["statistic"]) == ("runs", "n"):
            counts.setdefault(subject, value)
        elif cell["statistic"] in ("mean", "sd") and cell["metric"] in _WITH_MOMENTS:
            own = found.setdefault((*subject, cell["metric"]), {})
            own.setdefault(cell["statistic"], value)
    for key, values in found.items():
        if key[:2] in counts:
            values["n"] = counts[key[:2]]
    return {key: values for key, values in found.items() if "mean" in values}


def _place(key: _Key) -> tuple[int, str, str, int]:
    return SCOPES.index(key[0]), key[1], key[2], STATISTICS.index(key[3])


def _numbers(cells: Sequence[Cell]) -> dict[_Key, tuple[Cell, float]]:
    """The first cell of each number. A config that ran once prints a value, its mean."""
    found: dict[_Key, tuple[Cell, float]] = {}
    for cell in cells:
        scope, statistic, value = cell["scope"], cell["statistic"], cell["value"]
        if scope in SCOPES and value is not None and statistic in STATISTICS:
            if (scope, statistic) == ("config", "value"):
                statistic = "mean"
            found.setdefault((scope, cell["subject"], cell["metric"], statistic), (cell, value))
    return found


def _moments(printed: Mapping[str, float] | None) -> Moments | None:
    """(mean, sd, n), if all three are printed and tell of a spread."""
    if printed is None or not printed.get("sd") or printed.get("n", 0) < 2:
        return None
    return printed["mean"], printed["sd"], int(printed["n"])
