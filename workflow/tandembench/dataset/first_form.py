"""Tables of the first version, one config a block, under today's columns.

What can be said of them today follows from what they hold: the configs of one workload were one
comparison, and a repetition was one round of it; an import was and is a comparison of one config.
All else is null.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

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
# Only what is measured knows one of them.
_MEASURED = ("block_s", "boot_id", "order")


def is_first_form(table: str, stored: Sequence[str]) -> bool:
    """Whether a table with the columns ``stored`` is of the first version."""
    return bool(stored) and table in TABLES and "comparison" not in stored


def today(table: str, stored: pa.Table, read: Callable[[str], pa.Table]) -> pa.Table:
    """A table of the first version with today's columns; ``read`` gives others as they are."""
    rows = stored.to_pylist()
    runs = {}
    if rows and "workload" not in rows[0]:
        runs = {row["config_id"]: row for row in read("runs").to_pylist()}
    made: dict[str, Sequence[object]] = {
        "comparison": [_comparison(runs.get(row["config_id"], row)) for row in rows],
        "round": [1 if _is_imported(row) else row["repetition"] for row in rows],
        "twin": [False] * len(rows),
    }
    if table == "runs":
        cores = [row.get("foreign_cores") for row in rows]
        # One slot made an agent wait for it, which was counted as contention.
        shares = [None if row["topology"] == "single" else row.get("contention") for row in rows]
        made |= {
            "disturbed": [None if one is None else one > DISTURBED_CORES for one in cores],
            "contention": shares,
            "queueing": [None if one is None else 0.0 for one in shares],
        }
    schema = arrow_schema(TABLES[table], "")

    def column(name: str) -> pa.ChunkedArray:
        if name in stored.column_names and name not in made:
            return stored[name]
        return pa.array(made.get(name, [None] * len(rows)), schema.field(name).type)

    return pa.table({name: column(name) for name in schema.names})


def _is_imported(row: _Row) -> bool:
    known = [row[name] for name in _MEASURED if name in row]
    return bool(known) and all(value is None for value in known)


def _comparison(row: _Row) -> str:
    """The workload of a row; that of an import is its config."""
    workload = None if _is_imported(row) else row.get("workload")
    return str(workload or row["config_id"])
