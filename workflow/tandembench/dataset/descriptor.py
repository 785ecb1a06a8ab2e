"""The descriptor: a Data Package (v2) that says what the tables are and what they were made by."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tandembench.dataset.columns import (
    EXECUTIONS,
    KEYS,
    RATES,
    STUDY_RUNS,
    TELEMETRY,
    TOKENS,
    Column,
    Kind,
)
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.files import replacing

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
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
    found: Mapping[str, Any],
    instrument: Mapping[str, Any] | None = None,
    declared: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Write ``datapackage.json`` beside the tables in ``folder``.

    Times come from the data, so that the same run files give the same bytes. ``found`` holds the
    distinct machines and digests of measuring code of the run files, ``instrument`` the
    calibrations by session, ``declared`` the digests of hypotheses by the invocation at whose
    start they stood. ``digest`` is of all the rest, since no file vouches for the
    descriptor.
    """
    keys = [column.name for column in KEYS]
    created = max((run["started_at"] for run in runs), default=None)
    content: dict[str, Any] = {
        "$schema": PROFILE,
        "name": manifest["study"],
        "title": manifest["title"],
        "created": created.isoformat() if created else None,
        "resources": [
            _resource(folder / "runs.parquet", STUDY_RUNS, keys),
            _resource(folder / "executions.parquet", EXECUTIONS, [*keys, "agent", "mode"]),
            # No key: a solo's agent would be part of it, and is null in a run.
            _resource(folder / "telemetry.parquet", TELEMETRY, []),
            _resource(folder / "tokens.parquet", TOKENS, [*keys, "agent", "mode", "chunk"]),
            _resource(folder / "rates.parquet", RATES, []),
        ],
        "study": {
            key: manifest[key]
            for key in ("session", "repetitions", "order", "seed", "margin", "reference", "engine")
        }
        | {"threads_total": manifest.get("threads_total"), "phases": manifest["phases"]}
        # What was imported names none.
        | ({"baselines": manifest["baselines"]} if "baselines" in manifest else {}),
        "fingerprints": {
            **found,
            "analysing_code": manifest["analysing_code"],
            "servers": _identities(executions, "engine", "engine_version"),
            "models": _identities(executions, "model", "model_digest"),
            "boots": sorted({run["boot_id"] for run in runs if run.get("boot_id")}),
        },
        "instrument": instrument,
        "declared": declared,
    }
    seal(folder, content)


def seal(folder: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as the descriptor of ``folder``, with its own digest."""
    sealed = {**content, "digest": _digest(content)}
    with replacing(folder / "datapackage.json") as partial:
        text = json.dumps(sealed, indent=1, sort_keys=True)
        partial.write_text(text + "\n", encoding="utf-8")


def read_descriptor(folder: Path) -> dict[str, Any]:
    """The descriptor of the dataset at ``folder``, verified; TandemError if there is none."""
    path = folder / "datapackage.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("digest") != _digest(content):
            raise ValueError
    except FileNotFoundError:
        raise TandemError("no dataset", where=str(folder), fix="name a dataset's folder") from None
    except (OSError, ValueError, TypeError, AttributeError, LookupError):
        raise TandemError(
            "damaged descriptor",
            where=str(path),
            fix="make or copy the dataset again",
            exit_code=EXIT_CORRUPT,
        ) from None
    return content


def read_resource(folder: Path, resource: Mapping[str, Any]) -> bytes:
    """The bytes of a file that the descriptor lists; TandemError (exit 3) if they are others."""
    path = folder / Path(resource["path"]).name
    try:
        data = path.read_bytes()
    except OSError as error:
        what, found = f"cannot be read ({error.strerror})", ""
    else:
        found = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if found == resource["hash"]:
            return data
        what = f"{found}, but datapackage.json says {resource['hash']}"
    fix = "make or copy the dataset again"
    raise TandemError(what, where=str(path), fix=fix, exit_code=EXIT_CORRUPT)


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _resource(path: Path, columns: Sequence[Column], keys: Sequence[str]) -> dict[str, Any]:
    data = path.read_bytes()
    return {
        "name": path.stem,
        "path": path.name,
        "format": "parquet",
        "mediatype": "application/vnd.apache.parquet",
        "bytes": len(data),
        "hash": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "schema": {
            "fields": [
                {
                    "name": column.name,
                    "type": _TYPES[column.kind],
                    "description": column.description,
                    **({"unit": column.unit} if column.unit else {}),
                    **({"constraints": {"required": True}} if column.required else {}),
                }
                for column in columns
            ],
            **({"primaryKey": list(keys)} if keys else {}),
        },
    }


def _identities(
    executions: Sequence[Mapping[str, Any]], name: str, identity: str
) -> list[dict[str, Any]]:
    """What was measured, with its distinct identities; null where no execution learned one.

    An execution that failed may know none, which says nothing where another one does.
    """
    found = {(row[name], row.get(identity)) for row in executions}
    known = {what for what, value in found if value is not None}
    kept = sorted((pair for pair in found if pair[1] is not None or pair[0] not in known), key=str)
    return [{name: what, identity: value} for what, value in kept]
