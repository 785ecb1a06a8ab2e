"""Baselines: datasets that no longer change, in ``resources/baselines/<name>/<version>/``."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tandembench.dataset.columns import EXECUTIONS, RATES, STUDY_RUNS, TELEMETRY, TOKENS
from tandembench.dataset.descriptor import (
    read_descriptor,
    read_resource,
    seal,
    write_descriptor,
)
from tandembench.dataset.importers import read
from tandembench.dataset.importers.tables import rows
from tandembench.dataset.load import load_dataset
from tandembench.dataset.parquet import write_table
from tandembench.dataset.rates import rates
from tandembench.dataset.versions import ROOT, Baseline, baselines, check_name, number
from tandembench.errors import EXIT_ENVIRONMENT, TandemError

# Writes the files of a baseline into a folder, under the version that it will have.
Build = Callable[[Path, str], None]


def publish(name: str, version: str | None, build: Build, root: Path = ROOT) -> Baseline:
    """Make a baseline: whole, on disk, or not at all; never in place of another.

    Without ``version`` it is the next minor one, whoever else publishes at the same time.
    TandemError if the version is there.
    """
    check_name(name, version)
    parent = root / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=parent, prefix=".new-"))
    except OSError as error:
        raise _unwritable(parent, error) from None
    try:
        while True:
            chosen = version or _next(baselines(root, name))
            target = parent / chosen
            build(partial, chosen)
            partial.chmod(0o755)
            _sync(partial)
            try:
                partial.rename(target)  # refuses a folder that holds anything
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise _unwritable(target, error) from None
                if version is not None:
                    fix = "a baseline never changes: give another --version"
                    what = f"{name}@{version} exists"
                    raise TandemError(what, where=str(target), fix=fix) from None
                continue
            _sync(parent)
            return Baseline(name, chosen, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def freeze(folder: Path, name: str, version: str | None, root: Path = ROOT) -> Baseline:
    """The dataset at ``folder``, verified, as a baseline."""
    load_dataset(folder)
    content = read_descriptor(folder)

    def build(target: Path, chosen: str) -> None:
        for resource in content["resources"]:
            shutil.copyfile(folder / resource["path"], target / resource["path"])
        study = {"title": f"Study {content['name']}", "path": "config"}
        about = {"name": name, "version": chosen, "kind": "runs"}
        seal(target, {"sources": [study], **content, **about})

    return publish(name, version, build, root)


def import_runs(
    layout: str,
    source: Path,
    name: str,
    version: str | None,
    root: Path = ROOT,
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
        found: dict[str, list[Any]] = {"machines": [], "measuring_code": []}
        write_descriptor(target, manifest, runs, executions, found)
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
    content = read_descriptor(baseline.folder)
    if content.get("kind") == "published":
        for resource in content["resources"]:
            read_resource(baseline.folder, resource)
    else:
        load_dataset(baseline.folder)
    return len(content["resources"])


def _next(own: list[Baseline]) -> str:
    if not own:
        return "1.0.0"
    major, minor, _ = number(own[-1].version)
    return f"{major}.{minor + 1}.0"


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
