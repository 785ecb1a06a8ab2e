"""The edge of the study room: reads the files of a checkout and says what is to be measured.

Used by the Snakefile and by the commands; asks no server anything, so dry runs work offline.
"""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from tandembench.agents import read_data, render_steps
from tandembench.dataset.versions import is_name
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.files import read_text
from tandembench.metrics import RUN_METRICS
from tandembench.study.check import Session, check_value
from tandembench.study.code import code_digest
from tandembench.study.expand import Prompts, Study, read_study
from tandembench.study.hypotheses import Hypothesis, read_hypotheses
from tandembench.study.keys import AgentKeys, Repetitions
from tandembench.study.lock import LOCK_FILE, NO_LOCK, Lock, locked, read_lock
from tandembench.study.plan import Plan, run_spec
from tandembench.text import sanitise

PACKAGE = Path(__file__).parent
NO_STUDY = "name an existing study, such as config/quick.yaml"
DATA = "config/agents/data"
# What a run file depends on beyond its RunSpec: these rooms, but for what acts in no measurement,
# and for what acts in those of other engines. Study and agents are not here: all that they do is in
# the RunSpec itself.
MEASURING_CODE = ("servers", "wire", "measure", "system.py")
INERT = frozenset(
    {
        "measure/exclusive.py",
        "measure/progress.py",
        "servers/fetch.py",
        "servers/lock.py",
        "servers/requests.py",
    }
)
OF_ENGINES: Mapping[str, frozenset[str]] = {
    "servers/attach.py": frozenset({"ollama", "openai"}),
    "servers/embedded.py": frozenset({"embedded"}),
    "servers/llama_process.py": frozenset({"embedded"}),
    "servers/managed.py": frozenset({"ollama"}),
    "servers/ollama_process.py": frozenset({"ollama"}),
    "servers/processes.py": frozenset({"embedded", "ollama"}),
    "servers/ollama.py": frozenset({"ollama"}),
    "servers/openai.py": frozenset({"openai"}),
    "wire/llama.py": frozenset({"embedded", "openai"}),
    "wire/ollama.py": frozenset({"ollama"}),
    "wire/openai.py": frozenset({"openai"}),
}
# What a calibration depends on; nothing in a study does.
CALIBRATING_CODE = ("wire", "calibrate", "fake_server", "measure/machine.py", "system.py")
ANALYSING_CODE = (
    "steps.py",
    "metrics.py",
    "measure/loads.py",
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
    check_value(Session, session, "session")
    rendered = cache(partial(_rendered, root))  # of this call only: files may change between two
    study = load_study(study_file, root, rendered)
    if repetitions is not None:
        check_value(Repetitions, repetitions, "repetitions")
        study = study.model_copy(update={"repetitions": repetitions})
    lock, code = _lock(root), measuring_code(study.engine)
    results = root / "results" / study.name
    runs = results / "runs"
    elsewhere = {
        folder.name: [file.name for file in folder.glob("*.parquet")]
        for folder in (runs.iterdir() if runs.is_dir() else ())
        if folder.name != session
    }
    plan = Plan(
        study=study,
        file=study_file,
        session=session,
        specs={
            one.id: run_spec(study, one, locked(lock, study, one, study_file), code)
            for one in study.comparisons
        },
        analysing_code=code_digest(_sources(ANALYSING_CODE)),
        elsewhere=elsewhere,
        calibrating_code=code_digest(_sources(CALIBRATING_CODE)),
        calibrated=[file.name for file in (results / "calibration").glob("*.json")],
    )
    for name in {Path(file).parent.name for file in plan.other_sessions()}:
        if not is_name(name):
            where, fix = (
                sanitise(f"{runs}/{name}"),
                "give the folder its name again or move it away",
            )
            raise TandemError("no session's name", where=where, fix=fix, exit_code=EXIT_CORRUPT)
    return plan


def load_study(study_file: str, root: Path = Path(), prompts: Prompts = lambda _: ()) -> Study:
    """Read a study; without ``prompts`` its agents have none."""
    return read_study(read_text(root / study_file, NO_STUDY), study_file, prompts)


def load_hypotheses(file: str | None, root: Path = Path()) -> tuple[Hypothesis, ...]:
    """The hypotheses that ``file`` declares; none without a file.

    TandemError, one line, for anything that cannot be tested as it is written.
    """
    if file is None:
        return ()
    text = read_text(root / file, "name a file of hypotheses, such as config/hypotheses/tr114.yaml")
    return read_hypotheses(text, file, TESTABLE)


def locked_model(model: str, root: Path = Path()) -> dict[str, str]:
    """The lock's entry of a model file; TandemError if there is none."""
    models = _lock(root).embedded.models
    if model not in models:
        fix = f"pinned models: {', '.join(models)}"
        raise TandemError(f"no model '{model}'", where=LOCK_FILE, fix=fix)
    return models[model].model_dump()


def _lock(root: Path) -> Lock:
    return read_lock(read_text(root / LOCK_FILE, NO_LOCK))


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


def _rendered(root: Path, agent: AgentKeys) -> tuple[str, ...]:
    templates = [root / "config/agents" / step for step in agent.steps]
    folder = root / (agent.data or DATA)
    return render_steps(agent.task, templates, read_data(folder), str(folder))
