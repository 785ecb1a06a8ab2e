"""Files appear whole or not at all, and leave nothing else behind."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tandembench.errors import TandemError
from tandembench.files import replacing, replacing_folder


def test_a_file_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep/er/file.txt"
    with replacing(path) as partial:
        partial.write_text("all of it")
        assert not path.exists()
    assert path.read_text() == "all of it"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("make", [replacing, replacing_folder])
def test_an_error_inside_leaves_what_was_there_and_is_raised(
    tmp_path: Path, make: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()
    (tmp_path / ".folder.abcdefgh").mkdir()  # of one that was killed

    def write() -> None:
        with make(path) as partial:
            (partial / "half" if partial.is_dir() else partial).touch()
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert sorted(tmp_path.rglob("*")) == [path, path / "old"]


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_system_call_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, call, broken)
    with (
        pytest.raises(TandemError, match="Input/output error") as caught,
        replacing(path) as partial,
    ):
        partial.write_text("new")
    assert caught.value.exit_code == 4
    assert str(caught.value).startswith(f"{path}: cannot write")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    killed = "import os, sys; from pathlib import Path; from tandembench.files import replacing\n"
    killed += "with replacing(Path(sys.argv[1])) as partial: os.kill(os.getpid(), 9)"
    path = tmp_path / "odd [name].txt"
    assert subprocess.run([sys.executable, "-c", killed, path], check=False).returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    others = [tmp_path / ".odd [name].txt.swp", tmp_path / ".odd n.txt.abcdefgh"]
    for other in others:
        other.write_text("not ours")
    with replacing(path) as partial:
        partial.write_text("new")
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep/folder"
    for name in ("old", "new"):
        with replacing_folder(path) as partial:
            (partial / name).write_text(name)
            assert not (path / "new").exists()
        assert [file.name for file in path.iterdir()] == [name]
    assert path.stat().st_mode & 0o777 == 0o755
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("make", [replacing, replacing_folder])
def test_a_place_that_takes_nothing_is_one_line(
    tmp_path: Path, make: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TandemError, match="cannot write") as caught, make(tmp_path / "file/x"):
        pytest.fail("there is no folder to write to")
    assert caught.value.exit_code == 4
