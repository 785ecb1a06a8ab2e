"""A dataset: open, its tables read by column when they are needed, or whole as data frames.

A file is verified when it is first read. Whatever version wrote it, tables have today's columns.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tandembench.calibrate.record import instruments_of
from tandembench.dataset.descriptor import (
    NAME,
    Json,
    check_resource,
    corrupt,
    field_of,
    read_descriptor,
)
from tandembench.dataset.first_form import TABLES, is_first_form, today
from tandembench.dataset.versions import is_name
from tandembench.errors import TandemError
from tandembench.tables.columns import TOPOLOGIES
from tandembench.tables.parquet import read_columns
from tandembench.text import sanitise

if TYPE_CHECKING:  # it takes half a second to import, and a difference of runs does without
    import pandas as pd

_ID_COLUMNS = ("session", "comparison", "config_id", "phase", "scenario", "topology")


@dataclass(frozen=True, slots=True)
class OpenDataset:
    """A dataset's folder and descriptor; the tables whose files are as told, or were of old."""

    folder: Path
    descriptor: Json
    verified: dict[str, Path] = field(default_factory=dict)
    updated: dict[str, pa.Table] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """The tables of a study, its descriptor, and the dataset that they were read from."""

    runs: "pd.DataFrame"
    executions: "pd.DataFrame"
    telemetry: "pd.DataFrame"
    tokens: "pd.DataFrame"
    rates: "pd.DataFrame"
    descriptor: Json
    opened: OpenDataset


def load_dataset(folder: Path) -> Dataset:
    """Read the dataset at ``folder``; TandemError (exit 3) names a file that is not as told."""
    return load_tables(open_dataset(folder))


def load_tables(opened: OpenDataset) -> Dataset:
    """Read all the tables of a dataset; TandemError (exit 3) as above."""
    # Earlier versions did not declare criteria.
    study = {"criteria": [], **opened.descriptor["study"]}
    return Dataset(
        runs=load_table(opened, "runs"),
        executions=load_table(opened, "executions"),
        telemetry=load_table(opened, "telemetry"),
        tokens=load_table(opened, "tokens"),
        rates=load_table(opened, "rates"),
        descriptor={**opened.descriptor, "study": study},
        opened=opened,
    )


def load_table(opened: OpenDataset, table: str) -> "pd.DataFrame":
    """One table, empty if an older dataset has none of that name; TandemError (exit 3) as above."""
    names = column_names(opened, table)
    frame: pd.DataFrame
    frame = (read_part(opened, table, names) if names else pa.table({})).to_pandas()
    return frame


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
            compared = phase.get("comparisons", ())
            _check_ids([phase["name"]], "phase", path)
            _check_ids([one["id"] for one in compared], "comparison", path)
            for configs in (phase["configs"], *(one["configs"] for one in compared)):
                _check_ids(configs, "config", path)
        instruments_of(descriptor["instrument"], path)
    except (LookupError, TypeError):
        raise corrupt("not the descriptor of a dataset", path) from None
    for name in ("runs", "executions"):
        if name not in names:
            raise corrupt(f"no table '{name}'", path)
    return OpenDataset(folder, descriptor)


def column_names(dataset: OpenDataset, table: str) -> list[str]:
    """The columns of a table that can be read; none if there is no such table."""
    stored = _stored(dataset, table)
    current = [column.name for column in TABLES.get(table, ())]
    return current if is_first_form(table, stored) else stored


def definitions(dataset: OpenDataset, table: str) -> dict[str, tuple[str, str, str]]:
    """What the columns of a table mean, as they are read: type, unit and description by name."""
    fields = _fields(dataset, table)
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
    if not is_first_form(table, _stored(dataset, table)):
        return _read(dataset, table, names, coded)
    if table not in dataset.updated:

        def read(other: str) -> pa.Table | None:
            stored = _stored(dataset, other)
            return _read(dataset, other, stored, False) if stored else None

        stored = _read(dataset, table, _stored(dataset, table), False)
        dataset.updated[table] = today(table, stored, read)
    columns = dataset.updated[table].select(list(names))
    texts = [name for name in names if pa.types.is_string(columns[name].type) and coded]
    for name in texts:
        place = columns.column_names.index(name)
        columns = columns.set_column(place, name, columns[name].dictionary_encode())
    return columns


def check_tables(dataset: OpenDataset) -> None:
    """Read every table, column by column; TandemError (exit 3) as above."""
    for resource in dataset.descriptor["resources"]:
        for name in _stored(dataset, resource["name"]):
            _read(dataset, resource["name"], [name], False)


def _read(dataset: OpenDataset, table: str, names: Sequence[str], coded: bool) -> pa.Table:
    path = dataset.verified.get(table)
    if path is None:
        path = dataset.verified[table] = _verified(dataset, table)
    columns = read_columns(path, names, coded)
    for name in set(_ID_COLUMNS).intersection(names):
        column = columns[name]
        is_coded = pa.types.is_dictionary(column.type)
        for values in [chunk.dictionary for chunk in column.chunks] if is_coded else [column]:
            _check_ids(pc.unique(values).drop_null().to_pylist(), name, path)
    return columns


def _verified(dataset: OpenDataset, table: str) -> Path:
    """The file of a table, read once; TandemError (exit 3) if it is another."""
    resources = dataset.descriptor["resources"]
    resource = next((one for one in resources if one["name"] == table), None)
    if resource is None:
        raise corrupt(f"no table '{table}'", dataset.folder / NAME)
    return check_resource(dataset.folder, resource)


def _fields(dataset: OpenDataset, table: str) -> list[Json]:
    """The columns of a table, as the descriptor lists them."""
    resources = dataset.descriptor["resources"]
    listed = (one["schema"]["fields"] for one in resources if one["name"] == table)
    return next(listed, [])


def _stored(dataset: OpenDataset, table: str) -> list[str]:
    return [field["name"] for field in _fields(dataset, table)]


def _check_ids(values: Iterable[object], what: str, path: Path) -> None:
    """TandemError unless every id is one: they stand in reports and file names as they are."""
    for value in values:
        unknown = what == "topology" and value not in TOPOLOGIES
        if unknown or not is_name(str(value)):
            raise corrupt(f"{sanitise(repr(value), 40)} is no id of a {what}", path)
