"""importers: other people's result folders and files -> runs, as their source timed them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tandembench.dataset.importers import chimeraforge, csv_runs
from tandembench.dataset.importers.source import Imported, bad, unreadable
from tandembench.errors import TandemError
from tandembench.text import sanitise

# Layouts of folders; a file has one of its own, which its mapping tells.
_FOLDERS: Mapping[str, Callable[[Path], Imported]] = {
    "chimeraforge-rust": chimeraforge.read_rust,
    "chimeraforge-python": chimeraforge.read_python,
}


def read(layout: str, source: Path, mapping: Path | None = None) -> Imported:
    """The runs of ``source``, a folder or (layout csv, with a ``mapping``) a file, one at least."""
    if layout not in ("csv", *_FOLDERS):
        fix = f"layouts: csv, {', '.join(_FOLDERS)}"
        raise TandemError(f"no layout '{sanitise(layout, 40)}'", where="baseline import", fix=fix)
    if (layout == "csv") is not (mapping is not None):
        what = "layout csv needs --mapping" if mapping is None else f"{layout} needs no --mapping"
        fix = "config/README.md shows one" if mapping is None else "leave it out"
        raise TandemError(what, where="baseline import", fix=fix)
    try:
        there = source.is_file() if mapping is not None else source.is_dir()
    except OSError as error:
        raise unreadable(source, error) from None
    if not there:
        kind, fix = ("file", "the CSV file") if mapping else ("folder", "the folder of results")
        raise TandemError(f"no such {kind}", where=str(source), fix=f"name {fix}")
    if mapping is not None:
        return csv_runs.read(source, mapping)
    imported = _FOLDERS[layout](source)
    if not imported.runs:
        fix = f"name the folder that holds results in the layout {layout}"
        raise TandemError("no run in it", where=str(source), fix=fix)
    seen = set()
    for run in imported.runs:
        key = run.place, run.repetition
        if key in seen:
            what = f"repetition {run.repetition} of '{sanitise(run.place, 80)}' is there twice"
            raise bad(source, what)
        seen.add(key)
    return imported
