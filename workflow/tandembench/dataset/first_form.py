"""Tables of the first version, one config a block, under today's columns.

What can be said of them today follows from what they hold: the configs of one workload were one
comparison, and a repetition was one round of it; an import was and is a comparison of one config.
All else is null.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

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

TABLES: Mapping[str, Sequence[Column]] = {
    "runs": STUDY_RUNS,
    "executions": EXECUTIONS,
    "telemetry": TELEMETRY,
    "tokens": TOKENS,
}
# A row as it was stored: its columns are not those that are declared today.
_Row = Mapping[str, Any]
_Key = tuple[object, ...]
# Only what is measured knows one of them.
_MEASURED = ("block_s", "boot_id", "order")


def is_first_form(table: str, stored: Sequence[str]) -> bool:
    """Whether a table with the columns ``stored`` is of the first version."""
    return bool(stored) and table in TABLES and "comparison" not in stored


def today(table: str, stored: pa.Table, read: Callable[[str], pa.Table | None]) -> pa.Table:
    """A table of the first version with today's columns; ``read`` gives others as they are."""
    rows = stored.to_pylist()
    made: dict[str, Sequence[object]] = {
        "comparison": _comparisons(rows, read),
        "round": [1 if _is_imported(row) else row["repetition"] for row in rows],
        "twin": [False] * len(rows),
    }
    if table == "runs":
        made |= _of_runs(rows, _rows(read("executions")))
    if table == "executions":
        first_s = _first_tokens(rows, _rows(read("tokens")))
        made["first_token_start_s"] = first_s
        made["service_order"] = _orders(rows, first_s)
        made["queue_s"] = _waits(rows)
    schema = arrow_schema(TABLES[table], "")

    def column(name: str) -> pa.ChunkedArray:
        if name in stored.column_names and name not in made:
            return stored[name]
        return pa.array(made.get(name, [None] * len(rows)), schema.field(name).type)

    return pa.table({name: column(name) for name in schema.names})


def _rows(table: pa.Table | None) -> list[_Row]:
    return [] if table is None else table.to_pylist()


def _key(row: _Row) -> _Key:
    """What a run was told apart by, then."""
    return row["session"], row["config_id"], row["repetition"], row["attempt"]


def _is_imported(row: _Row) -> bool:
    known = [row[name] for name in _MEASURED if name in row]
    return bool(known) and all(value is None for value in known)


def _comparisons(rows: Sequence[_Row], read: Callable[[str], pa.Table | None]) -> list[str]:
    """The workload of each row, as its own table or that of runs knows it; else the config."""
    runs = (
        {}
        if rows and "workload" in rows[0]
        else {row["config_id"]: row for row in _rows(read("runs"))}
    )
    every = (runs.get(row["config_id"], row) for row in rows)
    return [
        str(row["config_id"] if _is_imported(row) else row.get("workload") or row["config_id"])
        for row in every
    ]


def _of_runs(rows: Sequence[_Row], executions: Sequence[_Row]) -> dict[str, Sequence[object]]:
    """What those columns of runs come to that were not there, or held more than today."""
    cores = [row.get("foreign_cores") for row in rows]
    places = [(row.get("order") or "").split(",") for row in rows]
    splits = _splits(executions)
    unsplit = [(row.get("contention"), 0.0) for row in rows]
    parts = [
        (None, None) if contention is None else splits.get(_key(row), (contention, none))
        for row, (contention, none) in zip(rows, unsplit, strict=True)
    ]
    return {
        "disturbed": [None if one is None else one > DISTURBED_CORES for one in cores],
        "position": [
            order.index("concurrent") if "concurrent" in order else None for order in places
        ],
        "contention": [contention for contention, _ in parts],
        "queueing": [queueing for _, queueing in parts],
    }


def _splits(executions: Sequence[_Row]) -> dict[_Key, tuple[float, float]]:
    """(contention, queueing) of the runs in which an agent waited for a slot."""
    waits = _waits(executions)
    splits = {}
    for places in _runs(executions):
        rows = [executions[place] for place in places]
        waited = [waits[place] or 0.0 for place in places]
        solo_s = [row["solo_s"] for row in rows if row["solo_s"] is not None]
        if any(waited) and len(solo_s) == len(rows):
            durations = [row["duration_s"] for row in rows]
            parts = true_loss_split(solo_s, durations, max(durations), False, waited)
            contention, queueing = (float(parts[name] or 0) for name in ("contention", "queueing"))
            splits[_key(rows[0])] = contention, queueing
    return splits


def _first_tokens(rows: Sequence[_Row], tokens: Sequence[_Row]) -> list[float | None]:
    """When the first content of each valid execution came, as the stamps of tokens tell."""
    stamps = {
        (*_key(row), row["mode"], row["agent"]): row["t_ns"] / 1e9
        for row in tokens
        if row["chunk"] == 0
    }
    keys = [(*_key(row), row["mode"], row["agent"]) for row in rows]
    return [stamps.get(key) if row["valid"] else None for key, row in zip(keys, rows, strict=True)]


def _orders(rows: Sequence[_Row], first_s: Sequence[float | None]) -> list[int | None]:
    """Whose first content came when in each run; null in solos."""
    orders: list[int | None] = [None] * len(rows)
    for places in _runs(rows):
        known = [first for place in places if (first := first_s[place]) is not None]
        if len(known) == len(places):
            for place, rank in zip(places, service_order(known), strict=True):
                orders[place] = rank
    return orders


def _waits(rows: Sequence[_Row]) -> list[float | None]:
    """Waits for a slot, as `metrics.queue_waits` tells them from the servers' durations."""
    solos = [row for row in rows if row["mode"] == "solo"]
    alone = {(*_key(row), row["agent"]): _unexplained(row) or 0.0 for row in solos}

    def wait(row: _Row) -> float | None:
        if row["mode"] == "solo" or not row["valid"]:
            return None
        slots = row.get("slots") or (1 if row["topology"] == "single" else row["n_agents"])
        unexplained = _unexplained(row)
        if row["topology"] in ("dual", "serial") or slots >= row["n_agents"] or unexplained is None:
            return 0.0
        return max(0.0, unexplained - alone.get((*_key(row), row["agent"]), 0.0))

    return [wait(row) for row in rows]


def _unexplained(row: _Row) -> float | None:
    """The wait for first content that the server's durations do not explain."""
    if row.get("first_token_s") is None or row.get("prompt_s") is None:
        return None
    parts = (row["first_token_s"], -row["prompt_s"], -(row.get("load_s") or 0.0))
    return max(0.0, math.fsum(parts))


def _runs(executions: Sequence[_Row]) -> Iterator[list[int]]:
    """Where the executions of each run stand."""
    runs: dict[_Key, list[int]] = {}
    for place, row in enumerate(executions):
        if row["mode"] == "concurrent":
            runs.setdefault(_key(row), []).append(place)
    yield from runs.values()
