"""What was expected, and what came of it: one row for each hypothesis, with its sentence."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pandas as pd

from tandembench.analysis.hypotheses import Result, Source, Verdict, declared, judge
from tandembench.analysis.intervals import Moments
from tandembench.analysis.numbers import Values
from tandembench.analysis.sentences import estimate_text, number, sentence
from tandembench.dataset.load import Dataset
from tandembench.dataset.versions import ROOT
from tandembench.diff.compare import obstacles
from tandembench.diff.publications import printed_means
from tandembench.diff.sides import Side as Opened
from tandembench.diff.sides import open_side
from tandembench.errors import EXIT_USAGE, TandemError
from tandembench.report.factors import checks
from tandembench.report.render import render
from tandembench.study.hypotheses import SELF, Hypothesis, Side
from tandembench.text import as_json


def questions(dataset: Dataset, hypotheses: Sequence[Hypothesis], root: Path = ROOT) -> Values:
    """``rows``: the hypotheses with their results; ``counts``: how many have each verdict.

    Baselines that they name are looked up under ``root``; one that is not there, or that may not
    be compared with ``dataset``, makes them "not testable".
    """
    if not hypotheses:
        return {"rows": [], "counts": dict.fromkeys(get_args(Verdict), 0)}
    names = {side.dataset for one in hypotheses for side in _sides(one)} - {SELF}
    sources = {SELF: _of_runs(dataset)} | {name: _opened(name, dataset, root) for name in names}
    notes, invocations = dataset.descriptor.get("declared"), _invocations(dataset.runs)
    when = {one.id: declared(one, invocations, notes) for one in hypotheses}
    rows = [_row(result) for result in judge(hypotheses, sources, when)]
    counts = Counter(row["verdict"] for row in rows)
    return {"rows": rows, "counts": {name: counts[name] for name in get_args(Verdict)}}


def as_text(found: Values, style: str) -> str:
    """The same as Markdown or, by ``style`` "json", for programs."""
    if style == "json":
        return as_json({"hypotheses": found["rows"], "counts": found["counts"]})
    return render({"hypotheses": found}, "hypotheses.md.j2")


def _sides(hypothesis: Hypothesis) -> list[Side]:
    return [side for side in (hypothesis.a, hypothesis.b) if side]


def _of_runs(dataset: Dataset) -> Source:
    threads = dataset.descriptor["study"].get("threads_total")
    return Source(runs=dataset.runs, checks=checks(dataset.executions, threads))


def _opened(name: str, dataset: Dataset, root: Path) -> Source:
    try:
        opened = open_side(name, root)
    except TandemError as error:
        if error.exit_code != EXIT_USAGE:
            raise
        return Source(obstacle=f"no baseline {name}")
    if opened.opened is None or opened.dataset is None:
        return Source(printed=_printed(opened))
    found = obstacles(dataset.opened, opened.opened)
    return replace(_of_runs(opened.dataset), beside_self=found[0] if found else None)


def _printed(opened: Opened) -> Mapping[tuple[str, str, str], Moments]:
    return {
        key: (values["mean"], values["sd"], int(values["n"]))
        for key, values in printed_means(opened.printed).items()
        if values.keys() >= {"mean", "sd", "n"} and values["n"] > 1
    }


def _invocations(runs: pd.DataFrame) -> list[str]:
    return ["" if pd.isna(one) else str(one) for one in runs["invocation"].unique()]


def _row(result: Result) -> Values:
    hypothesis = result.hypothesis
    bounds = {"low": hypothesis.low, "high": hypothesis.high}
    return {
        "id": hypothesis.id,
        "question": hypothesis.question,
        "note": hypothesis.note,
        "metric": hypothesis.metric,
        "a": _told(hypothesis.a),
        "b": _told(hypothesis.b) if hypothesis.b else None,
        "constant": hypothesis.constant,
        "compare": hypothesis.compare,
        "expected": hypothesis.expected,
        **{name: bound if math.isfinite(bound) else None for name, bound in bounds.items()},
        "verdict": result.verdict,
        "alone": result.alone,
        "estimate": result.estimate,
        "n": result.estimate.n if result.estimate else 0,
        "sessions": result.sessions,
        "basis": result.basis,
        "p": result.p,
        "adjusted_p": result.adjusted_p,
        "detectable": result.detectable,
        "reason": result.reason,
        "unapplied": list(result.unapplied),
        "cold": result.cold,
        "workloads": result.workloads,
        "declared": result.declared,
        "sentence": sentence(result),
        "shown": {
            "estimate": estimate_text(result.estimate),
            "detectable": None if result.detectable is None else number(result.detectable),
        },
    }


def _told(side: Side) -> Values:
    return {"dataset": side.dataset, **side.filters}
