"""The operating system: what Linux has and others lack, each with what is done without it."""

import contextlib
import ctypes
import os
import platform
import signal
import threading
import time
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tandembench.errors import EXIT_ENVIRONMENT, TandemError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29
_PR_SET_CHILD_SUBREAPER = 36
# How often one that the kernel does not end looks after its parent.
_LOOK_S = 0.5


def cores() -> int:
    """The cores that this process may use; all of the machine's where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def boot_id() -> str:
    """The kernel's id of this boot, or an id of this process where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid4())


def cpu_name() -> str:
    """What the CPU calls itself, such as "Intel(R) Xeon(R)"; empty if nobody says."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def listeners(port: int) -> list[str]:
    """The kernel's numbers of the sockets that listen at ``port``, sorted; none if nobody says.

    A socket keeps its number for life. Source: Linux, proc(5), /proc/net/tcp.
    """
    numbers = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                _, local, _, state, *_, number = line.split()[:10]
                if state == "0A" and int(local.rpartition(":")[2], 16) == port:
                    numbers.add(number)
    return sorted(numbers)


def boot_clock_ns() -> int | None:
    """A clock that goes on while the machine sleeps; None where there is none."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return None if clock is None else time.clock_gettime_ns(clock)


def take(descriptor: int, wait: bool) -> bool:
    """Lock the open file ``descriptor`` until its process ends; False if another one holds it.

    With ``wait`` it sleeps until it is free. TandemError (exit 4) where files cannot be locked.
    """
    if fcntl is None:
        fix = "measure on Linux or macOS (on Windows in WSL)"
        what, where = "this system cannot keep two measurements apart", platform.system()
        raise TandemError(what, where=where, fix=fix, exit_code=EXIT_ENVIRONMENT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def sharp_timers() -> None:
    """Have this thread's sleeps end on time, to the microsecond; elsewhere they end as they do."""
    _prctl(_PR_SET_TIMERSLACK, 1)


def die_with(parent: int, death_signal: signal.Signals = signal.SIGKILL) -> None:
    """No process outlives the one that it works for: send this one the signal when its parent dies.

    ``parent`` is the process id that the parent had when it decided to start this one: if it is
    gone already, this process leaves at once. Where the kernel cannot do it, a thread looks twice
    a second.
    """
    if not _prctl(_PR_SET_PDEATHSIG, death_signal):

        def look() -> None:
            while os.getppid() == parent:
                time.sleep(_LOOK_S)
            os.kill(os.getpid(), death_signal)

        threading.Thread(target=look, daemon=True).start()
    if os.getppid() != parent:
        os._exit(128 + death_signal)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, where the kernel has that."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> bool:
    """Whether the kernel took it; prctl(2) is Linux's."""
    try:
        call: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    except (AttributeError, OSError, TypeError):
        return False
    return call(option, value, 0, 0, 0) == 0
