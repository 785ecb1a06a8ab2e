"""Run files of one phase -> its tables: runs, executions, telemetry, tokens."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tandembench.dataset.blocks import Row, block_rows
from tandembench.dataset.manifest import read_manifest
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.tables.columns import (
    EXECUTIONS,
    KEYS,
    RUN_FILE,
    RUNS,
    TELEMETRY,
    TOKENS,
    arrow_schema,
)
from tandembench.tables.parquet import note_of, read_table, write_table, write_tables

_KEYS = [column.name for column in KEYS]


def aggregate_phase(
    manifest_file: Path,
    runs_file: Path,
    executions_file: Path,
    telemetry_file: Path,
    tokens_file: Path,
) -> None:
    """Write a phase's tables from the run files that its manifest names, each read once."""
    manifest = read_manifest(manifest_file)
    phase = manifest["phase"]
    runs: list[Row] = []
    executions: list[Row] = []
    telemetry, tokens = [], []
    machines: list[Row] = []
    codes: set[str] = set()
    for name in manifest["run_files"]:
        table = read_table(Path(name))
        note = note_of(table)
        lacking = {column.name for column in RUN_FILE}.difference(table.column_names)
        if lacking or not {"spec", "machine"} <= note.keys():
            fix = "delete it and run snakemake, which measures it again"
            raise TandemError("not a run file", where=name, fix=fix, exit_code=EXIT_CORRUPT)
        machine = {key: value for key, value in note["machine"].items() if key != "load_1min"}
        if machine not in machines:
            machines.append(machine)
        codes.add(note["spec"]["code"])
        telemetry.append(telemetry_table(table, phase))
        tokens.append(token_table(table, phase))
        of_block = block_rows(table.drop_columns(["telemetry"]).to_pylist(), phase)
        runs += of_block[0]
        executions += of_block[1]
    origin = {"machines": machines, "measuring_code": sorted(codes)}
    write_tables(tokens_file, f"tokens of phase {phase}", TOKENS, tokens)
    write_tables(telemetry_file, f"telemetry of phase {phase}", TELEMETRY, telemetry)
    write_table(executions_file, f"executions of phase {phase}", EXECUTIONS, executions)
    write_table(runs_file, f"runs of phase {phase}", RUNS, runs, origin)


def telemetry_table(raw: pa.Table, phase: str) -> pa.Table:
    """The samples in a run file, one row each; their agent is null in runs, which are of all."""
    nested = raw["telemetry"].combine_chunks()
    samples = pc.list_flatten(nested)
    of = raw.select([*_KEYS, "mode", "agent"]).take(pc.list_parent_indices(nested))
    solo = pc.equal(of["mode"], "solo")
    agent = pc.if_else(solo, of["agent"], pa.scalar(None, pa.string()))
    given = {"phase": _constant(phase, len(samples)), "agent": agent}
    return _table(arrow_schema(TELEMETRY, ""), of, given, samples)


def token_table(raw: pa.Table, phase: str) -> pa.Table:
    """The chunks in a run file, one row each; of failed executions too."""
    nested = raw["steps"].combine_chunks()
    chunks = pc.struct_field(pc.list_flatten(nested), "chunk_ns")
    row_of_step = np.asarray(pc.list_parent_indices(nested))
    step_of_chunk = np.asarray(pc.list_parent_indices(chunks))
    row = row_of_step[step_of_chunk]
    of = raw.select([*_KEYS, "mode", "agent"]).take(pa.array(row))
    given = {
        "phase": _constant(phase, len(row)),
        # Rows rise, so that what stands before the first of a row is what to count from.
        "step": pa.array(step_of_chunk - np.searchsorted(row_of_step, row), pa.int64()),
        "chunk": pa.array(np.arange(len(row)) - np.searchsorted(row, row), pa.int64()),
        "t_ns": pc.list_flatten(chunks),
    }
    return _table(arrow_schema(TOKENS, ""), of, given)


def _table(
    schema: pa.Schema, of: pa.Table, given: dict[str, Any], samples: pa.StructArray | None = None
) -> pa.Table:
    """Columns by name: those that are ``given``, then those ``of`` a row, else of its samples."""

    def column(name: str) -> Any:  # noqa: ANN401 - an array, chunked or not
        if name in given:
            return given[name]
        return of[name] if name in of.column_names else pc.struct_field(samples, name)

    return pa.table([column(name) for name in schema.names], schema=schema)


def _constant(text: str, n: int) -> pa.Array:
    return pa.repeat(pa.scalar(text), n)
