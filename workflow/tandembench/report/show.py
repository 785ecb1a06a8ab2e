"""The answer of a dataset, for the terminal or for programs, without the rest of its report."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tandembench.analysis.answer import answers
from tandembench.analysis.findings import Answer
from tandembench.dataset.load import load_table, open_dataset
from tandembench.errors import TandemError
from tandembench.report.answer_json import as_values
from tandembench.report.said import said
from tandembench.report.setting import setting_of
from tandembench.report.terminal import WIDEST, terminal
from tandembench.report.words import say
from tandembench.text import as_json, sanitise


def show(folder: Path, comparison: str | None, style: str) -> str:
    """What the dataset at ``folder`` says of a comparison, by default of its primary one.

    ``style`` is "text" or "json". TandemError if there is no such comparison.
    """
    opened = open_dataset(folder)
    study = opened.descriptor["study"]
    runs, executions = (load_table(opened, name) for name in ("runs", "executions"))
    every = answers(runs, executions, float(study["margin"]), study["reference"])
    chosen = _chosen(every, comparison)
    ids = [row.config_id for row in chosen.rows] if chosen else ()
    setting = setting_of(opened.descriptor, executions, ids)
    if style == "json":
        return as_json(as_values(chosen, setting))
    if chosen is None:
        return say("not_measured", "apart" if len(runs) else "nothing") + "\n"
    several = [one for one in every if one is not chosen]
    others = [said(one, setting) for one in several] if comparison is None else []
    width = shutil.get_terminal_size((WIDEST, 24)).columns
    return terminal(said(chosen, setting), others, _report(setting.study), width) + "\n"


def _chosen(every: Sequence[Answer], comparison: str | None) -> Answer | None:
    if comparison is None:
        return every[0] if every else None
    for answer in every:
        if answer.comparison == comparison:
            return answer
    names = ", ".join(answer.comparison for answer in every) or "none"
    what = f"no comparison '{sanitise(comparison, 40)}'"
    raise TandemError(what, where="--comparison", fix=f"comparisons: {sanitise(names, 400)}")


def _report(name: str) -> str | None:
    """Where the report of the study stands, if it was made."""
    page = Path("reports", name, "technical_report.html")
    return str(page) if page.exists() else None
