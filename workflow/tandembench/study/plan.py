"""A plan: a study with its RunSpecs, and the names of all files that follow from them.

A file's name holds the digest of what it depends on, so that what exists under its name is valid,
whatever Snakemake remembers.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tandembench.study.expand import Comparison, Study
from tandembench.study.spec import TABLES, RunSpec, digest

# Keys of a study that act in all of its blocks, and those that its dataset repeats.
_ACTING = {"engine", "protocol", "threads_total", "deadline_s", "idle_s", "retries", "telemetry"}
_ACTING |= {"cpu_spill", "seed"}
_REPEATED = {"title", "repetitions", "order", "seed", "margin", "reference", "criteria"}
_REPEATED |= {"baselines", "hypotheses", "engine", "threads_total"}


def run_spec(study: Study, comparison: Comparison, lock: Mapping[str, Any], code: str) -> RunSpec:
    """The RunSpec of ``comparison``.

    ``lock`` holds what it is measured with, ``code`` is the digest of the code that acts in a
    measurement of the study's engine.
    """
    return RunSpec(
        comparison=comparison.id,
        # by id: the order of keys and values in the YAML measures nothing again
        configs=tuple(sorted(comparison.configs, key=lambda config: config.id)),
        rounds=comparison.rounds,
        placement=study.placement,
        lock=lock,
        code=code,
        **study.model_dump(include=_ACTING),
    )


def block_order(study: Study) -> list[tuple[str, int]]:
    """All (comparison id, repetition) of a study in the order in which they are to be measured.

    ``random`` goes repetition by repetition, each a seeded shuffle of all comparisons, so that
    drift of the machine falls on all alike. ``by_config`` is TR114's order. Repetitions count
    from 1.
    """
    repetitions = range(1, study.repetitions + 1)
    if study.order == "by_config":
        return [(comparison.id, r) for comparison in study.comparisons for r in repetitions]
    order = []
    for r in repetitions:
        ids = sorted(comparison.id for comparison in study.comparisons)
        random.Random(f"{study.seed}/{r}").shuffle(ids)  # noqa: S311 - an order, no secret
        order += [(identifier, r) for identifier in ids]
    return order


@dataclass(frozen=True)
class Plan:
    """A study with the RunSpec of each comparison (by id) and the file names that follow.

    ``elsewhere`` maps the other sessions that were measured to the names of their run files;
    ``calibrated`` are the names of the calibrations that are there.
    """

    study: Study
    file: str
    session: str
    specs: Mapping[str, RunSpec]
    analysing_code: str
    elsewhere: Mapping[str, Sequence[str]]
    calibrating_code: str
    calibrated: Sequence[str]

    @property
    def results(self) -> str:
        """The folder of this study's results."""
        return f"results/{self.study.name}"

    @cached_property
    def spec_texts(self) -> Mapping[str, str]:
        """Each RunSpec as canonical JSON, by comparison."""
        return {comparison: spec.to_json() for comparison, spec in self.specs.items()}

    @cached_property
    def _digests(self) -> Mapping[str, str]:
        return {comparison: spec.digest for comparison, spec in self.specs.items()}

    def spec_file(self, comparison: str) -> str:
        """Where the RunSpec of a comparison's blocks stands."""
        return f"{self.results}/specs/{comparison}.{self._digests[comparison]}.json"

    def run_file(self, comparison: str, repetition: int) -> str:
        """Where one block's measurement goes."""
        name = f"{comparison}.r{repetition}.{self._digests[comparison]}.parquet"
        return f"{self.results}/runs/{self.session}/{name}"

    def run_files(self, phase: str | None = None) -> list[str]:
        """The run files of one phase, or of all, comparison by comparison."""
        return [
            self.run_file(comparison.id, repetition)
            for comparison in self.study.comparisons
            if phase in (None, comparison.phase)
            for repetition in range(1, self.study.repetitions + 1)
        ]

    def other_sessions(self, phase: str | None = None) -> list[str]:
        """Run files of this same study that other sessions measured."""
        wanted = {Path(file).name for file in self.run_files(phase)}
        return [
            f"{self.results}/runs/{session}/{name}"
            for session, names in sorted(self.elsewhere.items())
            for name in sorted(wanted.intersection(names))
        ]

    def order(self) -> dict[tuple[str, int], int]:
        """The place of each (comparison, repetition) in the order of measuring, from 0."""
        return {block: place for place, block in enumerate(block_order(self.study))}

    def calibration_file(self, session: str | None = None) -> str:
        """Where the calibration of ``session``, or of this one, goes."""
        name = f"{session or self.session}.{self.calibrating_code}.json"
        return f"{self.results}/calibration/{name}"

    def calibration_files(self) -> list[str]:
        """This session's, and those that are there of the other sessions whose runs count."""
        others = sorted({Path(file).parent.name for file in self.other_sessions()})
        files = map(self.calibration_file, others)
        there = [file for file in files if Path(file).name in self.calibrated]
        return [self.calibration_file(), *there]

    def phase_manifest(self, phase: str) -> Mapping[str, object]:
        """What the tables of one phase are made from."""
        return {
            "study": self.study.name,
            "phase": phase,
            "title": self.study.phases[phase].title or phase,
            "session": self.session,
            "analysing_code": self.analysing_code,
            "comparisons": self._comparisons(phase),
            "run_files": self.run_files(phase) + self.other_sessions(phase),
        }

    @cached_property
    def _tables(self) -> Mapping[str, str]:
        return {
            phase: f"{self.results}/phases/{phase}.{digest(self.phase_manifest(phase))}"
            for phase in self.study.phases
        }

    def tables(self, phase: str) -> str:
        """How the names of a phase's tables begin: with its folder, and its manifest's digest."""
        return self._tables[phase]

    def phase_manifest_file(self, phase: str) -> str:
        """Where the manifest of a phase stands."""
        return f"{self.tables(phase)}.manifest.json"

    @cached_property
    def study_manifest(self) -> Mapping[str, object]:
        """What the dataset of the study is made from."""
        return {
            **self.study.model_dump(mode="json", include=_REPEATED),
            "study": self.study.name,
            "file": self.file,
            "session": self.session,
            "placement": self.study.placement,
            "analysing_code": self.analysing_code,
            "run_files": self.run_files() + self.other_sessions(),
            "calibrations": self.calibration_files(),
            "phases": [
                {
                    "name": phase,
                    "title": body.title or phase,
                    "manifest": self.phase_manifest_file(phase),
                    "tables": self.tables(phase),
                    "comparisons": self._comparisons(phase),
                    "configs": [
                        config.id
                        for one in self.study.comparisons
                        for config in one.configs
                        if one.phase == phase
                    ],
                }
                for phase, body in self.study.phases.items()
            ],
        }

    @cached_property
    def _study_digest(self) -> str:
        return digest(self.study_manifest)

    @property
    def study_manifest_file(self) -> str:
        """Where the manifest of the whole study stands."""
        return f"{self.results}/manifest.{self._study_digest}.json"

    @property
    def dataset_mark(self) -> str:
        """An empty file that is there if the dataset was made from this manifest."""
        return f"{self.results}/dataset.{self._study_digest}.made"

    def _comparisons(self, phase: str) -> list[Mapping[str, object]]:
        return [
            {"id": one.id, "rounds": one.rounds, "configs": [config.id for config in one.configs]}
            for one in self.study.comparisons
            if one.phase == phase
        ]

    def texts(self) -> dict[str, str]:
        """What the commands of the workflow read, by the file that holds it."""
        manifests = {self.phase_manifest_file(p): self.phase_manifest(p) for p in self.study.phases}
        manifests[self.study_manifest_file] = self.study_manifest
        specs = {self.spec_file(one): text for one, text in self.spec_texts.items()}
        return specs | {
            file: json.dumps(content, indent=1, sort_keys=True) + "\n"
            for file, content in manifests.items()
        }

    def named_files(self) -> list[str]:
        """All files of the study as it stands, of every session, there or not."""
        runs = self.run_files() + self.other_sessions()
        tables = [f"{self.tables(phase)}{end}" for phase in self.study.phases for end in TABLES]
        return [*runs, *tables, *self.texts(), self.dataset_mark]
