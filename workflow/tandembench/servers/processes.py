"""Server processes: started at the same time, awaited, and ended with all that they started."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from tandembench.servers.deployment import Deployment, ServerFault, Settings
from tandembench.text import sanitise

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0
# How compute threads wait for each other. OpenMP's default spins for milliseconds: as fast as
# `brief` on an idle machine, but beside one busy foreign process two threads on two cores fell
# from 95 tokens/s to 5, some requests to none; with a brief spin to 28 (10 trials).
_WAITING = {"brief": {"GOMP_SPINCOUNT": "1000"}, "passive": {"OMP_WAIT_POLICY": "PASSIVE"}}
_THREAD_VARIABLES = ("OMP_", "GOMP_", "KMP_", "GGML_", "LLAMA_")
Process = subprocess.Popen[bytes]


@contextmanager
def starting(
    wanted: Sequence[Deployment], start: Callable[[Settings], Process]
) -> Iterator[Mapping[str, Sequence[Process]]]:
    """``start`` all servers of ``wanted`` at the same time; their processes by key.

    They are stopped on the way out, whatever happened inside. Of those that the system has no
    room for none comes.
    """
    started: dict[str, list[Process]] = {one.key: [] for one in wanted}
    try:
        for one in wanted:
            with suppress(OSError):  # those that are missing are noticed when all are awaited
                for settings in one.settings:
                    # One by one, since what runs must be known if the next one fails.
                    started[one.key].append(start(settings))
        yield started
    finally:
        stop([process for processes in started.values() for process in processes])


def spawn(
    program: str,
    settings: Settings,
    given: Mapping[str, object],
    environment: Mapping[str, str],
    log: IO[str],
) -> Process:
    """Run our module ``program`` for a server: it is told our process id and, as JSON, ``given``.

    Of the user's environment it has what does not act on compute threads. What it writes goes to
    ``log``, but for its URL, which it prints.
    """
    kept = {k: v for k, v in environment.items() if not k.startswith(_THREAD_VARIABLES)}
    return subprocess.Popen(  # noqa: S603 - our own program, no shell
        [sys.executable, "-m", program, str(os.getpid()), json.dumps(given)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env=kept | _WAITING[settings.wait_policy],
        start_new_session=True,  # a group of its own, by which all that it starts is known
    )


def urls(deployment: Deployment, processes: Sequence[Process], log: IO[str]) -> list[str]:
    """Where the servers of ``deployment`` answer, once they do.

    ServerFault of one that did not come up; then none of them is left.
    """
    try:
        if len(processes) < len(deployment.settings):
            raise ServerFault("server_start", "the system has no process left for it")
        return [_await_url(process, log) for process in processes]
    except ServerFault:
        stop(processes)
        raise


def _await_url(process: Process, log: IO[str]) -> str:
    """What the server prints when it is ready; ServerFault if that does not come."""
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    output = process.stdout.fileno()
    # A binary, unbuffered readline would block past the timeout; select does not.
    deadline = time.monotonic() + _START_TIMEOUT_S
    said = b""
    while not said.endswith(b"\n"):
        ready, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(output, 4096) if ready else b""
        if not data:
            how = f"exit {process.wait()}" if ready else f"silent for {_START_TIMEOUT_S:g} s"
            # Who ends a server that starts is the kernel, when memory runs out.
            reason = "oom" if process.returncode == -signal.SIGKILL else "server_start"
            raise ServerFault(reason, f"a server did not start ({how}){_last_line(log)}")
        said += data
    return said.decode().strip()


def _last_line(log: IO[str]) -> str:
    """What was written last into ``log``, after a colon: of a server that ended it says why."""
    with suppress(OSError, ValueError, IndexError):
        lines = Path(log.name).read_text(encoding="utf-8", errors="replace").splitlines()
        return f": {sanitise([line for line in lines if line.strip()][-1], 300)}"
    return ""


def stop(processes: Sequence[Process]) -> None:
    """End ``processes`` and all that they started, even where they are gone themselves."""
    groups = {process.pid for process in processes if process.returncode is None}
    members = [one for one in psutil.process_iter() if groups and _group(one.pid) in groups]
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.communicate(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    for one in members:
        with suppress(psutil.NoSuchProcess):
            one.kill()


def _group(pid: int) -> int | None:
    with suppress(OSError):
        return os.getpgid(pid)
    return None
