"""importers: other people's result folders and files -> runs, as their source timed them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tandembench.dataset.importers import chimeraforge, csv_runs
from tandembench.dataset.importers.cold import cold_limits
from tandembench.dataset.importers.layouts import first_known
from tandembench.dataset.importers.source import Imported, SourceRun, bad, files_below, unreadable
from tandembench.errors import TandemError
from tandembench.text import sanitise

# Layouts of folders; a file has one of its own, which its mapping tells.
_FOLDERS: Mapping[str, Callable[[Path], list[Imported]]] = {
    "chimeraforge-rust": chimeraforge.read_rust,
    "chimeraforge-python": chimeraforge.read_python,
}


def read(
    layout: str, source: Path, mapping: Path | None = None, cold_above_s: float | None = None
) -> list[Imported]:
    """The runs of ``source``, a folder or (layout csv, with a ``mapping``) a file.

    One for each tree of results below a folder, one at least, each with one run at least.
    ``cold_above_s``: a longer load, in s, loaded a model; if None, the load times tell.
    """
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
        trees = [csv_runs.read(source, mapping)]
    else:
        trees = [one for one in _FOLDERS[layout](source) if one.runs]
        _check(trees, layout, source)
    limits = [cold_limits(one.runs, cold_above_s) for one in trees]
    return [
        replace(one, cold_above=above, notes=(*one.notes, *notes))
        for one, (above, notes) in zip(trees, limits, strict=True)
    ]


def _check(trees: list[Imported], layout: str, source: Path) -> None:
    """TandemError without a run of the layout, or where a folder is not that of one config."""
    if not trees:
        other = first_known(files_below(source))
        what, fix = "", f"name the folder that holds results in the layout {layout}"
        if other:
            path, kind, fix = other
            what = f"; {sanitise(str(path.relative_to(source)), 80)} looks like {kind}"
        raise TandemError(f"no run in it{what}", where=str(source), fix=fix)
    for tree in trees:
        seen = set()
        first: dict[str, SourceRun] = {}
        for run in tree.runs:
            key = run.place, run.repetition
            where, name = source / tree.tree, f"repetition {run.repetition} of"
            if key in seen:
                what = f"{name} '{sanitise(run.place, 80)}' is there twice"
                raise bad(where, what, "remove one of them")
            seen.add(key)
            if run.asked != first.setdefault(run.place, run).asked:
                what = f"{name} '{sanitise(run.place, 80)}' has other options than the first"
                raise bad(where, what, "move it to a folder of its own")
