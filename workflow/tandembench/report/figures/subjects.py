"""What a figure shows: the configs that are compared, or all runs of a topology; typical blocks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tandembench.analysis.findings import Answer
from tandembench.analysis.numbers import KIND, RUN
from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import plain
from tandembench.report.said import called, ordered
from tandembench.report.words import say

# So many rows or panels stay legible.
MOST = 8


@dataclass(frozen=True, eq=False)
class Subject:
    """One row or panel: ``runs`` are the valid ones of the ``configs`` that it stands for."""

    label: str
    topology: str
    configs: tuple[str, ...]
    runs: pd.DataFrame

    @property
    def name(self) -> str:
        """Its config, or how many there are."""
        one = len(self.configs) == 1
        return self.configs[0] if one else f"{len(self.configs)} configs"


@dataclass(frozen=True, eq=False)
class Subjects:
    """``about`` says for a caption what they are; ``compared``: whether they do the same work."""

    rows: tuple[Subject, ...]
    compared: bool
    about: str


def subjects(
    dataset: Dataset, answer: Answer | None, scenarios: Sequence[Mapping[str, Any]]
) -> Subjects:
    """The configs of ``answer``, fastest first; without one all valid runs by scenario and
    topology, in the rows of ``scenarios``. Those without a valid run are left out, and so are
    twins.
    """
    valid = dataset.runs[dataset.runs["valid"] & ~dataset.runs["twin"].astype(bool)]
    of_answer = _of_answer(answer, valid) if answer else []
    rows = of_answer or _of_scenarios(scenarios, valid)
    if of_answer and answer:
        about = say("figure_subjects", "compared", comparison=answer.comparison)
    else:
        about = say("figure_subjects", "unlike" if len(rows) > 1 else "one")
    if len(rows) > MOST:
        about += " " + say("figure_subjects", "more", shown=str(MOST), of=str(len(rows)))
    return Subjects(tuple(rows[:MOST]), bool(of_answer), about)


def _of_answer(answer: Answer, valid: pd.DataFrame) -> list[Subject]:
    rows = [(row, valid[valid["config_id"] == row.config_id]) for row in ordered(answer)]
    return [
        Subject(plain(called(answer, row.config_id), 40), row.topology, (row.config_id,), own)
        for row, own in rows
        if len(own)
    ]


def _of_scenarios(rows: Sequence[Mapping[str, Any]], valid: pd.DataFrame) -> list[Subject]:
    # The kind of work is named where it tells two rows apart.
    kinds = Counter(_scenario(row) for row in rows)
    found = []
    for row in rows:
        own = valid
        for key in KIND:
            own = own[own[key] == row[key]]
        if len(own):
            configs = tuple(dict.fromkeys(own["config_id"]))
            label = _scenario(row)
            label += f", {plain(row['work_policy'])} work" if kinds[label] > 1 else ""
            found.append(Subject(label, row["topology"], configs, own))
    return found


def _scenario(row: Mapping[str, Any]) -> str:
    agents = f"{row['n_agents']} agent{'s' * (row['n_agents'] > 1)}"
    return f"{plain(row['scenario'])}, {row['topology']}, {agents}"


def typical_block(dataset: Dataset, subject: Subject) -> "pd.Series[Any]":
    """The run of median wall time (the lower of two), of those whose tokens are known if any are.

    Ties go by session, config and repetition.
    """
    runs = subject.runs
    if len(dataset.tokens):
        own = dataset.tokens.loc[dataset.tokens["config_id"].isin(subject.configs), RUN]
        known = runs.merge(own.drop_duplicates(), on=RUN)
        runs = known if len(known) else runs
    by_wall = runs.sort_values(["wall_s", *RUN], kind="stable")
    return by_wall.iloc[(len(by_wall) - 1) // 2]


def rows_of(table: pd.DataFrame, run: "pd.Series[Any]") -> pd.DataFrame:
    """The rows of ``table`` that belong to the block of ``run``."""
    for key in RUN if len(table) else ():
        table = table[table[key] == run[key]]
    return table


def block_name(run: "pd.Series[Any]") -> str:
    """A run as a reader may find it again: "homo-g80 (session s1, repetition 2, round 1)"."""
    block = f"session {run['session']}, repetition {run['repetition']}"
    return f"{run['config_id']} ({block}, round {run['round']})"
