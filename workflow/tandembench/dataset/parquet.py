"""Parquet in and out: zstd, page checksums, whole files or none."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tandembench.dataset.columns import Column, arrow_schema
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.files import replacing

_NOTE_KEY = b"tandembench"


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
        schema = schema.with_metadata(
            {**(schema.metadata or {}), _NOTE_KEY: json.dumps(note, sort_keys=True).encode()}
        )
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    with replacing(path) as partial:
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)


def read_table(path: Path) -> pa.Table:
    """A whole table, its page checksums verified. TandemError (exit 3) names a damaged file."""
    try:
        return pq.read_table(path, page_checksum_verification=True, partitioning=None)
    except FileNotFoundError:
        fix = "run snakemake, which makes it"
        raise TandemError("no such file", where=str(path), fix=fix) from None
    except (pa.ArrowException, OSError) as error:
        what = f"damaged ({str(error).splitlines()[0][:120]})"
        fix = "delete it and run snakemake, which makes it again"
        raise TandemError(what, where=str(path), fix=fix, exit_code=EXIT_CORRUPT) from None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table as dicts."""
    rows: list[dict[str, Any]] = read_table(path).to_pylist()
    return rows


def read_note(path: Path) -> dict[str, Any]:
    """The JSON note in a file's metadata; empty if it has none."""
    metadata = read_table(path).schema.metadata or {}
    note: dict[str, Any] = json.loads(metadata.get(_NOTE_KEY, b"{}"))
    return note
