"""Baselines: datasets that no longer change, in ``resources/baselines/<name>/<version>/``.

A root is such a folder, or the address of an object store that holds baselines in the same way.
"""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tandembench.dataset.descriptor import (
    NAME,
    check_hash,
    check_resource,
    file_hash,
    read_descriptor,
    seal,
    write_descriptor,
)
from tandembench.dataset.importers import read
from tandembench.dataset.importers.tables import rows
from tandembench.dataset.opened import check_tables, open_dataset
from tandembench.dataset.rates import rates
from tandembench.dataset.stores import is_address, open_store, put
from tandembench.dataset.versions import ROOT, Baseline, baselines, check_name, next_version
from tandembench.errors import EXIT_CORRUPT, EXIT_ENVIRONMENT, TandemError
from tandembench.tables.columns import EXECUTIONS, RATES, STUDY_RUNS, TELEMETRY, TOKENS
from tandembench.tables.parquet import write_table
from tandembench.text import sanitise

# Writes the files of a baseline into a folder, under the version that it will have.
Build = Callable[[Path, str], None]
Root = Path | str
_LICENCE = re.compile(r"https?://\S{1,200}|[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")


def publish(name: str, version: str | None, build: Build, root: Root = ROOT) -> Baseline:
    """Make a baseline: whole, on disk, or not at all; never in place of another.

    Without ``version`` it is the next minor one, whoever else publishes at the same time.
    TandemError if the version is there.
    """
    check_name(name, version)
    if is_address(str(root)):
        return put(open_store(str(root)), name, version, build)
    parent = Path(root) / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=parent, prefix=".new-"))
    except OSError as error:
        raise _unwritable(parent, error) from None
    try:
        while True:
            chosen = version or next_version(baselines(Path(root), name))
            if _placed(partial, parent / chosen, lambda: build(partial, chosen)):  # noqa: B023 - called at once
                return Baseline(name, chosen, parent / chosen)
            if version is not None:
                fix = "a baseline never changes: give another --version"
                what, where = f"{name}@{version} exists", str(parent / chosen)
                raise TandemError(what, where=where, fix=fix)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _placed(partial: Path, target: Path, build: Callable[[], None]) -> bool:
    """Whether what ``build`` made in ``partial`` is now ``target``, on disk; not if that exists."""
    try:
        build()
        partial.chmod(0o755)
        _sync(partial)
        partial.rename(target)  # refuses a folder that holds anything
        _sync(target.parent)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise _unwritable(target, error) from None
    return True


def freeze(
    folder: Path, name: str, version: str | None, root: Root = ROOT, licence: str | None = None
) -> Baseline:
    """The dataset at ``folder``, verified, as a baseline.

    ``licence``: an identifier such as CC-BY-4.0, or a URL; without it that of the dataset's own
    descriptor, if it has one.
    """
    licences = {} if licence is None else {"licenses": [_licence(licence)]}
    dataset = open_dataset(folder)
    check_tables(dataset)

    def build(target: Path, chosen: str) -> None:
        for resource in dataset.descriptor["resources"]:
            source, copy = folder / resource["path"], target / resource["path"]
            shutil.copyfile(source, copy)
            with copy.open("rb") as file:
                check_hash(file_hash(file), resource, str(source))
        about = {"name": name, "version": chosen, "kind": "runs"}
        seal(target, {**dataset.descriptor, **licences, **about})

    return publish(name, version, build, root)


def _licence(text: str) -> dict[str, str]:
    """As a Data Package has it."""
    if not _LICENCE.fullmatch(text):
        fix = "an SPDX identifier such as CC-BY-4.0, or the URL of its text"
        raise TandemError(f"'{sanitise(text, 40)}' is no licence", where="--licence", fix=fix)
    return {"path": text} if text.startswith("http") else {"name": text}


def import_runs(
    layout: str,
    source: Path,
    name: str,
    version: str | None,
    root: Root = ROOT,
    mapping: Path | None = None,
) -> tuple[Baseline, Mapping[str, int], tuple[str, ...]]:
    """Another project's results as a baseline; with what was left out, and notes.

    ``mapping`` says what the columns of a CSV file are; folders have none.
    """
    check_name(name, version)
    imported = read(layout, source, mapping)
    runs, executions, phases = rows(imported)

    def build(target: Path, chosen: str) -> None:
        write_table(target / "runs.parquet", "runs", STUDY_RUNS, runs)
        write_table(target / "executions.parquet", "executions", EXECUTIONS, executions)
        write_table(target / "telemetry.parquet", "telemetry", TELEMETRY, [])
        write_table(target / "tokens.parquet", "tokens", TOKENS, [])
        write_table(target / "rates.parquet", "rates", RATES, rates(runs, executions))
        manifest: dict[str, Any] = {
            "study": name,
            "title": f"{name}, imported ({layout})",
            "session": runs[0]["session"],
            "repetitions": max(run["repetition"] for run in runs),
            # Of a table nobody knows in which order it was measured.
            "order": None if layout == "csv" else "by_config",
            "seed": None,
            "margin": 0.05,
            "reference": "serial",
            "engine": ", ".join(sorted({run["engine"] for run in runs})),
            "phases": phases,
            "analysing_code": None,
        }
        origin: dict[str, list[Any]] = {"machines": [], "measuring_code": []}
        write_descriptor(target, manifest, runs, executions, origin)
        about = {"version": chosen, "kind": "runs", "notes": list(imported.notes)}
        kind = "a CSV file" if layout == "csv" else f"result folders in the layout {layout}"
        sources = [{"title": kind}]
        seal(target, {**read_descriptor(target), **about, "sources": sources})

    baseline = publish(name, version, build, root)
    return baseline, imported.skipped, imported.notes


def verify(baseline: Baseline) -> int:
    """Read all of a baseline, as it is read when it is used; the number of its tables.

    TandemError (exit 3) names the first file that is not what was frozen.
    """
    if not (baseline.folder / NAME).is_file():
        fix = "copy the baseline again"
        where = str(baseline.folder / NAME)
        raise TandemError("missing", where=where, fix=fix, exit_code=EXIT_CORRUPT)
    content = read_descriptor(baseline.folder)
    if content.get("kind") == "published":
        for resource in content["resources"]:
            check_resource(baseline.folder, resource)
    else:
        check_tables(open_dataset(baseline.folder))
    return len(content["resources"])


def _sync(folder: Path) -> None:
    for path in (*(file for file in folder.iterdir() if file.is_file()), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> TandemError:
    what = f"cannot write ({error.strerror or error})"
    fix = "free some space or make the folder writable; nothing was changed"
    return TandemError(what, where=str(path), fix=fix, exit_code=EXIT_ENVIRONMENT)
