"""A dataset from its folder: verified, then read."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tandembench.dataset.calibrations import check_instrument
from tandembench.dataset.columns import TOPOLOGIES
from tandembench.dataset.descriptor import read_descriptor, read_resource
from tandembench.dataset.parquet import parse_table
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.text import sanitise

_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_ID_COLUMNS = frozenset(("session", "config_id", "phase", "scenario", "topology"))


@dataclass(frozen=True)
class Dataset:
    """The tables of a study, and its descriptor."""

    runs: pd.DataFrame
    executions: pd.DataFrame
    telemetry: pd.DataFrame
    tokens: pd.DataFrame
    rates: pd.DataFrame
    descriptor: dict[str, Any]


def load_dataset(folder: Path) -> Dataset:
    """Read the dataset at ``folder``; TandemError (exit 3) names a file that is not as told."""
    descriptor = read_descriptor(folder)
    if descriptor.get("kind") == "published":
        fix = "name one of runs, or compare it: tandembench diff"
        raise TandemError("printed values, no runs", where=str(folder), fix=fix)
    tables: dict[str, pd.DataFrame] = {}
    for resource in descriptor["resources"]:
        path = folder / Path(resource["path"]).name
        # The descriptor vouches for the whole file: its content needs no digest of its own.
        table = parse_table(read_resource(folder, resource), path)
        tables[resource["name"]] = table.to_pandas()
        for column in sorted(_ID_COLUMNS.intersection(tables[resource["name"]])):
            _check_ids(tables[resource["name"]][column].dropna().unique(), column, path)
    study, path = descriptor["study"], folder / "datapackage.json"
    for name in ("runs", "executions"):
        if name not in tables:
            raise _corrupt(path, f"no table '{name}'")
    _check_ids([study["reference"]], "topology", path)
    for phase in study["phases"]:
        _check_ids([phase["name"], *phase["configs"]], "phase or config", path)
    check_instrument(descriptor["instrument"], path)
    # Older datasets have fewer tables.
    none = pd.DataFrame()
    telemetry, tokens, rates = (tables.get(name, none) for name in ("telemetry", "tokens", "rates"))
    return Dataset(tables["runs"], tables["executions"], telemetry, tokens, rates, descriptor)


def _check_ids(values: Iterable[Any], what: str, path: Path) -> None:
    """TandemError unless every id is one: they stand in reports and file names as they are."""
    for value in values:
        unknown = what == "topology" and value not in TOPOLOGIES
        if unknown or not _ID.fullmatch(str(value)):
            raise _corrupt(path, f"{sanitise(repr(value), 40)} is no id of a {what}")


def _corrupt(path: Path, what: str) -> TandemError:
    fix = "make or copy the dataset again"
    return TandemError(what, where=str(path), fix=fix, exit_code=EXIT_CORRUPT)
