"""What the workflow writes down for its commands: RunSpecs, and manifests of what tables hold."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.files import read_text, replacing
from tandembench.study.spec import RunSpec

_MADE_BY = "run snakemake, which writes it"


def write_texts(texts: Mapping[str, str]) -> None:
    """Write each text to the file that it is mapped from, whole or not at all.

    What stands there already is only touched: the newest manifest is that of the study as it is.
    """
    for name, text in texts.items():
        path = Path(name)
        if path.is_file() and path.read_bytes() == text.encode():
            path.touch()
        else:
            with replacing(path) as partial:
                partial.write_text(text, encoding="utf-8")


def read_spec(path: Path) -> RunSpec:
    """The RunSpec at ``path``; TandemError if it is not there or (exit 3) is none."""
    try:
        return RunSpec.from_json(read_text(path, _MADE_BY))
    except (ValueError, KeyError, TypeError):
        raise _corrupt("no RunSpec", path) from None


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest at ``path``; TandemError if it is not there or (exit 3) is none."""
    try:
        content: dict[str, Any] = json.loads(read_text(path, _MADE_BY))
    except ValueError as error:
        raise _corrupt(f"no manifest ({error})", path) from None
    return content


def drop_others(path: Path) -> None:
    """Delete what earlier manifests of the study left beside that at ``path``.

    That is: these manifests, tables and manifests of phases that it does not name, and marks of
    datasets. A dataset made from one of them is then made again, even if nobody remembers it.
    """
    named = tuple(f"{Path(phase['tables']).name}." for phase in read_manifest(path)["phases"])
    results = path.parent
    others = [file for file in results.glob("manifest.*.json") if file != path]
    others += results.glob("dataset.*.made")
    others += [file for file in results.glob("phases/*") if not file.name.startswith(named)]
    for file in others:
        file.unlink(missing_ok=True)


def _corrupt(what: str, path: Path) -> TandemError:
    fix = "delete it and run snakemake, which writes it again"
    return TandemError(what, where=str(path), fix=fix, exit_code=EXIT_CORRUPT)
