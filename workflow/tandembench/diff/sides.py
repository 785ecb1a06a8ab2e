"""What is compared: a baseline, a study's results or a dataset's folder, opened and verified."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandembench.dataset.descriptor import read_descriptor, read_resource
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.dataset.versions import ROOT, locate
from tandembench.errors import EXIT_CORRUPT, TandemError

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """One side: ``dataset`` if its runs are known, else ``printed``, the rows of a publication.

    A printed row's ``value`` and ``resolution`` (half a unit of the last printed digit) are
    numbers or None.
    """

    label: str
    descriptor: Mapping[str, Any]
    dataset: Dataset | None
    printed: tuple[Row, ...]


def open_side(text: str, root: Path = ROOT) -> Side:
    """A side by ``name``, ``name@version``, ``results/<study>`` or a dataset's folder."""
    folder, label = locate(text, root)
    descriptor = read_descriptor(folder)
    if descriptor.get("kind") != "published":
        return Side(label, descriptor, load_dataset(folder), ())
    (resource,) = descriptor["resources"]
    data = read_resource(folder, resource).decode("utf-8")
    rows = csv.DictReader(io.StringIO(data, newline=""), strict=True)
    try:
        return Side(label, descriptor, None, tuple(_row(row) for row in rows))
    except (ValueError, KeyError, csv.Error):
        raise TandemError(
            "not a table of values",
            where=str(folder / resource["path"]),
            fix="make or copy the baseline again",
            exit_code=EXIT_CORRUPT,
        ) from None


def _row(row: Mapping[str, str]) -> Row:
    numbers = {name: float(row[name]) if row[name] else None for name in ("value", "resolution")}
    return {**row, **numbers}
