"""Reads the study once and offers it to the rules. Needs config/; makes nothing.

`--configfile` names the study (config/study.yaml if left out), `--config session=s2` a session,
`--config repetitions=9` how often each comparison is measured in place of what the study says.
"""

import os
import shlex
import signal
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path

from snakemake.logging import logger
from snakemake.settings.enums import Quietness

# The package works from the checkout, installed or not, here and in the jobs. A PYTHONPATH from
# outside could bring in other versions than the lock's, and is left out.
PACKAGES = str(Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent)
sys.path.insert(0, PACKAGES)
os.environ.update(PYTHONPATH=PACKAGES)

from tandembench.cli.quiet import only_faults
from tandembench.dataset.manifest import note, write_texts
from tandembench.dataset.versions import find
from tandembench.errors import TandemError
from tandembench.project import load_hypotheses, open_plan
from tandembench.study.hypotheses import SELF, Hypothesis
from tandembench.study.plan import Plan
from tandembench.study.spec import TABLES

QUIET = Quietness.ALL in (workflow.output_settings.quiet or ())
if QUIET:
    studies = map(os.path.relpath, workflow.overwrite_configfiles)
    named = [word for file in studies for word in ("--configfile", file)]
    only_faults(logger, shlex.join(["snakemake", "--unlock", *named]))

# A terminal that is closed is a Ctrl-C: else the folder would stay locked. (nohup ignores it.)
if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def read_plan() -> tuple[Plan, tuple[Hypothesis, ...]]:
    """The study that this invocation is about, and what is expected of it.

    A mistake in one of them is one line, and the end.
    """
    files = [os.path.relpath(file) for file in workflow.overwrite_configfiles]
    given = workflow.config_settings.config
    unknown = set(given) - {"session", "repetitions"}
    # As it was typed: Snakemake reads 1.10 as the number 1.1.
    texts = [text.partition("=") for text in workflow.config_settings.config_args or ()]
    sessions = [text.strip("\"'") for key, _, text in texts if key == "session"]
    try:
        if {"{", "}"} & set(PACKAGES):
            raise TandemError(
                "braces in the path, which Snakemake takes for wildcards",
                where=PACKAGES,
                fix="rename that folder",
            )
        if len(files) > 1:
            raise TandemError(
                "several studies",
                where="--configfile",
                fix="name one file for each snakemake",
            )
        if unknown:
            raise TandemError(
                f"unknown key '{min(unknown)}'",
                where="--config",
                fix="only session and repetitions can be given there; write the rest into the"
                " study's YAML",
            )
        # a study's own repetitions stand in `config` too
        plan = open_plan(
            files[0] if files else "config/study.yaml",
            sessions[-1] if sessions else "s1",
            repetitions=given.get("repetitions"),
        )
        return plan, load_hypotheses(plan.study.hypotheses)
    except TandemError as error:
        sys.exit(f"tandembench: {error}")


PLAN, HYPOTHESES = read_plan()
ORDER = PLAN.order()
REPORTS = f"reports/{PLAN.study.name}"
REPORT = f"{REPORTS}/technical_report.md"
PAGE = f"{REPORTS}/technical_report.html"
# What makes pages of Markdown.
PAGE_CODE = [
    os.path.relpath(Path(PACKAGES, file))
    for file in (
        "tandembench/report/page.py",
        "templates/page.html.j2",
        "templates/page.css",
        "templates/page.js",
    )
]
# A changed template or sentence makes a report again, and nothing else.
REPORTING_CODE = [
    os.path.relpath(file)
    for pattern in (
        "templates/*",
        "tandembench/analysis/*.py",
        "tandembench/diff/*.py",
        "tandembench/plan.py",
        "tandembench/report/**/*.py",
        "tandembench/study/hypotheses.py",
    )
    for file in sorted(Path(PACKAGES).glob(pattern))
    if file.name != "diff.md.j2"
]
DIFFING_CODE = [
    *(
        os.path.relpath(file)
        for pattern in (
            "tandembench/diff/*.py",
            "tandembench/analysis/intervals.py",
            "tandembench/analysis/sides.py",
            "tandembench/audit/publi*.py",
            "tandembench/audit/sides.py",
            "tandembench/text.py",
            "tandembench/report/diff_page.py",
            "tandembench/report/formats.py",
            "tandembench/report/render.py",
            "templates/diff.md.j2",
        )
        for file in sorted(Path(PACKAGES).glob(pattern))
    ),
    *PAGE_CODE,
]
MODEL_FILE = "resources/models/{model}.gguf"

# Which invocation measured a block; a job inherits it.
INVOCATION = os.environ.setdefault("TANDEMBENCH_INVOCATION", uuid.uuid4().hex[:12])


wildcard_constraints:
    comparison=r"[a-z0-9]+([_.-][a-z0-9]+)*",
    repetition=r"[1-9][0-9]*",
    digest=r"[0-9a-f]{12}",
    phase=r"[a-z0-9]+([_.-][a-z0-9]+)*",
    page=r"[a-z0-9]+([_.@/-]+[a-z0-9]+)*",
    model=r"[A-Za-z0-9][A-Za-z0-9._-]*",


def of_the_study() -> bool:
    """Whether anything of the study was asked for: differences of baselines are of no study."""
    targets = [os.path.normpath(target) for target in workflow.dag_settings.targets]
    return not targets or not all(one.startswith("reports/diff/") for one in targets)


def write_specs_and_manifests() -> None:
    """Write what the commands of the rules read; where that cannot be, nothing can be measured."""
    try:
        write_texts(PLAN.texts())
    except TandemError as error:
        sys.exit(f"tandembench: {error}")


def note_that(event, digests=None) -> None:
    """Write the event down; a list of them that cannot be written costs no measurement."""
    try:
        note(PLAN.results, INVOCATION, PLAN.session, event, digests)
    except TandemError as error:
        print(f"tandembench: {error}", file=sys.stderr)


def show_answer() -> None:
    """Print what the study answers, if all of it was asked for and made."""
    if not set(workflow.dag_settings.targets) <= {"all", "default"}:
        return
    if not os.path.exists(PLAN.dataset_mark):
        return
    sys.stdout.flush()
    subprocess.run(
        [sys.executable, "-m", "tandembench", "show", PLAN.results], check=False
    )


def measure_threads(wildcards, input, attempt) -> int:
    """All cores: two measurements never share the machine. Remote profiles use set-threads."""
    return workflow.cores


def block_spec(wildcards) -> str:
    """The RunSpec of a block, the one string that Snakemake tracks."""
    return PLAN.spec_texts[wildcards.comparison]


def block_spec_file(wildcards) -> str:
    """The file that holds it: as an argument it could be longer than the system allows."""
    return PLAN.spec_file(wildcards.comparison)


def block_priority(wildcards) -> int:
    """First in the seeded order is highest."""
    return len(ORDER) - ORDER[wildcards.comparison, int(wildcards.repetition)]


def block_models(wildcards) -> list[str]:
    """The model files that a block needs; none if its servers run already."""
    spec = PLAN.specs[wildcards.comparison]
    if spec.engine == "embedded":
        return [MODEL_FILE.format(model=model) for model in spec.lock["models"]]
    return [MODEL_FILE.format(model=model) for model in spec.lock.get("files", ())]


def phase_runs(wildcards) -> list[str]:
    """The run files of a phase, those of other sessions included."""
    return PLAN.run_files(wildcards.phase) + PLAN.other_sessions(wildcards.phase)


def phase_manifest(wildcards) -> str:
    """The manifest of a phase."""
    return PLAN.phase_manifest_file(wildcards.phase)


def hypotheses_files(wildcards) -> list[str]:
    """The hypotheses, and the baselines that they name: a change makes the report again."""
    sides = [side for one in HYPOTHESES for side in (one.a, one.b) if side]
    named = sorted({side.dataset for side in sides} - {SELF})
    declared = PLAN.study.hypotheses
    return [*([declared] if declared else []), *known_files(named)]


def baselines_files(wildcards) -> list[str]:
    """The baselines that the study names: a change makes the report again."""
    return known_files(PLAN.study.baselines)


def first_baseline(wildcards) -> list[str]:
    """The files of a difference's first side."""
    return baseline_files(wildcards.a)


def second_baseline(wildcards) -> list[str]:
    """The files of a difference's second side."""
    return baseline_files(wildcards.b)


def known_files(names) -> list[str]:
    """The files of the baselines that are there; which are not, the report says."""
    found = []
    for name in names:
        with suppress(TandemError):
            found += baseline_files(name)
    return found


def baseline_files(name: str) -> list[str]:
    """The files of a baseline's newest version, or the one named: a newer one has others."""
    return [str(file) for file in sorted(find(name).folder.iterdir())]
