"""Files: read as text, and written so that they appear whole or not at all."""

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tandembench.errors import EXIT_ENVIRONMENT, TandemError


def read_text(path: Path, if_missing: str) -> str:
    """A file's text, without a byte order mark; TandemError, with a missing file's fix."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise TandemError("no such file", where=str(path), fix=if_missing) from None
    except UnicodeDecodeError:
        raise TandemError("not UTF-8 text", where=str(path), fix="save it as UTF-8") from None
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise TandemError(what, where=str(path), fix="check path and rights") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes ``path``, fsynced, if the body ends well; else nothing.

    A file has one writer at a time: what an earlier, killed one left behind is swept.
    """
    with _place_for(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        partial = Path(name)
        try:
            os.fchmod(descriptor, 0o644)
            yield partial
            os.fsync(descriptor)
            partial.replace(path)
        finally:
            os.close(descriptor)
            partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``path``, with nothing of the old one, if the body ends well.

    For what can be made again: a kill between the two renames leaves no folder.
    """
    with _place_for(path):
        partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            partial.chmod(0o755)
            yield partial
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
            if path.exists():
                path.replace(old)
            partial.replace(path)
            shutil.rmtree(old)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _place_for(path: Path) -> Iterator[None]:
    """The folder of ``path``, swept; what the system refuses there, then or later, is one line."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob(f".{glob.escape(path.name)}.????????"):
            if stale.is_dir():
                shutil.rmtree(stale)
            else:
                stale.unlink(missing_ok=True)
        yield
    except OSError as error:
        what = f"cannot write ({error.strerror or error})"
        fix = "free some space or make the folder writable; the old file is intact"
        where = str(path)
        raise TandemError(what, where=where, fix=fix, exit_code=EXIT_ENVIRONMENT) from None
