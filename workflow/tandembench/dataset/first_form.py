"""Tables of the first version, one config a block, under today's columns.

What can be said of them today follows from what they hold: the configs of one workload were one
comparison, and a repetition was one round of it; an import was and is a comparison of one config.
All else is null.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tandembench.metrics import service_order, true_loss_split
from tandembench.study.spec import DISTURBED_CORES
from tandembench.tables.columns import (
    EXECUTIONS,
    STUDY_RUNS,
    TELEMETRY,
    TOKENS,
    Column,
    arrow_schema,
)

Row = dict[str, Any]
# Reads those of the columns that are there from another table of the same dataset.
Read = Callable[[str, Sequence[str]], pa.Table | None]
TABLES: Mapping[str, Sequence[Column]] = {
    "runs": STUDY_RUNS,
    "executions": EXECUTIONS,
    "telemetry": TELEMETRY,
    "tokens": TOKENS,
}
# The keys of a run, then.
_RUN = ("session", "config_id", "repetition", "attempt")
_EXECUTION = (*_RUN, "mode", "agent")
# Only what is measured knows one of them.
_MEASURED = ("block_s", "boot_id", "order")
_FIRST_TOKENS = (*_EXECUTION, "valid")
_WAITS = (
    *_EXECUTION,
    *("valid", "topology", "n_agents", "slots"),
    *("first_token_s", "prompt_s", "load_s", "duration_s", "solo_s"),
)
# What each column follows from that was not there or, as contention, held more than today.
_NEEDS: Mapping[str, Sequence[str]] = {
    "comparison": ("workload", "config_id", *_MEASURED),
    "round": ("repetition", *_MEASURED),
    "twin": (),
    "disturbed": ("foreign_cores",),
    "position": ("order",),
    "contention": _RUN,
    "queueing": (*_RUN, "contention"),
    "first_token_start_s": _FIRST_TOKENS,
    "service_order": _FIRST_TOKENS,
    "queue_s": _WAITS,
}


def is_first_form(table: str, stored: Sequence[str]) -> bool:
    """Whether a table with the columns ``stored`` is of the first version."""
    return table in TABLES and "comparison" not in stored


def names_today(table: str) -> list[str]:
    """The columns that a table has today."""
    return [column.name for column in TABLES[table]]


def made_from(table: str, names: Sequence[str], stored: Sequence[str]) -> list[str]:
    """The columns ``stored`` that ``names`` are made from; one at least, to count rows."""
    wanted = [need for name in names for need in (name, *_needs(table, name, stored))]
    return [name for name in dict.fromkeys(wanted) if name in stored] or [stored[0]]


def _needs(table: str, name: str, stored: Sequence[str]) -> Sequence[str]:
    remade = name == "contention" and table == "runs"
    return _NEEDS.get(name, ()) if remade or name not in stored else ()


def complete(
    table: str, stored: pa.Table, names: Sequence[str], read: Read, coded: bool
) -> pa.Table:
    """Columns ``names`` of a table of which `made_from` was ``stored``."""
    schema = arrow_schema(TABLES[table], "")
    rows: list[Row] | None = None
    columns = []
    for name in names:
        if name in stored.column_names and not _needs(table, name, stored.column_names):
            columns.append(stored[name])
            continue
        rows = stored.to_pylist() if rows is None else rows
        column = pa.chunked_array([pa.array(_values(name, rows, read), schema.field(name).type)])
        is_text = pa.types.is_string(column.type)
        columns.append(column.dictionary_encode() if coded and is_text else column)
    return pa.table(columns, names=list(names))


def _values(name: str, rows: Sequence[Row], read: Read) -> Sequence[Any]:
    values: Sequence[Any] = [None] * len(rows)
    match name:
        case "comparison":
            values = _comparisons(rows, read)
        case "round":
            values = [1 if _is_imported(row) else row["repetition"] for row in rows]
        case "twin":
            values = [False] * len(rows)
        case "disturbed":
            known = [row.get("foreign_cores") for row in rows]
            values = [None if cores is None else cores > DISTURBED_CORES for cores in known]
        case "position":
            values = [_position(row.get("order")) for row in rows]
        case "contention" | "queueing":
            splits = _splits(_rows(read("executions", _WAITS)))
            values = [_part(name, row, splits.get(_key(row, _RUN))) for row in rows]
        case "first_token_start_s":
            values = _first_tokens(rows, read)
        case "service_order":
            values = _orders(rows, _first_tokens(rows, read))
        case "queue_s":
            values = _waits(rows)
    return values


def _is_imported(row: Row) -> bool:
    known = [row[name] for name in _MEASURED if name in row]
    return bool(known) and all(value is None for value in known)


def _comparisons(rows: Sequence[Row], read: Read) -> list[str]:
    """The workload of each row, as its own table or that of runs knows it; else the config."""
    if not rows or "workload" in rows[0]:
        return [row["config_id"] if _is_imported(row) else _workload(row) for row in rows]
    runs = {row["config_id"]: row for row in _rows(read("runs", ["config_id", "workload"]))}
    return [_workload(runs.get(row["config_id"], row)) for row in rows]


def _workload(row: Row) -> str:
    return str(row.get("workload") or row["config_id"])


def _position(order: str | None) -> int | None:
    """The place of the run in an order such as ``solo:a,concurrent,solo:b``."""
    places = (order or "").split(",")
    return places.index("concurrent") if "concurrent" in places else None


def _first_tokens(rows: Sequence[Row], read: Read) -> list[float | None]:
    """When the first content of each valid execution came, as the stamps of tokens tell."""
    tokens = read("tokens", [*_EXECUTION, "chunk", "t_ns"])
    first = [] if tokens is None else _rows(tokens.filter(pc.equal(tokens["chunk"], 0)))
    stamps = {_key(row, _EXECUTION): row["t_ns"] / 1e9 for row in first}
    return [stamps.get(_key(row, _EXECUTION)) if row["valid"] else None for row in rows]


def _orders(rows: Sequence[Row], first_s: Sequence[float | None]) -> list[int | None]:
    """Whose first content came when in each run; null in solos."""
    orders: list[int | None] = [None] * len(rows)
    for places in _places_of_runs(rows):
        known = [first for place in places if (first := first_s[place]) is not None]
        if len(known) == len(places):
            for place, rank in zip(places, service_order(known), strict=True):
                orders[place] = rank
    return orders


def _waits(rows: Sequence[Row]) -> list[float | None]:
    """Waits for a slot, as `metrics.queue_waits` tells them from the servers' durations."""
    solos = [row for row in rows if row["mode"] == "solo"]
    alone = {(*_key(row, _RUN), row["agent"]): _unexplained(row) or 0.0 for row in solos}

    def wait(row: Row) -> float | None:
        if row["mode"] == "solo" or not row["valid"]:
            return None
        slots = row.get("slots") or (1 if row["topology"] == "single" else row["n_agents"])
        unexplained = _unexplained(row)
        if row["topology"] in ("dual", "serial") or slots >= row["n_agents"] or unexplained is None:
            return 0.0
        return max(0.0, unexplained - alone.get((*_key(row, _RUN), row["agent"]), 0.0))

    return [wait(row) for row in rows]


def _unexplained(row: Row) -> float | None:
    known = None not in (row.get("first_token_s"), row.get("prompt_s"))
    parts = (row["first_token_s"], -row["prompt_s"], -(row.get("load_s") or 0.0)) if known else ()
    return max(0.0, math.fsum(parts)) if known else None


@dataclass(frozen=True, slots=True)
class _Split:
    """What `metrics.true_loss_split` says of a run in which agents waited for a slot."""

    contention: float
    queueing: float


def _splits(executions: Sequence[Row]) -> dict[tuple[Any, ...], _Split]:
    """The runs of those ``executions`` in which somebody waited for a slot, by key."""
    waits = _waits(executions)
    splits = {}
    for places in _places_of_runs(executions):
        rows = [executions[place] for place in places]
        waited = [waits[place] or 0.0 for place in places]
        solo_s = [row["solo_s"] for row in rows if row["solo_s"] is not None]
        if any(waited) and len(solo_s) == len(rows):
            durations = [row["duration_s"] for row in rows]
            parts = true_loss_split(solo_s, durations, max(durations), False, waited)
            split = _Split(*(float(parts[name] or 0.0) for name in ("contention", "queueing")))
            splits[_key(rows[0], _RUN)] = split
    return splits


def _part(name: str, row: Row, split: _Split | None) -> float | None:
    if row.get("contention") is None:
        return None
    if split is None:
        return 0.0 if name == "queueing" else float(row["contention"])
    return split.queueing if name == "queueing" else split.contention


def _places_of_runs(executions: Sequence[Row]) -> Iterable[list[int]]:
    """Where the executions of each run stand."""
    runs: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for place, row in enumerate(executions):
        if row["mode"] == "concurrent":
            runs[_key(row, _RUN)].append(place)
    return runs.values()


def _key(row: Row, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def _rows(table: pa.Table | None) -> list[Row]:
    return [] if table is None else table.to_pylist()
