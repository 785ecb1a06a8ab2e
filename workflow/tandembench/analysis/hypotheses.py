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
from tandembench.analysis.settings import Check, unapplied
from tandembench.analysis.sides import Observation, observations, paired_difference, paired_ratio
from tandembench.study.hypotheses import SELF, Hypothesis, Side

Verdict = Literal["confirmed", "contradicted", "inconclusive", "not testable"]
# Whether the text of a hypothesis was there before the data.
Declared = Literal["before", "after", "not known"]
# What a publication can be filtered by, and what it calls that.
_SCOPES = {"config_id": "config", "phase": "phase", "scenario": "scenario"}


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
    ``cold`` runs were left out.
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

    @property
    def inside(self) -> bool:
        """Whether the estimate lies where it was expected."""
        one = self.hypothesis
        return self.estimate is not None and one.low <= self.estimate.mean <= one.high


class _NotTestableError(Exception):
    """Why a hypothesis says nothing about these data."""


def judge(
    hypotheses: Sequence[Hypothesis],
    sources: Mapping[str, Source],
    declared: Mapping[str, Declared],
) -> list[Result]:
    """A result for each hypothesis, all of them one family.

    ``sources`` hold SELF and the baselines that they name; ``declared`` is by id.
    """
    results = [_measured(one, sources, declared[one.id]) for one in hypotheses]
    known = [(one, _p(one)) for one in results]
    families = [
        holm([p if p is None or one.inside is inside else 1.0 for one, p in known])
        for inside in (False, True)
    ]
    return [
        _judged(one, p, families[one.inside][place]) if one.estimate else one
        for place, (one, p) in enumerate(known)
    ]


def _judged(one: Result, p: float | None, adjusted_p: float | None) -> Result:
    claim: Verdict = "confirmed" if one.inside else "contradicted"
    alone, verdict = (
        claim if known is not None and known < ALPHA else "inconclusive"
        for known in (p, adjusted_p)
    )
    return replace(one, p=p, adjusted_p=adjusted_p, alone=alone, verdict=verdict)


def _p(one: Result) -> float | None:
    """p of the claim that the truth lies on the side of the bounds on which the estimate does.

    Twice the one-sided p against the nearer bound, so that it is below 0.05 exactly where the 95 %
    interval does not reach that bound. Source: Schuirmann 1987 for the inside.
    """
    if one.estimate is None:
        return None
    estimate, bounds = one.estimate, [one.hypothesis.low, one.hypothesis.high]
    if one.hypothesis.compare == "ratio":
        estimate = logarithm(estimate)
        bounds = [math.log(bound) if bound > 0 else -math.inf for bound in bounds]
    ps = [difference_p(estimate, bound) for bound in bounds if math.isfinite(bound)]
    # Inside, both bounds must be left out; outside, the nearer one is.
    return max((p for p in ps if p is not None), default=None)


def _measured(hypothesis: Hypothesis, sources: Mapping[str, Source], declared: Declared) -> Result:
    """The estimate without a verdict."""
    blank = Result(hypothesis=hypothesis, verdict="not testable", declared=declared)
    sides = [(side, sources[side.dataset]) for side in (hypothesis.a, hypothesis.b) if side]
    with_self = any(side.dataset == SELF for side, _ in sides)
    try:
        for _, source in sides:
            obstacle = source.obstacle or (source.beside_self if with_self else None)
            if obstacle is not None:
                raise _NotTestableError(obstacle)
        printed = any(source.runs is None for _, source in sides)
        return (_of_printed if printed else _of_runs)(blank, sides)
    except _NotTestableError as reason:
        return replace(blank, reason=str(reason))


def _of_runs(blank: Result, sides: Sequence[tuple[Side, Source]]) -> Result:
    hypothesis, metric = blank.hypothesis, blank.hypothesis.metric
    frames = [_selected(*side) for side in sides]
    warm = [frame[~frame["cold"].fillna(value=False).astype(bool)] for frame in frames]
    known = [frame.dropna(subset=[metric]) for frame in warm]
    for name, frame, measured in zip("ab", frames, known, strict=False):
        if frame.empty:
            raise _NotTestableError(f"no valid run of side {name}")
        if measured.empty:
            raise _NotTestableError(f"no {metric} of side {name}")
    workloads: set[str] = set()
    if len(sides) == 2:
        if sides[0][0].dataset == sides[1][0].dataset and {*known[0].index} & {*known[1].index}:
            raise _NotTestableError("both sides hold the same runs")
        workloads = set(known[0]["workload"].dropna()) & set(known[1]["workload"].dropna())
        if workloads:
            known = [frame[frame["workload"].isin(workloads)] for frame in known]
    loose = _not_applied(sides, known)
    by = "workload" if workloads or len(sides) == 1 else "valid"
    a, *others = (
        [
            # Of a session of its own dataset, and by round and work where both did the same.
            one._replace(session=(side.dataset, one.session))
            for cell, group in frame.groupby(by, dropna=False)
            for one in observations(group, metric, cell)
        ]
        for (side, _), frame in zip(sides, known, strict=True)
    )
    constant = hypothesis.constant or 0.0
    b: list[Observation] = others[0] if others else [one._replace(value=constant) for one in a]
    ratio = hypothesis.compare == "ratio"
    if ratio and any(one.value <= 0 for one in (*a, *b)):
        raise _NotTestableError(f"{metric} of 0 or less, which has no ratio")
    result = (paired_ratio if ratio else paired_difference)(a, b)
    if result.interval is None:
        raise _NotTestableError(str(result.reason))
    return replace(
        blank,
        estimate=result.interval,
        basis=result.basis,
        sessions=result.sessions,
        detectable=result.detectable,
        unapplied=loose,
        cold=sum(map(len, frames)) - sum(map(len, warm)),
    )


def _selected(side: Side, source: Source) -> pd.DataFrame:
    if source.runs is None:
        raise ValueError("a publication has no runs")
    runs = source.runs[source.runs["valid"]]
    for column, value in side.filters.items():
        runs = runs[runs[column] == value]
    return runs


def _not_applied(
    sides: Sequence[tuple[Side, Source]], known: Sequence[pd.DataFrame]
) -> tuple[str, ...]:
    """Settings between the sides that do not count; no test if there is nothing else."""
    group = [
        (source.checks, set(frame["config_id"]))
        for (_, source), frame in zip(sides, known, strict=True)
    ]
    chosen = {"topology"} if any("topology" in side.filters for side, _ in sides) else set()
    result = unapplied(group, chosen)
    if result is None:
        return ()
    if result.all or not chosen.isdisjoint(result.factors):
        why = "not applied" if result.reported else "not reported by the servers"
        raise _NotTestableError(f"{why}: {', '.join(result.factors)}")
    return result.factors


def _of_printed(blank: Result, sides: Sequence[tuple[Side, Source]]) -> Result:
    """From moments, at least on one side: repetitions have to be taken for independent."""
    hypothesis = blank.hypothesis
    if hypothesis.compare == "ratio":
        raise _NotTestableError("printed means allow differences only")
    a, *others = (_moments(hypothesis.metric, *side) for side in sides)
    estimate = welch_from_moments(a, *others or [(hypothesis.constant or 0.0, 0.0, a[2])])
    detectable = smallest_detectable_difference(estimate)
    return replace(blank, estimate=estimate, basis="printed", detectable=detectable)


def _moments(metric: str, side: Side, source: Source) -> Moments:
    if source.runs is not None:
        values = _selected(side, source)[metric].dropna()
        if len(values) < 2:
            raise _NotTestableError(f"no two runs with {metric} to set beside printed means")
        return float(values.mean()), float(values.std()), len(values)
    if len(side.filters) > 1 or not set(side.filters) <= set(_SCOPES):
        what = "config, phase or scenario alone"
        raise _NotTestableError(f"{side.dataset} is a publication, which can be filtered by {what}")
    ((scope, subject),) = side.filters.items() or [("overall", "")]
    result = source.printed.get((_SCOPES.get(scope, scope), subject, metric))
    if result is None:
        raise _NotTestableError(f"{side.dataset} prints no mean, sd and n of {metric} there")
    return result


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
    if all(side.dataset != SELF for side in (hypothesis.a, hypothesis.b) if side):
        return "after"
    known = [notes[one].get(hypothesis.id) for one in invocations if notes and one in notes]
    if any(digest != hypothesis.digest for digest in known):
        return "after"
    return "before" if known and len(known) == len(invocations) else "not known"
