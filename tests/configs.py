"""Copies of config/ with a small study that a test may change, and the file names that follow."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tandembench.project import open_plan
from tandembench.study.plan import Plan

SMALL = "config/small.yaml"
# Two comparisons and two configs that stand alone, in two phases.
STUDY = """\
name: small
title: "Small"
seed: 7 # of all
repetitions: 3
model: smollm2-135m-instruct-q4_1
work: {policy: fixed, tokens: 32}
agents:
  collector: {task: inventory, steps: [collector.j2]}
  insight: {task: figures, steps: [insight.j2]}
phases:
  first:
    title: "One"
    configs:
      - scenario: baseline_vs_chimera
        axes: {topology: [serial, dual]}
        options: {num_ctx: 512}
      - scenario: chimera_homo
        axes: {topology: [serial, dual]}
        options: {num_ctx: 1024}
  second:
    title: "Two"
    configs:
      - {id: gamma, scenario: chimera_homo, options: {num_ctx: 2048}}
      - {id: delta, scenario: chimera_homo, options: {num_ctx: 4096}}
"""
COMPARED, OTHER = "bvc-c512-by-topology", "homo-c1024-by-topology"
COMPARISONS = (COMPARED, OTHER, "gamma", "delta")


@dataclass(frozen=True)
class Checkout:
    """A copy of config/ with the small study, to be changed."""

    root: Path

    def edit(self, file: str, old: str, new: str, count: int = 1) -> None:
        text = (self.root / file).read_text(encoding="utf-8")
        assert text.count(old) >= 1, f"{file} has no {old!r}"
        (self.root / file).write_text(text.replace(old, new, count), encoding="utf-8")

    def line(self, file: str, start: str) -> int:
        """The number of the first line that starts so."""
        rows = (self.root / file).read_text(encoding="utf-8").splitlines()
        return next(i for i, row in enumerate(rows, 1) if row.strip().startswith(start))

    def plan(self, study: str = SMALL, session: str = "s1", repetitions: int | None = None) -> Plan:
        return open_plan(study, session, self.root, repetitions)

    def measured(self, session: str, *names: str) -> None:
        folder = self.root / "results/small/runs" / session
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).touch()


def copied(repository: Path, folder: Path) -> Checkout:
    shutil.copytree(repository / "config", folder / "config")
    (folder / SMALL).write_text(STUDY, encoding="utf-8")
    return Checkout(folder)


def names(plan: Plan) -> dict[str, str]:
    """All file names that follow from a plan, by what they are."""
    phases = {f"phase {phase}": plan.tables(phase) for phase in plan.study.phases}
    return {"study": plan.dataset_mark, "calibration": plan.calibration_file(), **phases}


def differing(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}
