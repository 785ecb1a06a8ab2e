"""A dataset from its folder: verified, then read."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tandembench.dataset.descriptor import read_descriptor
from tandembench.dataset.parquet import read_table
from tandembench.errors import EXIT_CORRUPT, TandemError


@dataclass(frozen=True)
class Dataset:
    """The tables ``runs`` and ``executions`` of a study, and its descriptor."""

    runs: pd.DataFrame
    executions: pd.DataFrame
    descriptor: dict[str, Any]


def load_dataset(folder: Path) -> Dataset:
    """Read the dataset at ``folder``; TandemError (exit 3) names a file that is not as told."""
    descriptor = read_descriptor(folder)
    tables = {}
    for resource in descriptor["resources"]:
        path = folder / resource["path"]
        table = read_table(path)
        found = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        if found != resource["hash"]:
            raise TandemError(
                f"{found}, but datapackage.json says {resource['hash']}",
                where=str(path),
                fix="make or copy the dataset again",
                exit_code=EXIT_CORRUPT,
            )
        tables[resource["name"]] = table.to_pandas()
    return Dataset(tables["runs"], tables["executions"], descriptor)
