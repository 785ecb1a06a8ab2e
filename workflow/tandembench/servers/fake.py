"""Starts fake servers, each in a process of its own, for calibration and tests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tandembench.fake_server import Behaviour, listen, url_of
from tandembench.fake_server.behaviour import dump

_STOP_TIMEOUT_S = 5.0


@contextmanager
def fake_process(behaviour: Behaviour, log: Path | None = None) -> Iterator[str]:
    """The URL of a fake server that runs as long as the body; its ``log`` is whole after that.

    The socket is open before the process is there, so that no request can come too early.
    """
    with listen() as listener:
        url = url_of(listener)
        settings = (os.getpid(), listener.fileno(), log or "", dump(behaviour))
        process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            [sys.executable, "-m", "tandembench.fake_server", *map(str, settings)],
            stdin=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
        )
    try:
        yield url
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
