"""The descriptor: a Data Package (v2) that says what the tables are and what they were made by.

``digest`` is that of all the rest and is checked first, in every version: no file vouches for the
descriptor.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.files import replacing
from tandembench.tables.columns import (
    EXECUTIONS,
    KEYS,
    RATES,
    STUDY_RUNS,
    TELEMETRY,
    TOKENS,
    Column,
    Kind,
)
from tandembench.text import sanitise

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
NAME = "datapackage.json"
# Goes up where an earlier version of this project could misread a dataset; none is 1. In 2 the keys
# of a run hold its comparison, round and twin.
SCHEMA_VERSION = 2
# What `write_descriptor` reads of executions: who served what.
OF_EXECUTIONS = ("engine", "engine_version", "model", "model_digest")
_RESOURCE = ("name", "path", "hash")
# What a manifest holds of how the dataset is made; all the rest says what was asked.
_NOT_OF_STUDY = {"study", "title", "analysing_code", "run_files", "calibrations"}
_NOT_OF_PHASES = {"manifest", "tables"}
_TYPES: dict[Kind, str] = {
    "text": "string",
    "json": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "time": "datetime",
}


def write_descriptor(
    folder: Path,
    manifest: Mapping[str, Any],
    runs: Sequence[Mapping[str, Any]],
    executions: Sequence[Mapping[str, Any]],
    origin: Mapping[str, Any],
    instrument: Mapping[str, Any] | None = None,
    declared: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Write ``datapackage.json`` beside the tables in ``folder``.

    Times come from the data, so that the same run files give the same bytes. ``executions`` need
    no more columns than `OF_EXECUTIONS`. ``origin`` holds the distinct machines and digests of
    measuring code of the run files, ``instrument`` the calibrations by session, ``declared`` the
    digests of hypotheses by the invocation at whose start they stood. ``digest`` is of all the
    rest, since no file vouches for the descriptor.
    """
    keys = [column.name for column in KEYS]
    created = max((run["started_at"] for run in runs), default=None)
    content: dict[str, Any] = {
        "$schema": PROFILE,
        "schema_version": SCHEMA_VERSION,
        "name": manifest["study"],
        "title": manifest["title"],
        **({"created": created.isoformat()} if created else {}),
        "sources": [{"title": f"runs of the study {manifest['study']}, measured by tandem-bench"}],
        "resources": [
            _resource(folder / "runs.parquet", STUDY_RUNS, keys),
            _resource(folder / "executions.parquet", EXECUTIONS, [*keys, "agent", "mode"]),
            # No key: a solo's agent would be part of it, and is null in a run.
            _resource(folder / "telemetry.parquet", TELEMETRY, []),
            _resource(folder / "tokens.parquet", TOKENS, [*keys, "agent", "mode", "chunk"]),
            _resource(folder / "rates.parquet", RATES, []),
        ],
        "study": _study(manifest),
        "fingerprints": {
            **origin,
            "analysing_code": manifest["analysing_code"],
            "servers": _identities(executions, "engine", "engine_version"),
            "models": _identities(executions, "model", "model_digest"),
            "boots": sorted({run["boot_id"] for run in runs if run.get("boot_id")}),
        },
        "instrument": instrument,
        "declared": declared,
    }
    seal(folder, content)


def _study(manifest: Mapping[str, Any]) -> dict[str, Any]:
    phases = [
        {key: value for key, value in phase.items() if key not in _NOT_OF_PHASES}
        for phase in manifest["phases"]
    ]
    asked = {key: value for key, value in manifest.items() if key not in _NOT_OF_STUDY}
    return asked | {"phases": phases}


def seal(folder: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as the descriptor of ``folder``, with its own digest."""
    sealed = {**content, "digest": _digest(content)}
    with replacing(folder / NAME) as partial:
        text = json.dumps(sealed, indent=1, sort_keys=True)
        partial.write_text(text + "\n", encoding="utf-8")


def read_descriptor(folder: Path) -> dict[str, Any]:
    """The descriptor of the dataset at ``folder``, verified; TandemError if there is none."""
    path = folder / NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise TandemError("no dataset", where=str(folder), fix="name a dataset's folder") from None
    except OSError as error:
        raise _corrupt(f"cannot be read ({error.strerror})", str(path)) from None
    return parse_descriptor(data, str(path))


def parse_descriptor(data: bytes, where: str) -> dict[str, Any]:
    """What a descriptor's bytes say; TandemError if they are damaged or of a later version."""
    try:
        content: dict[str, Any] = json.loads(data)
        if content.pop("digest") != _digest(content):
            raise ValueError
        version = content.get("schema_version", 1)
        newer = not isinstance(version, int) or version > SCHEMA_VERSION
        texts = [resource[key] for resource in content["resources"] for key in _RESOURCE]
    except (ValueError, TypeError, AttributeError, LookupError):
        raise _corrupt("damaged descriptor", where) from None
    if newer:
        what = f"written by a newer tandem-bench (schema version {sanitise(str(version), 20)})"
        fix = f"update this one, which reads version {SCHEMA_VERSION} and older"
        raise TandemError(what, where=where, fix=fix)
    # No table lies outside the dataset's folder.
    if not all(isinstance(text, str) and text and "/" not in text for text in texts):
        raise _corrupt("damaged descriptor", where)
    return content


def check_resource(folder: Path, resource: Mapping[str, Any]) -> Path:
    """The file that the descriptor lists, read once; TandemError (exit 3) if it is another."""
    path = Path(folder, resource["path"])
    try:
        with path.open("rb") as file:
            actual = file_hash(file)
    except OSError as error:
        raise _corrupt(f"cannot be read ({error.strerror})", str(path)) from None
    check_hash(actual, resource, str(path))
    return path


def read_resource(folder: Path, resource: Mapping[str, Any]) -> bytes:
    """The bytes of a small file that the descriptor lists; TandemError (exit 3) as above."""
    path = Path(folder, resource["path"])
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _corrupt(f"cannot be read ({error.strerror})", str(path)) from None
    check_hash(file_hash(BytesIO(data)), resource, str(path))
    return data


def file_hash(file: BufferedReader | BytesIO) -> str:
    """The SHA-256 of an open file, as descriptors state it."""
    return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def check_hash(actual: str, resource: Mapping[str, Any], where: str) -> None:
    """TandemError (exit 3) unless the descriptor's hash of a file is ``actual``."""
    if actual != resource["hash"]:
        what = f"{actual}, but {NAME} says {sanitise(resource['hash'], 80)}"
        raise _corrupt(what, where)


def _corrupt(what: str, where: str) -> TandemError:
    fix = "make or copy the dataset again"
    return TandemError(what, where=where, fix=fix, exit_code=EXIT_CORRUPT)


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _resource(path: Path, columns: Sequence[Column], keys: Sequence[str]) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = file_hash(file)
    return {
        "name": path.stem,
        "path": path.name,
        "format": "parquet",
        "mediatype": "application/vnd.apache.parquet",
        "bytes": path.stat().st_size,
        "hash": digest,
        "schema": {
            "fields": [field_of(column) for column in columns],
            **({"primaryKey": list(keys)} if keys else {}),
        },
    }


def field_of(column: Column) -> dict[str, Any]:
    """A column as a table's schema has it."""
    return {
        "name": column.name,
        "type": _TYPES[column.kind],
        "description": column.description,
        **({"unit": column.unit} if column.unit else {}),
        **({"constraints": {"required": True}} if column.required else {}),
    }


def _identities(
    executions: Sequence[Mapping[str, Any]], name: str, identity: str
) -> list[dict[str, Any]]:
    """What was measured, with its distinct identities; null where no execution learned one.

    An execution that failed may know none, which says nothing where another one does.
    """
    pairs = {(row[name], row.get(identity)) for row in executions}
    known = {what for what, value in pairs if value is not None}
    kept = sorted((pair for pair in pairs if pair[1] is not None or pair[0] not in known), key=str)
    return [{name: what, identity: value} for what, value in kept]
