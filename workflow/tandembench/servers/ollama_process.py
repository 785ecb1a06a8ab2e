"""``python -m tandembench.servers.ollama_process PARENT SETTINGS`` runs an `ollama serve`.

Prints its URL when it answers. Whichever ends first, this process, its parent or the server: no
server and no runner (the process that holds a model) is left. Imports nothing that it does not
need, since blocks wait for it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from typing import NoReturn
from urllib.request import ProxyHandler, build_opener

import psutil

from tandembench.system import adopt_orphans, die_with

_ANSWER_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 3.0
_LOOK_S = 0.02


def _run(program: str) -> int:
    """Serve until the server ends, or this process is told to; its exit code."""
    server = subprocess.Popen(  # noqa: S603 - the user's own Ollama, no shell
        [program, "serve"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=partial(die_with, os.getpid()),  # noqa: PLW1509 - no threads here
    )
    try:
        url = _url(server)
        if url:
            # The GPUs are looked for after it listens, and only then it answers.
            build_opener(ProxyHandler({})).open(f"{url}/api/version", timeout=_ANSWER_TIMEOUT_S)
            print(url, flush=True)
        return server.wait()
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(_STOP_TIMEOUT_S)
        # A runner outlives a server that is killed, and is this process's child then.
        for one in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                one.kill()


def _url(server: "subprocess.Popen[bytes]") -> str | None:
    """Where it listens: it was told to take any free port. None if it ends before."""
    while server.poll() is None:
        with suppress(psutil.Error):
            for one in psutil.Process(server.pid).net_connections("tcp"):
                if one.status == psutil.CONN_LISTEN:
                    return f"http://{one.laddr.ip}:{one.laddr.port}"
        time.sleep(_LOOK_S)
    return None


def _stop(*_: object) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    adopt_orphans()
    die_with(int(sys.argv[1]), signal.SIGTERM)
    code = _run(json.loads(sys.argv[2])["program"])
    if code < 0:  # as if the server itself were the child of who waits
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
