"""Sections "Why" (who is served when, what sharing costs, where time goes) and "What to set"."""

from collections.abc import Sequence

import pandas as pd

from tandembench.analysis.criteria import Judged
from tandembench.analysis.findings import Answer
from tandembench.analysis.groups import Row
from tandembench.analysis.service import PARTS, Losses, Service
from tandembench.report.copied import ollama_servers, study_entry
from tandembench.report.formats import bounded, listed, number, ordinal, percent
from tandembench.report.said import called, ordered
from tandembench.report.sections import Code, Points, Section, Shown, Table, section, table
from tandembench.report.words import say
from tandembench.text import counted

# A part of the loss that is told of, as a share of all.
_MATTERS = 0.05


def why(
    answer: Answer, services: Sequence[Service], losses: Sequence[Losses], figures: Sequence[Shown]
) -> Section:
    """What a comparison shows of its configs; empty where no run was valid."""
    if not services:
        return section(say("title", "why"), level=2)
    places = {row.config_id: place for place, row in enumerate(ordered(answer))}
    services = sorted(services, key=lambda one: (places[one.config_id], one.order))
    losses = sorted(losses, key=lambda one: places[one.config_id])
    shown = next((row.config_id for row in ordered(answer) if not row.is_reference), None)
    sentences = [*_threads(answer, losses)]
    sentences += [_loss(answer, one) for one in losses if one.config_id == shown]
    by_name = {one.name: one for one in figures}
    return section(
        say("title", "why"),
        by_name.get("timeline"),
        Points(tuple(sentences)),
        table("served", (_served(answer, one) for one in services)),
        by_name.get("slowdown"),
        say("note", "split") if losses else None,
        _splits(answer, losses),
        say("note", "bases") if losses else None,
        level=2,
    )


def _served(answer: Answer, one: Service) -> Row:
    ratio = one.slowdown
    return {
        "name": called(answer, one.config_id),
        "order": ordinal(one.order),
        "first_token_s": one.first_token_s,
        "slowdown": bounded(ratio.value, ratio.low, ratio.high) if ratio else None,
    }


def _splits(answer: Answer, losses: Sequence[Losses]) -> Table:
    """A row a config, with the parts that any of them has more than nothing of."""
    kept = [
        place
        for place in range(len(PARTS))
        if any(abs(one.parts[place]) >= 0.0005 for one in losses)
    ]
    parts = tuple(say("parts", PARTS[place]) for place in kept)
    heads = ("", say("alone", "head"), say("split", "efficiency"), *parts, say("split", "jain"))
    rows = [
        (
            called(answer, one.config_id),
            say("alone", "unknown")
            if one.threads_alone is None
            else counted(one.threads_alone, "thread"),
            percent(one.efficiency),
            *(percent(one.parts[place]) for place in kept),
            number(one.jain),
        )
        for one in losses
    ]
    return Table(heads, tuple(rows))


def _threads(answer: Answer, losses: Sequence[Losses]) -> list[str]:
    """Why agents side by side on fewer threads each are done sooner, where that is so."""
    best = next((one for one in losses if one.config_id == answer.best), None)
    more = [
        one
        for one in losses
        if best and (one.threads_alone or 0) > (best.threads_alone or 0) and one.alone_s
    ]
    if best is None or not more or not best.threads_alone or not best.alone_s:
        return []
    most = max(more, key=lambda one: one.threads_alone or 0)
    if most.alone_s is None or most.threads_alone is None:
        return []
    # Half of the threads that cost more than half of the speed would explain nothing.
    if best.alone_s / most.alone_s >= most.threads_alone / best.threads_alone:
        return []
    row = answer.row(best.config_id)
    agents = len(row.first_token_s)
    if row.makespan_s is None or row.makespan_s >= agents * most.alone_s:
        return []
    places = {"alone": number(best.alone_s), "other": number(most.alone_s), "n": str(agents)}
    places |= {"turn": number(agents * most.alone_s), "together": number(row.makespan_s)}
    places |= {
        "threads": counted(best.threads_alone, "thread"),
        "more": counted(most.threads_alone, "thread"),
    }
    return [say("why_best", "threads", **places)]


def _loss(answer: Answer, losses: Losses) -> str:
    """Where most of what is lost of a config's time goes."""
    name = called(answer, losses.config_id)
    share, part = max(zip(losses.parts, PARTS, strict=True))
    if share < _MATTERS:
        return say("why_loss", "none", name=name, efficiency=percent(losses.efficiency, 0))
    return say("why_loss", part, name=name, share=percent(share, 0))


def choice(
    answer: Answer, judged: Sequence[Judged], executions: pd.DataFrame, engine: str
) -> Section:
    """What to copy of ``answer``, best first; empty where there is nothing to say."""
    chosen = answer.best and answer.outcome in ("fastest", "among") and not answer.unequal
    named = [answer.best, *answer.rivals] if chosen and answer.best else []
    entry: list[str] = []
    servers: list[str] = []
    for config_id in named:
        group = executions[executions["config_id"] == config_id]
        entry += study_entry(config_id, group) if len(group) else []
        if engine == "ollama" and len(group):
            servers.append(f"# {called(answer, config_id)}")
            topology = answer.row(config_id).topology
            servers += ollama_servers(topology, int(group["n_agents"].iloc[0]))
    names = listed([called(answer, one) for one in named], "and")
    copied = entry and servers
    return section(
        say("title", "choice"),
        Points(tuple(_criterion(answer, one) for one in judged)),
        say("copy", "chosen", names=names) if entry else None,
        Code("yaml", tuple(entry)) if entry else None,
        say("copy", "servers") if copied else None,
        Code("sh", tuple(servers)) if copied else None,
        level=2,
    )


def _criterion(answer: Answer, one: Judged) -> str:
    compared = one.compared
    finding = f"criterion_{one.criterion}"
    if compared.best is None:
        return say(finding, compared.outcome)
    best = called(answer, compared.best)
    rivals = {"rivals": listed([called(answer, rival) for rival in compared.rivals], "and")}
    if compared.best == compared.reference:
        if compared.rivals:
            return say(finding, "reference_among", best=best, **rivals)
        return say(finding, "reference", best=best)
    ratio = next((of.ratio for of in compared.against if of.subject == compared.best), None)
    if ratio is None:
        return say(finding, "inconclusive")
    places = {
        "best": best,
        "reference": called(answer, compared.reference),
        "ratio": bounded(ratio.value, ratio.low, ratio.high),
    }
    if compared.rivals:
        return say(finding, "among", **rivals, **places)
    return say(finding, "fastest", **places)
