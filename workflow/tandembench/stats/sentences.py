"""The sentence of a report for a hypothesis: words by its verdict, values by its interval. Pure."""

from tandembench.stats.hypotheses import Result
from tandembench.stats.intervals import Interval
from tandembench.study.hypotheses import SELF, Hypothesis, Side


def sentence(result: Result) -> str:
    """One line of plain text without markup: ids, words and numbers only."""
    hypothesis = result.hypothesis
    if result.estimate is None:
        return f"Not testable: {result.reason}."
    parts = [f"{_statement(hypothesis, result.estimate)} {_bounds(result.estimate)}".strip()]
    parts.append(f"expected {hypothesis.expected}")
    parts.append(_basis(result))
    if result.adjusted_p is not None:
        parts.append(f"p = {_p(result.adjusted_p)} in the family")
    text = f"{result.verdict.capitalize()}: {parts[0]} ({'; '.join(parts[1:])})."
    return " ".join([text, *_remarks(result)])


def _statement(hypothesis: Hypothesis, estimate: Interval) -> str:
    a = f"{hypothesis.metric} {_place(hypothesis.a)}"
    value = number(estimate.mean)
    if hypothesis.b is None:
        constant = hypothesis.constant or 0.0
        if hypothesis.compare == "ratio":
            return f"{a} is {value} times {number(constant)}"
        return f"{a} is {value}" if constant == 0 else f"{a}, less {number(constant)}, is {value}"
    b = f"that {_place(hypothesis.b)}"
    if hypothesis.compare == "ratio":
        return f"{a} is {value} times {b}"
    return f"{a}, less {b}, is {value}"


def _place(side: Side) -> str:
    """Where the runs of a side are, as "in dual, fixed work"."""
    words = [
        f"{value} work" if column == "work_policy" else value
        for column, value in side.filters.items()
    ]
    where = f"in {', '.join(words)}" if words else "in all runs"
    return where if side.dataset == SELF else f"{where} of {side.dataset}"


def _bounds(estimate: Interval) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{number(estimate.low)}, {number(estimate.high)}]"


def _basis(result: Result) -> str:
    estimate = result.estimate
    n = estimate.n if estimate else 0
    if result.basis == "printed":
        return "from printed means, sd and n"
    unit = "session" if result.basis == "sessions" else "round"
    return f"n = {n} {unit}{'s' * (n != 1)}"


def _remarks(result: Result) -> list[str]:
    """What must be known beside it."""
    found = []
    if result.verdict == "inconclusive" and result.alone != "inconclusive":
        found.append(f"By itself it would be {result.alone}, but not among so many questions.")
    elif result.verdict == "inconclusive" and result.detectable is not None:
        found.append(f"Such a study finds {_detectable(result)}.")
    elif result.verdict == "inconclusive":
        found.append("One value has no interval.")
    if result.unapplied:
        found.append(f"No part of it is the effect of {', '.join(result.unapplied)}: not applied.")
    if result.cold:
        found.append(f"{result.cold} cold run{'s' * (result.cold != 1)} left out.")
    if result.basis == "within":
        found.append("It describes the sessions that were measured, not the machine.")
    return found


def _detectable(result: Result) -> str:
    value = result.detectable or 0.0
    if result.hypothesis.compare == "ratio":
        return f"{number(value)} times a bound and above, or {number(1 / value)} and below"
    return f"{number(value)} beyond a bound and above"


def number(value: float) -> str:
    """Three digits; small ones as they are."""
    return f"{value + 0.0:.3g}"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 0.0001 else "under 0.0001"
