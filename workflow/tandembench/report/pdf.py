"""PDF on request: a page as an installed Chromium prints it."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.files import replacing

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# A browser of its own that keeps to itself: no window, no profile of the user, no service.
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-default-browser-check",
)
_PATIENCE_S = 120


def print_pdf(html: Path, output: Path) -> Path:
    """Print the page ``html`` to ``output``. TandemError (exit 4) without a working Chromium."""
    with tempfile.TemporaryDirectory() as profile, replacing(output) as partial:
        printing = ("--no-pdf-header-footer", f"--print-to-pdf={partial.resolve()}")
        arguments = [*chromium(Path(profile)), *printing, html.resolve().as_uri()]
        try:
            done = subprocess.run(  # noqa: S603 - the browser that the user has, and our own page
                arguments, capture_output=True, check=False, timeout=_PATIENCE_S
            )
        except subprocess.TimeoutExpired:
            raise _failed(arguments[0], f"took over {_PATIENCE_S} s") from None
        if done.returncode or not partial.stat().st_size:
            raise _failed(arguments[0], f"exit code {done.returncode}")
    return output


def chromium(profile: Path) -> list[str]:
    """The command of a headless Chromium with an own ``profile`` folder."""
    named = os.environ.get("TANDEMBENCH_CHROMIUM")
    result = next(filter(None, map(shutil.which, [named] if named else _NAMES)), None)
    if result is None:
        where = f"TANDEMBENCH_CHROMIUM={named}" if named else "PATH"
        fix = "install Chromium, or name it in the environment variable TANDEMBENCH_CHROMIUM"
        raise TandemError("no Chromium", where=where, fix=fix, exit_code=EXIT_ENVIRONMENT)
    # Chromium's own sandbox cannot be set up by root, as in a container.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return [result, *_FLAGS, *sandbox, f"--user-data-dir={profile}"]


def _failed(command: str, what: str) -> TandemError:
    fix = "see what it says by itself, or name another in TANDEMBENCH_CHROMIUM"
    return TandemError(f"no PDF ({what})", where=command, fix=fix, exit_code=EXIT_ENVIRONMENT)
