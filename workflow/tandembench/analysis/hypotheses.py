"""Hypotheses against data: a verdict for each, which holds in the family of all. Pure.

A hypothesis says where a ratio or difference lies: in a region of one or two bounds. It is
confirmed if the 95 % interval lies inside, contradicted if it lies outside, else inconclusive; an
interval and its p go together. Claims to be confirmed and claims to be contradicted are two
families, each with Holm's adjustment over all hypotheses that could be tested.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas as pd

from tandembench.analysis.intervals import (
    ALPHA,
    Basis,
    Interval,
    Moments,
    difference_p,
    holm,
    logarithm,
    smallest_detectable_difference,
    welch_from_moments,
)
from tandembench.analysis.settings import Check, Unapplied, unapplied
from tandembench.analysis.sides import (
    NOTHING_MEASURED,
    Comparison,
    Observation,
    observations,
    paired_difference,
    paired_ratio,
)
from tandembench.study.hypotheses import SELF, Hypothesis, Side

Verdict = Literal["confirmed", "contradicted", "inconclusive", "not testable"]
# Whether the text of a hypothesis was there before the data.
Declared = Literal["before", "after", "not known"]


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset: its ``runs``, or, if it is a publication, the ``printed`` moments.

    ``printed`` maps (scope, subject, metric) to (mean, sd, n). ``checks`` are the settings that
    configs asked for; ``obstacle`` is why it cannot be used at all, ``beside_self`` why it may not
    be compared with the study's own dataset.
    """

    runs: pd.DataFrame | None = None
    printed: Mapping[tuple[str, str, str], Moments] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    obstacle: str | None = None
    beside_self: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one hypothesis.

    ``estimate``: the ratio or difference with its 95 % interval; None where it is "not testable",
    and then ``reason`` says why. ``alone`` is the verdict of the interval by itself. ``p`` is that
    of the claim that the estimate speaks for, ``adjusted_p`` Holm's. ``basis``: "sessions",
    "within" one or two of them, or "printed" moments. ``detectable``: what such a study finds with
    a chance of 80 %, a ratio above 1 or a difference above 0, from a bound of the region.
    ``unapplied`` are settings in which the sides differ, beside others, that were not applied;
    ``cold`` runs were left out; ``workloads`` are those in which the sides were paired, 0 if none.
    """

    hypothesis: Hypothesis
    verdict: Verdict
    declared: Declared
    alone: Verdict = "not testable"
    estimate: Interval | None = None
    basis: Basis | Literal["printed"] | None = None
    sessions: int = 0
    p: float | None = None
    adjusted_p: float | None = None
    detectable: float | None = None
    reason: str | None = None
    unapplied: tuple[str, ...] = ()
    cold: int = 0
    workloads: int = 0


class _NotTestableError(Exception):
    """Why a hypothesis says nothing about these data."""


def judge(
    hypotheses: Sequence[Hypothesis],
    sources: Mapping[str, Source],
    declared: Mapping[str, Declared],
) -> list[Result]:
    """A result for each hypothesis. ``sources`` hold SELF and the baselines that they name.

    ``declared`` is by id. All of them are one family.
    """
    results = [_measured(one, sources, declared[one.id]) for one in hypotheses]
    confirming, contradicting = (
        holm([_claim_p(one, inside=inside) for one in results]) for inside in (True, False)
    )
    return [
        _judged(result, yes, no)
        for result, yes, no in zip(results, confirming, contradicting, strict=True)
    ]


def _judged(result: Result, confirming: float | None, contradicting: float | None) -> Result:
    if result.estimate is None:
        return result
    inside = _inside(result.hypothesis, result.estimate.mean)
    p, adjusted = _claim_p(result, inside), confirming if inside else contradicting
    claim: Verdict = "confirmed" if inside else "contradicted"
    return replace(
        result,
        p=p,
        adjusted_p=adjusted,
        alone=claim if p is not None and p < ALPHA else "inconclusive",
        verdict=claim if adjusted is not None and adjusted < ALPHA else "inconclusive",
    )


def _measured(hypothesis: Hypothesis, sources: Mapping[str, Source], declared: Declared) -> Result:
    """The estimate without a verdict."""
    blank = Result(hypothesis=hypothesis, verdict="not testable", declared=declared)
    sides = [hypothesis.a] + ([hypothesis.b] if hypothesis.b else [])
    try:
        _check_comparable(sides, sources)
        if any(sources[side.dataset].runs is None for side in sides):
            return _of_printed(blank, sides, sources)
        return _of_runs(blank, sides, sources)
    except _NotTestableError as reason:
        return replace(blank, reason=str(reason))


def _check_comparable(sides: Sequence[Side], sources: Mapping[str, Source]) -> None:
    with_self = any(side.dataset == SELF for side in sides)
    for side in sides:
        source = sources[side.dataset]
        obstacle = source.obstacle or (source.beside_self if with_self else None)
        if obstacle is not None:
            raise _NotTestableError(obstacle)


def _of_runs(blank: Result, sides: Sequence[Side], sources: Mapping[str, Source]) -> Result:
    hypothesis = blank.hypothesis
    frames = [_selected(side, sources[side.dataset]) for side in sides]
    warm = [frame[~frame["cold"].fillna(value=False).astype(bool)] for frame in frames]
    known = [frame.dropna(subset=[hypothesis.metric]) for frame in warm]
    names = ("a", "b")[: len(sides)]
    for name, frame, measured in zip(names, frames, known, strict=True):
        if frame.empty:
            raise _NotTestableError(f"no valid run of side {name}")
        if measured.empty:
            raise _NotTestableError(f"no {hypothesis.metric} of side {name}")
    workloads: set[str] = set()
    if len(sides) == 2:
        if sides[0].dataset == sides[1].dataset and set(known[0].index) & set(known[1].index):
            raise _NotTestableError("both sides hold the same runs")
        workloads = set(known[0]["workload"].dropna()) & set(known[1]["workload"].dropna())
        if workloads:
            known = [frame[frame["workload"].isin(workloads)] for frame in known]
    loose = _not_applied(sides, known, sources)
    observed = [
        _observations(frame, hypothesis.metric, side.dataset, bool(workloads) or len(sides) == 1)
        for frame, side in zip(known, sides, strict=True)
    ]
    if hypothesis.compare == "ratio" and any(one.value <= 0 for own in observed for one in own):
        raise _NotTestableError(f"{hypothesis.metric} of 0 or less, which has no ratio")
    found = _compared(hypothesis, observed)
    if found.interval is None:
        raise _NotTestableError(found.reason or NOTHING_MEASURED)
    return replace(
        blank,
        estimate=found.interval,
        basis=found.basis,
        sessions=found.sessions,
        detectable=found.detectable,
        unapplied=loose.factors if loose else (),
        cold=sum(map(len, frames)) - sum(map(len, warm)),
        workloads=len(workloads),
    )


def _selected(side: Side, source: Source) -> pd.DataFrame:
    if source.runs is None:
        raise ValueError("a publication has no runs")
    runs = source.runs[source.runs["valid"]]
    for column, value in side.filters.items():
        runs = runs[runs[column] == value]
    return runs


def _not_applied(
    sides: Sequence[Side], known: Sequence[pd.DataFrame], sources: Mapping[str, Source]
) -> Unapplied | None:
    """Settings between the sides that do not count; no test if there is nothing else."""
    own = [
        (sources[side.dataset].checks, set(frame["config_id"]))
        for side, frame in zip(sides, known, strict=True)
    ]
    chosen = {"topology"} if any("topology" in side.filters for side in sides) else set()
    found = unapplied(own, chosen)
    if found is not None and (found.all or not chosen.isdisjoint(found.factors)):
        why = "not applied" if found.reported else "not reported by the servers"
        raise _NotTestableError(f"{why}: {', '.join(found.factors)}")
    return found


def _observations(
    runs: pd.DataFrame, metric: str, dataset: str, by_workload: bool
) -> list[Observation]:
    """Values that pair by round, or by round and work; of a session of their own dataset."""
    cells = runs.groupby("workload", dropna=False) if by_workload else [(None, runs)]
    return [
        one._replace(session=(dataset, one.session))
        for cell, own in cells
        for one in observations(own, metric, cell)
    ]


def _compared(hypothesis: Hypothesis, observed: Sequence[Sequence[Observation]]) -> Comparison:
    """Both sides, or the one against its constant, which was then measured wherever it was."""
    constant = hypothesis.constant or 0.0
    a, *others = observed
    b = others[0] if others else [one._replace(value=constant) for one in a]
    return (paired_ratio if hypothesis.compare == "ratio" else paired_difference)(a, b)


def _of_printed(blank: Result, sides: Sequence[Side], sources: Mapping[str, Source]) -> Result:
    """From moments, at least on one side: repetitions have to be taken for independent."""
    hypothesis = blank.hypothesis
    if hypothesis.compare == "ratio":
        raise _NotTestableError("printed means allow differences only")
    moments = [_moments(hypothesis, side, sources[side.dataset]) for side in sides]
    if len(moments) == 1:
        moments.append((hypothesis.constant or 0.0, 0.0, moments[0][2]))
    estimate = welch_from_moments(moments[0], moments[1])
    return replace(
        blank,
        estimate=estimate,
        basis="printed",
        detectable=smallest_detectable_difference(estimate),
    )


def _moments(hypothesis: Hypothesis, side: Side, source: Source) -> Moments:
    metric = hypothesis.metric
    if source.runs is not None:
        values = _selected(side, source)[metric].dropna()
        if len(values) < 2:
            raise _NotTestableError(f"no two runs with {metric} to set beside printed means")
        return float(values.mean()), float(values.std()), len(values)
    scopes = {"config_id": "config", "phase": "phase", "scenario": "scenario"}
    if len(side.filters) > 1 or not set(side.filters) <= set(scopes):
        what = "config, phase or scenario alone"
        raise _NotTestableError(f"{side.dataset} is a publication, which can be filtered by {what}")
    ((scope, subject),) = side.filters.items() or [("overall", "")]
    found = source.printed.get((scopes.get(scope, scope), subject, metric))
    if found is None:
        raise _NotTestableError(f"{side.dataset} prints no mean, sd and n of {metric} there")
    return found


def _inside(hypothesis: Hypothesis, value: float) -> bool:
    return hypothesis.low <= value <= hypothesis.high


def _claim_p(result: Result, inside: bool) -> float | None:
    """p of the claim that the truth lies inside the region, or outside; 1 if the estimate does not.

    Twice the one-sided p against the nearer bound, so that it is below 0.05 exactly where the 95 %
    interval does not reach that bound. Source: Schuirmann 1987 for the inside.
    """
    hypothesis, estimate = result.hypothesis, result.estimate
    if estimate is None or estimate.low is None:
        return None
    bounds = [hypothesis.low, hypothesis.high]
    if hypothesis.compare == "ratio":
        estimate = logarithm(estimate)
        bounds = [math.log(bound) if bound > 0 else -math.inf for bound in bounds]
    if _inside(hypothesis, result.estimate.mean if result.estimate else math.nan) is not inside:
        return 1.0
    known = [difference_p(estimate, bound) for bound in bounds if math.isfinite(bound)]
    ps = [p for p in known if p is not None]
    # Inside, both bounds must be left out; outside, the nearer one is.
    return max(ps, default=None)


def declared(
    hypothesis: Hypothesis,
    invocations: Sequence[str],
    notes: Mapping[str, Mapping[str, str]] | None,
) -> Declared:
    """Whether the hypothesis stood as it stands before any of the data was measured.

    ``invocations`` measured the runs ("" where a run does not tell); ``notes`` hold, by
    invocation, the digests of the hypotheses at its start, by id. Data that were there already,
    as a baseline's, make it "after".
    """
    sides = [side for side in (hypothesis.a, hypothesis.b) if side]
    if all(side.dataset != SELF for side in sides):
        return "after"
    stood = notes or {}
    known = [stood[one].get(hypothesis.id) for one in invocations if one in stood]
    if any(digest != hypothesis.digest for digest in known):
        return "after"
    return "before" if known and len(known) == len(invocations) else "not known"
