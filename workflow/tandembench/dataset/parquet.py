"""Parquet in and out: zstd, page checksums, whole files or none."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tandembench.dataset.columns import Column, arrow_schema
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.files import replacing
from tandembench.text import sanitise

_TITLE_KEY, _NOTE_KEY, _DIGEST_KEY = b"title", b"tandembench", b"tandembench.sha256"


def write_table(
    path: Path,
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, Any]],
    note: Mapping[str, Any] | None = None,
) -> None:
    """Write ``rows`` (a missing key is null) to ``path``, which appears whole or not at all.

    ``note`` is kept as JSON in the file's metadata. TandemError (exit 4) if it cannot be written.
    """
    schema = arrow_schema(columns, title)
    if note is not None:
        text = json.dumps(note, sort_keys=True).encode()
        schema = schema.with_metadata({**schema.metadata, _NOTE_KEY: text})
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    metadata = {**schema.metadata, _DIGEST_KEY: _content_digest(table)}
    with replacing(path) as partial:
        pq.write_table(
            table.replace_schema_metadata(metadata),
            partial,
            compression="zstd",
            write_page_checksum=True,
        )


def read_table(path: Path) -> pa.Table:
    """A whole table, verified: its pages by their checksums, its content by its digest.

    Page checksums do not cover the footer, where a flipped bit can rename a column or change the
    note. TandemError (exit 3) names a damaged file.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True, partitioning=None)
        metadata = table.schema.metadata or {}
        if _TITLE_KEY not in metadata or metadata.keys() - {_TITLE_KEY, _NOTE_KEY, _DIGEST_KEY}:
            raise ValueError("not a footer of this project's")
        digest = _content_digest(table)
        # Files of the first days have no digest.
        if metadata.get(_DIGEST_KEY, digest) != digest:
            raise ValueError("the content is not what was written")
    except FileNotFoundError:
        fix = "run snakemake, which makes it"
        raise TandemError("no such file", where=str(path), fix=fix) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        what = f"damaged ({sanitise(str(error), 120)})"
        fix = "delete it and run snakemake, which makes it again"
        raise TandemError(what, where=str(path), fix=fix, exit_code=EXIT_CORRUPT) from None
    return table


def read_file(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of a table as dicts, and the JSON note in its metadata; empty if it has none."""
    table = read_table(path)
    note: dict[str, Any] = json.loads(table.schema.metadata.get(_NOTE_KEY, b"{}"))
    return table.to_pylist(), note


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table as dicts."""
    return read_file(path)[0]


def read_note(path: Path) -> dict[str, Any]:
    """The note of a table."""
    return read_file(path)[1]


def _content_digest(table: pa.Table) -> bytes:
    """SHA-256 of the rows and the note, whatever way they are stored."""
    rows = json.dumps([table.column_names, table.to_pylist()], default=str)
    note: bytes = (table.schema.metadata or {}).get(_NOTE_KEY, b"")
    return hashlib.sha256(rows.encode() + note).hexdigest().encode()
