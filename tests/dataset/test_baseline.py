"""Baselines: whole or not there, never replaced, and every damage is named."""

import shutil
from pathlib import Path

import pytest
from raw_blocks import block, rounds, write_dataset

from tandembench.dataset.baseline import freeze, verify
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
    versions = ["1.0.0", "1.1.0", "1.10.0", "2.0.0", "2.1.0"]
    assert [one.version for one in baselines(root)] == versions
    assert find("mine", root).version == "2.1.0"
    assert find("mine@1.1.0", root).version == "1.1.0"
    before = (root / "mine/1.1.0/datapackage.json").read_bytes()
    with pytest.raises(TandemError, match=r"mine@1\.1\.0 exists"):
        freeze(study, "mine", "1.1.0", root)
    assert (root / "mine/1.1.0/datapackage.json").read_bytes() == before
    assert sorted(folder.name for folder in (root / "mine").iterdir()) == versions


@pytest.mark.parametrize(
    ("name", "version"),
    [("../evil", None), ("a/b", None), ("", None), ("A", None), ("ok", "1.0"), ("ok", "1.0.0/..")],
)
def test_names_and_versions_stay_inside(
    study: Path, tmp_path: Path, name: str, version: str
) -> None:
    with pytest.raises(TandemError, match="is no"):
        freeze(study, name, version, tmp_path / "baselines")
    assert list(tmp_path.iterdir()) == [study.parent]


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


def test_the_published_baselines_are_as_they_were_frozen(repository: Path) -> None:
    root = repository / "resources/baselines"
    assert [one.name for one in baselines(root)] == ["tr110", "tr113", "tr114"]
    assert [verify(one) for one in baselines(root)] == [1, 1, 1]
