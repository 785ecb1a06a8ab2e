"""The edge of the study room: reads the files of a checkout and says what is to be measured.

Used by the Snakefile and by the commands; asks no server anything, so dry runs work offline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from tandembench.study.model import Comparison, Study
from tandembench.study.plan import Plan
from tandembench.study.read import checked_yaml, read_study
from tandembench.study.spec import RunSpec, comparison_spec
from tandembench.text import sanitise

PACKAGE = Path(__file__).parent
SCHEMAS = PACKAGE.parent / "schemas"
NO_STUDY = "name an existing study, such as config/quick.yaml"
LOCK_FILE = "config/servers.lock.yaml"
DATA = "config/agents/data"
# What a run file depends on beyond its RunSpec: these rooms, but for what acts in no measurement,
# and for what acts in those of other engines. Study and agents are not here: all that they do is in
# the RunSpec itself.
MEASURING_CODE = ("servers", "wire", "measure")
INERT = frozenset(
    {
        "measure/exclusive.py",
        "measure/progress.py",
        "servers/fake.py",
        "servers/fetch.py",
        "servers/lock.py",
    }
)
OF_ENGINES: Mapping[str, frozenset[str]] = {
    "servers/address.py": frozenset({"ollama", "openai"}),
    "servers/attach.py": frozenset({"ollama", "openai"}),
    "servers/embedded.py": frozenset({"embedded"}),
    "servers/llama_process.py": frozenset({"embedded"}),
    "servers/ollama.py": frozenset({"ollama"}),
    "servers/openai.py": frozenset({"openai"}),
    "wire/llama.py": frozenset({"embedded", "openai"}),
    "wire/ollama.py": frozenset({"ollama"}),
    "wire/ollama_chat.py": frozenset({"ollama"}),
    "wire/openai.py": frozenset({"openai"}),
    "wire/openai_completions.py": frozenset({"openai"}),
}
# What a calibration depends on; nothing in a study does.
CALIBRATING_CODE = ("wire", "calibrate", "fake_server", "measure/machine.py")
ANALYSING_CODE = (
    "metrics.py",
    "analysis/intervals.py",
    "analysis/overlap.py",
    "calibrate/record.py",
    "dataset",
    "tables",
)
# What a hypothesis may be about: the columns of runs that are metrics and numbers.
TESTABLE = (
    *(name for name, (unit, _) in RUN_METRICS.items() if unit not in ("boolean", "string")),
    "makespan_ratio",
)


def open_plan(
    study_file: str, session: str = "s1", root: Path = Path(), repetitions: int | None = None
) -> Plan:
    """Read a study and all that its RunSpecs depend on. Paths are relative to ``root``.

    ``repetitions`` counts in place of the study's own number. TandemError, one line, for anything
    that cannot be measured as it is written.
    """
    if not is_name(session):
        fix = "use small letters and digits, joined by single '_', '.' or '-', 64 at most"
        what = f"'{sanitise(session, 80)}' is not allowed"
        raise TandemError(what, where="session", fix=fix)
    study = load_study(study_file, root)
    if repetitions is not None:
        rule = _schema("study")["properties"]["repetitions"]
        if type(repetitions) is not int or not rule["minimum"] <= repetitions <= rule["maximum"]:
            what = f"{sanitise(str(repetitions), 80)} is not allowed"
            raise TandemError(what, where="repetitions", fix=f"expected {rule['description']}")
        study = replace(study, repetitions=repetitions)
    lock = _lock(root)
    code = measuring_code(study.engine)
    rendered = cache(partial(_rendered, root))  # of this call only: files may change between two

    def spec(comparison: Comparison) -> RunSpec:
        prompts = {
            config.id: {a.name: rendered(a.task, a.steps, a.data or DATA) for a in config.agents}
            for config in comparison.configs
        }
        locked = _locked(study, comparison, lock, study_file)
        return comparison_spec(study, comparison, prompts, locked, code)

    results = root / "results" / study.name
    runs = results / "runs"
    elsewhere = {
        folder.name: [file.name for file in folder.glob("*.parquet")]
        for folder in (runs.iterdir() if runs.is_dir() else ())
        if folder.name != session
    }
    return Plan(
        study=study,
        file=study_file,
        session=session,
        specs={one.id: spec(one) for one in study.comparisons},
        analysing_code=code_digest(_sources(ANALYSING_CODE)),
        elsewhere=elsewhere,
        calibrating_code=code_digest(_sources(CALIBRATING_CODE)),
        calibrated=[file.name for file in (results / "calibration").glob("*.json")],
    )


def load_study(study_file: str, root: Path = Path()) -> Study:
    """Read a study alone, without what it is measured with."""
    return read_study(read_text(root / study_file, NO_STUDY), _schema("study"), study_file)


def load_hypotheses(file: str | None, root: Path = Path()) -> tuple[Hypothesis, ...]:
    """The hypotheses that ``file`` declares; none without a file.

    TandemError, one line, for anything that cannot be tested as it is written.
    """
    if file is None:
        return ()
    text = read_text(root / file, "name a file of hypotheses, such as config/hypotheses/tr114.yaml")
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


def measuring_code(engine: str) -> str:
    """The digest of the code that acts in a measurement of ``engine``."""
    return code_digest(
        {
            name: text
            for name, text in _sources(MEASURING_CODE).items()
            if name not in INERT and engine in OF_ENGINES.get(name, {engine})
        }
    )


def _sources(names: Sequence[str]) -> dict[str, str]:
    paths = [PACKAGE / name for name in names]
    files = [file for path in paths for file in ([path] if path.suffix else path.rglob("*.py"))]
    return {str(file.relative_to(PACKAGE)): file.read_text(encoding="utf-8") for file in files}


def _rendered(root: Path, task: str, steps: tuple[str, ...], data: str) -> tuple[str, ...]:
    templates = [root / "config/agents" / step for step in steps]
    return render_steps(task, templates, read_data(root / data))


def _locked(
    study: Study, comparison: Comparison, lock: Mapping[str, Any], study_file: str
) -> dict[str, Any]:
    """The lock entries that a comparison is measured with: its own engine and models only."""
    where = f"{study_file}:{comparison.line}"
    if study.engine not in lock:
        fix = f"run: tandembench servers lock {study_file} --write"
        raise TandemError(f"{LOCK_FILE} has no entry for {study.engine}", where=where, fix=fix)
    entry = lock[study.engine]
    models = {agent.model for config in comparison.configs for agent in config.agents}
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
