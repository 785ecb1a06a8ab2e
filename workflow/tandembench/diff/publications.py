"""Two publications: what both print of one subject, and what their n, mean and sd allow to say."""

from collections.abc import Mapping, Sequence

from tandembench.analysis.findings import Verdict
from tandembench.analysis.intervals import Interval, welch_from_moments
from tandembench.diff.sides import Row

SCOPES = ("overall", "phase", "scenario", "level", "config")
STATISTICS = ("mean", "value", "median", "sd", "min", "max", "peak", "best")
BASIS = "printed n, mean and sd"
_WITH_MOMENTS = ("speedup_estimate", "efficiency_estimate")
Key = tuple[str, str, str, str]


def differences(a: Sequence[Row], b: Sequence[Row]) -> list[Row]:
    """Numbers that both print of one subject: the difference B - A, in the metric's unit.

    Means with n and sd of both have Welch's interval (``basis`` says so); of them more is better.
    All others have none, and no verdict: a printed number alone says nothing of how sure it is.
    """
    left, right = _numbers(a), _numbers(b)
    means = [printed_means(side) for side in (a, b)]
    rows = []
    for key in left.keys() & right.keys():
        scope, subject, metric, statistic = key
        one, other = left[key], right[key]
        moments = [_moments(own.get(key[:3])) if statistic == "mean" else None for own in means]
        difference = Interval(other["value"] - one["value"], None, None, 1)
        basis = None
        if moments[0] and moments[1]:
            difference, basis = welch_from_moments(moments[1], moments[0]), BASIS
        rows.append(
            {
                "scope": scope,
                "subject": subject,
                "metric": metric,
                "statistic": statistic,
                "unit": one["unit"],
                "a": one["value"],
                "b": other["value"],
                "a_n": moments[0][2] if moments[0] else None,
                "b_n": moments[1][2] if moments[1] else None,
                "a_section": f"{one['report']} {one['section']}",
                "b_section": f"{other['report']} {other['section']}",
                "difference": difference,
                "basis": basis,
                "verdict": _sign(difference),
            }
        )
    return sorted(rows, key=_place)


def printed_means(printed: Sequence[Row]) -> dict[tuple[str, str, str], dict[str, float]]:
    """Mean, sd and n of each (scope, subject, metric) as far as they are printed."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    counts: dict[tuple[str, str], float] = {}
    for row in printed:
        if row["scope"] not in ("overall", "phase", "scenario", "config") or row["value"] is None:
            continue
        if (row["metric"], row["statistic"]) == ("runs", "n"):
            counts.setdefault((row["scope"], row["subject"]), row["value"])
        elif row["statistic"] in ("mean", "sd") and row["metric"] in _WITH_MOMENTS:
            key = (row["scope"], row["subject"], row["metric"])
            found.setdefault(key, {}).setdefault(row["statistic"], row["value"])
    for (scope, subject, _), values in found.items():
        if (scope, subject) in counts:
            values["n"] = counts[scope, subject]
    return {key: values for key, values in found.items() if "mean" in values}


def _place(row: Row) -> tuple[object, ...]:
    statistic = STATISTICS.index(row["statistic"])
    return SCOPES.index(row["scope"]), row["subject"], row["metric"], statistic


def _numbers(printed: Sequence[Row]) -> dict[Key, Row]:
    """The first printed row of each number. A config that ran once prints a value, its mean."""
    found: dict[Key, Row] = {}
    for row in printed:
        statistic = row["statistic"]
        if row["scope"] in SCOPES and row["value"] is not None and statistic in STATISTICS:
            if row["scope"] == "config" and statistic == "value":
                statistic = "mean"
            found.setdefault((row["scope"], row["subject"], row["metric"], statistic), row)
    return found


def _moments(printed: Mapping[str, float] | None) -> tuple[float, float, int] | None:
    """(mean, sd, n), if all three are printed and tell of a spread."""
    if printed is None or not printed.get("sd") or printed.get("n", 0) < 2:
        return None
    return printed["mean"], printed["sd"], int(printed["n"])


def _sign(difference: Interval) -> Verdict:
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return "inconclusive"
    return "better" if difference.low > 0 else "worse"
