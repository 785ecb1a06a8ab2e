"""What a figure shows: the configs that are compared, or all runs of a topology; typical blocks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import plain
from tandembench.report.groups import KIND, RUN

# So many rows or panels stay legible.
MOST = 8
TOPOLOGIES = {
    "serial": "one agent after the other",
    "single": "one server, one slot",
    "single_parallel": "one server, parallel slots",
    "dual": "one server per agent",
}


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


def subjects(dataset: Dataset, context: Mapping[str, Any]) -> Subjects:
    """The configs of the headline's group, replicates left out; else all valid runs by scenario
    and topology. Those without a valid run are left out.
    """
    valid = dataset.runs[dataset.runs["valid"]]
    group = _headline_group(context)
    found = _of_group(group, valid) if group else []
    if found and group:
        agents, scenario = group["n_agents"], group["scenario"]
        about = f"Configs that do the same work ({scenario}, {agents} agents)."
    else:
        found = _of_scenarios(context["scenarios"], valid)
        about = "All valid runs by scenario and topology"
        about += ": not the same work." if len(found) > 1 else "."
    if len(found) > MOST:
        about += f" The first {MOST} of {len(found)}."
    return Subjects(tuple(found[:MOST]), bool(group and found), about)


def _headline_group(context: Mapping[str, Any]) -> Mapping[str, Any] | None:
    groups: Sequence[Mapping[str, Any]] = context["topology_groups"]
    named = {row["config_id"] for row in (context["headline"] or {"rows": []})["rows"]}
    with_headline = (g for g in groups if named & {row["config_id"] for row in g["rows"]})
    return next(with_headline, groups[0] if groups else None)


def _of_group(group: Mapping[str, Any], valid: pd.DataFrame) -> list[Subject]:
    rows = [row for row in group["rows"] if row["n"] and not row["replicate_of"]]
    counts = Counter(row["topology"] for row in rows)
    return [
        Subject(
            row["topology"] if counts[row["topology"]] == 1 else plain(row["config_id"]),
            row["topology"],
            (row["config_id"],),
            valid[valid["config_id"] == row["config_id"]],
        )
        for row in rows
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


def executions_of(dataset: Dataset, subject: Subject) -> pd.DataFrame:
    """The executions of its valid runs and their solos."""
    own = dataset.executions
    return own[own["valid"] & own["config_id"].isin(subject.configs)]


def typical_block(dataset: Dataset, subject: Subject) -> "pd.Series[Any]":
    """The run of median wall time (the lower of two), of those whose tokens are known if any are.

    Ties go by session, config and repetition.
    """
    runs = subject.runs
    if len(dataset.tokens):
        own = dataset.tokens.loc[dataset.tokens["config_id"].isin(subject.configs), RUN]
        known = runs.merge(own.drop_duplicates(), on=RUN)
        runs = known if len(known) else runs
    ordered = runs.sort_values(["wall_s", *RUN], kind="stable")
    return ordered.iloc[(len(ordered) - 1) // 2]


def rows_of(table: pd.DataFrame, run: "pd.Series[Any]") -> pd.DataFrame:
    """The rows of ``table`` that belong to the block of ``run``."""
    for key in RUN if len(table) else ():
        table = table[table[key] == run[key]]
    return table


def block_name(run: "pd.Series[Any]") -> str:
    """A block as a reader may find it again: "homo-g80 (session s1, repetition 2)"."""
    return f"{run['config_id']} (session {run['session']}, repetition {run['repetition']})"
