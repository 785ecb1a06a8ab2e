"""What stands under a name is of that name, or one line names it and nothing is made of it."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner
from configs import Checkout, copied
from raw_blocks import (
    MACHINE,
    Row,
    block,
    calibration,
    rounds,
    spec_of,
    write_dataset,
    write_json,
    write_run_file,
)

from tandembench.cli import main
from tandembench.dataset.baseline import freeze
from tandembench.dataset.descriptor import NAME, read_descriptor, resource_of, seal
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.study.spec import TABLES
from tandembench.tables.columns import RUN_FILE, STUDY_RUNS, Column
from tandembench.tables.parquet import read_table, write_table

# Changes the files of a study, and gives the one that is wrong then.
Damage = Callable[[], Path]
SERIAL, DUAL = block("serial", workload="w0"), block("dual")
RUN = "runs/s1/w0.r1.*.parquet"
OUTPUTS = ("--runs", "--executions", "--telemetry", "--tokens")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two phases and two repetitions, with a calibration, and frozen baselines."""
    folder = tmp_path_factory.mktemp("whole")
    with chdir(folder):
        phases = {"one": ["serial"], "two": ["dual"]}
        blocks = rounds(2, SERIAL, DUAL)
        dataset = write_dataset(Path(), blocks, phases, calibrations=[calibration()])
        for name, version in (("mine", "1.0.0"), ("mine", "1.1.0"), ("theirs", "1.0.0")):
            freeze(dataset, name, version)
    return folder


@pytest.fixture(autouse=True)
def study(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of it, to be damaged, is where the test runs."""
    monkeypatch.chdir(shutil.copytree(whole, tmp_path / "copy"))


def making() -> Iterator[list[str]]:
    """The commands that make the tables of each phase, and then the dataset, of what is there."""
    for manifest in sorted(Path().glob("phases/*.manifest.json")):
        tables = str(manifest).removesuffix(".manifest.json")
        outputs = zip(OUTPUTS, TABLES, strict=True)
        yield ["aggregate", str(manifest), *(f"{name}={tables}{end}" for name, end in outputs)]
    yield ["dataset", str(only("manifest.*.json")), "--output", f"dataset/{NAME}"]


def contents() -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in Path().rglob("*") if file.is_file()}


def refused(file: Path, *arguments: str) -> None:
    """The command names ``file`` in its one line, and makes nothing."""
    before = contents()
    done = CliRunner().invoke(main, list(arguments))
    assert (done.exit_code, done.output.count("\n")) == (EXIT_CORRUPT, 1), done
    assert done.output.startswith(f"tandembench: {file}: ")
    assert contents() == before


def only(pattern: str) -> Path:
    return sorted(Path().glob(pattern))[0]


def copy(source: str, target: str) -> Damage:
    return lambda: Path(shutil.copy(only(source), only(target)))


def swap(one: str, other: str) -> Damage:
    def damage() -> Path:
        first, second = only(one), only(other)
        aside = first.rename("aside")
        second.rename(first)
        aside.rename(second)
        return first

    return damage


def edit(pattern: str, old: str, new: str) -> Damage:
    def damage() -> Path:
        text = only(pattern).read_text()
        assert old in text
        only(pattern).write_text(text.replace(old, new, 1))
        return only(pattern)

    return damage


def rows(change: Callable[[list[Row]], list[Row]]) -> Damage:
    """A whole run file of other rows under its name."""

    def damage() -> Path:
        before = read_table(only(RUN)).to_pylist()
        return write_run_file(only(RUN), change(before), spec=spec_of(before))

    return damage


def raw(note: Any = None, columns: tuple[Column, ...] = RUN_FILE, n: int = 4) -> Damage:
    """A whole file of this project's with these columns of a block, and such a note."""

    def damage() -> Path:
        write_table(only(RUN), "raw", columns, SERIAL[:n], note)
        return only(RUN)

    return damage


def renamed(pattern: str, name: str) -> Damage:
    """The manifest names the file so, too."""

    def damage() -> Path:
        file = only(pattern)
        manifest = only("manifest.*.json")
        text = manifest.read_text().replace(file.name, name)
        manifest.unlink()
        write_json(Path(), "manifest.{}.json", json.loads(text))
        return file.rename(file.with_name(name))

    return damage


NOTE: Row = {"spec": spec_of(SERIAL) | {"repetition": 1}, "machine": MACHINE}
RUN_FILES: dict[str, Damage] = {
    "of another repetition": copy("runs/s1/w0.r2.*.parquet", RUN),
    "of another phase": copy("runs/s1/w1.r1.*.parquet", RUN),
    "of another study": lambda: write_run_file(only(RUN), block("single", workload="w2")),
    "of another session": rows(lambda before: [row | {"session": "s2"} for row in before]),
    "of two sessions": rows(lambda before: [*before[1:], before[0] | {"session": "s2"}]),
    "of another comparison": rows(lambda before: [row | {"comparison": "w2"} for row in before]),
    "of a config more": rows(lambda before: [*before, before[0] | {"config_id": "more"}]),
    "a row twice": rows(lambda before: [*before, before[0]]),
    "no rows": raw(NOTE, n=0),
    "earlier columns": raw(NOTE, tuple(one for one in RUN_FILE if one.name != "placement")),
    "another table": copy("phases/one.*.tokens.parquet", RUN),
    "no note": raw(),
    **{
        f"note {note}": raw(note)
        for note in (
            *({}, {"spec": None}, {"spec": [1]}, {"spec": {}}, NOTE | {"machine": 7}),
            *({"spec": NOTE["spec"] | {"configs": [1]}}, {"spec": NOTE["spec"]}),
        )
    },
}
OTHERS: dict[str, Damage] = {
    "phases swapped": swap("phases/one.*[0-9a-f].parquet", "phases/two.*[0-9a-f].parquet"),
    "tables swapped": swap("phases/one.*.executions.parquet", "phases/one.*.tokens.parquet"),
    "a dataset's table": copy("dataset/tokens.parquet", "phases/two.*.tokens.parquet"),
    "a run file": copy(RUN, "phases/one.*.telemetry.parquet"),
    "manifest edited": edit("manifest.*.json", "0.05", "0.5"),
    "manifest cut": edit("manifest.*.json", "}", ""),
    "calibration edited": edit("calibration/*.json", "20.4", "2.04"),
    "calibration of another session": renamed("calibration/*.json", "s2.0123456789abcdef.json"),
    "calibration of other code": renamed("calibration/*.json", "s1.0123456789abcdef.json"),
}


def test_what_was_made_is_made_again() -> None:
    before = contents()
    for arguments in making():
        done = CliRunner().invoke(main, arguments)
        assert (done.exit_code, done.output) == (0, "")
    assert {file: before[file] for file in contents()} == contents()


@pytest.mark.parametrize("damage", RUN_FILES.values(), ids=RUN_FILES)
def test_a_run_file_is_that_of_its_name(damage: Damage) -> None:
    file = damage()
    of_its_phase, *_ = making()
    refused(file, *of_its_phase)


@pytest.mark.parametrize("damage", OTHERS.values(), ids=OTHERS)
def test_what_a_dataset_is_made_of_is_that_of_its_name(damage: Damage) -> None:
    file = damage()
    *_, of_dataset = making()
    refused(file, *of_dataset)


@pytest.mark.parametrize("session", ["s2", "1.10"])
def test_a_copied_or_renamed_session_is_refused(session: str) -> None:
    folder = shutil.copytree("runs/s1", f"runs/{session}")
    manifest = only("phases/one.*.manifest.json")
    text = manifest.read_text().replace("runs/s1/", f"{folder}/")
    arguments, *_ = making()
    arguments[1] = str(write_json(Path("phases"), "one.{}.manifest.json", json.loads(text)))
    refused(Path(json.loads(text)["run_files"][0]), *arguments)


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Checkout:
    return copied(repository, tmp_path)


@pytest.mark.parametrize("name", ["S 2", "s1.", "s1\n# PASS", "é", "x" * 65, "..a"])
def test_a_session_is_called_by_the_rule_for_names(checkout: Checkout, name: str) -> None:
    run = Path(checkout.plan().run_file("gamma", 1)).name
    checkout.measured(name, "notes.txt")
    before = checkout.plan().other_sessions()  # a folder of something else
    assert before == []
    (checkout.root / "results/small/runs" / name / run).touch()
    with pytest.raises(TandemError) as caught:
        checkout.plan()
    assert caught.value.exit_code == EXIT_CORRUPT
    assert str(caught.value).isprintable()


# Baselines


def resealed(change: Callable[[list[Row]], list[Row]]) -> Damage:
    """Runs that were changed by someone who made the descriptor fit."""

    def damage() -> Path:
        folder = Path("resources/baselines/mine/1.0.0")
        path, content = folder / "runs.parquet", read_descriptor(folder)
        write_table(path, "runs", STUDY_RUNS, change(read_table(path).to_pylist()))
        described = resource_of(path, STUDY_RUNS, ())
        content["resources"] = [described, *content["resources"][1:]]
        seal(folder, content)
        return path

    return damage


def moved(target: str, what: str = "") -> Damage:
    """``what`` of mine@1.0.0 in the place of that of another."""

    def damage() -> Path:
        place = Path("resources/baselines", target)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree("resources/baselines/mine/1.0.0", place)
        return place / NAME

    return damage


BASELINES: dict[str, Damage] = {
    "another name": moved("theirs/1.0.0"),
    "another version": moved("mine/1.0.1"),
    "a descriptor of another": copy(
        "resources/baselines/theirs/*/datapackage.json",
        "resources/baselines/mine/1.0.0/datapackage.json",
    ),
    "a run twice": resealed(lambda before: [*before, before[0]]),
    "a run under two phases": resealed(lambda before: [*before, before[0] | {"phase": "two"}]),
}


@pytest.mark.parametrize("damage", BASELINES.values(), ids=BASELINES)
def test_a_baseline_is_that_of_its_folder(damage: Damage) -> None:
    file = damage()
    folder = file.parent
    label = f"{folder.parent.name}@{folder.name}"
    for arguments in (["show", label], ["show", str(folder)], ["diff", label, "dataset"]):
        refused(file, *arguments)
    refused(file, "baseline", "verify", label)


# Damage


@pytest.mark.parametrize("seed", range(50))
def test_any_damage_to_any_file_is_named(seed: int) -> None:
    any_damage(seed)


@pytest.mark.full
def test_any_of_many_damages_to_any_file_is_named() -> None:
    whole = contents()
    for seed in range(50, 1000):
        file = any_damage(seed)
        file.write_bytes(whole[file])


def any_damage(seed: int) -> Path:
    """One bit, the end, a part or all of a file is not what was written, which is refused."""
    random = Random(seed)  # noqa: S311 - damage, no secret
    whole = contents()
    folder = random.choice(["runs", "phases", "calibration", "manifest", "dataset", "resources"])
    file = random.choice(sorted(one for one in whole if str(one).startswith(folder)))
    before, at = whole[file], random.randrange(len(whole[file]))
    flipped = before[:at] + bytes([before[at] ^ 1 << random.randrange(8)]) + before[at + 1 :]
    others = [data for _, data in sorted(whole.items()) if data != before]
    damages = [flipped, before[:at], before + before[at:], random.choice(others)]
    file.write_bytes(random.choice(damages))
    of_one, of_two, of_dataset = making()
    if folder == "runs" or file.name.endswith(".manifest.json"):
        reader = of_one if ".w0." in f".{file.name}" or "one." in file.name else of_two
    elif folder == "resources":
        reader = ["baseline", "verify", f"{file.parent.parent.name}@{file.parent.name}"]
    elif folder == "dataset":
        reader = ["baseline", "freeze", "dataset", "--name", "more"]
    else:
        reader = of_dataset
    refused(file, *reader)
    return file
