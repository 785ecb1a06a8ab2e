"""Columns and Parquet: declared units, whole files or none, damage never read in silence."""

from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_blocks import block, write_run_file

from tandembench.dataset.blocks import block_rows
from tandembench.errors import TandemError
from tandembench.metrics import RUN_METRICS
from tandembench.tables.columns import (
    EXECUTIONS,
    KEYS,
    RATES,
    RUN_FILE,
    RUNS,
    STUDY_RUNS,
    TELEMETRY,
    TOKENS,
    Column,
    arrow_schema,
)
from tandembench.tables.parquet import (
    as_table,
    note_of,
    read_columns,
    read_table,
    write_table,
    write_tables,
)

TABLES = {
    "run file": RUN_FILE,
    "runs": RUNS,
    "study": STUDY_RUNS,
    "executions": EXECUTIONS,
    "telemetry": TELEMETRY,
    "tokens": TOKENS,
    "rates": RATES,
}
# Whole numbers that count or number things, and so have no unit.
PLAIN = {
    *("repetition", "round", "attempt", "n_agents", "agent_index", "position", "server"),
    *("service_order", "process_run", "slots", "threads", "seed", "n_steps", "step", "chunk"),
}
# Endings of a name, longest first, and the unit that each promises.
ENDINGS = {"_tokens_per_s": "tokens/s", "_per_token_s": "s/token", "_bytes": "bytes"}
ENDINGS |= {"_cores": "cores", "_tokens": "tokens", "_s": "s"}


@pytest.mark.parametrize("columns", TABLES.values(), ids=TABLES)
def test_every_column_says_what_it_is(columns: tuple[Column, ...]) -> None:
    assert len({column.name for column in columns}) == len(columns)
    for column in columns:
        assert column.description, column.name
        numeric = column.kind == "number" or (column.kind == "integer" and column.name not in PLAIN)
        if column.kind not in ("time", "steps", "samples"):
            assert bool(column.unit) == numeric, column.name
        promised = next((unit for end, unit in ENDINGS.items() if column.name.endswith(end)), None)
        assert not numeric or promised in (None, column.unit), column.name


def test_the_metrics_of_a_run_are_columns_as_declared() -> None:
    columns = {column.name: column for column in RUNS}
    kinds = {"boolean": ("boolean", ""), "string": ("text", "")}
    for name, (unit, description) in RUN_METRICS.items():
        column = columns[name]
        expected = (*kinds.get(unit, ("number", unit)), description)
        assert (column.kind, column.unit, column.description) == expected, name
    (run,), executions = block_rows(block(), "main")
    assert set(run) == set(columns)
    assert set(executions[-1]) <= {column.name for column in EXECUTIONS}


def test_units_titles_and_notes_survive_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, "a title", STUDY_RUNS, [], {"of": "this"})
    schema = pq.read_schema(path)
    assert schema.names == [column.name for column in STUDY_RUNS]
    assert schema.metadata[b"title"] == b"a title"
    for column in STUDY_RUNS:
        field = schema.field(column.name)
        assert field.metadata[b"unit"].decode() == column.unit
        assert field.metadata[b"description"].decode() == column.description
        assert field.nullable is not column.required
    assert note_of(read_table(path)) == {"of": "this"}
    step = arrow_schema(RUN_FILE, "t").field("steps").type.value_type
    stamps = [step.field(name) for name in ("request_ns", "chunk_ns", "end_ns")]
    assert {field.metadata[b"unit"] for field in stamps} == {b"ns after t0"}


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = block("dual", (1.0, 0.8), tokens=(1, 3), steps=2)
    rows[0] |= {"error": "reset", "steps": None, "cold": None, "detail": "naïve \U0001f600"}
    path = write_run_file(tmp_path / "run.parquet", rows)
    assert read_table(path).to_pylist() == rows
    assert write_run_file(tmp_path / "same", rows).read_bytes() == path.read_bytes()
    # a missing key is null, unless the column is required
    del rows[1]["detail"]
    assert read_table(write_run_file(path, rows)).to_pylist()[1]["detail"] is None
    del rows[1]["agent"]
    with pytest.raises(pa.ArrowException):
        write_run_file(path, rows)


def test_columns_are_read_by_name(tmp_path: Path) -> None:
    path = write_run_file(tmp_path / "run.parquet", block())
    columns = read_columns(path, ["seed", "agent"])
    assert columns.to_pylist() == [{"seed": row["seed"], "agent": row["agent"]} for row in block()]
    coded = read_columns(path, ["seed", "agent"], coded=True)
    assert coded.to_pylist() == columns.to_pylist()
    assert [pa.types.is_dictionary(field.type) for field in coded.schema] == [False, True]
    assert refused(read_columns, path, ["seed", "speed"]).exit_code == 3


def refused(read: Any, *arguments: Any) -> TandemError:
    with pytest.raises(TandemError) as caught:
        read(*arguments)
    assert str(caught.value).startswith(f"{arguments[0]}: ")
    assert "\n" not in str(caught.value)
    return caught.value


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = write_run_file(tmp_path / "run.parquet", block())
    whole = path.read_bytes()
    random = Random(114)  # noqa: S311 - an example, no secret
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[random.randrange(len(whole))] ^= 1 << random.randrange(8)
        path.write_bytes(damaged)
        assert refused(read_table, path).exit_code == 3
    # Whoever reads without the seal has the checksums.
    path.write_bytes(whole)
    chunk = pq.read_metadata(path).row_group(0).column(0)
    assert chunk.compression == "ZSTD"
    damaged = bytearray(whole)
    damaged[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    path.write_bytes(damaged)
    assert refused(read_columns, path, [chunk.path_in_schema]).exit_code == 3


def test_what_is_cut_or_no_table_of_this_project_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    assert refused(read_table, path).exit_code == 2
    whole = write_run_file(path, block()).read_bytes()
    for kept in (0, 1, 4, 1000, -1):
        path.write_bytes(whole[:kept])
        assert refused(read_table, path).exit_code == 3
    pq.write_table(pa.table({"a": [1]}), path)
    assert refused(read_table, path).exit_code == 3


def tokens(*stamps: int, **changes: Any) -> list[dict[str, Any]]:
    keys = {column.name: block()[0][column.name] for column in KEYS} | {"phase": "main"}
    of = keys | {"mode": "solo", "agent": "insight", "step": 0} | changes
    return [of | {"chunk": n, "t_ns": stamp} for n, stamp in enumerate(stamps)]


def test_tables_in_pieces_are_one_table(tmp_path: Path) -> None:
    rows = [*tokens(5, 7, 2**62), *tokens(1, agent="collector"), *tokens(3, 3, mode="concurrent")]
    pieces = [as_table(TOKENS, part) for part in ([], rows[:3], rows[3:4], [], rows[4:])]
    write_tables(tmp_path / "pieces.parquet", "t", TOKENS, pieces, {"of": "this"})
    write_table(tmp_path / "whole.parquet", "t", TOKENS, rows, {"of": "this"})
    assert read_table(tmp_path / "pieces.parquet").to_pylist() == rows
    assert (tmp_path / "pieces.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
