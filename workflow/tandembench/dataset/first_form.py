"""Tables of the first version, one config a block, under today's columns.

What can be said of them today follows from what they hold: the configs of one workload were one
comparison, and a repetition was one round of it. All else is null.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tandembench.dataset.columns import (
    EXECUTIONS,
    STUDY_RUNS,
    TELEMETRY,
    TOKENS,
    Column,
    arrow_schema,
)
from tandembench.measure.others import DISTURBED_CORES
from tandembench.metrics import service_order

# Reads columns of another table of the same dataset; None if it has no such table.
Read = Callable[[str, Sequence[str]], pa.Table | None]
_TABLES: Mapping[str, Sequence[Column]] = {
    "runs": STUDY_RUNS,
    "executions": EXECUTIONS,
    "telemetry": TELEMETRY,
    "tokens": TOKENS,
}
# The keys of a run, then.
_RUN = ("session", "config_id", "repetition", "attempt")
_EXECUTION = (*_RUN, "mode", "agent")
_FIRST_TOKENS = (*_EXECUTION, "valid")
# What each new column follows from; the names that a table lacks are null.
_NEEDS: Mapping[str, Sequence[str]] = {
    "comparison": ("workload", "config_id"),
    "round": ("repetition",),
    "disturbed": ("foreign_cores",),
    "position": ("order",),
    "queueing": ("topology", "contention"),
    "first_token_start_s": _FIRST_TOKENS,
    "service_order": _FIRST_TOKENS,
}


def is_first_form(table: str, stored: Sequence[str]) -> bool:
    """Whether a table with the columns ``stored`` is of the first version."""
    return table in _TABLES and "comparison" not in stored


def names_today(table: str, stored: Sequence[str]) -> list[str]:
    """The columns ``stored``, and those that came later."""
    return [*stored, *(column.name for column in _TABLES[table] if column.name not in stored)]


def needed(names: Sequence[str], stored: Sequence[str]) -> list[str]:
    """The columns ``stored`` that ``names`` are made from, or at least one, to count rows."""
    wanted = [need for name in names for need in (name, *_NEEDS.get(name, ()))]
    return [name for name in dict.fromkeys(wanted) if name in stored] or [stored[0]]


def complete(
    table: str, stored: pa.Table, names: Sequence[str], read: Read, coded: bool
) -> pa.Table:
    """Columns ``names`` of a table of which the `needed` ones were ``stored``."""
    schema = arrow_schema(_TABLES[table], "")
    columns = []
    for name in names:
        if name in stored.column_names:
            columns.append(stored[name])
            continue
        column = pa.chunked_array([_column(name, stored, read, schema.field(name).type)])
        is_text = pa.types.is_string(column.type)
        columns.append(column.dictionary_encode() if coded and is_text else column)
    return pa.table(columns, names=list(names))


def _column(name: str, stored: pa.Table, read: Read, kind: pa.DataType) -> pa.Array:
    n = stored.num_rows
    values: Sequence[Any] = [None] * n

    def of(needed_name: str) -> list[Any]:
        known = needed_name in stored.column_names
        return stored[needed_name].to_pylist() if known else [None] * n

    match name:
        case "comparison":
            values = _comparisons(stored, of, read)
        case "round":
            values = of("repetition")
        case "twin":
            values = [False] * n
        case "disturbed":
            values = [
                None if cores is None else cores > DISTURBED_CORES for cores in of("foreign_cores")
            ]
        case "position":
            values = [_position(order) for order in of("order")]
        case "queueing":
            # What was lost in one server's line was not told from contention.
            pairs = zip(of("topology"), of("contention"), strict=True)
            values = [None if lost is None or kept == "single" else 0.0 for kept, lost in pairs]
        case "first_token_start_s":
            values = _first_tokens(of, read)
        case "service_order":
            values = _orders(of, _first_tokens(of, read))
    return pa.array(values, kind)


def _comparisons(stored: pa.Table, of: Callable[[str], list[Any]], read: Read) -> list[str]:
    """The workload of each row, as its own table or that of runs knows it; else the config."""
    if "workload" in stored.column_names:
        workloads = of("workload")
    else:
        runs = read("runs", ["config_id", "workload"])
        known = {row["config_id"]: row["workload"] for row in runs.to_pylist()} if runs else {}
        workloads = [known.get(config_id) for config_id in of("config_id")]
    return [workload or config for workload, config in zip(workloads, of("config_id"), strict=True)]


def _position(order: str | None) -> int | None:
    """The place of the run in an order such as ``solo:a,concurrent,solo:b``."""
    places = (order or "").split(",")
    return places.index("concurrent") if "concurrent" in places else None


def _first_tokens(of: Callable[[str], list[Any]], read: Read) -> list[float | None]:
    """When the first content of each valid execution came, as the stamps of tokens tell."""
    tokens = read("tokens", [*_EXECUTION, "chunk", "t_ns"])
    stamps = {}
    if tokens is not None:
        first = tokens.filter(pc.equal(tokens["chunk"], 0)).select([*_EXECUTION, "t_ns"])
        columns = [first[name].to_pylist() for name in first.column_names]
        stamps = {tuple(key): t_ns / 1e9 for *key, t_ns in zip(*columns, strict=True)}
    keys = zip(*(of(name) for name in _EXECUTION), strict=True)
    return [
        stamps.get(key) if valid else None for key, valid in zip(keys, of("valid"), strict=True)
    ]


def _orders(of: Callable[[str], list[Any]], first_s: Sequence[float | None]) -> list[int | None]:
    """Whose first content came when in each run; null in solos."""
    runs: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    keys = zip(*(of(name) for name in _RUN), strict=True)
    for row, (key, mode) in enumerate(zip(keys, of("mode"), strict=True)):
        if mode == "concurrent":
            runs[key].append(row)
    orders: list[int | None] = [None] * len(first_s)
    for rows in runs.values():
        known = [first for row in rows if (first := first_s[row]) is not None]
        if len(known) == len(rows):
            for row, place in zip(rows, service_order(known), strict=True):
                orders[row] = place
    return orders
