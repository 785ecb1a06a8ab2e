"""Page one: the answer of a dataset and what stands behind it, section by section, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import pandas as pd

from tandembench.analysis.controls import Control, controls
from tandembench.analysis.criteria import criteria
from tandembench.analysis.findings import Answer
from tandembench.analysis.groups import Reading
from tandembench.analysis.service import losses, services
from tandembench.audit.beside import Baseline
from tandembench.dataset.load import Dataset
from tandembench.report.apart import said_apart
from tandembench.report.attribution import AttributionSection
from tandembench.report.details import Details
from tandembench.report.formats import interval, listed, percent
from tandembench.report.options import option_sentences
from tandembench.report.said import Said, called, ordered, said
from tandembench.report.sections import Points, Section, Shown, section, table
from tandembench.report.setting import setting_of
from tandembench.report.trust import trust
from tandembench.report.why import choice, why
from tandembench.report.words import say
from tandembench.text import counted

# Lines of a list, and other comparisons, that page one shows; the details have all.
_MOST = 12
# Configs of the decision that the estimator's table lists.
_MOST_READ = 8


@dataclass(frozen=True, slots=True)
class Front:
    """Page one: ``answer`` stands below the table of ``said``, which is None without an answer."""

    title: str
    headline: str
    warnings: tuple[str, ...]
    said: Said | None
    answer: Section
    others: Section
    sections: tuple[Section, ...]


def front(
    dataset: Dataset, answers: Sequence[Answer], details: Details, figures: Sequence[Shown]
) -> Front:
    """What page one says; a section that has nothing to say is left out."""
    main = answers[0] if answers else None
    held = controls(dataset.runs, answers, details.margin)
    sections = (
        *(_of_answer(dataset, main, details, figures) if main else ()),
        trust(answers, held, details, dataset.runs, dataset.executions, figures),
        _asked(details),
        _estimated(details, main, figures),
        _method(dataset.runs, main, details),
    )
    spoken = _said(dataset, main) if main else None
    alone = said_apart(details.apart, held) if details.apart else None
    verdict = spoken or alone
    return Front(
        title=details.title,
        headline=verdict.headline if verdict else _nothing(dataset.runs),
        warnings=_warnings(held, len(details.fingerprints["machines"])),
        said=spoken,
        answer=section("", *(one for one in figures if one.name == "makespan")),
        others=alone.section() if alone else _others(dataset, answers[1:]),
        sections=tuple(one for one in sections if one.parts),
    )


def _nothing(runs: pd.DataFrame) -> str:
    """What is said where no run was valid."""
    if runs.empty:
        return say("not_measured", "nothing")
    return say("not_measured", "failed")


def _others(dataset: Dataset, answers: Sequence[Answer]) -> Section:
    """Other comparisons of the study, in one sentence each."""
    points = tuple(f"{one.comparison}: {_said(dataset, one).headline}" for one in answers[:_MOST])
    left_out = len(answers) - _MOST
    return section(
        "",
        say("note", "others") if answers else None,
        Points(points),
        say("more", "comparisons", n=str(left_out)) if left_out > 0 else None,
    )


def _said(dataset: Dataset, answer: Answer) -> Said:
    ids = [row.config_id for row in answer.rows]
    return said(answer, setting_of(dataset.descriptor, dataset.executions, ids))


def _of_answer(
    dataset: Dataset, answer: Answer, details: Details, figures: Sequence[Shown]
) -> tuple[Section, Section]:
    """What explains the answer, and what to do with it."""
    study = dataset.descriptor["study"]
    runs, executions = (
        one[one["comparison"] == answer.comparison] for one in (dataset.runs, dataset.executions)
    )
    judged = criteria(
        runs, executions, study.get("criteria") or (), details.margin, study["reference"]
    )
    return (
        why(answer, services(runs, executions), losses(runs, executions), figures),
        choice(answer, judged, executions, str(study["engine"])),
    )


def _warnings(held: Sequence[Control], machines: int) -> tuple[str, ...]:
    """What stands above everything else."""
    failed = sum(one.result == "failed" for one in held)
    warnings = []
    if failed:
        warnings.append(say("warning", "control", failed=counted(failed, "control")))
    if machines > 1:
        warnings.append(say("machines", "several", n=str(machines)))
    return tuple(warnings)


def _asked(details: Details) -> Section:
    """The options that were varied, and the hypotheses that were declared."""
    questions = details.hypotheses.rows if details.hypotheses else ()
    return section(
        say("title", "asked"),
        Points(option_sentences(details.options)),
        table("questions", questions),
        level=2,
    )


def _estimated(details: Details, main: Answer | None, figures: Sequence[Shown]) -> Section:
    """TR114's reading beside what was measured, and the reports that the study names."""
    known = {one.config_id: one for one in details.estimator if one.reading}
    sentences = []
    for reading in get_args(Reading):
        n = sum(one.reading == reading for one in known.values())
        if n:
            of = counted(len(known), "config")
            sentences.append(say("estimator", reading, n=str(n), of=of))
    if not known:
        sentences = [*_lengths(details.attribution), *_overlap(details)]
    ids = [row.config_id for row in ordered(main) if row.config_id in known] if main else []
    rows = (
        {
            "name": called(main, name),
            "estimate": known[name].estimate,
            "measured": known[name].measured,
        }
        for name in ids
        if main
    )
    baselines = tuple(_baselines(details.baselines))
    drawn = [one for one in figures if one.name == "estimator"] if sentences else []
    return section(
        say("title", "estimated"),
        say("note", "estimator") if sentences else None,
        *drawn,
        Points(tuple(sentences)),
        table("readings", rows, _MOST_READ),
        Points(baselines),
        level=2,
    )


def _lengths(attribution: AttributionSection | None) -> Iterator[str]:
    """What token counts alone say of what the estimator read, by topology."""
    for one in attribution.groups if attribution else ():
        result = one.predictions
        if result is None or one.scenario:
            continue
        places = {"topology": str(one.topology)}
        if result.by:
            predicted = result.rows[result.by]
            places["predicted"] = percent(predicted.predicted)
            places["measured"] = percent(predicted.measured)
        yield say("estimator_blind", result.finding, **places)


def _overlap(details: Details) -> Iterator[str]:
    """What two that decode at once make of what one alone makes, where no agent ran alone."""
    for one in details.rates:
        if not one.scenario:
            yield say("overlap", one.verdict, topology=one.topology, gain=interval(one.gain))


def _baselines(baselines: Sequence[Baseline]) -> Iterator[str]:
    """One sentence for each baseline that the study names and that says anything."""
    apart: dict[str, list[str]] = {}
    for one in baselines[:_MOST]:
        if one.state in ("compared", "unsure"):
            counts = [say("baseline_count", word, n=str(n)) for word, n in one.counts.items() if n]
            of = listed(counts) or say("baseline_count", "nothing")
            yield say("baseline", one.state, label=one.label, counts=of)
        elif one.state == "not_comparable":
            # Reasons have their details in brackets.
            why_not = ", ".join(reason.partition(" (")[0] for reason in one.reasons)
            apart.setdefault(why_not, []).append(one.label)
        else:
            yield say("baseline", one.state, label=one.label)
    for why_not, labels in apart.items():
        verdict = "not_comparable" if len(labels) == 1 else "none_comparable"
        yield say("baseline", verdict, label=listed(labels), why=why_not)


def _method(runs: pd.DataFrame, main: Answer | None, details: Details) -> Section:
    """How it was measured, and what is needed to measure it again."""
    kinds = ("blocks", "alone", "levels", "family", "quality") if main else ("apart", "groups")
    return section(
        say("title", "method"),
        Points(tuple(say("method", kind) for kind in kinds) if len(runs) else ()),
        table("facts", ({"what": name, "value": value} for name, value in _facts(details))),
        level=2,
    )


def _facts(details: Details) -> Iterator[tuple[str, str]]:
    """Where, when, with what; values are foreign text."""
    prints: Mapping[str, Any] = details.fingerprints
    for machine in prints["machines"][:3]:
        memory = f"{machine['memory_bytes'] / 2**30:.1f} GiB"
        parts = (f"{machine['cores']} cores", memory, machine["system"], machine["kernel"])
        yield "machine", f"{machine['cpu']}, {', '.join(map(str, parts))}"
    unknown = say("provenance", "unknown")
    for one in prints["servers"]:
        yield "engine", f"{one['engine']} {one['engine_version'] or unknown}"
    for one in prints["models"][:_MOST]:
        yield "model", f"{one['model']}, {(one['model_digest'] or unknown)[:19]}"
    if details.measured.when:
        yield "measured", f"{details.measured.when}, session {listed(details.measured.sessions)}"
    took = details.timeline
    if took.share is not None:
        yield "took", f"{took.inside} of {took.elapsed} (h:mm:ss)"
    if details.study.get("seed") is not None:
        yield "seed", str(details.study["seed"])
    if prints["measuring_code"]:
        yield "code", listed(prints["measuring_code"])
