"""One measurement at a time on a machine, whatever started it."""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOCK = Path(tempfile.gettempdir()) / "tandembench-measure.lock"


@contextmanager
def exclusive(label: str, tell: Callable[[str], None], lock: Path = _LOCK) -> Iterator[None]:
    """Wait until no other measurement runs on this machine, then keep others out.

    The kernel drops the lock when the process dies, however it dies, and wakes who waits: a library
    that polls would disturb what is measured. ``label`` is what others read while they wait;
    ``tell`` hears whom this one waits for.
    """
    descriptor = _open(lock)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
            tell(f"waiting: {holder or 'another measurement'} is measuring on this machine")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(OSError):  # another user's lock file cannot be written, but it can be held
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{label} (process {os.getpid()})".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _open(lock: Path) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(lock, flags | os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        return os.open(lock, flags | os.O_RDONLY)
