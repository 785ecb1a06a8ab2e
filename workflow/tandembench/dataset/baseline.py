"""Baselines: datasets that no longer change, in ``resources/baselines/<name>/<version>/``.

A root is such a folder, or the address of an object store that holds baselines in the same way.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import pyarrow as pa
import pyarrow.compute as pc

from tandembench.dataset.build import write_dataset
from tandembench.dataset.descriptor import (
    NAME,
    Json,
    check_hash,
    check_resource,
    file_hash,
    read_descriptor,
    seal,
)
from tandembench.dataset.importers import read
from tandembench.dataset.importers.source import Imported, as_name
from tandembench.dataset.importers.tables import Tables, tables
from tandembench.dataset.load import check_tables, open_dataset
from tandembench.dataset.stores import fetch, is_address, open_store, put, stored
from tandembench.dataset.versions import ROOT, Baseline, baselines, check_name, find, next_version
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.files import new_folder, place
from tandembench.text import sanitise

# Writes the files of a baseline into a folder, under the version that it will have.
Build = Callable[[Path, str], None]
Root = Path | str
_LICENCE = re.compile(r"https?://\S{1,200}|[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")


class Verified(TypedDict):
    """What reading a baseline came to: ``tables`` that are as frozen, or a fault with its exit."""

    baseline: str
    tables: int | None
    fault: str | None
    exit_code: int


def publish(name: str, version: str | None, build: Build, root: Root = ROOT) -> Baseline:
    """Make a baseline: whole, on disk, or not at all; never in place of another.

    Without ``version`` it is the next minor one, whoever else publishes at the same time.
    TandemError if the version is there.
    """
    check_name(name, version)
    if is_address(str(root)):
        return put(open_store(str(root)), name, version, build)
    parent = Path(root) / name
    with new_folder(parent) as partial:
        while True:
            chosen = version or next_version(baselines(Path(root), name))
            build(partial, chosen)
            if place(partial, parent / chosen):
                return Baseline(name, chosen, parent / chosen)
            if version is not None:
                fix = "a baseline never changes: give another --version"
                what, where = f"{name}@{version} exists", str(parent / chosen)
                raise TandemError(what, where=where, fix=fix)


def freeze(
    folder: Path, name: str, version: str | None, root: Root = ROOT, licence: str | None = None
) -> Baseline:
    """The dataset at ``folder``, verified, as a baseline.

    ``licence``: an identifier such as CC-BY-4.0, or a URL; without it that of the dataset's own
    descriptor, if it has one.
    """
    changes: dict[str, object] = {"name": name, "kind": "runs"}
    if licence is not None:
        if not _LICENCE.fullmatch(licence):
            fix = "an SPDX identifier such as CC-BY-4.0, or the URL of its text"
            what = f"'{sanitise(licence, 40)}' is no licence"
            raise TandemError(what, where="--licence", fix=fix)
        changes["licenses"] = [{"path" if licence.startswith("http") else "name": licence}]
    dataset = open_dataset(folder)
    check_tables(dataset)

    def build(target: Path, chosen: str) -> None:
        for resource in dataset.descriptor["resources"]:
            source, copy = folder / resource["path"], target / resource["path"]
            shutil.copyfile(source, copy)
            with copy.open("rb") as file:
                check_hash(file_hash(file), resource["hash"], source)
        seal(target, {**dataset.descriptor, **changes, "version": chosen})

    return publish(name, version, build, root)


def import_runs(
    layout: str,
    source: Path,
    name: str,
    version: str | None,
    root: Root = ROOT,
    mapping: Path | None = None,
    cold_above_s: float | None = None,
) -> list[tuple[Baseline, Imported]]:
    """Another project's results as a baseline for each tree of them, and what was imported.

    ``mapping`` says what the columns of a CSV file are; folders have none. ``cold_above_s``: as
    `read` takes it. Of several trees each is called ``name`` and after its folder.
    """
    check_name(name, version)
    trees = read(layout, source, mapping, cold_above_s)
    names = [name if len(trees) == 1 else as_name(f"{name}-{one.tree}") for one in trees]
    for folder, of_tree in zip([one.tree for one in trees], names, strict=True):
        if of_tree is None or names.count(of_tree) > 1:
            what = f"folder '{sanitise(folder, 80)}' makes no name of its own"
            fix = "rename it, or import it alone; nothing was imported"
            raise TandemError(what, where=str(source), fix=fix)
    parts = [(tables(one), replace(one, runs=())) for one in trees]
    trees.clear()  # their runs are larger than the tables
    return [
        (_publish_tables(layout, made, one, str(of_tree), version, root), one)
        for of_tree, (made, one) in zip(names, parts, strict=True)
    ]


def _publish_tables(
    layout: str, made: Tables, imported: Imported, name: str, version: str | None, root: Root
) -> Baseline:
    runs = pa.concat_tables(made.runs)
    is_csv = layout == "csv"
    about = {
        "name": name,
        "title": f"{name}, imported ({layout})",
        "kind": "runs",
        "notes": list(imported.notes),
        "sources": [
            {"title": "a CSV file" if is_csv else f"result folders in the layout {layout}"}
        ],
        "study": {
            "session": runs["session"][0].as_py(),
            "repetitions": pc.max(runs["repetition"]).as_py(),
            # Of a table nobody knows in which order it was measured.
            "order": None if is_csv else "by_config",
            "seed": None,
            "margin": 0.05,
            "reference": "serial",
            "engine": ", ".join(sorted(pc.unique(runs["engine"]).to_pylist())),
            "phases": [
                {"name": phase, "title": f"Phase {phase}", "configs": configs}
                for phase, configs in made.phases.items()
            ],
        },
        "instrument": None,
        "declared": None,
    }
    origin: dict[str, object] = {"machines": [], "measuring_code": [], "analysing_code": None}

    def build(target: Path, chosen: str) -> None:
        parts = {"runs": made.runs, "executions": made.executions}
        write_dataset(target, parts, {**about, "version": chosen}, origin)

    return publish(name, version, build, root)


def known(root: Root) -> list[Baseline]:
    """All baselines at ``root``."""
    return stored(open_store(str(root))) if is_address(str(root)) else baselines(Path(root))


@contextmanager
def local(text: str, root: Root, tables: bool = True) -> Iterator[Baseline]:
    """A baseline in a local folder: its own, or a checked copy for as long as the body runs."""
    if not is_address(str(root)):
        yield find(text, Path(root))
        return
    with tempfile.TemporaryDirectory(prefix="tandembench-") as folder:
        yield fetch(open_store(str(root)), text, Path(folder), lambda _: tables)


def described(text: str, root: Root) -> Json:
    """The descriptor of the baseline ``name`` or ``name@version``, without its table schemas."""
    with local(text, root, tables=False) as one:
        content = read_descriptor(one.folder)
    for resource in content["resources"]:
        resource.pop("schema", None)
    return content


def as_text(content: Json) -> str:
    """A descriptor for people: a line for each thing that it tells."""
    licences = [one.get("name") or one.get("path") for one in content.get("licenses", ())]
    models = content.get("fingerprints", {}).get("models", ())
    facts = {
        "kind": content.get("kind"),
        "created": content.get("created"),
        "licence": ", ".join(map(str, licences)) or "none stated",
        "sources": "; ".join(str(one.get("title")) for one in content.get("sources", ())),
        "models": ", ".join(str(one["model"]) for one in models),
        "tables": ", ".join(
            f"{one['name']} ({one.get('bytes', 0)} bytes)" for one in content["resources"]
        ),
    }
    lines = [f"{content['name']}@{content.get('version')}: {content.get('title')}"]
    lines += [f"{name:8} {value}" for name, value in facts.items() if value]
    return "\n".join(sanitise(line, 400) for line in lines)


def verify(baseline: Baseline) -> int:
    """Read all of a baseline, as it is read when it is used; the number of its tables.

    TandemError (exit 3) names the first file that is not what was frozen.
    """
    if not (baseline.folder / NAME).is_file():
        where, fix = str(baseline.folder / NAME), "copy the baseline again"
        raise TandemError("missing", where=where, fix=fix, exit_code=EXIT_CORRUPT)
    content = read_descriptor(baseline.folder)
    if content.get("kind") == "published":
        for resource in content["resources"]:
            check_resource(baseline.folder, resource)
    else:
        check_tables(open_dataset(baseline.folder))
    return len(content["resources"])


def verify_all(texts: Sequence[str], root: Root) -> list[Verified]:
    """What reading each of the baselines ``texts`` at ``root`` came to."""

    def verified(text: str) -> Verified:
        try:
            with local(text, root) as one:
                return Verified(baseline=one.label, tables=verify(one), fault=None, exit_code=0)
        except TandemError as error:
            fault = str(error)
            return Verified(baseline=text, tables=None, fault=fault, exit_code=error.exit_code)

    return [verified(text) for text in texts]
