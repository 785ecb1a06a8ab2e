"""One measurement at a time on a machine, whatever started it."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
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
                holder = sanitise(os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip())
                tell(
                    f"waiting: {holder or 'another measurement'} is measuring on this machine;"
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


def _opened() -> tuple[Path, int]:
    """The lock's path and descriptor."""
    named = os.environ.get(_VARIABLE)
    paths = [Path(named)] if named else [Path(folder, _NAME) for folder in _FOLDERS]
    refused = OSError()
    for path in paths:
        try:
            return path, _open(path)
        except OSError as error:
            refused = error
    what = f"no file to keep measurements apart ({refused.strerror or 'not a regular file'})"
    fix = "delete what is there" if named or not refused.errno else "make that folder writable"
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
        raise OSError
    return descriptor


def _is_still_there(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    return False
