"""Files: read as text, and written so that they appear whole or not at all, also after a power cut.

Each is written under a temporary name, fsynced, renamed, and its folder fsynced.
"""

import errno
import glob
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tandembench.errors import EXIT_ENVIRONMENT, TandemError

_NEW, _PARTIAL = ".new-", ".partial"
# So old is only what a killed writer left behind: another at work may be on another machine.
_ABANDONED_S = 3600.0
# Of a file that a person writes by hand.
MAX_BYTES = 1 << 20


def read_text(path: Path, if_missing: str, limit: int = MAX_BYTES) -> str:
    """The text of a file that a person named, without a byte order mark; line ends stay.

    TandemError, one line, for what is no regular file (a pipe or device might never end), for more
    than ``limit`` bytes, for no UTF-8, and, with the fix ``if_missing``, for a missing file.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise TandemError("a folder", where=str(path), fix="name a file in it")
        if not stat.S_ISREG(mode):
            fix = "put a copy of the file in its place"
            raise TandemError("not a regular file", where=str(path), fix=fix)
        with path.open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise TandemError(f"over {limit:,} bytes", where=str(path), fix="shorten it")
        if (at := data.find(b"\0")) >= 0:  # UTF-16 without a mark, or no text at all
            raise UnicodeDecodeError("utf-8", data, at, at + 1, "a NUL")
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise TandemError("no such file", where=str(path), fix=if_missing) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        where = f"{path}:{line}"
        raise TandemError("not UTF-8 text", where=where, fix="save it as UTF-8") from None
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise TandemError(what, where=str(path), fix="check path and rights") from None


def way_out(error: OSError) -> str:
    """What a person does about a file that cannot be written."""
    if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP):
        return "delete or rename what is in its place"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "make it and its folder writable"
    if error.errno == errno.ENOENT:
        return "name a place in a folder that is there"
    return "free some space"


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, which appears whole or not at all; TandemError (exit 4)."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes ``path``, on disk, if the body ends well; else nothing.

    A file has one writer at a time: what an earlier, killed one left behind is swept. TandemError
    (exit 4) for what the system refuses, but for the last step, which is told on stderr only.
    """
    with _explained(path, "the old file is intact"):
        make_folder(path.parent)
        for stale in path.parent.glob(f".{glob.escape(path.name)}.*{_PARTIAL}"):
            _remove(stale)
        descriptor, name = tempfile.mkstemp(_PARTIAL, f".{path.name}.", path.parent)
        os.close(descriptor)
        partial = Path(name)
        try:
            yield partial
            partial.chmod(0o644)
            _sync(partial)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    try:
        _sync(path.parent)
    except OSError as error:  # an error would have Snakemake delete what is written and whole
        what = f"it is written, but a power cut may still lose it ({error.strerror or error})"
        print(f"tandembench: {path}: {what}", file=sys.stderr)


@contextmanager
def new_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder in ``parent``, to be filled and placed; else it is gone at the end.

    Several writers may be at work in ``parent``. TandemError (exit 4) for what the system refuses.
    """
    with _explained(parent, "nothing was changed"):
        make_folder(parent)
        for stale in parent.glob(f"{_NEW}*"):
            with suppress(FileNotFoundError):  # another writer is done with its own
                if time.time() - stale.stat().st_mtime > _ABANDONED_S:
                    _remove(stale)
        partial = Path(tempfile.mkdtemp(dir=parent, prefix=_NEW))
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def place(partial: Path, target: Path) -> bool:
    """Whether the folder ``partial`` of files is now ``target``, on disk; not if that exists."""
    partial.chmod(0o755)
    for path in (*partial.iterdir(), partial):
        _sync(path)
    try:
        partial.rename(target)  # refuses a folder that holds anything
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    _sync(target.parent)
    return True


def make_folder(path: Path) -> None:
    """Have the folder ``path``, on disk, and those above it; OSError if there can be none."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # there are file systems that cannot fsync a folder
            raise
    finally:
        os.close(descriptor)


def _remove(stale: Path) -> None:
    if stale.is_dir() and not stale.is_symlink():
        shutil.rmtree(stale)
    else:
        stale.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path, state: str) -> Iterator[None]:
    """What the system refuses inside is one line, which tells the ``state`` of what was there."""
    try:
        yield
    except OSError as error:
        what = f"cannot write ({error.strerror or error})"
        fix = f"{way_out(error)}; {state}"
        where = str(path)
        raise TandemError(what, where=where, fix=fix, exit_code=EXIT_ENVIRONMENT) from None
