"""The operating system: what Linux has and others lack, each with what is done without it."""

import contextlib
import ctypes
import math
import os
import platform
import signal
import threading
import time
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil

from tandembench.errors import EXIT_ENVIRONMENT, TandemError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29
_PR_SET_CHILD_SUBREAPER = 36
# How often one that the kernel does not end looks after its parent; and how often at most the whole
# machine is searched for who listens at a port.
_LOOK_S = 0.5
# What listens here for a server that runs elsewhere, in a container or on another machine.
_FORWARDERS = {"docker-proxy", "rootlessport", "rootlesskit", "slirp4netns", "pasta", "passt"}
_FORWARDERS |= {"ssh", "sshd", "kubectl", "socat", "systemd", "com.docker.backend"}


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


def listener(port: int) -> tuple[int | None, str | None]:
    """(the process that listens at ``port``, None), or (None, why it is not known).

    "permission": it is another user's; "forwarded": it hands connections on to where the server
    runs; "elsewhere": no process of this machine does, or of this container; "client": this process
    belongs to it, so that what it uses is not told from what this one does. Of several, such as
    workers of one server, it is the first that was started.
    """
    try:
        sockets = [one for one in psutil.net_connections("tcp") if one.status == "LISTEN"]
        pids = {one.pid for one in sockets if one.laddr and one.laddr.port == port}
        if None in pids:
            return None, "permission"
        first = min((psutil.Process(pid) for pid in pids), key=psutil.Process.create_time)
        this = psutil.Process()
        if first in (this, *this.parents()):
            return None, "client"
        return (None, "forwarded") if first.name() in _FORWARDERS else (first.pid, None)
    except (psutil.AccessDenied, PermissionError):
        return None, "permission"
    except (ValueError, psutil.NoSuchProcess):
        return None, "elsewhere"


class Family:
    """A process and those that it has started, as they come and go; without them if ``alone``.

    ``port`` is where it listens: if it has ended, who listens there now takes its place. Children
    are looked for every ``look_s`` seconds at most.
    """

    def __init__(
        self, pid: int, port: int | None = None, *, alone: bool = False, look_s: float = 0.0
    ) -> None:
        self._port, self._alone, self._every_s = port, alone, look_s
        self._head = _process(pid)
        self._members: list[psutil.Process] = []
        self._searched_s = self._looked_s = -math.inf
        self._last_s = self._gone_s = 0.0

    def members(self) -> list[psutil.Process]:
        """Those that run now, parents before their children."""
        if time.monotonic() < self._looked_s + self._every_s:
            return self._members
        self._looked_s = time.monotonic()
        if self._head and not self._head.is_running():
            self._head = None
        if self._head is None and self._port and time.monotonic() > self._searched_s + _LOOK_S:
            pid, _ = listener(self._port)
            self._head = _process(pid) if pid else None
            self._searched_s = time.monotonic()
        members = [self._head] if self._head else []
        for one in members if not self._alone else ():  # which grows meanwhile
            members += filter(None, map(_process, _children(one)))
        self._members = members
        return members

    def cpu_s(self) -> float:
        """CPU seconds so far, in steps of 10 ms; it never falls: what ended members used counts."""
        total = 0.0
        for one in self.members():
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                # The kernel adds a child that has ended to its parent.
                ended = 0.0 if self._alone else times.children_user + times.children_system
                total += times.user + times.system + ended
        self._gone_s += max(0.0, self._last_s - total)
        self._last_s = total
        return total + self._gone_s

    def memory_bytes(self) -> int | None:
        """What they hold in memory together, shared pages in each; None if none runs."""
        held = 0
        for one in self.members():
            with contextlib.suppress(psutil.Error):
                held += one.memory_info().rss
        return held or None


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _children(process: psutil.Process) -> list[int]:
    """Its children, by the kernel's own lists where it has them; psutil reads every process."""
    tasks = Path(f"/proc/{process.pid}/task")
    try:
        if Path(f"/proc/self/task/{os.getpid()}/children").exists():
            lists = [file.read_text(encoding="ascii") for file in tasks.glob("*/children")]
            return [int(pid) for one in lists for pid in one.split()]
        return [one.pid for one in process.children()]
    except (OSError, psutil.Error):  # it ends just now
        return []


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
