"""Datasets as the first version wrote them: one config a block, no comparisons, rounds or twins."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tandembench.dataset.descriptor import field_of, file_hash, read_descriptor, seal
from tandembench.tables.columns import EXECUTIONS, STUDY_RUNS, TELEMETRY, TOKENS, Column
from tandembench.tables.parquet import read_table, write_table

ORDER = Column("order", "text", "", "order of the executions in the block")
# Columns that the first version did not know.
_LATER = {
    *("comparison", "round", "twin", "deployment", "placement", "disturbed", "server_memory_bytes"),
    *("queueing", "queue_s", "first_token_start_s", "service_order"),
}
# What some of the others were said to be.
_SAID = {
    "repetition": "repetition of the config, from 1",
    "contention": "part of 1 - efficiency_true: sharing stretches the longest agent",
}
_TABLES: Mapping[str, Sequence[Column]] = {
    "runs": [*STUDY_RUNS, ORDER],
    "executions": [*EXECUTIONS, ORDER],
    "telemetry": TELEMETRY,
    "tokens": TOKENS,
}


def as_first_form(folder: Path) -> Path:
    """The dataset at ``folder``, of blocks of one config and round each, rewritten in that form.

    What waits in line was contention then.
    """
    content = read_descriptor(folder)
    for resource in content["resources"]:
        table = resource["name"]
        if table not in _TABLES:
            continue
        gone = _LATER | ({"position"} if table == "runs" else set())
        columns = [column for column in _TABLES[table] if column.name not in gone]
        rows = [_row(row) for row in read_table(folder / resource["path"]).to_pylist()]
        write_table(folder / resource["path"], table, columns, rows)
        fields = [field_of(column) for column in columns]
        for field in fields:
            field["description"] = _SAID.get(field["name"], field["description"])
        resource["schema"] = {"fields": fields}
        with (folder / resource["path"]).open("rb") as file:
            resource["hash"] = file_hash(file)
        resource["bytes"] = (folder / resource["path"]).stat().st_size
    study = {key: value for key, value in content["study"].items() if key != "criteria"}
    seal(folder, {**content, "schema_version": 1, "study": study})
    return folder


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in row.items() if key not in _LATER}
    if row.get("contention") is not None:
        kept["contention"] = row["contention"] + row["queueing"]
    if row.get("n_agents") == 2 and row["block_s"] is not None:
        kept["order"] = "solo:insight,concurrent,solo:collector"
    return kept
