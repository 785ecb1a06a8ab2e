"""Which names of manifests and calibrations follow from a study, its sessions and the code."""

import re
import shutil
from pathlib import Path

import pytest
from configs import QUICK, Checkout, copied, differing, names
from study_texts import told

from tandembench import project


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Checkout:
    return copied(repository, tmp_path)


# Manifests


def test_margin_changes_the_manifest_of_the_study_only(checkout: Checkout) -> None:
    before = names(checkout.plan())
    checkout.edit(QUICK, "repetitions: 3", "repetitions: 3\nmargin: 0.1")
    assert differing(before, names(checkout.plan())) == {"study"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("repetitions: 3", "repetitions: 3\norder: by_config"),
        ("repetitions: 3", "repetitions: 3\nreference: dual"),
        ("repetitions: 3", "repetitions: 3\nbaselines: [tr114]"),
        ('title: "Quick', 'title: "A quick'),
    ],
)
def test_what_the_dataset_says_changes_the_manifest_of_the_study_only(
    checkout: Checkout, old: str, new: str
) -> None:
    before = names(checkout.plan())
    checkout.edit(QUICK, old, new)
    assert differing(before, names(checkout.plan())) == {"study"}


def test_a_phase_that_the_study_lacks_is_one_line(checkout: Checkout) -> None:
    assert told(lambda: checkout.plan().phase_manifest("nope")) == (
        f"{QUICK}: no phase 'nope'; phases: scenarios, controls"
    )


def test_a_phase_title_changes_that_phase_and_the_study(checkout: Checkout) -> None:
    before = names(checkout.plan())
    checkout.edit(QUICK, 'title: "Controls', 'title: "The controls')
    assert differing(before, names(checkout.plan())) == {"study", "phase controls"}


def test_a_removed_config_changes_its_phase_and_the_study(checkout: Checkout) -> None:
    before = checkout.plan()
    text = (checkout.root / QUICK).read_text(encoding="utf-8")
    kept = text[: text.index("      - id: homo-g80-c512-dual-again")]
    (checkout.root / QUICK).write_text(kept, encoding="utf-8")
    after = checkout.plan()

    assert differing(names(before), names(after)) == {"study", "phase controls"}
    gone = set(before.run_files()) - set(after.run_files())
    assert len(gone) == 3
    assert not gone & set(after.phase_manifest("controls")["run_files"])


def test_a_config_moved_to_another_phase_is_measured_no_second_time(checkout: Checkout) -> None:
    before = checkout.plan()
    text = (checkout.root / QUICK).read_text(encoding="utf-8")
    start = text.index("      - id: homo-g80-c512-dual-again")
    moved = text[:start].replace("  controls:\n", text[start:] + "  controls:\n")
    (checkout.root / QUICK).write_text(moved, encoding="utf-8")
    after = checkout.plan()

    assert differing(names(before), names(after)) == {"study", "phase scenarios", "phase controls"}
    assert set(after.run_files()) == set(before.run_files())


def test_more_repetitions_change_every_manifest_and_keep_every_run_file(checkout: Checkout) -> None:
    before = checkout.plan()
    checkout.edit(QUICK, "repetitions: 3", "repetitions: 5")
    after = checkout.plan()

    assert differing(names(before), names(after)) == {"study", "phase scenarios", "phase controls"}
    assert set(before.run_files()) < set(after.run_files())
    assert len(after.run_files()) == 5 * len(after.study.configs)


def test_a_change_taken_back_gives_the_first_names_again(checkout: Checkout) -> None:
    before = names(checkout.plan())
    checkout.edit(QUICK, "num_ctx: 512", "num_ctx: 513")
    assert differing(before, names(checkout.plan())) == {"study", "phase scenarios"}
    checkout.edit(QUICK, "num_ctx: 513", "num_ctx: 512")
    assert names(checkout.plan()) == before


def test_manifests_say_what_the_aggregates_are_made_from(checkout: Checkout) -> None:
    plan = checkout.plan()
    whole, phase = plan.study_manifest(), plan.phase_manifest("controls")

    assert whole["run_files"] == plan.run_files()
    assert phase["run_files"] == plan.run_files("controls")
    assert [one["name"] for one in whole["phases"]] == ["scenarios", "controls"]
    assert [one["manifest"] for one in whole["phases"]] == [
        plan.manifest_file("scenarios"),
        plan.manifest_file("controls"),
    ]
    assert [config for one in whole["phases"] for config in one["configs"]] == [
        config.id for config in plan.study.configs
    ]
    assert (whole["margin"], whole["repetitions"], whole["engine"]) == (0.05, 3, "embedded")
    assert re.fullmatch(r"results/quick/manifest\.[0-9a-f]{12}\.json", plan.manifest_file())
    assert re.fullmatch(
        r"results/quick/phases/controls\.manifest\.[0-9a-f]{12}\.json",
        plan.manifest_file("controls"),
    )


# Sessions


def test_a_calibration_is_of_a_session_and_its_code_and_no_study(checkout: Checkout) -> None:
    before = checkout.plan().calibration_file()
    checkout.edit(QUICK, "num_ctx: 512", "num_ctx: 513")
    plan = checkout.plan(session="s2")

    assert re.fullmatch(r"results/quick/calibration/s1\.[0-9a-f]{16}\.json", before)
    assert plan.calibration_file() == before.replace("/s1.", "/s2.")
    assert plan.calibration_file("s1") == before


@pytest.mark.parametrize("room", ["wire", "calibrate", "fake_server"])
def test_a_calibration_is_of_its_code(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, room: str
) -> None:
    before = checkout.plan().calibration_file()
    copy = shutil.copytree(project.PACKAGE, tmp_path / "package")
    monkeypatch.setattr(project, "PACKAGE", copy)
    changed = copy / room / "__init__.py"
    changed.write_text(changed.read_text() + "\n# a comment\n")
    assert checkout.plan().calibration_file() == before
    changed.write_text(changed.read_text() + "\nCHANGED = 1\n")
    assert checkout.plan().calibration_file() != before


def test_calibrations_of_other_sessions_count_if_their_runs_do(checkout: Checkout) -> None:
    plan = checkout.plan()
    run = Path(plan.run_file("homo-g80-c512-serial", 1)).name
    checkout.measured("s2", run)
    checkout.measured("s3", run)
    folder = checkout.root / "results/quick/calibration"
    folder.mkdir()
    before = names(checkout.plan())
    for session in ("s1", "s3", "s4"):  # s2 has none, s4 measured nothing
        (checkout.root / plan.calibration_file(session)).touch()
    (folder / "s2.0123456789abcdef.json").touch()  # made by other code
    after = checkout.plan()

    assert after.calibration_files() == [plan.calibration_file(s) for s in ("s1", "s3")]
    assert after.study_manifest()["calibrations"] == after.calibration_files()
    assert differing(before, names(after)) == {"study"}


def test_files_of_other_sessions_are_found(checkout: Checkout) -> None:
    plan = checkout.plan()
    one, two = (Path(plan.run_file("homo-g80-c512-serial", r)).name for r in (1, 2))
    scenario = Path(plan.run_file("homo-g80-c512-dual", 1)).name
    stale = re.sub(r"[0-9a-f]{12}\.parquet$", "0" * 12 + ".parquet", one)
    before = names(plan)
    checkout.measured("s3", two, scenario)
    checkout.measured("s2", one, stale, f".{two}.part", "notes.txt")
    checkout.measured("s1", two)
    after = checkout.plan()

    folder = "results/quick/runs"
    controls = [f"{folder}/s2/{one}", f"{folder}/s3/{two}"]
    assert after.other_sessions("controls") == controls
    assert sorted(after.other_sessions()) == sorted([*controls, f"{folder}/s3/{scenario}"])
    assert after.run_files() == plan.run_files()
    assert after.phase_manifest("controls")["run_files"] == plan.run_files("controls") + controls
    assert after.study_manifest()["run_files"] == after.run_files() + after.other_sessions()
    assert differing(before, names(after)) == {"study", "phase scenarios", "phase controls"}
    # Seen from s3, its own files are not others'.
    assert checkout.plan(session="s3").other_sessions() == [
        f"{folder}/s1/{two}",
        f"{folder}/s2/{one}",
    ]
