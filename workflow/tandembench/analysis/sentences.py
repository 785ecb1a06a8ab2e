"""The sentence of a report for a hypothesis: words by its verdict, values by its interval. Pure."""

from tandembench.analysis.hypotheses import Result
from tandembench.analysis.intervals import Interval
from tandembench.study.hypotheses import SELF, Hypothesis, Side


def sentence(result: Result) -> str:
    """One line of plain text without markup: ids, words and numbers only."""
    hypothesis = result.hypothesis
    if result.estimate is None:
        return f"Not testable: {result.reason}."
    statement = f"{_statement(hypothesis, result.estimate)} {_bounds(result.estimate)}".strip()
    rests = [f"expected {hypothesis.expected}", _basis(result)]
    if result.adjusted_p is not None:
        rests.append(f"p = {_p(result.adjusted_p)} among all questions")
    text = f"{result.verdict.capitalize()}: {statement} ({'; '.join(rests)})."
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


def estimate_text(estimate: Interval | None) -> str | None:
    """The estimate with its interval, "1.94 [1.9, 1.98]"; None where there is none."""
    return f"{number(estimate.mean)} {_bounds(estimate)}".strip() if estimate else None


def _basis(result: Result) -> str:
    estimate = result.estimate
    n = estimate.n if estimate else 0
    if result.basis == "printed":
        return "from printed means, sd and n"
    unit = "session" if result.basis == "sessions" else "pair" if result.hypothesis.b else "run"
    return f"n = {n} {unit}{'s' * (n != 1)}"


def _remarks(result: Result) -> list[str]:
    """What must be known beside it."""
    found = []
    if result.verdict == "inconclusive" and result.alone != "inconclusive":
        found.append(f"Asked alone it would be {result.alone}; among so many questions it is not.")
    elif result.verdict == "inconclusive" and result.detectable is not None:
        found.append(f"Such a study finds {detectable_text(result)}.")
    elif result.verdict == "inconclusive":
        found.append("One value has no interval.")
    if result.unapplied:
        found.append(f"No part of it is the effect of {', '.join(result.unapplied)}: not applied.")
    if result.cold:
        found.append(f"{result.cold} cold run{'s' * (result.cold != 1)} left out.")
    if result.basis == "within":
        found.append("It describes the sessions that were measured, not the machine.")
    return found


def detectable_text(result: Result) -> str:
    """What is found with a chance of 80 %: a truth so far from the expected bound."""
    if result.detectable is None:
        return "nothing"
    if result.hypothesis.compare == "ratio":
        return f"a ratio {number(result.detectable)} times the bound, or the inverse"
    return f"what is {number(result.detectable)} off the bound"


def number(value: float) -> str:
    """Three digits, 0.000456 as 4.6e-04."""
    return f"{value:.3g}" if abs(value) >= 0.001 or not value else f"{value:.1e}"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 0.0001 else "under 0.0001"
