"""Files that a study has left behind, and their removal: nothing else is ever deleted.

A file goes if its name and its content are the study's. No link is followed.
"""

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tandembench.dataset.aggregate import has_failed
from tandembench.dataset.identity import (
    identified,
    read_digested,
    read_phase_table,
    read_run_file,
)
from tandembench.errors import EXIT_CORRUPT, EXIT_ENVIRONMENT, TandemError
from tandembench.files import way_out
from tandembench.study.spec import TABLES

_ID, _DIGEST = r"[a-z0-9_.-]+", r"\.[0-9a-f]{12}"
# What is made of manifests, and made again if it is gone.
_MADE = (
    rf"manifest{_DIGEST}\.json|dataset{_DIGEST}\.made|"
    rf"phases/{_ID}{_DIGEST}(\.manifest\.json|(\.executions|\.telemetry|\.tokens)?\.parquet)"
)
_ALL = rf"runs/{_ID}/{_ID}\.r\d+{_DIGEST}\.parquet|specs/{_ID}{_DIGEST}\.json|{_MADE}"


@dataclass(slots=True)
class Leftovers:
    """Run files that were ``measured``, other files that may go, and why others are ``kept``.

    Those in ``kept`` have a name as the study's files have: a line for each.
    """

    measured: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def leftovers(results: Path, named: Collection[str], kinds: str = _ALL) -> Leftovers:
    """What lies in ``results``, the folder of a study, that is its own and not among ``named``.

    ``kinds`` is a pattern of paths in it.
    """
    left, current = Leftovers(), {Path(file) for file in named}
    for folder, folders, files in os.walk(results):
        for path in (Path(folder, name) for name in (*folders, *files)):
            inside = path.relative_to(results)
            if path in current or not re.fullmatch(kinds, inside.as_posix()):
                continue
            try:
                _check(path, results)
            except TandemError as error:
                left.kept.append(str(error))
            else:
                (left.measured if inside.parts[0] == "runs" else left.others).append(path)
    left.others += [log for file in left.measured if (log := _log_of(file, results))]
    # Last goes what says whose the others are.
    left.others.sort(key=lambda path: (path.suffix == ".json", path))
    left.measured.sort()
    return left


def failed(results: Path, run_files: Iterable[str]) -> Leftovers:
    """The run files in which a config has no valid run; ``kept`` names those that are damaged."""
    left = Leftovers()
    for path in map(Path, run_files):
        try:
            if os.path.lexists(path):
                _check_plain(path, results)
                if has_failed(read_run_file(path)):
                    left.measured.append(path)
        except TandemError as error:
            left.kept.append(str(error))
    return left


def drop_others(manifest_file: Path) -> None:
    """Delete what earlier manifests of the study left beside that at ``manifest_file``.

    That is: these manifests, tables and manifests of phases that it does not name, and marks of
    datasets. A dataset made from one of them is then made again, even if nobody remembers it.
    """
    phases = read_digested(manifest_file)["phases"]
    named = [f"{phase['tables']}{end}" for phase in phases for end in TABLES]
    named += [str(manifest_file), *(phase["manifest"] for phase in phases)]
    list(remove(leftovers(manifest_file.parent, named, _MADE).others))


def remove(files: Iterable[Path]) -> Iterator[Path]:
    """Delete ``files``, and give each that is gone; TandemError (exit 4) names one that stays."""
    for file in files:
        try:
            file.unlink()
        except OSError as error:
            what, fix = f"cannot be removed ({error.strerror})", way_out(error)
            raise TandemError(what, where=str(file), fix=fix, exit_code=EXIT_ENVIRONMENT) from None
        yield file


def _check(path: Path, results: Path) -> None:
    """TandemError unless ``path`` is a file of this study whose content is what its name says."""
    _check_plain(path, results)
    end = next((end for end in reversed(TABLES) if path.name.endswith(end)), path.suffix)
    witness = None
    if path.parent.name == "specs":
        read_digested(path)
    elif end == ".made" and path.stat().st_size:
        raise _foreign("no mark of a dataset", path)
    elif end == ".json" and read_digested(path).get("study") != results.name:
        raise _foreign(f"not of the study {results.name}", path)
    elif path.parent.name == "phases" and end != ".json":
        read_phase_table(path)
        witness = Path(f"{str(path).removesuffix(end)}.manifest.json")
    elif end == ".parquet":
        identified(path)
        comparison, _, digest = path.stem.rsplit(".", 2)
        witness = results / f"specs/{comparison}.{digest}.json"
    try:
        if witness:
            _check(witness, results)
    except (TandemError, FileNotFoundError):
        raise _foreign("nothing says that it is of this study", path) from None


def _check_plain(path: Path, results: Path) -> None:
    """TandemError for a link, a folder, and what lies behind a link."""
    real = Path(os.path.realpath(results), path.relative_to(results))
    if os.path.realpath(path) != str(real) or not stat.S_ISREG(path.lstat().st_mode):
        raise _foreign("a link or no file", path)


def _log_of(file: Path, results: Path) -> Path | None:
    """The log of a run file, if it is there and tells of that block."""
    comparison, repetition, _ = file.stem.rsplit(".", 2)
    log = results / "logs" / file.parent.name / f"{file.stem}.log"
    try:
        _check_plain(log, results)
        told = log.read_text(encoding="utf-8", errors="replace")
    except (OSError, TandemError):
        return None
    return log if f"{comparison} {repetition}" in told else None


def _foreign(what: str, path: Path) -> TandemError:
    fix = "move it away or delete it yourself"
    return TandemError(what, where=str(path), fix=fix, exit_code=EXIT_CORRUPT)
