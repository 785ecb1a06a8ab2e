"""A dataset that is open: its tables are read by column, each file verified when first needed.

Whatever version wrote it, its tables have today's columns.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tandembench.calibrate.record import instruments_of
from tandembench.dataset.descriptor import NAME, check_resource, field_of, read_descriptor
from tandembench.dataset.first_form import (
    TABLES,
    complete,
    is_first_form,
    made_from,
    names_today,
)
from tandembench.dataset.versions import is_name
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.tables.columns import TOPOLOGIES
from tandembench.tables.parquet import read_columns
from tandembench.text import sanitise

_ID_COLUMNS = ("session", "comparison", "config_id", "phase", "scenario", "topology")


@dataclass(frozen=True, slots=True)
class OpenDataset:
    """A dataset's folder and descriptor, and the tables whose files were found to be as told."""

    folder: Path
    descriptor: dict[str, Any]
    verified: dict[str, Path] = field(default_factory=dict)


def open_dataset(folder: Path) -> OpenDataset:
    """The dataset at ``folder``, no table read; TandemError (exit 3) if its descriptor is bad."""
    path = folder / NAME
    descriptor = read_descriptor(folder)
    if descriptor.get("kind") == "published":
        fix = "name one of runs, or compare it: tandembench diff"
        raise TandemError("printed values, no runs", where=str(folder), fix=fix)
    try:
        study, names = descriptor["study"], [one["name"] for one in descriptor["resources"]]
        _check_ids([study["reference"]], "topology", path)
        for phase in study["phases"]:
            _check_ids([phase["name"], *phase["configs"]], "phase or config", path)
            compared = phase.get("comparisons", ())
            _check_ids([one["id"] for one in compared], "comparison", path)
            _check_ids([id_ for one in compared for id_ in one["configs"]], "config", path)
        instruments_of(descriptor["instrument"], path)
    except (LookupError, TypeError):
        raise _corrupt(path, "not the descriptor of a dataset") from None
    for name in ("runs", "executions"):
        if name not in names:
            raise _corrupt(path, f"no table '{name}'")
    return OpenDataset(folder, descriptor)


def column_names(dataset: OpenDataset, table: str) -> list[str]:
    """The columns of a table that can be read; none if there is no such table."""
    stored = _stored(dataset, table)
    return names_today(table) if stored and is_first_form(table, stored) else stored


def definitions(dataset: OpenDataset, table: str) -> dict[str, tuple[str, str, str]]:
    """What the columns of a table mean, as they are read: type, unit and description by name."""
    resource = _resource(dataset, table)
    fields = [] if resource is None else resource["schema"]["fields"]
    if is_first_form(table, [field["name"] for field in fields]):
        fields = [field_of(column) for column in TABLES[table]]
    return {
        field["name"]: (field["type"], field.get("unit", ""), field.get("description", ""))
        for field in fields
    }


def read_part(
    dataset: OpenDataset, table: str, names: Sequence[str], coded: bool = False
) -> pa.Table:
    """Columns of a table; ``coded`` as in `read_columns`.

    TandemError (exit 3) names a file that is not as told, or an id that is none.
    """
    stored = _stored(dataset, table)
    if not is_first_form(table, stored):
        return _read(dataset, table, names, coded)

    def read(other: str, wanted: Sequence[str]) -> pa.Table | None:
        there = _stored(dataset, other)
        known = [name for name in wanted if name in there]
        return _read(dataset, other, known, False) if known else None

    columns = _read(dataset, table, made_from(table, names, stored), coded)
    return complete(table, columns, names, read, coded)


def _read(dataset: OpenDataset, table: str, names: Sequence[str], coded: bool) -> pa.Table:
    path = dataset.verified.get(table)
    if path is None:
        resource = _resource(dataset, table)
        if resource is None:
            raise _corrupt(dataset.folder / NAME, f"no table '{table}'")
        path = dataset.verified[table] = check_resource(dataset.folder, resource)
    columns = read_columns(path, names, coded)
    for column in set(_ID_COLUMNS).intersection(names):
        for values in _values(columns[column]):
            _check_ids(values.drop_null().to_pylist(), column, path)
    return columns


def _values(column: pa.ChunkedArray) -> list[pa.Array]:
    """Arrays that hold every value of a column of texts, few of them twice."""
    if pa.types.is_dictionary(column.type):
        return [chunk.dictionary for chunk in column.chunks]
    return [pc.unique(column)]


def check_tables(dataset: OpenDataset) -> None:
    """Read every table, column by column; TandemError (exit 3) as above."""
    for resource in dataset.descriptor["resources"]:
        for name in _stored(dataset, resource["name"]):
            _read(dataset, resource["name"], [name], False)


def _stored(dataset: OpenDataset, table: str) -> list[str]:
    """The columns of a table, as the descriptor lists them."""
    resource = _resource(dataset, table)
    return [] if resource is None else [one["name"] for one in resource["schema"]["fields"]]


def _resource(dataset: OpenDataset, table: str) -> dict[str, Any] | None:
    resources: list[dict[str, Any]] = dataset.descriptor["resources"]
    return next((one for one in resources if one["name"] == table), None)


def _check_ids(values: Iterable[Any], what: str, path: Path) -> None:
    """TandemError unless every id is one: they stand in reports and file names as they are."""
    for value in values:
        unknown = what == "topology" and value not in TOPOLOGIES
        if unknown or not is_name(str(value)):
            raise _corrupt(path, f"{sanitise(repr(value), 40)} is no id of a {what}")


def _corrupt(path: Path, what: str) -> TandemError:
    fix = "make or copy the dataset again"
    return TandemError(what, where=str(path), fix=fix, exit_code=EXIT_CORRUPT)
