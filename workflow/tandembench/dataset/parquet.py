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
    write_tables(path, title, columns, [as_table(columns, rows)], note)


def as_table(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """``rows`` (a missing key is null) as a table in memory, far smaller than they are."""
    schema = arrow_schema(columns, "")
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


def write_tables(
    path: Path,
    title: str,
    columns: Sequence[Column],
    tables: Sequence[pa.Table],
    note: Mapping[str, Any] | None = None,
) -> None:
    """Write ``tables``, all of these columns, as one table in the same way."""
    schema = arrow_schema(columns, title)
    if note is not None:
        text = json.dumps(note, sort_keys=True).encode()
        schema = schema.with_metadata({**schema.metadata, _NOTE_KEY: text})
    table = pa.concat_tables([schema.empty_table(), *tables]).combine_chunks()
    metadata = {**schema.metadata, _DIGEST_KEY: _content_digest(table)}
    # Stamps rise, so that their differences take two thirds of the space.
    stamps = [name for name in schema.names if name == "t_ns"]
    with replacing(path) as partial:
        pq.write_table(
            table.replace_schema_metadata(metadata),
            partial,
            compression="zstd",
            write_page_checksum=True,
            use_dictionary=[n for n in schema.names if n not in stamps] if stamps else True,
            column_encoding=dict.fromkeys(stamps, "DELTA_BINARY_PACKED") or None,
        )


def read_table(path: Path) -> pa.Table:
    """A whole table, verified: its pages by their checksums, its content by its digest.

    Page checksums do not cover the footer, where a flipped bit can rename a column or change the
    note. TandemError (exit 3) names a damaged file.
    """
    try:
        table = _parsed(path)
        metadata = table.schema.metadata
        digest = _content_digest(table)
        # Files of the first days have no digest.
        if metadata.get(_DIGEST_KEY, digest) != digest:
            raise ValueError("the content is not what was written")
    except FileNotFoundError:
        fix = "run snakemake, which makes it"
        raise TandemError("no such file", where=str(path), fix=fix) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from None
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


def parse_table(data: bytes, path: Path) -> pa.Table:
    """The table that the bytes of ``path`` hold, which somebody else has vouched for."""
    try:
        return _parsed(pa.BufferReader(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from None


def _parsed(source: Path | pa.BufferReader) -> pa.Table:
    table = pq.read_table(source, page_checksum_verification=True, partitioning=None)
    metadata = table.schema.metadata or {}
    if _TITLE_KEY not in metadata or metadata.keys() - {_TITLE_KEY, _NOTE_KEY, _DIGEST_KEY}:
        raise ValueError("not a footer of this project's")
    return table


def _damaged(path: Path, error: Exception) -> TandemError:
    what = f"damaged ({sanitise(str(error), 120)})"
    fix = "delete it and run snakemake, which makes it again"
    return TandemError(what, where=str(path), fix=fix, exit_code=EXIT_CORRUPT)


def _content_digest(table: pa.Table) -> bytes:
    """SHA-256 of the rows, as JSON, and the note, whatever way they are stored."""
    digest = hashlib.sha256(f"[{json.dumps(table.column_names)}, [".encode())
    separator = ""
    # In pieces: as Python objects, rows take a hundred times their space.
    for batch in table.to_batches(max_chunksize=10_000):
        if rows := json.dumps(batch.to_pylist(), default=str)[1:-1]:
            digest.update(f"{separator}{rows}".encode())
            separator = ", "
    digest.update(b"]]" + (table.schema.metadata or {}).get(_NOTE_KEY, b""))
    return digest.hexdigest().encode()
