"""Files of a study held against their names, before anything is made of them, or they are deleted.

What stands under a name is of that name: a file that was copied, renamed or swapped is refused.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.study.spec import digest
from tandembench.tables.columns import KEY_OF, RUN_FILE, Column, arrow_schema
from tandembench.tables.parquet import is_repeated, note_of, read_table
from tandembench.text import sanitise

_BLOCK = ("session", "comparison", "repetition")
_MADE_BY = "run snakemake, which writes it"
_AGAIN = "delete it and run snakemake, which makes it again"


@dataclass(frozen=True, slots=True)
class RunFile:
    """A block's raw ``rows``, the machine that they were measured on, and the code's digest."""

    rows: pa.Table
    machine: Mapping[str, object]
    code: str


def read_run_file(path: Path) -> RunFile:
    """The run file at ``path``, checked; TandemError (exit 3) as below, or if a row is no row."""
    file = identified(path)
    if not _is_of(file.rows, RUN_FILE):
        raise _misplaced("not a run file of this version", path)
    if is_repeated(file.rows, KEY_OF["executions"]):
        raise _misplaced("holds an execution twice", path)
    return file


def identified(path: Path) -> RunFile:
    """The run file at ``path``, which is ``<session>/<comparison>.r<repetition>.<digest>.parquet``.

    It may be of an earlier version. TandemError (exit 3) for one that is damaged, none, or of
    another block than its name says.
    """
    rows = read_table(path)
    note = note_of(rows)
    try:
        spec = dict(note["spec"])
        block = {"comparison": spec["comparison"], "repetition": spec.pop("repetition")}
        name = f"{block['comparison']}.r{block['repetition']}.{digest(spec)}.parquet"
        configs = {config["id"] for config in spec["configs"]}
        machine = {key: value for key, value in note["machine"].items() if key != "load_1min"}
        file = RunFile(rows, machine, str(spec["code"]))
        blocks = rows.group_by(_BLOCK).aggregate([]).to_pylist()
        measured = set(rows["config_id"].unique().to_pylist())
    except (LookupError, TypeError, ValueError, AttributeError):
        raise _misplaced("not a run file", path) from None
    if name != path.name:
        raise _misplaced(f"is {sanitise(name, 120)} under another name", path)
    if blocks != [block | {"session": path.parent.name}]:
        sessions = ", ".join(sorted({str(one["session"]) for one in blocks})) or "none"
        what = f"not of its session or block (its rows say session {sanitise(sessions, 80)})"
        raise _misplaced(what, path)
    if not measured <= configs:
        raise _misplaced("holds a config that its RunSpec does not have", path)
    return file


def read_phase_table(path: Path, columns: Sequence[Column] | None = None) -> pa.Table:
    """A table of a phase; TandemError (exit 3) if it is not that of its name, or of ``columns``."""
    table = read_table(path)
    if not path.name.startswith(f"{note_of(table).get('tables')}.") or (
        columns and not _is_of(table, columns)
    ):
        what, where = "not the table that its name says", str(path)
        raise TandemError(what, where=where, fix=_AGAIN, exit_code=EXIT_CORRUPT)
    return table


def read_digested(path: Path) -> dict[str, Any]:
    """The manifest or RunSpec at ``path``, whose name holds the digest of what it says.

    TandemError if it is not there or (exit 3) says something else.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        if f".{digest(content)}." in path.name:
            return content
        what = "not what its name says"
    except FileNotFoundError:
        raise TandemError("no such file", where=str(path), fix=_MADE_BY) from None
    except (OSError, ValueError, RecursionError):
        what = "damaged"
    raise TandemError(what, where=str(path), fix=_AGAIN, exit_code=EXIT_CORRUPT)


def _is_of(table: pa.Table, columns: Sequence[Column]) -> bool:
    wanted = arrow_schema(columns, "")
    return bool(table.schema.names == wanted.names and table.schema.types == wanted.types)


def _misplaced(what: str, path: Path) -> TandemError:
    fix = "move it to where it belongs or delete it; snakemake measures what is missing"
    return TandemError(what, where=str(path), fix=fix, exit_code=EXIT_CORRUPT)
