"""The edge of the study room: reads the files of a checkout and says what is to be measured.

Used by the Snakefile and by the commands; asks no server anything, so dry runs work offline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tandembench.agents import read_data, render_steps
from tandembench.dataset.versions import is_name
from tandembench.errors import TandemError
from tandembench.files import read_text
from tandembench.metrics import RUN_METRICS
from tandembench.study.code import code_digest
from tandembench.study.hypotheses import Hypothesis, read_hypotheses
from tandembench.study.model import Config, Study
from tandembench.study.read import checked_yaml, read_study
from tandembench.study.spec import Spec, block_order, canonical, config_spec, digest
from tandembench.text import sanitise

PACKAGE = Path(__file__).parent
SCHEMAS = PACKAGE.parent / "schemas"
NO_STUDY = "name an existing study, such as config/quick.yaml"
LOCK_FILE = "config/servers.lock.yaml"
HYPOTHESES_FILE = "config/hypotheses.yaml"
DATA = "config/agents/data"
# What a run file depends on beyond its RunSpec. Study and agents are not here: all that they
# do is in the RunSpec itself.
MEASURING_CODE = ("servers", "wire", "measure")
# What a calibration depends on; nothing in a study does.
CALIBRATING_CODE = ("wire", "calibrate", "fake_server")
ANALYSING_CODE = ("metrics.py", "stats", "dataset")
# What a hypothesis may be about: the columns of runs that are metrics and numbers.
TESTABLE = (
    *(name for name, (unit, _) in RUN_METRICS.items() if unit not in ("boolean", "string")),
    "makespan_ratio",
)


@dataclass(frozen=True)
class Plan:
    """A study with the RunSpec of each config (by id) and the file names that follow.

    ``elsewhere`` maps the other sessions that were measured to the names of their run files;
    ``calibrated`` are the names of the calibrations that are there.
    """

    study: Study
    file: str
    session: str
    specs: Mapping[str, Spec]
    analysing_code: str
    elsewhere: Mapping[str, Sequence[str]]
    calibrating_code: str
    calibrated: Sequence[str]

    @property
    def results(self) -> str:
        """The folder of this study's results."""
        return f"results/{self.study.name}"

    def spec_json(self, config_id: str, repetition: int) -> str:
        """The RunSpec of one block, canonical JSON."""
        return canonical(self.specs[config_id] | {"repetition": repetition})

    def run_file(self, config_id: str, repetition: int) -> str:
        """Where one block's measurement goes; the digest of its RunSpec is in the name."""
        key = digest(self.specs[config_id])
        return f"{self.results}/runs/{self.session}/{config_id}.r{repetition}.{key}.parquet"

    def run_files(self, phase: str | None = None) -> list[str]:
        """The run files of one phase, or of all, config by config."""
        return [
            self.run_file(config.id, repetition)
            for config in self.study.configs
            if phase in (None, config.phase)
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

    def calibration_file(self, session: str | None = None) -> str:
        """Where the calibration of ``session``, or of this one, goes; its code is in the name."""
        name = f"{session or self.session}.{self.calibrating_code}.json"
        return f"{self.results}/calibration/{name}"

    def calibration_files(self) -> list[str]:
        """This session's, and those that are there of the other sessions whose runs count."""
        others = sorted({Path(file).parent.name for file in self.other_sessions()})
        files = map(self.calibration_file, others)
        there = [file for file in files if Path(file).name in self.calibrated]
        return [self.calibration_file(), *there]

    def order(self) -> dict[tuple[str, int], int]:
        """The place of each (config id, repetition) in the order of measuring, from 0."""
        return {block: place for place, block in enumerate(block_order(self.study))}

    def phase_manifest(self, phase: str) -> dict[str, Any]:
        """What the aggregate of one phase is made from; TandemError if the study has no such."""
        phases = self.study.phases
        if phase not in phases:
            what, fix = f"no phase '{sanitise(phase, 40)}'", f"phases: {', '.join(phases)}"
            raise TandemError(what, where=self.file, fix=fix)
        return {
            "study": self.study.name,
            "phase": phase,
            "title": phases[phase],
            "session": self.session,
            "analysing_code": self.analysing_code,
            "run_files": self.run_files(phase) + self.other_sessions(phase),
        }

    def study_manifest(self) -> dict[str, Any]:
        """What the dataset of the study is made from."""
        study = self.study
        return {
            "study": study.name,
            "title": study.title,
            "session": self.session,
            "repetitions": study.repetitions,
            "order": study.order,
            "seed": study.seed,
            "margin": study.margin,
            "reference": study.reference,
            "baselines": list(study.baselines),
            "engine": study.engine,
            "threads_total": study.threads_total,
            "analysing_code": self.analysing_code,
            "run_files": self.run_files() + self.other_sessions(),
            "calibrations": self.calibration_files(),
            "phases": [
                {
                    "name": phase,
                    "title": title,
                    "manifest": self.manifest_file(phase),
                    "configs": [c.id for c in study.configs if c.phase == phase],
                }
                for phase, title in study.phases.items()
            ],
        }

    def manifest_file(self, phase: str | None = None) -> str:
        """The manifest of a phase, or of the whole study; its digest is in the name."""
        if phase is None:
            return f"{self.results}/manifest.{digest(self.study_manifest())}.json"
        key = digest(self.phase_manifest(phase))
        return f"{self.results}/phases/{phase}.manifest.{key}.json"


def open_plan(study_file: str, session: str = "s1", root: Path = Path()) -> Plan:
    """Read a study and all that its RunSpecs depend on. Paths are relative to ``root``.

    TandemError, one line, for anything that cannot be measured as it is written.
    """
    if not is_name(session):
        fix = "use small letters and digits, joined by single '_', '.' or '-', 64 at most"
        what = f"'{sanitise(session, 80)}' is not allowed"
        raise TandemError(what, where="session", fix=fix)
    study = load_study(study_file, root)
    lock = _lock(root)
    code = code_digest(_sources(MEASURING_CODE))
    rendered = cache(partial(_rendered, root))  # of this call only: files may change between two
    specs = {
        config.id: config_spec(
            study,
            config,
            {a.name: rendered(a.task, a.steps, a.data or DATA) for a in config.agents},
            _locked(study, config, lock, study_file),
            code,
        )
        for config in study.configs
    }
    results = root / "results" / study.name
    runs = results / "runs"
    elsewhere = {
        folder.name: [file.name for file in folder.glob("*.parquet")]
        for folder in (runs.iterdir() if runs.is_dir() else ())
        if folder.name != session
    }
    analysing = code_digest(_sources(ANALYSING_CODE))
    calibrating = code_digest(_sources(CALIBRATING_CODE))
    calibrated = [file.name for file in (results / "calibration").glob("*.json")]
    return Plan(study, study_file, session, specs, analysing, elsewhere, calibrating, calibrated)


def load_study(study_file: str, root: Path = Path()) -> Study:
    """Read a study alone, without what it is measured with."""
    return read_study(read_text(root / study_file, NO_STUDY), _schema("study"), study_file)


def load_hypotheses(file: str = HYPOTHESES_FILE, root: Path = Path()) -> tuple[Hypothesis, ...]:
    """The hypotheses that ``file`` declares; none if the file of that name by default is not there.

    TandemError, one line, for anything that cannot be tested as it is written.
    """
    if file == HYPOTHESES_FILE and not (root / file).exists():
        return ()
    text = read_text(root / file, f"name a file of hypotheses, such as {HYPOTHESES_FILE}")
    return read_hypotheses(text, _schema("hypotheses"), file, TESTABLE)


def locked_model(model: str, root: Path = Path()) -> dict[str, Any]:
    """The lock's entry of a model file; TandemError if there is none."""
    models: dict[str, dict[str, Any]] = _lock(root)["embedded"]["models"]
    if model not in models:
        raise TandemError(
            f"no model '{model}'", where=LOCK_FILE, fix=f"pinned models: {', '.join(models)}"
        )
    return models[model]


def _lock(root: Path) -> dict[str, Any]:
    text = read_text(root / LOCK_FILE, "run in the folder of the checkout, which has it")
    return checked_yaml(text, _schema("servers.lock"), LOCK_FILE)


@cache
def _schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(SCHEMAS / f"{name}.schema.yaml")
    return loaded


def _sources(names: Sequence[str]) -> dict[str, str]:
    paths = [PACKAGE / name for name in names]
    files = [file for path in paths for file in ([path] if path.suffix else path.rglob("*.py"))]
    return {str(file.relative_to(PACKAGE)): file.read_text(encoding="utf-8") for file in files}


def _rendered(root: Path, task: str, steps: tuple[str, ...], data: str) -> tuple[str, ...]:
    templates = [root / "config/agents" / step for step in steps]
    return render_steps(task, templates, read_data(root / data))


def _locked(
    study: Study, config: Config, lock: Mapping[str, Any], study_file: str
) -> dict[str, Any]:
    """The lock entries that this config is measured with: its own engine and models only."""
    where = f"{study_file}:{config.line}"
    if study.engine not in lock:
        fix = f"run: tandembench servers lock {study_file} --write"
        raise TandemError(f"{LOCK_FILE} has no entry for {study.engine}", where=where, fix=fix)
    entry = lock[study.engine]
    models = {agent.model for agent in config.agents}
    for model in sorted(models):
        if model not in entry["models"]:
            what = f"{LOCK_FILE} does not pin the model '{model}' for {study.engine}"
            fix = f"pinned models: {', '.join(entry['models']) or 'none'}"
            if study.engine != "embedded":
                fix = f"run: tandembench servers lock {study_file} --write ({fix})"
            raise TandemError(what, where=where, fix=fix)
    # Where a file was fetched from does not matter to what it measures; its digest does.
    digests = {
        model: pinned["sha256"] if isinstance(pinned, dict) else pinned
        for model, pinned in entry["models"].items()
        if model in models
    }
    return dict(entry) | {"models": digests}
