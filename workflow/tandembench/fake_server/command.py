"""What `tandembench fake-server` does: its options into a Behaviour, and its faults into words."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.fake_server.behaviour import SIMULATED, Behaviour
from tandembench.fake_server.process import serve
from tandembench.fake_server.server import listen, url_of


def serve_command(host: str, port: int, log: Path | None, options: Mapping[str, Any]) -> None:
    """Serve at ``host``:``port`` until told to stop; times among ``options`` are in ms."""
    settings = {
        name.replace("_ms", "_s"): value / 1e3 if name.endswith("_ms") else value
        for name, value in options.items()
    }
    try:
        behaviour = Behaviour(**settings)
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
        serve(behaviour, listener, log)
    except OSError as error:
        raise TandemError(
            f"cannot write ({error.strerror})",
            where=str(log),
            fix="name a file in a folder that is there",
            exit_code=EXIT_ENVIRONMENT,
        ) from None
