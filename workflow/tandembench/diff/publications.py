"""Two publications: what both print of one subject, and what their n, mean and sd allow to say."""

from collections.abc import Mapping, Sequence

from tandembench.diff.sides import Row
from tandembench.stats.intervals import Interval, welch_from_moments
from tandembench.stats.verdicts import Verdict

SCOPES = ("overall", "phase", "scenario", "level", "config")
# More is better; of other metrics no interval can be made, and so nothing said.
_BETTER = ("speedup_estimate", "efficiency_estimate")
_STATISTICS = ("mean", "value", "median", "sd", "min", "max", "peak", "best")
BASIS = "printed n, mean and sd"
Key = tuple[str, str, str, str]


def differences(a: Sequence[Row], b: Sequence[Row]) -> list[Row]:
    """Numbers that both print of one subject: the difference B - A, in the metric's unit.

    Means with n and sd of both have Welch's interval (``basis`` says so). All others have none,
    and no verdict: a printed number alone says nothing of how sure it is.
    """
    left, right = _numbers(a), _numbers(b)
    rows = []
    for key in left.keys() & right.keys():
        if key[2:] == ("runs", "n"):
            continue
        scope, subject, metric, statistic = key
        one, other = left[key], right[key]
        moments = [_moments(side, key) for side in (right, left)]
        difference = Interval(other["value"] - one["value"], None, None, 1)
        basis = None
        if moments[0] and moments[1] and metric in _BETTER:
            difference, basis = welch_from_moments(moments[0], moments[1]), BASIS
        rows.append(
            {
                "scope": scope,
                "subject": subject,
                "metric": metric,
                "statistic": statistic,
                "unit": one["unit"],
                "a": one["value"],
                "b": other["value"],
                "a_n": moments[1][2] if moments[1] else None,
                "b_n": moments[0][2] if moments[0] else None,
                "a_section": f"{one['report']} {one['section']}",
                "b_section": f"{other['report']} {other['section']}",
                "difference": difference,
                "basis": basis,
                "verdict": _sign(difference),
            }
        )
    return sorted(rows, key=_place)


def _place(row: Row) -> tuple[object, ...]:
    statistic = _STATISTICS.index(row["statistic"])
    return SCOPES.index(row["scope"]), row["subject"], row["metric"], statistic


def _numbers(printed: Sequence[Row]) -> dict[Key, Row]:
    """One printed row of each number: the one with most digits, the first of equals.

    A config that ran once prints a value, which is its mean.
    """
    found: dict[Key, Row] = {}
    for row in printed:
        statistic = row["statistic"]
        if row["scope"] not in SCOPES or row["value"] is None:
            continue
        if statistic not in _STATISTICS and (row["metric"], statistic) != ("runs", "n"):
            continue
        if row["scope"] == "config" and statistic == "value":
            statistic = "mean"
        key = row["scope"], row["subject"], row["metric"], statistic
        if key not in found or (row["resolution"] or 0) < (found[key]["resolution"] or 0):
            found[key] = row
    return found


def _moments(side: Mapping[Key, Row], key: Key) -> tuple[float, float, int] | None:
    """(mean, sd, n) of what a mean is printed of, if all three are."""
    scope, subject, metric, statistic = key
    sd = side.get((scope, subject, metric, "sd"))
    n = side.get((scope, subject, "runs", "n"))
    if statistic != "mean" or not sd or not n or not sd["value"] or n["value"] < 2:
        return None
    return side[key]["value"], sd["value"], int(n["value"])


def _sign(difference: Interval) -> Verdict:
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return "inconclusive"
    return "better" if difference.low > 0 else "worse"
