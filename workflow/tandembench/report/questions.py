"""Questions asked beforehand: what was expected, and what came of it, a sentence each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from tandembench.analysis.hypotheses import Declared, Result, Source, Verdict, declared, judge
from tandembench.analysis.intervals import Interval
from tandembench.analysis.settings import checks
from tandembench.audit.publications import printed_means
from tandembench.audit.sides import open_side
from tandembench.dataset.load import Dataset
from tandembench.dataset.versions import ROOT
from tandembench.diff.compare import obstacles
from tandembench.errors import EXIT_USAGE, TandemError
from tandembench.report.formats import NOTHING, listed
from tandembench.report.render import render
from tandembench.report.words import say
from tandembench.study.hypotheses import SELF, Hypothesis, Side
from tandembench.text import as_json, counted


@dataclass(frozen=True, slots=True)
class Question:
    """A hypothesis and what came of it: its ``result``, and that as texts, some of them foreign."""

    id: str
    question: str
    verdict: Verdict
    declared: Declared
    a: str
    b: str
    estimate: str
    detectable: str
    sentence: str
    result: Result


@dataclass(frozen=True, slots=True)
class HypothesesSection:
    """``counts``: how many have each verdict."""

    rows: tuple[Question, ...]
    counts: Mapping[Verdict, int]


def hypotheses_section(
    dataset: Dataset, hypotheses: Sequence[Hypothesis], root: Path = ROOT
) -> HypothesesSection | None:
    """The hypotheses with their results; None where none was declared.

    Baselines that they name are looked up under ``root``; one that is not there, or that may not
    be compared with ``dataset``, makes them "not testable".
    """
    if not hypotheses:
        return None
    names = {side.dataset for one in hypotheses for side in (one.a, one.b) if side} - {SELF}
    sources = {SELF: _of_runs(dataset)} | {name: _opened(name, dataset, root) for name in names}
    notes = dataset.descriptor.get("declared")
    invocations = dataset.runs["invocation"].fillna("").astype(str).unique().tolist()
    when = {one.id: declared(one, invocations, notes) for one in hypotheses}
    results = judge(hypotheses, sources, when)
    counts = Counter(one.verdict for one in results)
    return HypothesesSection(
        rows=tuple(_question(one) for one in results),
        counts={name: counts[name] for name in get_args(Verdict)},
    )


def as_text(section: HypothesesSection, style: str) -> str:
    """The same as Markdown or, by ``style`` "json", for programs."""
    if style == "json":
        return as_json({"hypotheses": section.rows, "counts": section.counts})
    return render({"hypotheses": section}, "hypotheses.md.j2")


def _of_runs(dataset: Dataset) -> Source:
    threads = dataset.descriptor["study"].get("threads_total")
    return Source(runs=dataset.runs, checks=checks(dataset.executions, threads))


def _opened(name: str, dataset: Dataset, root: Path) -> Source:
    try:
        side = open_side(name, root)
    except TandemError as error:
        if error.exit_code != EXIT_USAGE:
            raise
        return Source(obstacle=f"no baseline {name}")
    if side.dataset is None:
        means = printed_means(side.printed).items()
        return Source(printed={key: one for key, one in means if one[1] and one[2] > 1})
    result = obstacles(dataset, side.dataset)
    return replace(_of_runs(side.dataset), beside_self=result[0] if result else None)


def _question(result: Result) -> Question:
    one = result.hypothesis
    return Question(
        id=one.id,
        question=one.question,
        verdict=result.verdict,
        declared=result.declared,
        a=_side(one.a),
        b=_side(one.b) if one.b else _number(one.constant),
        estimate=_bounded(result.estimate),
        detectable=_number(result.detectable),
        sentence=" ".join([_sentence(result), *_remarks(result)]),
        result=result,
    )


def _side(side: Side) -> str:
    """Where the runs of a side are, as "dual, fixed work"."""
    words = [
        say("hypothesis_side", "work", work=value) if column == "work_policy" else value
        for column, value in side.filters.items()
    ]
    runs = ", ".join(words) or say("hypothesis_side", "all")
    if side.dataset == SELF:
        return runs
    return say("hypothesis_side", "of", runs=runs, dataset=side.dataset)


def _sentence(result: Result) -> str:
    one, estimate, p = result.hypothesis, result.estimate, result.adjusted_p
    if estimate is None:
        return say("hypothesis", "not_testable", reason=str(result.reason))
    constant = "" if one.b else "_constant" if one.constant else "_zero"
    unit = "session" if result.basis == "sessions" else "pair" if one.b else "run"
    return say(
        "hypothesis",
        result.verdict,
        statement=say(
            "hypothesis_statement",
            one.compare + constant,
            metric=one.metric,
            a=_side(one.a),
            estimate=_bounded(estimate),
            **(
                {}
                if constant == "_zero"
                else {"b": _side(one.b) if one.b else _number(one.constant)}
            ),
        ),
        expected=one.expected,
        basis=say("hypothesis_basis", result.basis or "within", n=counted(estimate.n, unit)),
        p=NOTHING if p is None else f"{p:.2g}" if p >= 0.0001 else "under 0.0001",
    )


def _remarks(result: Result) -> list[str]:
    """What must be known beside it."""
    remarks = []
    if result.verdict == "inconclusive":
        if result.alone != "inconclusive":
            remarks.append(say("hypothesis_remark", "family", alone=result.alone))
        elif result.detectable is None:
            remarks.append(say("hypothesis_remark", "one_value"))
        else:
            shows = f"detectable_{result.hypothesis.compare}"
            remarks.append(say("hypothesis_remark", shows, detectable=_number(result.detectable)))
    if result.unapplied:
        names = listed(result.unapplied)
        remarks.append(say("hypothesis_remark", "unapplied", settings=names))
    if result.cold:
        remarks.append(say("hypothesis_remark", "cold", runs=counted(result.cold, "cold run")))
    if result.basis == "within":
        remarks.append(say("hypothesis_remark", "within"))
    return remarks


def _bounded(estimate: Interval | None) -> str:
    """An estimate with its interval, "1.94 [1.9, 1.98]"."""
    if estimate is None or estimate.low is None:
        return _number(estimate.mean if estimate else None)
    return f"{_number(estimate.mean)} [{_number(estimate.low)}, {_number(estimate.high)}]"


def _number(value: float | None) -> str:
    """Three digits, 0.000456 as 4.6e-04: a metric may have any unit."""
    if value is None:
        return NOTHING
    return f"{value:.3g}" if abs(value) >= 0.001 or not value else f"{value:.1e}"
