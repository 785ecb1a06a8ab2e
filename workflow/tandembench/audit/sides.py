"""What is compared or audited: a baseline, a study's results or a folder, opened and verified."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

from tandembench.dataset.descriptor import read_descriptor, read_resource
from tandembench.dataset.load import Dataset, open_dataset
from tandembench.dataset.stores import fetch, is_address, open_store
from tandembench.dataset.versions import ROOT, locate
from tandembench.errors import EXIT_CORRUPT, TandemError


class Cell(TypedDict):
    """A printed number, as a published baseline has it; those of ``value`` and ``resolution``.

    ``resolution`` is half a unit of the last printed digit, None of what was counted; both are
    None where words are printed.
    """

    report: str
    section: str
    table: str
    scope: str
    subject: str
    metric: str
    statistic: str
    value: float | None
    unit: str
    resolution: float | None
    printed: str
    note: str


# The tables that a difference follows from.
_COMPARED = ("runs", "executions", "published")


@dataclass(frozen=True)
class Side:
    """One side: its runs, or else the ``printed`` cells of a publication."""

    label: str
    descriptor: Mapping[str, Any]
    dataset: Dataset | None
    printed: tuple[Cell, ...]


def open_side(text: str, root: Path = ROOT, copies: Path | None = None) -> Side:
    """A side by ``name``, ``name@version``, ``results/<study>`` or a dataset's folder.

    With ``copies`` also by a name at the end of a store's address: the tables that a difference
    needs are copied there.
    """
    if copies is None or not is_address(text):
        return _opened(*locate(text, root))
    address, mark, options = text.partition("?")
    parent, _, name = address.rstrip("/").rpartition("/")
    store = open_store(f"{parent}{mark}{options}")
    baseline = fetch(store, name, copies, _COMPARED.__contains__)
    return _opened(baseline.folder, f"{store.shown}/{baseline.label}")


def _opened(folder: Path, label: str) -> Side:
    descriptor = read_descriptor(folder)
    if descriptor.get("kind") != "published":
        return Side(label, descriptor, open_dataset(folder), ())
    (resource,) = descriptor["resources"]
    data = read_resource(folder, resource).decode("utf-8")
    rows = csv.DictReader(io.StringIO(data, newline=""), strict=True)
    try:
        return Side(label, descriptor, None, tuple(map(_cell, rows)))
    except (ValueError, KeyError, csv.Error):
        raise TandemError(
            "not a table of values",
            where=str(folder / resource["path"]),
            fix="make or copy the baseline again",
            exit_code=EXIT_CORRUPT,
        ) from None


def _cell(row: Mapping[str, str]) -> Cell:
    numbers = {name: float(row[name]) if row[name] else None for name in ("value", "resolution")}
    texts = {name: row[name] or "" for name in Cell.__annotations__ if name not in numbers}
    return cast("Cell", {**texts, **numbers})
