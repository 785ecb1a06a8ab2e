"""A dataset: open, its tables read by column when they are needed, or whole as data frames.

A file is verified when it is first read. Whatever version wrote it, tables have today's columns.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
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
from tandembench.tables.columns import KEY_OF, TOPOLOGIES
from tandembench.tables.parquet import is_repeated, read_columns
from tandembench.text import sanitise

if TYPE_CHECKING:  # it takes half a second to import, and a difference of runs does without
    import pandas as pd

_ID_COLUMNS = ("session", "comparison", "config_id", "phase", "scenario", "topology")


@dataclass(frozen=True)
class Dataset:
    """A dataset's folder and descriptor, and its tables as data frames, each read when needed.

    ``verified`` are the tables whose files are as told, ``updated`` those that were of old.
    """

    folder: Path
    descriptor: Json
    verified: dict[str, Path] = field(default_factory=dict)
    updated: dict[str, pa.Table] = field(default_factory=dict)

    @cached_property
    def runs(self) -> "pd.DataFrame":
        """A row for each run."""
        return load_table(self, "runs")

    @cached_property
    def executions(self) -> "pd.DataFrame":
        """A row for each execution, solos included."""
        return load_table(self, "executions")

    @cached_property
    def telemetry(self) -> "pd.DataFrame":
        """A row for each sample."""
        return load_table(self, "telemetry")

    @cached_property
    def tokens(self) -> "pd.DataFrame":
        """A row for each chunk."""
        return load_table(self, "tokens")

    @cached_property
    def rates(self) -> "pd.DataFrame":
        """A row for each scenario and topology."""
        return load_table(self, "rates")


def load_dataset(folder: Path) -> Dataset:
    """Read the dataset at ``folder``; TandemError (exit 3) names a file that is not as told."""
    dataset = open_dataset(folder)
    for name in (*TABLES, "rates"):
        getattr(dataset, name)
    return dataset


def load_table(dataset: Dataset, table: str) -> "pd.DataFrame":
    """One table, empty if an older dataset has none of that name; TandemError (exit 3) as above."""
    names = column_names(dataset, table)
    frame: pd.DataFrame
    frame = (read_part(dataset, table, names) if names else pa.table({})).to_pandas()
    return frame


def open_dataset(folder: Path) -> Dataset:
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
    return Dataset(folder, descriptor)


def column_names(dataset: Dataset, table: str) -> list[str]:
    """The columns of a table that can be read; none if there is no such table."""
    stored = _stored(dataset, table)
    current = [column.name for column in TABLES.get(table, ())]
    return current if is_first_form(table, stored) else stored


def definitions(dataset: Dataset, table: str) -> dict[str, tuple[str, str, str]]:
    """What the columns of a table mean, as they are read: type, unit and description by name."""
    fields = _fields(dataset, table)
    if is_first_form(table, [field["name"] for field in fields]):
        fields = [field_of(column) for column in TABLES[table]]
    return {
        field["name"]: (field["type"], field.get("unit", ""), field.get("description", ""))
        for field in fields
    }


def read_part(dataset: Dataset, table: str, names: Sequence[str], coded: bool = False) -> pa.Table:
    """Columns of a table; ``coded`` as in `read_columns`.

    TandemError (exit 3) names a file that is not as told, or an id that is none.
    """
    if not is_first_form(table, _stored(dataset, table)):
        return _read(dataset, table, names, coded)
    if table not in dataset.updated:

        def read(name: str) -> pa.Table:
            return _read(dataset, name, _stored(dataset, name), False)

        dataset.updated[table] = today(table, read(table), read)
    columns = dataset.updated[table].select(list(names))
    texts = [name for name in names if pa.types.is_string(columns[name].type) and coded]
    for name in texts:
        place = columns.column_names.index(name)
        columns = columns.set_column(place, name, columns[name].dictionary_encode())
    return columns


def check_tables(dataset: Dataset) -> None:
    """Read every table, column by column; TandemError (exit 3) as above."""
    for resource in dataset.descriptor["resources"]:
        for name in _stored(dataset, resource["name"]):
            _read(dataset, resource["name"], [name], False)


def _read(dataset: Dataset, table: str, names: Sequence[str], coded: bool) -> pa.Table:
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


def _verified(dataset: Dataset, table: str) -> Path:
    """The file of a table, read once; TandemError (exit 3) if it is another, or repeats a row."""
    resources = dataset.descriptor["resources"]
    resource = next((one for one in resources if one["name"] == table), None)
    if resource is None:
        raise corrupt(f"no table '{table}'", dataset.folder / NAME)
    path = check_resource(dataset.folder, resource)
    stored = _stored(dataset, table)
    key = [name for name in KEY_OF.get(table, ()) if name in stored]
    if key and is_repeated(read_columns(path, key), key):
        raise corrupt(f"holds a row of {', '.join(key)} twice", path)
    return path


def _fields(dataset: Dataset, table: str) -> list[Json]:
    """The columns of a table, as the descriptor lists them."""
    resources = dataset.descriptor["resources"]
    listed = (one["schema"]["fields"] for one in resources if one["name"] == table)
    return next(listed, [])


def _stored(dataset: Dataset, table: str) -> list[str]:
    return [field["name"] for field in _fields(dataset, table)]


def _check_ids(values: Iterable[object], what: str, path: Path) -> None:
    """TandemError unless every id is one: they stand in reports and file names as they are."""
    for value in values:
        unknown = what == "topology" and value not in TOPOLOGIES
        if unknown or not is_name(str(value)):
            raise corrupt(f"{sanitise(repr(value), 40)} is no id of a {what}", path)
