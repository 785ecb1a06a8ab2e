"""Manifests: what an aggregate is made from, under a name that holds its digest."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.files import read_text, replacing


def write_manifest(content: Mapping[str, Any], path: Path, expected: str) -> None:
    """Write ``content`` and delete the manifests that ``path`` replaces.

    ``expected`` is the name that follows from ``content``: if it is not ``path``, the study has
    changed since the workflow was planned.
    """
    if path.name != Path(expected).name:
        raise TandemError(
            "the study or the code changed while the workflow ran",
            where=str(path),
            fix="run snakemake again",
        )
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    stem = path.name.rsplit(".", 2)[0]
    for other in path.parent.iterdir():
        sibling = re.fullmatch(rf"{re.escape(stem)}\.[0-9a-f]{{12}}\.json", other.name)
        if sibling and other.name != path.name:
            other.unlink(missing_ok=True)


def drop_other_phases(folder: Path, phases: Collection[str]) -> None:
    """Delete tables and manifests in ``folder`` that belong to none of the study's ``phases``."""
    for file in folder.iterdir() if folder.is_dir() else ():
        # A name may hold dots: what could be the table of a listed phase stays.
        if not any(file.name.startswith(f"{phase}.") for phase in phases):
            file.unlink(missing_ok=True)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest at ``path``; TandemError if it is not there or (exit 3) is none."""
    try:
        content: dict[str, Any] = json.loads(read_text(path, "run snakemake, which makes it"))
    except ValueError as error:
        what, fix = f"no manifest ({error})", "delete it and run snakemake, which makes it again"
        raise TandemError(what, where=str(path), fix=fix, exit_code=EXIT_CORRUPT) from None
    return content
