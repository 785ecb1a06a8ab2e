"""Files appear whole or not at all, and leave nothing else behind."""

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tandembench.errors import TandemError
from tandembench.files import new_folder, place, replacing, write_text

Maker = Callable[[Path], AbstractContextManager[Path]]


def test_a_file_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep/er/file.txt"
    with replacing(path) as partial:
        partial.write_text("all of it")
        assert not path.exists()
    assert path.read_text() == "all of it"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("make", [replacing, new_folder])
def test_an_error_inside_leaves_what_was_there_and_is_raised(tmp_path: Path, make: Maker) -> None:
    path = tmp_path / "there"
    path.mkdir()
    (path / "old").touch()

    def write() -> None:
        with make(path if make is new_folder else path / "old") as partial:
            (partial / "half" if partial.is_dir() else partial).touch()
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert sorted(tmp_path.rglob("*")) == [path, path / "old"]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("call", ["mkstemp", "chmod", "fsync", "replace"])
def test_a_system_call_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def broken(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    where = {"mkstemp": tempfile, "fsync": os}.get(call, Path)
    monkeypatch.setattr(where, call, broken)
    with pytest.raises(TandemError, match=os.strerror(number)) as caught:
        write_text(path, "new")
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


def test_a_folder_is_placed_whole_and_never_in_place_of_another(tmp_path: Path) -> None:
    abandoned, at_work = tmp_path / ".new-abandoned", tmp_path / ".new-at-work"
    for folder in (abandoned, at_work):
        (folder / "deep").mkdir(parents=True)
    os.utime(abandoned, (0, 0))
    target = tmp_path / "1.0.0"
    for text, placed in (("first", True), ("second", False)):
        with new_folder(tmp_path) as partial:
            (partial / "table").write_text(text)
            assert place(partial, target) is placed
    assert (target / "table").read_text() == "first"
    assert target.stat().st_mode & 0o777 == 0o755
    assert set(tmp_path.iterdir()) == {target, at_work}


@pytest.mark.parametrize("make", [replacing, new_folder])
def test_a_place_that_takes_nothing_is_one_line(tmp_path: Path, make: Maker) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TandemError, match="cannot write") as caught, make(tmp_path / "file/x"):
        pytest.fail("there is no folder to write to")
    assert caught.value.exit_code == 4
