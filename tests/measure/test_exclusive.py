"""One measurement at a time: one place whoever asks, and what else may lie there."""

import os
import queue
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.measure import exclusive as room
from tandembench.measure.exclusive import exclusive

NAME = "tandembench-measure.lock"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two folders in place of /tmp and what comes after it."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.delenv("TANDEMBENCH_LOCK", raising=False)
    monkeypatch.setattr(room, "_FOLDERS", tuple(map(str, folders)))
    return folders


def silent(line: str) -> None:
    pytest.fail(line)


def test_the_place_is_one_whatever_tmpdir_says_and_all_users_may_write_there(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: queue.Queue[str] = queue.Queue()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with exclusive("results/quick/runs/s1/a.parquet", silent):
        monkeypatch.setenv("TMPDIR", str(folders[1]))
        other = threading.Thread(target=lambda: exclusive("b", heard.put).__enter__())
        other.start()
        line = heard.get(timeout=60)
        assert line.startswith(f"waiting: results/quick/runs/s1/a.parquet (process {os.getpid()}, ")
        assert other.is_alive()
    other.join(timeout=60)
    assert [file.name for file in tmp_path.rglob("*.lock")] == [NAME]
    assert (folders[0] / NAME).stat().st_mode & 0o777 == 0o666


@pytest.mark.parametrize(
    "put", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("x"), lambda path: path.parent]
)
def test_what_takes_no_lock_is_passed_over_and_without_any_it_is_one_line(
    folders: list[Path], put: Callable[[Path], object]
) -> None:
    put(folders[0] / NAME)
    folders[1].rename(kept := folders[1].with_name("kept"))
    if not list(folders[0].iterdir()):
        folders[0].rmdir()  # as where there is no /tmp
    with pytest.raises(TandemError) as caught, exclusive("a", silent):
        pytest.fail("there is no place for a lock")
    assert caught.value.exit_code == EXIT_ENVIRONMENT
    kept.rename(folders[1])
    with exclusive("a", silent):
        assert (folders[1] / NAME).is_file()


def test_a_lock_that_is_deleted_keeps_those_apart_who_waited_for_it(folders: list[Path]) -> None:
    heard: queue.Queue[str] = queue.Queue()

    def measure() -> None:
        with exclusive("second", heard.put):
            heard.put("measuring")

    waiting = threading.Thread(target=measure)
    with ExitStack() as third:
        with exclusive("first", silent):
            waiting.start()
            assert heard.get(timeout=60).startswith("waiting: first")
            (folders[0] / NAME).unlink()
            third.enter_context(exclusive("third", silent))
        assert heard.get(timeout=60).startswith("waiting: third")
        assert heard.empty()
    assert heard.get(timeout=60) == "measuring"
    waiting.join()
