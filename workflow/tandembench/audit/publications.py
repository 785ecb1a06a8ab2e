"""Two publications: what both print of one subject, and what their n, mean and sd allow to say."""

from collections.abc import Sequence
from typing import TypedDict

from tandembench.analysis.findings import Verdict
from tandembench.analysis.intervals import Interval, difference_verdict, welch_from_moments
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
    left, right, rows = _numbers(a), _numbers(b), []
    means = printed_means(a), printed_means(b)
    for key in sorted(left.keys() & right.keys(), key=_place):
        (one, value), (other, value_b) = left[key], right[key]
        of = [side[key[:3]] for side in means if key[3] == "mean" and key[:3] in side]
        of = [moments for moments in of if moments[1] and moments[2] > 1]
        difference, basis = Interval(value_b - value, None, None, 1), None
        if len(of) == len(means):
            difference, basis = welch_from_moments(of[1], of[0]), BASIS
        rows.append(
            Both(
                scope=key[0],
                subject=key[1],
                metric=key[2],
                statistic=key[3],
                unit=one["unit"],
                a=value,
                b=value_b,
                a_n=of[0][2] if basis else None,
                b_n=of[1][2] if basis else None,
                a_section=f"{one['report']} {one['section']}",
                b_section=f"{other['report']} {other['section']}",
                difference=difference,
                basis=basis,
                verdict=difference_verdict(difference, 0.0),
            )
        )
    return rows


def printed_means(cells: Sequence[Cell]) -> dict[tuple[str, str, str], tuple[float, float, int]]:
    """Mean, sd and n of each (scope, subject, metric); sd 0 and n 1 where they are not printed."""
    result = _numbers(cells)
    counts = {
        (cell["scope"], cell["subject"]): int(cell["value"] or 0)
        for cell in reversed(cells)
        if (cell["metric"], cell["statistic"]) == ("runs", "n")
    }
    means = {}
    for (scope, subject, metric, statistic), (_, mean) in result.items():
        if statistic == "mean" and metric in _WITH_MOMENTS and scope != "level":
            _, sd = result.get((scope, subject, metric, "sd"), (None, 0.0))
            means[scope, subject, metric] = (mean, sd, counts.get((scope, subject), 1))
    return means


def _place(key: _Key) -> tuple[int, str, str, int]:
    return SCOPES.index(key[0]), key[1], key[2], STATISTICS.index(key[3])


def _numbers(cells: Sequence[Cell]) -> dict[_Key, tuple[Cell, float]]:
    """The first cell of each number. A config that ran once prints a value, its mean."""
    result: dict[_Key, tuple[Cell, float]] = {}
    for cell in cells:
        scope, statistic, value = cell["scope"], cell["statistic"], cell["value"]
        if scope in SCOPES and value is not None and statistic in STATISTICS:
            if (scope, statistic) == ("config", "value"):
                statistic = "mean"
            result.setdefault((scope, cell["subject"], cell["metric"], statistic), (cell, value))
    return result
