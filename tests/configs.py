"""Copies of config/ that a test may change, and the file names that follow from them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tandembench.project import Plan, open_plan

QUICK = "config/quick.yaml"


@dataclass(frozen=True)
class Checkout:
    """A copy of config/ that a test may change."""

    root: Path

    def edit(self, file: str, old: str, new: str, count: int = 1) -> None:
        text = (self.root / file).read_text(encoding="utf-8")
        assert text.count(old) >= 1, f"{file} has no {old!r}"
        (self.root / file).write_text(text.replace(old, new, count), encoding="utf-8")

    def line(self, file: str, start: str) -> int:
        """The number of the first line that starts so."""
        rows = (self.root / file).read_text(encoding="utf-8").splitlines()
        return next(i for i, row in enumerate(rows, 1) if row.strip().startswith(start))

    def plan(self, study: str = QUICK, session: str = "s1") -> Plan:
        return open_plan(study, session, root=self.root)

    def measured(self, session: str, *names: str) -> None:
        folder = self.root / "results/quick/runs" / session
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).touch()


def copied(repository: Path, folder: Path) -> Checkout:
    shutil.copytree(repository / "config", folder / "config")
    return Checkout(folder)


def names(plan: Plan) -> dict[str, str]:
    """All file names that follow from a plan, by what they are."""
    manifests = {"calibration": plan.calibration_file()}
    manifests |= {f"phase {phase}": plan.manifest_file(phase) for phase in plan.study.phases}
    return {"study": plan.manifest_file(), **manifests}


def differing(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}
