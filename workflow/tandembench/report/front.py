"""Page one: the answer of a dataset and what stands behind it, section by section, in words."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tandembench.analysis.controls import Control, controls
from tandembench.analysis.criteria import criteria
from tandembench.analysis.findings import Answer
from tandembench.analysis.numbers import Values
from tandembench.analysis.service import Losses, Service, losses, services
from tandembench.dataset.load import Dataset
from tandembench.report.choice import Choice, choice
from tandembench.report.estimated import Estimated, estimated
from tandembench.report.formats import counted, listed, percent
from tandembench.report.options import option_sentences
from tandembench.report.questions import Question
from tandembench.report.said import Said, called, ordered, said
from tandembench.report.setting import setting_of
from tandembench.report.trust import Trust, trust
from tandembench.report.why import Why, why
from tandembench.report.words import say

# Lines of a list, and other comparisons, that page one shows; the details have all.
_MOST = 12


@dataclass(frozen=True, slots=True)
class Other:
    """Another comparison of the study, in one sentence."""

    comparison: str
    headline: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A row of the provenance: what, and its value, foreign text."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Front:
    """Page one; a section that has nothing to say is None or empty. ``margin`` is words."""

    title: str
    headline: str
    said: Said | None
    warnings: tuple[str, ...]
    others: tuple[Other, ...]
    more_others: int
    why: Why | None
    choice: Choice | None
    trust: Trust
    options: tuple[str, ...]
    questions: tuple[Question, ...]
    estimated: Estimated | None
    baselines: tuple[str, ...]
    method: tuple[str, ...]
    facts: tuple[Fact, ...]
    margin: str


def front(dataset: Dataset, answers: Sequence[Answer], details: Values) -> Front:
    """What page one says; ``details`` is the context of the other page."""
    study, margin = dataset.descriptor["study"], float(details["margin"])
    main = answers[0] if answers else None
    held = controls(dataset.runs, answers, margin)
    return Front(
        title=str(dataset.descriptor["title"]),
        headline=_headline(dataset.runs) if main is None else _said(dataset, main).headline,
        said=None if main is None else _said(dataset, main),
        warnings=_warnings(held, details),
        others=tuple(
            Other(one.comparison, _said(dataset, one).headline) for one in answers[1 : _MOST + 1]
        ),
        more_others=max(len(answers) - 1 - _MOST, 0),
        why=None if main is None else why(main, *_services(dataset, main)),
        choice=None if main is None else _choice(dataset, main, margin),
        trust=trust(
            answers,
            held,
            details["stability"],
            dataset.runs,
            details["factors"],
            details["instrument"],
            len(details["environment"]["machines"]),
        ),
        options=option_sentences(details["options"]),
        questions=details["hypotheses"].rows if details["hypotheses"] else (),
        estimated=estimated(
            details["estimator"],
            details["attribution"],
            details["rates"],
            {row.config_id: called(main, row.config_id) for row in ordered(main)} if main else {},
        ),
        baselines=_baselines(details["baselines"]["entries"]),
        method=_method(dataset.runs, main),
        facts=_facts(details, study),
        margin=percent(margin, None),
    )


def _headline(runs: pd.DataFrame) -> str:
    """What is said where nothing was measured side by side."""
    if runs.empty:
        return say("not_measured", "nothing")
    return say("not_measured", "apart" if runs["valid"].any() else "failed")


def _said(dataset: Dataset, answer: Answer) -> Said:
    ids = [row.config_id for row in answer.rows]
    return said(answer, setting_of(dataset.descriptor, dataset.executions, ids))


def _of(dataset: Dataset, answer: Answer) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs and executions of a comparison."""
    runs, executions = dataset.runs, dataset.executions
    return (
        runs[runs["comparison"] == answer.comparison],
        executions[executions["comparison"] == answer.comparison],
    )


def _services(dataset: Dataset, answer: Answer) -> tuple[tuple[Service, ...], tuple[Losses, ...]]:
    tables = _of(dataset, answer)
    return services(*tables), losses(*tables)


def _choice(dataset: Dataset, answer: Answer, margin: float) -> Choice | None:
    study, (runs, executions) = dataset.descriptor["study"], _of(dataset, answer)
    declared = study.get("criteria") or ()
    judged = criteria(runs, executions, declared, margin, study["reference"])
    return choice(answer, judged, executions, str(study["engine"]))


def _warnings(held: Sequence[Control], details: Values) -> tuple[str, ...]:
    """What stands above everything else."""
    failed = sum(one.result == "failed" for one in held)
    warnings = []
    if failed:
        warnings.append(say("warning", "control", failed=counted(failed, "control")))
    if len(details["environment"]["machines"]) > 1:
        warnings.append(say("machines", "several", n=str(len(details["environment"]["machines"]))))
    return tuple(warnings)


def _baselines(entries: Sequence[Values]) -> tuple[str, ...]:
    """One sentence for each baseline that the study names and that says anything."""
    sentences = []
    apart: dict[str, list[str]] = {}
    for one in entries[:_MOST]:
        state, label = str(one["state"]), str(one["label"])
        if state in ("compared", "unsure"):
            counts = [
                say("baseline_count", word, n=str(n)) for word, n in one["counts"].items() if n
            ]
            of = listed(counts) or say("baseline_count", "nothing")
            sentences.append(say("baseline", state, label=label, counts=of))
        elif state == "not_comparable":
            apart.setdefault(str(one["short"]), []).append(label)
        else:
            sentences.append(say("baseline", state, label=label))
    for why_not, labels in apart.items():
        verdict = "not_comparable" if len(labels) == 1 else "none_comparable"
        sentences.append(say("baseline", verdict, label=listed(labels), why=why_not))
    return tuple(sentences)


def _method(runs: pd.DataFrame, main: Answer | None) -> tuple[str, ...]:
    if runs.empty:
        return ()
    if main is None:
        return (say("method", "apart"), say("method", "levels"))
    return (say("method", "blocks"), say("method", "levels"), say("method", "family"))


def _facts(details: Values, study: Values) -> tuple[Fact, ...]:
    """Where, when, with what: what is needed to measure it again."""
    environment, measured = details["environment"], details["measured"]
    facts = []
    for machine in environment["machines"][:3]:
        memory = f"{machine['memory_bytes'] / 2**30:.1f} GiB"
        parts = (f"{machine['cores']} cores", memory, machine["system"], machine["kernel"])
        facts.append(("machine", f"{machine['cpu']}, {', '.join(map(str, parts))}"))
    facts += [
        ("engine", f"{one['engine']} {one['engine_version'] or 'of unknown version'}")
        for one in environment["engines"]
    ]
    facts += [
        ("model", f"{one['model']}, {str(one['model_digest'] or 'of unknown digest')[:19]}")
        for one in environment["models"][:_MOST]
    ]
    if measured["when"]:
        facts.append(("measured", f"{measured['when']}, session {listed(measured['sessions'])}"))
    took = details["timeline"]
    if took["share"] is not None:
        facts.append(("time in blocks", f"{took['inside']} of {took['elapsed']} h:min:s"))
    if study.get("seed") is not None:
        facts.append(("seed", str(study["seed"])))
    if details["fingerprints"]["measuring_code"]:
        facts.append(("code that measured", listed(details["fingerprints"]["measuring_code"])))
    return tuple(Fact(name, str(value)) for name, value in facts)
