"""What a study leaves behind goes, and nothing else: no foreign file, nothing behind a link."""

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
from checkouts import copy_checkout, edit
from click.testing import CliRunner, Result
from raw_blocks import (
    Row,
    block,
    failed,
    no_server,
    side_by_side,
    write_block,
    write_json,
    write_run_file,
)

from tandembench.cli import main
from tandembench.dataset.aggregate import aggregate_phase, has_failed
from tandembench.dataset.identity import read_run_file
from tandembench.dataset.leftovers import drop_others
from tandembench.dataset.manifest import write_texts
from tandembench.project import open_plan
from tandembench.study.plan import Plan
from tandembench.study.spec import TABLES
from tandembench.tables.parquet import read_table

FILE = "config/quick.yaml"
RESULTS = Path("results/quick")


def write_results(plan: Plan) -> None:
    """All that the workflow makes of the plan's study but the dataset, measured or not."""
    write_texts(plan.texts())
    ((comparison, spec),) = plan.specs.items()
    for number, name in enumerate(plan.run_files(), start=1):
        configs = [block(one.id, topology=one.topology) for one in spec.configs]
        of = {"comparison": comparison, "repetition": number, "session": plan.session}
        write_run_file(Path(name), side_by_side(*configs, **of), spec=asdict(spec))
        log = RESULTS / "logs" / plan.session / f"{Path(name).stem}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{comparison} r{number}: done\n")
    for phase in plan.study.phases:
        tables = [Path(f"{plan.tables(phase)}{end}") for end in TABLES]
        aggregate_phase(Path(plan.phase_manifest_file(phase)), *tables)
    Path(plan.dataset_mark).touch()


@pytest.fixture
def plans(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, Plan]:
    """The study as it was and as it is, both measured."""
    monkeypatch.chdir(copy_checkout(repository, tmp_path / "checkout"))
    before = open_plan(FILE)
    write_results(before)
    edit(Path(FILE), "tokens: 32", "tokens: 33")
    write_results(open_plan(FILE))
    return before, open_plan(FILE)


def prune(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["prune", FILE, *arguments])


def there() -> set[str]:
    """Every file, folder and link in the results and outside the checkout."""
    return {str(path) for place in (RESULTS, Path("../outside")) for path in place.rglob("*")}


def test_what_the_study_no_longer_names_goes_and_measurements_only_if_told(
    plans: tuple[Plan, Plan],
) -> None:
    before, after = plans
    stale = set(before.named_files()) - set(after.named_files())
    stale |= {f"{RESULTS}/logs/s1/{Path(file).stem}.log" for file in before.run_files()}
    everything = there()
    listed = prune("--dry-run").stdout.splitlines()
    assert sorted(listed) == sorted(f"would remove {file}" for file in stale)
    refused = prune()
    assert (refused.exit_code, refused.output.count("\n")) == (2, 1)
    assert " --yes " in refused.output
    assert there() == everything
    gone = json.loads(prune("--yes", "--format", "json").stdout)
    assert gone == {"removed": True, "files": gone["files"], "left_alone": []}
    assert sorted(gone["files"]) == sorted(stale)
    assert everything - there() == stale
    # nothing is left that needs an answer
    assert prune().output == "0 files\n"


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_person_is_asked(
    plans: tuple[Plan, Plan], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    before, _ = plans
    monkeypatch.setattr("tandembench.cli.workflow.is_asked", lambda: True)
    done = CliRunner().invoke(main, ["prune", FILE], input=f"{answer}\n")
    assert done.exit_code == (answer == "n")
    assert all(file in done.stderr for file in before.run_files())
    assert [Path(file).exists() for file in before.run_files()] == [answer == "n"] * 6


def foreign(before: Plan, after: Plan, outside: Path) -> None:
    """Files, folders and links of somebody else, many under names as the study gives them."""
    one, other = map(Path, before.run_files()[:2])
    runs, phases = one.parents[1], RESULTS / "phases"
    genuine = write_block(outside / "genuine", block())
    # of another study, of another session and block, and none of ours at all
    shutil.copy(genuine, runs / "s1")
    shutil.copytree(runs / "s1", runs / "s2")
    shutil.copy(one, one.with_name(other.name.replace(".r2.", ".r9.")))
    pd.DataFrame({"a": [1]}).to_parquet(one.with_name("x.r1.0123456789ab.parquet"))
    tables = before.tables(next(iter(before.study.phases)))
    shutil.copy(f"{tables}.tokens.parquet", phases / "x.0123456789ab.tokens.parquet")
    shutil.copy(f"{tables}.tokens.parquet", f"{after.tables('topologies')}.old.parquet")
    (RESULTS / "dataset.0123456789ab.made").write_text("mine")
    (RESULTS / "specs/x.0123456789ab.json").write_text("{}")
    for path in ("phases/notes.txt", "manifest.mine.json", "runs/readme", "logs/s1/mine.log"):
        (RESULTS / path).write_text("mine")
    theirs = json.loads(Path(before.study_manifest_file).read_text()) | {"study": "theirs"}
    write_json(RESULTS, "manifest.{}.json", theirs)
    # what is no file
    (one.parent / "y.r1.0123456789ab.parquet").mkdir()
    (RESULTS / "manifest.0123456789ab.json").mkdir()
    os.mkfifo(one.parent / "z.r1.0123456789ab.parquet")
    # links to a file, a folder and themselves
    shutil.move(one, outside / one.name)
    one.symlink_to(outside / one.name)
    shutil.copytree(runs / "s1", outside / "s3", symlinks=True, copy_function=os.link)
    (runs / "s3").symlink_to(outside / "s3")
    (runs / "loop").symlink_to(".")
    (RESULTS / "phases/w.0123456789ab.parquet").symlink_to("w.0123456789ab.parquet")
    # names that no line of text holds
    for name in (b"a\nb.r1.0123456789ab.parquet", b"\xff.r1.0123456789ab.parquet"):
        shutil.copy(other, one.parent / os.fsdecode(name))


def test_no_foreign_file_goes_and_no_link_is_followed(
    plans: tuple[Plan, Plan], tmp_path: Path
) -> None:
    before, after = plans
    outside = tmp_path / "outside"
    foreign(before, after, outside)
    everything = there()
    # one run file is behind a link now; what was made without session s2 is of the past, too
    stale = {*before.named_files()[1:], *after.named_files()} - {*open_plan(FILE).named_files()}
    stale |= {f"{RESULTS}/logs/s1/{Path(file).stem}.log" for file in before.run_files()[1:]}
    done = prune("--yes")
    assert done.exit_code == 0
    assert everything - there() == stale
    # what could be taken for the study's is named, a line each
    *said, _ = done.stderr.splitlines()
    kept = {line.split(": ")[2] for line in said}
    assert len(said) == len(kept)
    assert {str(path) for path in RESULTS.glob("runs/s1/[xyz].*")} < kept < there()
    Path(after.dataset_mark).touch()
    write_texts(open_plan(FILE).texts())
    everything = there()
    drop_others(Path(open_plan(FILE).study_manifest_file))
    assert everything - there() == {after.dataset_mark}


def test_the_dataset_drops_what_earlier_manifests_left(plans: tuple[Plan, Plan]) -> None:
    before, after = plans
    everything = there()
    drop_others(Path(after.study_manifest_file))
    # run files and RunSpecs stay, in case that the change is taken back; so does what is current,
    # but for its mark, which says that the dataset is made
    measured = {*before.run_files(), *map(before.spec_file, before.specs)}
    gone = {*before.named_files(), after.dataset_mark} - {*after.named_files()[:-1]} - measured
    assert everything - there() == gone


def test_results_behind_a_link_are_left_alone(plans: tuple[Plan, Plan], tmp_path: Path) -> None:
    shutil.move(RESULTS, tmp_path / "moved")
    RESULTS.symlink_to(tmp_path / "moved")
    done = prune("--yes")
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert len(open_plan(FILE).named_files()) == sum(
        Path(file).exists() for file in plans[1].named_files()
    )


def test_failed_blocks_go_and_a_damaged_one_is_named(
    plans: tuple[Plan, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, plan = plans
    damaged, bad, linked, *good = map(Path, plan.run_files())
    (spec,) = plan.specs.values()
    rows = [row | {"repetition": 2} for row in read_table(good[0]).to_pylist()]
    write_run_file(bad, no_server(rows), spec=asdict(spec))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    shutil.move(linked, linked.with_suffix(".moved"))
    linked.symlink_to(linked.with_suffix(".moved").name)
    done = prune("--invalid")
    assert done.exit_code == 3
    assert done.stdout == f"removed {bad}\n"
    said = [line for line in done.stderr.splitlines() if line.startswith("tandembench: ")]
    assert [str(damaged) in said[0], str(linked) in said[1]] == [True, True]
    damaged.unlink()
    linked.unlink()
    assert prune("--invalid").output == "0 files\n"

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    write_run_file(bad, no_server(rows), spec=asdict(spec))
    monkeypatch.setattr(Path, "unlink", refuse)
    refused = prune("--invalid")
    assert (refused.exit_code, refused.output.count("\n")) == (4, 1)


BAD = failed(block(), "collector", "concurrent", "oom")


@pytest.mark.parametrize(
    ("rows", "failed"),
    [
        (block(), False),
        ([*BAD, *(row | {"attempt": 2} for row in block())], False),
        ([*BAD, *(row | {"attempt": 2} for row in BAD)], True),
        (no_server(block()), True),
        ([*block("serial"), *no_server(block("dual"))], True),
    ],
    ids=["good", "mended", "bad", "never", "half"],
)
def test_a_block_has_failed_if_a_config_has_no_valid_run(
    tmp_path: Path, rows: list[Row], failed: bool
) -> None:
    assert has_failed(read_run_file(write_block(tmp_path, rows))) is failed
