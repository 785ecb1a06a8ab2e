"""One measurement at a time on a machine, whatever started it."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.files import way_out
from tandembench.system import take
from tandembench.text import sanitise

# The same for all users and jobs of a machine, so no TMPDIR; the first that takes a file.
_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - opened without following links
_NAME = "tandembench-measure.lock"
# Names another file, for machines on which containers share no /tmp, and for tests.
_VARIABLE = "TANDEMBENCH_LOCK"


@contextmanager
def exclusive(label: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other measurement runs on this machine, then keep others out.

    The kernel drops the lock when the process dies, however it dies, and wakes who waits: a library
    that polls would disturb what is measured. ``label`` is what others read while they wait;
    ``tell`` hears whom this one waits for. TandemError (exit 4) if there is no place for the lock.
    """
    while True:
        path, descriptor = _opened()
        try:
            if not take(descriptor, wait=False):
                tell(
                    f"waiting: {_label(descriptor)} is measuring on this machine;"
                    " this one begins when it is done (or end that process)"
                )
                take(descriptor, wait=True)
            if not _is_still_there(path, descriptor):
                continue  # somebody deleted it meanwhile: whoever comes now takes a new one
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            with suppress(OSError):  # another user's file may be read-only, but it can be held
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{label} (process {os.getpid()}, since {since})".encode(), 0)
            yield
            return
        finally:
            os.close(descriptor)


def holder() -> str | None:
    """Who keeps others out now, as they are told; None if nobody does.

    TandemError (exit 4) if there is no place for the lock.
    """
    first = _paths()[0]
    if not os.path.lexists(first) and os.access(first.parent, os.W_OK):
        return None  # to ask makes no file
    _, descriptor = _opened()
    try:
        return None if take(descriptor, wait=False) else _label(descriptor)
    finally:
        os.close(descriptor)


def _label(descriptor: int) -> str:
    written = os.pread(descriptor, 200, 0).decode("utf-8", "replace")
    return sanitise(written.strip()) or "another measurement"


def _paths() -> list[Path]:
    named = os.environ.get(_VARIABLE)
    return [Path(named)] if named else [Path(folder, _NAME) for folder in _FOLDERS]


def _opened() -> tuple[Path, int]:
    """The lock's path and descriptor."""
    paths = _paths()
    refusals = []
    for path in paths:
        try:
            return path, _open(path)
        except OSError as error:
            refusals.append(error)
    what = f"no file to keep measurements apart ({refusals[0].strerror})"
    fix = way_out(refusals[0])
    raise TandemError(what, where=str(paths[0]), fix=fix, exit_code=EXIT_ENVIRONMENT)


def _open(path: Path) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags | os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        os.fchmod(descriptor, 0o666)  # every user of the machine writes who holds it
    except FileExistsError:
        # Without O_CREAT: the kernel may refuse that on another user's file in /tmp, even to root.
        try:
            descriptor = os.open(path, flags | os.O_RDWR)
        except PermissionError:
            descriptor = os.open(path, flags | os.O_RDONLY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EEXIST, "not a regular file")
    return descriptor


def _is_still_there(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    return False
