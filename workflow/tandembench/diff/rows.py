"""Runs of two datasets by key, a column at a time: which came, went, changed or stayed."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tandembench.dataset.load import OpenDataset, column_names, read_part
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.tables.columns import KEYS

Codes = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
# Some rows of a column, in some order; a slice costs nothing where it is all of them.
Rows = npt.NDArray[np.int64] | slice
# Columns of A's runs and of B's.
Sides = tuple[pa.Table, pa.Table]
_KEYS = [column.name for column in KEYS]
_THREADS = 2


@dataclass(frozen=True, slots=True)
class Changes:
    """How many runs are only in B (``added``), only in A, in both and unlike, and equal."""

    added: int
    removed: int
    changed: int
    equal: int
    changed_columns: dict[str, int]


@dataclass(frozen=True, slots=True)
class Matched:
    """Rows with equal keys, ``left`` of A and ``right`` of B; how many there and elsewhere."""

    left: Rows
    right: Rows
    both: int
    removed: int
    added: int


def read_both(a: OpenDataset, b: OpenDataset, names: Sequence[str]) -> Sides:
    """Columns of the runs of both, verified; texts coded."""
    with ThreadPoolExecutor(_THREADS) as pool:
        left, right = pool.map(lambda side: read_part(side, "runs", names, coded=True), (a, b))
    return left, right


def match(a: OpenDataset, b: OpenDataset) -> Matched:
    """Which runs of A and B have the same key. TandemError (exit 3) if a key is there twice."""
    left, right = read_both(a, b, _KEYS)
    n, m = left.num_rows, right.num_rows
    ids, size = np.zeros(n + m, dtype=np.int64), 1
    for name in _KEYS:
        found, values = codes((left[name], right[name]))
        if found.min(initial=0) < 0:
            raise _corrupt(a if found[:n].min(initial=0) < 0 else b, f"a run without {name}")
        ids, size = ids * len(values) + found, size * len(values)
        if size > 4 * (n + m):
            ids, distinct_ids = distinct(ids)
            size = len(distinct_ids)
    place = np.full(size, -1, dtype=np.int32)
    for side, own in ((a, ids[:n]), (b, ids[n:])):
        if np.bincount(own, minlength=1).max() > 1:
            raise _corrupt(side, "a run is there twice")
    if np.array_equal(ids[:n], ids[n:]):
        return Matched(slice(None), slice(None), n, 0, 0)
    place[ids[n:]] = np.arange(m)
    right_rows = place[ids[:n]].astype(np.int64)
    both = np.flatnonzero(right_rows >= 0)
    return Matched(both, right_rows[both], len(both), n - len(both), m - len(both))


def changes(a: OpenDataset, b: OpenDataset, matched: Matched) -> Changes:
    """How many runs are new, gone, changed and equal; changes by column."""
    others = set(column_names(b, "runs"))
    names = [name for name in column_names(a, "runs") if name in others and name not in _KEYS]

    def differs(name: str) -> Bools:
        one, other = (read_part(side, "runs", [name], coded=True)[name] for side in (a, b))
        return _differs(one, other, matched)

    changed = np.zeros(matched.both, dtype=np.bool_)
    by_column: dict[str, int] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for name, unlike in zip(names, pool.map(differs, names), strict=True):
            if count := int(np.count_nonzero(unlike)):
                by_column[name] = count
                changed |= unlike
    n_changed = int(np.count_nonzero(changed))
    return Changes(matched.added, matched.removed, n_changed, matched.both - n_changed, by_column)


def codes(sides: Sequence[pa.ChunkedArray]) -> tuple[Codes, list[Any]]:
    """Numbers of the values in A's rows, then B's, and the values; -1 is null."""
    chunks = [chunk for side in sides for chunk in side.chunks]
    both = pa.chunked_array(chunks, sides[0].type).dictionary_encode().unify_dictionaries()
    if not both.num_chunks:
        return np.empty(0, dtype=np.int32), []
    found = [_array(chunk.indices.fill_null(-1)) for chunk in both.chunks]
    return np.concatenate(found), both.chunk(0).dictionary.to_pylist()


def distinct(ids: npt.NDArray[np.int64]) -> tuple[Codes, npt.NDArray[np.int64]]:
    """The same groups under numbers from 0, without gaps; and what these numbers stand for."""
    coded = pa.array(ids).dictionary_encode()
    return _array(coded.indices), _array(coded.dictionary)


def numbers(column: pa.ChunkedArray) -> tuple[npt.NDArray[Any], Bools]:
    """The values of a column of numbers, times or booleans, and where there is none (or NaN)."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    missing = column.is_null(nan_is_null=True)
    if column.null_count:
        column = column.fill_null(pa.scalar(0).cast(column.type))
    return _array(column.combine_chunks()), _array(missing.combine_chunks())


def _array(values: pa.Array) -> npt.NDArray[Any]:
    """Arrow's values as NumPy's; not by Arrow, which would import pandas for it."""
    if pa.types.is_boolean(values.type):
        return np.from_dlpack(values.cast(pa.uint8())).view(np.bool_)
    return np.from_dlpack(values)


def _differs(one: pa.ChunkedArray, other: pa.ChunkedArray, matched: Matched) -> Bools:
    if one.type != other.type:
        return np.ones(matched.both, dtype=np.bool_)
    if pa.types.is_dictionary(one.type):
        found, _ = codes((one, other))
        return np.not_equal(found[: len(one)][matched.left], found[len(one) :][matched.right])
    values, missing = (part[matched.left] for part in numbers(one))
    others, others_missing = (part[matched.right] for part in numbers(other))
    unlike = values != others
    unlike &= ~(missing & others_missing)
    unlike |= missing != others_missing
    return np.asarray(unlike)


def _corrupt(side: OpenDataset, what: str) -> TandemError:
    where, fix = str(side.folder / "runs.parquet"), "make or copy the dataset again"
    return TandemError(what, where=where, fix=fix, exit_code=EXIT_CORRUPT)
