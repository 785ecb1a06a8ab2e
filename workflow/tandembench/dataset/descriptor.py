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

from tandembench.dataset.versions import Baseline, those_of
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.files import write_text
from tandembench.tables.columns import Column, Kind
from tandembench.text import sanitise

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
NAME = "datapackage.json"
# Goes up where an earlier version of this project could misread a dataset; none is 1. In 2 the keys
# of a run hold its comparison, round and twin.
SCHEMA_VERSION = 2
Json = dict[str, Any]
_RESOURCE = ("name", "path", "hash")
_TYPES: Mapping[Kind, str] = {
    "text": "string",
    "json": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "time": "datetime",
}


def seal(folder: Path, content: Mapping[str, object]) -> None:
    """Write ``content`` as the descriptor of ``folder``, with its own digest."""
    sealed = {**content, "digest": _digest(content)}
    write_text(folder / NAME, json.dumps(sealed, indent=1, sort_keys=True) + "\n")


def read_descriptor(folder: Path) -> Json:
    """The descriptor of the dataset at ``folder``, verified; TandemError if there is none."""
    path = folder / NAME
    try:
        return parse_descriptor(path.read_bytes(), str(path), those_of([folder.absolute()]))
    except FileNotFoundError:
        raise TandemError("no dataset", where=str(folder), fix="name a dataset's folder") from None
    except OSError as error:
        raise corrupt(f"cannot be read ({error.strerror})", path) from None


def parse_descriptor(data: bytes, where: str, of: Sequence[Baseline]) -> Json:
    """What a descriptor's bytes say; TandemError if they are damaged or of a later version.

    ``of`` is the baseline that has such a folder, if one has: its descriptor names it.
    """
    try:
        content: Json = json.loads(data)
        if content.pop("digest") != _digest(content):
            raise ValueError
        version = content.get("schema_version", 1)
        newer = not isinstance(version, int) or version > SCHEMA_VERSION
        texts = [resource[key] for resource in content["resources"] for key in _RESOURCE]
    except (ValueError, TypeError, AttributeError, LookupError):
        raise corrupt("damaged descriptor", where) from None
    if newer:
        what = f"written by a newer tandem-bench (schema version {sanitise(str(version), 20)})"
        fix = f"update this one, which reads version {SCHEMA_VERSION} and older"
        raise TandemError(what, where=where, fix=fix)
    # No table lies outside the dataset's folder.
    if not all(isinstance(text, str) and text and "/" not in text for text in texts):
        raise corrupt("damaged descriptor", where)
    for one in of:
        if (content.get("name"), content.get("version")) != (one.name, one.version):
            named = sanitise(f"{content.get('name')}@{content.get('version')}", 140)
            what, fix = f"is that of {named}, not {one.label}", "give its folder its name again"
            raise TandemError(what, where=where, fix=fix, exit_code=EXIT_CORRUPT)
    return content


def check_resource(folder: Path, resource: Mapping[str, str]) -> Path:
    """The file that the descriptor lists, read once; TandemError (exit 3) if it is another."""
    path = folder / resource["path"]
    try:
        with path.open("rb") as file:
            actual = file_hash(file)
    except OSError as error:
        raise corrupt(f"cannot be read ({error.strerror})", path) from None
    check_hash(actual, resource["hash"], path)
    return path


def read_resource(folder: Path, resource: Mapping[str, str]) -> bytes:
    """The bytes of a small file that the descriptor lists; TandemError (exit 3) as above."""
    path = folder / resource["path"]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise corrupt(f"cannot be read ({error.strerror})", path) from None
    check_hash(file_hash(BytesIO(data)), resource["hash"], path)
    return data


def file_hash(file: BufferedReader | BytesIO) -> str:
    """The SHA-256 of an open file, as descriptors state it."""
    return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def check_hash(actual: str, expected: str, where: str | Path) -> None:
    """TandemError (exit 3) unless the descriptor's hash of a file is ``actual``."""
    if actual != expected:
        raise corrupt(f"{actual}, but {NAME} says {sanitise(expected, 80)}", where)


def corrupt(what: str, where: str | Path) -> TandemError:
    """The one line about a dataset that is not what was written."""
    fix = "make or copy the dataset again"
    return TandemError(what, where=str(where), fix=fix, exit_code=EXIT_CORRUPT)


def _digest(content: Mapping[str, object]) -> str:
    text = json.dumps(content, sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def resource_of(path: Path, columns: Sequence[Column], keys: Sequence[str]) -> Json:
    """What a descriptor says of the table at ``path``."""
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


def field_of(column: Column) -> Json:
    """A column as a table's schema has it."""
    return {
        "name": column.name,
        "type": _TYPES[column.kind],
        "description": column.description,
        **({"unit": column.unit} if column.unit else {}),
        **({"constraints": {"required": True}} if column.required else {}),
    }
