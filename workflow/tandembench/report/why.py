"""Section "Why": who is served when, what sharing costs each, and where the time goes, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from tandembench.analysis.findings import Answer
from tandembench.analysis.service import PARTS, Losses, Service
from tandembench.report.formats import bounded, counted, number, ordinal, percent
from tandembench.report.said import called, ordered
from tandembench.report.words import say

# From here on an agent that waits for the others counts as one that waits its turn.
_WAITS = 1.5
# A part of the loss that is told of, as a share of all.
_MATTERS = 0.05


@dataclass(frozen=True, slots=True)
class Served:
    """A row of the agents' table, as text."""

    name: str
    order: str
    first_token: str
    slowdown: str


@dataclass(frozen=True, slots=True)
class Split:
    """A row of the losses' table, as text; ``parts`` are parallel to PARTS."""

    name: str
    alone: str
    efficiency: str
    parts: tuple[str, ...]
    jain: str


@dataclass(frozen=True, slots=True)
class Why:
    """``heads`` are those of the parts that any row has more than nothing of."""

    sentences: tuple[str, ...]
    served: tuple[Served, ...]
    heads: tuple[str, ...]
    splits: tuple[Split, ...]


def why(answer: Answer, services: Sequence[Service], losses: Sequence[Losses]) -> Why | None:
    """What a comparison shows of its configs; None where no run was valid."""
    if not services:
        return None
    places = {row.config_id: place for place, row in enumerate(ordered(answer))}
    services = sorted(services, key=lambda one: (places[one.config_id], one.order))
    losses = sorted(losses, key=lambda one: places[one.config_id])
    sentences = [
        sentence
        for _, own in groupby(services, key=lambda one: one.config_id)
        for sentence in _slowdown(answer, list(own))
    ]
    shown = next((row.config_id for row in ordered(answer) if not row.is_reference), None)
    sentences += [_loss(answer, one) for one in losses if one.config_id == shown]
    kept = [
        place
        for place in range(len(PARTS))
        if any(abs(one.parts[place]) >= 0.0005 for one in losses)
    ]
    return Why(
        sentences=tuple(sentences),
        served=tuple(_served(answer, one) for one in services),
        heads=tuple(say("parts", PARTS[place]) for place in kept),
        splits=tuple(_split(answer, one, kept) for one in losses),
    )


def _served(answer: Answer, one: Service) -> Served:
    ratio = one.slowdown
    return Served(
        name=called(answer, one.config_id),
        order=ordinal(one.order),
        first_token=number(one.first_token_s),
        slowdown=bounded(ratio.value, ratio.low, ratio.high) if ratio else number(None),
    )


def _split(answer: Answer, one: Losses, kept: Sequence[int]) -> Split:
    return Split(
        name=called(answer, one.config_id),
        alone=say("alone", "unknown")
        if one.threads_alone is None
        else say("alone", "known", threads=counted(one.threads_alone, "thread")),
        efficiency=percent(one.efficiency),
        parts=tuple(percent(one.parts[place]) for place in kept),
        jain=number(one.jain),
    )


def _slowdown(answer: Answer, services: Sequence[Service]) -> list[str]:
    """What sharing does to the agents of one config; nothing where none was measured alone."""
    slowdowns = [one.slowdown for one in services if one.slowdown]
    if len(slowdowns) < max(len(services), 2):
        return []
    name = called(answer, services[0].config_id)
    first, last = slowdowns[0].value, slowdowns[-1].value
    if last >= _WAITS * first:
        places = {"first": number(first), "last": number(last)}
        return [say("why_slowdown", "in_turn", name=name, **places)]
    if all(one.high is not None and one.high < 1 + answer.margin for one in slowdowns):
        return [say("why_slowdown", "none", name=name, margin=percent(answer.margin, None))]
    if number(first, 1) == number(last, 1):
        return [say("why_slowdown", "alike", name=name, first=number(first, 1))]
    return [say("why_slowdown", "shared", name=name, first=number(first), last=number(last))]


def _loss(answer: Answer, losses: Losses) -> str:
    """Where most of what is lost of a config's time goes."""
    name = called(answer, losses.config_id)
    share, part = max(zip(losses.parts, PARTS, strict=True))
    if share < _MATTERS:
        return say("why_loss", "none", name=name, efficiency=percent(losses.efficiency, 0))
    return say("why_loss", part, name=name, share=percent(share, 0))
