"""Details, "Root cause": where the loss comes from, as numbers and in words."""

from dataclasses import dataclass

import pandas as pd

from tandembench.analysis.attribution import Group, Split, attribution
from tandembench.analysis.intervals import Interval
from tandembench.dataset.load import Dataset
from tandembench.report.formats import interval, percent
from tandembench.report.render import render
from tandembench.report.words import say
from tandembench.text import as_json, counted


@dataclass(frozen=True, slots=True)
class AttributionSection:
    """What is true of ``groups`` of runs; sentences are one for each topology and work."""

    groups: tuple[Group, ...]
    estimated: tuple[str, ...]
    true: tuple[str, ...]
    lengths: tuple[str, ...]


def attribution_section(
    runs: pd.DataFrame, executions: pd.DataFrame, margin: float
) -> AttributionSection | None:
    """Where the loss comes from; None where no valid run has two agents or more."""
    every = attribution(runs, executions, margin)
    groups = [one for one in every if one.topology and not one.scenario]
    if not groups:
        return None
    return AttributionSection(
        groups=every,
        estimated=tuple(
            " ".join([_largest("largest", one, one.estimate), _outside(one)]) for one in groups
        ),
        true=tuple(
            " ".join([_largest("largest_true", one, one.true), _sharing(one)])
            for one in groups
            if one.true
        ),
        lengths=tuple(_lengths(one) for one in groups if one.predictions),
    )


def as_text(dataset: Dataset, style: str) -> str:
    """The attribution of ``dataset`` as Markdown or, by ``style`` "json", for programs."""
    margin = float(dataset.descriptor["study"]["margin"])
    section = attribution_section(dataset.runs, dataset.executions, margin)
    if style == "json":
        return as_json({"groups": section.groups if section else []})
    if section is None:
        return say("attribution", "nothing") + "\n"
    return render({"attribution": section, "margin": margin}, "attribution.md.j2")


def _largest(finding: str, group: Group, split: Split) -> str:
    return say(finding, split.largest, group=_name(group))


def _name(group: Group) -> str:
    return f"{group.topology} ({group.work} work)"


def _outside(group: Group) -> str:
    part = group.estimate.parts["orchestration_loss"]
    if part is None or part.share is None:
        return say("outside", "no_loss")
    if group.in_turn:
        return say("outside", "in_turn", share=percent(part.share.mean, 2))
    return _said("outside", group.outside, part.share)


def _sharing(group: Group) -> str:
    part = group.true.parts["contention"] if group.true else None
    if part is None:
        return say("sharing", "one_run")
    cost = part.mean
    if group.sharing == "below" and cost.low is not None and cost.high is not None:
        cost = Interval(-cost.mean, -cost.high, -cost.low, cost.n)
    return _said("sharing", group.sharing, cost)


def _said(finding: str, verdict: str, share: Interval) -> str:
    if share.low is None or share.high is None:
        return say(finding, "one_run")
    places = {"share": share.mean, "low": share.low, "high": share.high}
    return say(finding, verdict, **{name: percent(value, 2) for name, value in places.items()})


def _lengths(group: Group) -> str:
    result = group.predictions
    if result is None or result.by is None:
        return say("lengths", "unexplained", group=_name(group))
    shows = result.rows[result.by]
    places = {
        "group": _name(group),
        "predicted": percent(shows.predicted),
        "measured": percent(shows.measured),
        "runs": counted(shows.n, "run"),
    }
    if result.finding == "lengths":
        r = interval(shows.correlation, 3)
        return say("lengths", result.finding, served=say("served", result.by), r=r, **places)
    return say("lengths", result.finding, **places)
