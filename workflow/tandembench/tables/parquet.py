"""Parquet in and out: zstd, page checksums, whole files or none.

A run file or a phase's table has nobody who vouches for it, so that every file holds the SHA-256
of itself. A dataset's descriptor vouches for its tables: they are read by column.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.files import replacing
from tandembench.tables.columns import Column, arrow_schema
from tandembench.text import sanitise

_NOTE_KEY, _SEAL_KEY = b"tandembench", b"tandembench.seal"
_OPEN = b"0" * 64
# The seal as the footer holds it: key, then Thrift's mark of a text of 64 bytes, then the text.
_MARK = _SEAL_KEY + b"\x18\x40"


def write_table(
    path: Path,
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, object]],
    note: Mapping[str, object] | None = None,
) -> None:
    """Write ``rows`` (a missing key is null) to ``path``, which appears whole or not at all.

    ``note`` is kept as JSON in the file's metadata. TandemError (exit 4) if it cannot be written.
    """
    write_tables(path, title, columns, [as_table(columns, rows)], note)


def as_table(columns: Sequence[Column], rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """``rows`` (a missing key is null) as a table in memory, far smaller than they are."""
    schema = arrow_schema(columns, "")
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


def write_tables(
    path: Path,
    title: str,
    columns: Sequence[Column],
    tables: Sequence[pa.Table],
    note: Mapping[str, object] | None = None,
) -> None:
    """Write ``tables``, all of these columns, as one table in the same way."""
    schema = arrow_schema(columns, title)
    if note is not None:
        text = json.dumps(note, sort_keys=True).encode()
        schema = schema.with_metadata({**schema.metadata, _NOTE_KEY: text})
    table = pa.concat_tables([schema.empty_table(), *tables])
    with replacing(path) as partial:
        partial.write_bytes(_sealed(table.replace_schema_metadata(schema.metadata)))


def _sealed(table: pa.Table) -> bytearray:
    """A whole file with the SHA-256 of itself, taken while that place held zeros."""
    sink, names = pa.BufferOutputStream(), table.column_names
    # Stamps rise, so that their differences take two thirds of the space.
    stamps = [name for name in names if name == "t_ns"]
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        write_page_checksum=True,
        use_dictionary=[name for name in names if name not in stamps] if stamps else True,
        column_encoding=dict.fromkeys(stamps, "DELTA_BINARY_PACKED") or None,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_SEAL_KEY: _OPEN})
    data = bytearray(sink.getvalue())
    place = data.rindex(_MARK) + len(_MARK)
    data[place : place + len(_OPEN)] = hashlib.sha256(data).hexdigest().encode()
    return data


def read_table(path: Path) -> pa.Table:
    """A whole table, verified by its seal. TandemError (exit 3) names a damaged file."""
    try:
        data = path.read_bytes()
        _check_seal(data)
        return pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
    except FileNotFoundError:
        fix = "run snakemake, which makes it"
        raise TandemError("no such file", where=str(path), fix=fix) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error, "delete it and run snakemake, which makes it again") from None


def _check_seal(data: bytes) -> None:
    mark = data.rfind(_MARK)
    if mark < 0:
        raise ValueError("no file of this project's, or its end is gone")
    place = mark + len(_MARK)
    digest = hashlib.sha256(memoryview(data)[:place])
    digest.update(_OPEN)
    digest.update(memoryview(data)[place + len(_OPEN) :])
    if data[place : place + len(_OPEN)] != digest.hexdigest().encode():
        raise ValueError("its bytes are not those that were written")


def is_repeated(table: pa.Table, key: Sequence[str]) -> bool:
    """Whether two rows of a table have the same ``key``."""
    return len(table.group_by(list(key)).aggregate([])) < len(table)


def note_of(table: pa.Table) -> dict[str, Any]:
    """The JSON note in the metadata of a table that was read whole; empty if it has none."""
    note: dict[str, Any] = json.loads(table.schema.metadata.get(_NOTE_KEY, b"{}"))
    return note


def read_columns(path: Path, names: Sequence[str], coded: bool = False) -> pa.Table:
    """Columns of a table whose bytes somebody else has vouched for.

    ``coded``: texts come as dictionaries, which take a fraction of the time and space. TandemError
    (exit 3) names a file that is no table, or lacks one of them.
    """
    try:
        with pq.ParquetFile(
            path,
            read_dictionary=list(names) if coded else None,
            page_checksum_verification=True,
            pre_buffer=False,
        ) as file:
            table = file.read(columns=list(names), use_threads=False)
        if missing := [name for name in names if name not in table.column_names]:
            raise ValueError(f"no column '{missing[0]}'")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error, "make or copy the dataset again") from None
    return table.select(list(names))


def _damaged(path: Path, error: Exception, fix: str) -> TandemError:
    what = f"damaged ({sanitise(str(error), 120)})"
    return TandemError(what, where=str(path), fix=fix, exit_code=EXIT_CORRUPT)
