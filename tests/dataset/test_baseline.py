"""Baselines: whole or not there, never replaced, and every damage is named."""

import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from raw_blocks import block, rounds, write_dataset

from tandembench.cli import main
from tandembench.dataset.baseline import freeze, publish, verify
from tandembench.dataset.descriptor import read_descriptor, seal
from tandembench.dataset.load import load_dataset
from tandembench.dataset.versions import baselines, find
from tandembench.errors import EXIT_CORRUPT, TandemError


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "study", rounds(2, block("serial"), block("dual")))


def test_a_frozen_dataset_is_the_dataset(study: Path, tmp_path: Path) -> None:
    made = freeze(study, "mine", None, tmp_path / "baselines")
    assert (made.label, verify(made)) == ("mine@1.0.0", 5)
    before, after = load_dataset(study), load_dataset(made.folder)
    assert after.runs.equals(before.runs)
    assert after.executions.equals(before.executions)
    assert (after.descriptor["name"], after.descriptor["version"]) == ("mine", "1.0.0")
    assert after.descriptor["kind"] == "runs"
    assert after.descriptor["fingerprints"] == before.descriptor["fingerprints"]
    moved = tmp_path / "elsewhere"
    shutil.move(made.folder, moved)
    assert load_dataset(moved).runs.equals(before.runs)


def test_versions_go_up_and_none_is_replaced(study: Path, tmp_path: Path) -> None:
    root = tmp_path / "baselines"
    made = [freeze(study, "mine", version, root).version for version in (None, None, "2.0.0", None)]
    assert made == ["1.0.0", "1.1.0", "2.0.0", "2.1.0"]
    freeze(study, "mine", "1.10.0", root)
    assert [one.version for one in baselines(root)] == [
        "1.0.0",
        "1.1.0",
        "1.10.0",
        "2.0.0",
        "2.1.0",
    ]
    assert find("mine", root).version == "2.1.0"
    assert find("mine@1.1.0", root).version == "1.1.0"
    before = (root / "mine/1.1.0/datapackage.json").read_bytes()
    with pytest.raises(TandemError, match=r"mine@1\.1\.0 exists"):
        freeze(study, "mine", "1.1.0", root)
    assert (root / "mine/1.1.0/datapackage.json").read_bytes() == before
    names = sorted(folder.name for folder in (root / "mine").iterdir())
    assert names == sorted(one.version for one in baselines(root))


@pytest.mark.parametrize(
    ("name", "version"),
    [("../evil", None), ("a/b", None), ("", None), ("A", None), ("ok", "1.0"), ("ok", "1.0.0/..")],
)
def test_names_and_versions_stay_inside(
    study: Path, tmp_path: Path, name: str, version: str
) -> None:
    with pytest.raises(TandemError, match="is no"):
        freeze(study, name, version, tmp_path / "baselines")
    assert not (tmp_path / "baselines").exists()
    assert not (tmp_path / "evil").exists()


def test_what_is_not_there_is_told(study: Path, tmp_path: Path) -> None:
    freeze(study, "mine", None, tmp_path)
    with pytest.raises(TandemError, match=r"no baseline 'other'.*baselines: mine"):
        find("other", tmp_path)
    with pytest.raises(TandemError, match=r"no version 3\.0\.0.*versions: 1\.0\.0"):
        find("mine@3.0.0", tmp_path)


def test_a_file_that_changes_while_it_is_frozen_is_told(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaging(_source: Path, copy: Path) -> None:
        copy.write_bytes(b"PAR1")

    monkeypatch.setattr(shutil, "copyfile", damaging)
    with pytest.raises(TandemError, match=f"^{study}/.*datapackage.json says") as caught:
        freeze(study, "mine", None, tmp_path / "baselines")
    assert caught.value.exit_code == EXIT_CORRUPT
    assert not list((tmp_path / "baselines/mine").iterdir())


@pytest.mark.parametrize("path", ["../runs.parquet", "/etc/passwd", "", 7])
def test_no_table_lies_outside_the_folder(study: Path, path: str) -> None:
    content = read_descriptor(study)
    content["resources"][0]["path"] = path
    seal(study, content)
    with pytest.raises(TandemError, match="damaged descriptor") as caught:
        load_dataset(study)
    assert caught.value.exit_code == EXIT_CORRUPT


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path, version: str) -> None:
        (folder / "half").write_text(version)
        raise TandemError("no", where="here", fix="so")

    with pytest.raises(TandemError, match="no"):
        publish("mine", None, build, tmp_path)
    assert not list((tmp_path / "mine").iterdir())


def _publish(argument: tuple[Path, int]) -> str:
    root, writer = argument

    def build(folder: Path, version: str) -> None:
        for part in "ab":
            (folder / part).write_text(f"{writer} {version}")

    return publish("mine", None, build, root).version


@pytest.mark.parametrize("times", [80, pytest.param(800, marks=pytest.mark.full)])
def test_many_writers_at_once_lose_and_mix_nothing(tmp_path: Path, times: int) -> None:
    with ProcessPoolExecutor(8) as pool:
        made = list(pool.map(_publish, [(tmp_path, n) for n in range(times)]))
    assert len(set(made)) == times
    writers = set()
    for one in baselines(tmp_path):
        a, b = ((one.folder / part).read_text() for part in "ab")
        assert a == b
        writer, version = a.split()
        assert version == one.version
        writers.add(writer)
    assert len(writers) == times


@pytest.mark.parametrize("times", [100, pytest.param(600, marks=pytest.mark.full)])
def test_every_damage_is_named_by_file(study: Path, tmp_path: Path, times: int) -> None:
    folder = freeze(study, "mine", None, tmp_path / "baselines").folder
    random = Random(114)  # noqa: S311 - damage, no secret
    files = sorted(folder.iterdir())
    noticed = 0
    for _ in range(times):
        file = random.choice(files)
        before = file.read_bytes()
        data = bytearray(before)
        kind = random.choice(["flip", "cut", "swap", "gone", "edit"])
        at = random.randrange(len(data))
        if kind == "flip":
            data[at] ^= 1 << random.randrange(8)
        elif kind == "cut":
            del data[at:]
        elif kind == "swap":
            data[:] = random.choice([one for one in files if one != file]).read_bytes()
        elif kind == "edit":
            data[at : at + 4] = b"0000" if data[at : at + 4] != b"0000" else b"1111"
        if kind == "gone":
            file.unlink()
        elif bytes(data) != before:
            file.write_bytes(data)
        else:
            continue
        with pytest.raises(TandemError) as caught:
            verify(find("mine", tmp_path / "baselines"))
        line = str(caught.value)
        assert kind == "gone" or caught.value.exit_code == EXIT_CORRUPT
        # Damage of the descriptor itself, or a file that it vouches for.
        assert Path(line.split(": ", maxsplit=1)[0]).is_relative_to(folder), (kind, line)
        assert "\n" not in line
        noticed += 1
        file.write_bytes(before)
    assert noticed > 0.8 * times
    assert verify(find("mine", tmp_path / "baselines")) == 5


def test_the_commands(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def said(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, ["baseline", *arguments])
        assert done.exit_code == code, done.output
        return done.stdout if code == 0 else done.stderr

    assert said("list") == ""
    # a study's folder, or its dataset
    assert said("freeze", str(study.parent), "--name", "mine") == (
        "mine@1.0.0: resources/baselines/mine/1.0.0\n"
    )
    assert said("freeze", str(study), "--name", "mine", "--version", "3.0.0")
    assert said("list") == "mine@1.0.0\nmine@3.0.0\n"
    shown = json.loads(said("show", "mine@1.0.0", "--format", "json"))
    assert shown["version"] == "1.0.0"
    assert "schema" not in shown["resources"][0]
    assert said("show", "mine").startswith("mine@3.0.0: A test study\nkind     runs\n")
    assert said("verify", "mine") == "mine@3.0.0: 5 tables as they were frozen\n"
    assert said("verify", "--all").count("\n") == 2
    assert (
        said("verify", code=2)
        == "tandembench: baseline verify: no baseline named; name some, or --all\n"
    )
    (tmp_path / "resources/baselines/mine/3.0.0/runs.parquet").write_bytes(b"PAR1")
    line = said("verify", "mine", code=3)
    assert line.startswith("tandembench: resources/baselines/mine/3.0.0/runs.parquet: ")


def test_the_published_baselines_are_as_they_were_frozen(repository: Path) -> None:
    root = repository / "resources/baselines"
    assert [one.name for one in baselines(root)] == ["tr110", "tr113", "tr114"]
    assert [verify(one) for one in baselines(root)] == [1, 1, 1]
