"""From a checkout's files to run files: what changes their names, and what cannot be read."""

import ast
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from configs import COMPARED, COMPARISONS, OTHER, SMALL, Checkout, copied
from study_texts import told

from tandembench import project
from tandembench.files import MAX_BYTES
from tandembench.project import load_study, locked_model, measuring_code, open_plan
from tandembench.study.lock import LOCK_FILE
from tandembench.study.spec import RunSpec, digest

MODEL = "smollm2-135m-instruct-q4_1"
RUN_FILE = re.compile(
    r"results/small/runs/s1/(?P<comparison>[a-z0-9._-]+)\.r(?P<repetition>[1-9])"
    r"\.(?P<digest>[0-9a-f]{12})\.parquet"
)


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Checkout:
    return copied(repository, tmp_path)


# Run files and RunSpecs


def test_run_files_name_comparison_repetition_and_digest(checkout: Checkout) -> None:
    plan = checkout.plan()
    files = plan.run_files()
    matches = [match for file in files if (match := RUN_FILE.fullmatch(file))]
    assert [(match["comparison"], int(match["repetition"])) for match in matches] == [
        (comparison, repetition) for comparison in COMPARISONS for repetition in (1, 2, 3)
    ]
    assert {match["digest"] for match in matches if match["comparison"] == OTHER} == {
        plan.specs[OTHER].digest
    }
    assert plan.run_files("first") + plan.run_files("second") == files
    other = checkout.plan(session="s2")
    assert other.run_file(OTHER, 1) == plan.run_file(OTHER, 1).replace("/s1/", "/s2/")
    assert other.spec_texts == plan.spec_texts
    # the order of measuring has each of them, repetition by repetition
    assert sorted(plan.order().values()) == list(range(len(files)))
    first = [place for (_, repetition), place in plan.order().items() if repetition == 1]
    assert max(first) == len(COMPARISONS) - 1


def test_a_spec_file_holds_the_run_spec_under_its_digest(checkout: Checkout) -> None:
    plan = checkout.plan()
    texts = plan.texts()
    for comparison in COMPARISONS:
        file = plan.spec_file(comparison)
        assert RunSpec.from_json(texts[file]) == plan.specs[comparison]
        assert file == f"results/small/specs/{comparison}.{digest(json.loads(texts[file]))}.json"
    assert [config.id for config in plan.specs[COMPARED].configs] == [
        "bvc-c512-dual",
        "bvc-c512-serial",
    ]


def test_a_checkout_with_other_line_ends_measures_the_same(
    repository: Path, tmp_path: Path
) -> None:
    """What is committed next, as Git for Windows checks it out."""
    shutil.copytree(repository / "config", tmp_path / "here/config")
    shutil.copy(repository / ".gitattributes", tmp_path / "here")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], cwd=tmp_path / "here", check=True)
    clone = [*git, "-c", "core.autocrlf=true", "clone", "-q", "here", "there"]
    subprocess.run(clone, cwd=tmp_path, check=True)
    here, there = (open_plan("config/quick.yaml", root=tmp_path / one) for one in ("here", "there"))
    assert here.run_files() == there.run_files()
    for file in (file for file in (tmp_path / "here/config").rglob("*") if file.is_file()):
        copy = tmp_path / "there" / file.relative_to(tmp_path / "here")
        assert copy.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("repetitions", [0, -1, 1001, 2.0, "9", True, [3]])
def test_repetitions_that_are_none_are_refused(checkout: Checkout, repetitions: object) -> None:
    line = told(lambda: checkout.plan(repetitions=repetitions))
    assert line.startswith("repetitions: ")
    assert "1 to 1000" in line


# Code


def test_every_name_in_the_tables_of_code_is_a_file(repository: Path) -> None:
    for name in project.INERT | set(project.OF_ENGINES):
        assert (project.PACKAGE / name).is_file(), name
        assert name.split("/")[0] in project.MEASURING_CODE
    for name in (*project.MEASURING_CODE, *project.CALIBRATING_CODE, *project.ANALYSING_CODE):
        assert (project.PACKAGE / name).exists(), name


# What reads, writes and names things, and changes no number.
HANDLING = {
    "errors.py",
    "files.py",
    "text.py",
    "invocation.py",
    "study/spec.py",
    "analysis/findings.py",
}


@pytest.mark.parametrize(
    ("starts", "named"),
    [
        (("measure/run.py",), (*project.MEASURING_CODE, "tables/columns.py", "tables/parquet.py")),
        (
            ("dataset/aggregate.py", "dataset/build.py"),
            # other measuring code means other run files, and so other tables
            (*project.ANALYSING_CODE, *project.MEASURING_CODE),
        ),
    ],
)
def test_no_code_acts_that_is_in_no_table(starts: tuple[str, ...], named: tuple[str, ...]) -> None:
    reached, waiting = set(), set(starts)
    while waiting:
        file = waiting.pop()
        reached.add(file)
        if not file.startswith(("dataset/", "tables/")) or "dataset" in named:
            waiting |= imports_of(file) - reached
    outside = {file for file in reached if not any(is_in(file, name) for name in named)}
    # columns of metrics are declared beside them, and act where run files are read
    assert outside - HANDLING <= {"metrics.py"}


def is_in(file: str, name: str) -> bool:
    return file == name or file.startswith(f"{name}/")


def imports_of(file: str) -> set[str]:
    """The modules of the package that ``file`` imports, as paths."""
    tree = ast.parse((project.PACKAGE / file).read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tandembench"):
            module = str(node.module)
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    paths = {name.removeprefix("tandembench").strip(".").replace(".", "/") for name in names}
    files = {f"{path}.py" for path in paths} | {f"{path}/__init__.py" for path in paths}
    return {file for file in files if (project.PACKAGE / file).is_file()}


ALL = {"embedded", "ollama", "openai"}
# Files, and the engines in whose measurements they act.
ACTING: dict[str, set[str]] = {
    "measure/block.py": ALL,
    "wire/client.py": ALL,
    "servers/open.py": ALL,
    "servers/embedded.py": {"embedded"},
    "servers/ollama.py": {"ollama"},
    "wire/openai.py": {"openai"},
    # llama-server's own figures, which it also adds to OpenAI's answers
    "wire/llama.py": {"embedded", "openai"},
    "measure/exclusive.py": set(),
    "system.py": ALL,
    "servers/fetch.py": set(),
    "servers/lock.py": set(),
    "metrics.py": set(),
    "dataset/aggregate.py": set(),
    "cli/__init__.py": set(),
}


@pytest.mark.parametrize("file", ACTING)
def test_code_counts_where_it_acts_in_the_measurement(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str
) -> None:
    before = {engine: measuring_code(engine) for engine in ALL}
    copy = shutil.copytree(project.PACKAGE, tmp_path / "package")
    monkeypatch.setattr(project, "PACKAGE", copy)
    source = (copy / file).read_text(encoding="utf-8")
    (copy / file).write_text(f"{source}\n# A comment.\n", encoding="utf-8")
    assert {engine: measuring_code(engine) for engine in ALL} == before
    (copy / file).write_text(f"{source}\nCHANGED = 1\n", encoding="utf-8")
    changed = {engine for engine in ALL if measuring_code(engine) != before[engine]}
    assert changed == ACTING[file]


@pytest.mark.parametrize("session", ["s1", "2026-11-22", "night.two_a", "7th", "1.1.0", "a" * 64])
def test_session_names_that_are_taken(checkout: Checkout, session: str) -> None:
    assert f"/runs/{session}/" in checkout.plan(session=session).run_files()[0]


@pytest.mark.parametrize(
    "session",
    [
        "",
        "S2",
        "a b",
        "../s2",
        "-a",
        "a__b",
        "\u00fc",
        "a" * 65,
        "s1\n",
        "s\u202e1",
        "7",
        "007",
        "1.10",
        "1e3",
        "2_1",
        "nan",
    ],
)
def test_session_names_that_are_refused(checkout: Checkout, session: str) -> None:
    assert told(lambda: checkout.plan(session=session)).startswith('session: "')


# The lock

OLLAMA = "engine: ollama\nservers: {dual: ['http://h:1', 'http://h:2'], single: ['http://h:3']}\n"
NOTHING_PINNED = "ollama: {version: 0.12.10, models: {}}\nembedded:"


@pytest.mark.parametrize(
    ("edits", "line"),
    [
        (
            [(SMALL, f"model: {MODEL}", "model: gemma3:1b")],
            f"{LOCK_FILE} does not pin the model 'gemma3:1b' for embedded; pinned models: {MODEL}",
        ),
        (
            [(SMALL, "repetitions:", f"{OLLAMA}repetitions:")],
            f"{LOCK_FILE} has no entry for ollama; run: tandembench servers lock {SMALL} --write",
        ),
        (
            [
                (SMALL, "repetitions:", f"{OLLAMA}repetitions:"),
                (LOCK_FILE, "embedded:", NOTHING_PINNED),
            ],
            f"{LOCK_FILE} does not pin the model '{MODEL}' for ollama; "
            f"run: tandembench servers lock {SMALL} --write",
        ),
    ],
)
def test_what_is_not_pinned_is_refused(
    checkout: Checkout, edits: list[tuple[str, str, str]], line: str
) -> None:
    for edit in edits:
        checkout.edit(*edit)
    assert told(checkout.plan) == f"{SMALL}:{checkout.line(SMALL, '- scenario')}: {line}"
    # The command that the line names works all the same.
    assert load_study(SMALL, checkout.root).configs


def test_a_spec_holds_its_own_engine_and_models_only(checkout: Checkout) -> None:
    checkout.edit(SMALL, "repetitions:", f"{OLLAMA}repetitions:")
    entry = f"{{{MODEL}: sha256:{'a' * 64}, other: {'b' * 12}}}"
    checkout.edit(LOCK_FILE, "embedded:", NOTHING_PINNED.replace("{}", entry))
    before = checkout.plan()
    lock = {"version": "0.12.10", "models": {MODEL: f"sha256:{'a' * 64}"}}
    assert before.specs["gamma"].lock == lock
    checkout.edit(LOCK_FILE, "default_num_ctx: 2048", "default_num_ctx: 4096")
    checkout.edit(LOCK_FILE, "b" * 12, "c" * 12)
    assert checkout.plan().run_files() == before.run_files()
    checkout.edit(LOCK_FILE, "a" * 64, "d" * 64)
    assert not set(checkout.plan().run_files()) & set(before.run_files())


def test_the_lock_of_a_model_file(checkout: Checkout) -> None:
    entry = locked_model(MODEL, checkout.root)
    assert sorted(entry) == ["member", "package", "sha256"]
    line = told(lambda: locked_model("gemma", checkout.root))
    assert line == f"{LOCK_FILE}: no model 'gemma'; pinned models: {MODEL}"


# Files that cannot be read


def test_files_that_cannot_be_read(checkout: Checkout) -> None:
    root = checkout.root
    (root / "config/latin.yaml").write_bytes(b"name: a\ntitle: Gr\xf6\xdfe\n")
    (root / "config/utf16.yaml").write_text("name: a\n", encoding="utf-16")
    (root / "config/large.yaml").write_bytes(b"# " + b"x" * MAX_BYTES)
    (root / "config/deep.yaml").write_text("[" * 200_000)
    os.mkfifo(root / "config/pipe.yaml")  # it is not waited for
    for file, what in (
        (
            "config/missing.yaml",
            ": no such file; name an existing study, such as config/quick.yaml",
        ),
        ("config", ": a folder; name a file in it"),
        ("config/pipe.yaml", ": not a regular file; put a copy of the file in its place"),
        ("/dev/zero", ": not a regular file; put a copy of the file in its place"),
        ("config/latin.yaml", ":2: not UTF-8 text; save it as UTF-8"),
        ("config/utf16.yaml", ":1: not UTF-8 text; save it as UTF-8"),
        ("config/large.yaml", ": over 1,048,576 bytes; shorten it"),
        ("config/small.yaml/x", ": cannot be read (Not a directory); check path and rights"),
    ):
        line = told(lambda file=file: checkout.plan(file))
        assert line == f"{root / file}{what}"
    assert told(lambda: checkout.plan("config/deep.yaml")).startswith("config/deep.yaml:1: over 20")
    (root / LOCK_FILE).unlink()
    assert told(checkout.plan).startswith(f"{root}/{LOCK_FILE}: no such file; run in the folder")


def test_faults_of_study_and_lock_name_their_files(checkout: Checkout) -> None:
    checkout.edit(LOCK_FILE, "sha256: b1", "sha256: many")
    line = checkout.line(LOCK_FILE, "sha256:")
    assert told(checkout.plan).startswith(f"{LOCK_FILE}:{line}: embedded.models.")
    checkout.edit(SMALL, "repetitions: 3", "repetitions: three")
    line = checkout.line(SMALL, "repetitions:")
    assert told(checkout.plan).startswith(f'{SMALL}:{line}: repetitions: "three" is not allowed; ')
