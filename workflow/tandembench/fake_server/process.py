"""A fake server as the one thing that a process does: for calibration, tests and a terminal."""

import asyncio
import gc
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.fake_server.behaviour import SIMULATED, Behaviour
from tandembench.fake_server.server import listen, serving, url_of
from tandembench.fake_server.timing import sharp_loop

_STOP_TIMEOUT_S = 5.0


@contextmanager
def fake_process(behaviour: Behaviour, log: Path | None = None) -> Iterator[str]:
    """The URL of a fake server that runs as long as the body; its ``log`` is whole after that.

    The socket is open before the process is there, so that no request can come too early. The
    process ends with its standard input, and so with this one, however that ends.
    """
    with listen() as listener:
        url = url_of(listener)
        arguments = (str(listener.fileno()), str(log or ""), json.dumps(asdict(behaviour)))
        process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            [sys.executable, "-m", "tandembench.fake_server", *arguments],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
    try:
        yield url
    finally:
        try:
            process.communicate(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serve_child(descriptor: str, log: str, behaviour: str) -> None:
    """What the process of ``fake_process`` does; Ctrl-C is its parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener = socket.socket(fileno=int(descriptor))
    _serve(Behaviour(**json.loads(behaviour)), listener, Path(log) if log else None, attached=True)


def serve_command(host: str, port: int, log: Path | None, options: Mapping[str, float]) -> None:
    """Serve at ``host``:``port`` until told to stop; times among ``options`` are in ms."""
    settings = {
        name.replace("_ms", "_s"): value / 1e3 if name.endswith("_ms") else value
        for name, value in options.items()
    }
    try:
        behaviour = Behaviour(**settings)  # type: ignore[arg-type]
    except ValueError as error:
        raise TandemError(str(error), where="fake-server", fix="see --help") from None
    try:
        listener = listen(host, port)
    except (OSError, OverflowError) as error:
        raise TandemError(
            f"cannot listen ({error})",
            where=f"{host} port {port}",
            fix="choose another --port, or 0 for a free one",
            exit_code=EXIT_ENVIRONMENT,
        ) from None
    print(f"{SIMULATED}: no model is run; Ctrl-C ends it", file=sys.stderr)
    # Alone on its stream, so that a script can read where the server is.
    print(url_of(listener), flush=True)
    try:
        _serve(behaviour, listener, log, attached=False)
    except OSError as error:
        raise TandemError(
            f"cannot write ({error.strerror})",
            where=str(log),
            fix="name a file in a folder that is there",
            exit_code=EXIT_ENVIRONMENT,
        ) from None


def _serve(behaviour: Behaviour, listener: socket.socket, log: Path | None, attached: bool) -> None:
    """Serve until SIGTERM or SIGINT, or (``attached``) the end of standard input."""

    async def until_told() -> None:
        loop = asyncio.get_running_loop()
        text = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, text.set)
        if attached:
            loop.add_reader(sys.stdin, text.set)
        else:
            loop.add_signal_handler(signal.SIGINT, text.set)
        async with serving(behaviour, listener, log):
            gc.collect()
            gc.freeze()
            await text.wait()
        if attached:
            loop.remove_reader(sys.stdin)

    with asyncio.Runner(loop_factory=sharp_loop) as runner:
        runner.run(until_told())
