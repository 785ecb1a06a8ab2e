"""Run files of one phase -> its tables: runs, executions, telemetry, tokens."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tandembench.dataset.blocks import Row, block_rows
from tandembench.dataset.identity import RunFile, read_digested, read_run_file
from tandembench.tables.columns import EXECUTIONS, KEYS, RUNS, TELEMETRY, TOKENS, arrow_schema
from tandembench.tables.parquet import write_table, write_tables

_OF = [*(column.name for column in KEYS), "mode", "agent"]


def aggregate_phase(
    manifest_file: Path,
    runs_file: Path,
    executions_file: Path,
    telemetry_file: Path,
    tokens_file: Path,
) -> None:
    """Write a phase's tables from the run files that its manifest names, each read once."""
    manifest = read_digested(manifest_file)
    phase = manifest["phase"]
    runs: list[Row] = []
    executions: list[Row] = []
    telemetry, tokens = [], []
    machines: list[Mapping[str, object]] = []
    codes: set[str] = set()
    for name in manifest["run_files"]:
        file = read_run_file(Path(name))
        if file.machine not in machines:
            machines.append(file.machine)
        codes.add(file.code)
        telemetry.append(_telemetry(file.rows, phase))
        tokens.append(_tokens(file.rows, phase))
        of_block = block_rows(file.rows.drop_columns(["telemetry"]).to_pylist(), phase)
        runs += of_block[0]
        executions += of_block[1]
    note: dict[str, object] = {"tables": manifest_file.name.removesuffix(".manifest.json")}
    origin = {"machines": machines, "measuring_code": sorted(codes)}
    write_tables(tokens_file, f"tokens of phase {phase}", TOKENS, tokens, note)
    write_tables(telemetry_file, f"telemetry of phase {phase}", TELEMETRY, telemetry, note)
    write_table(executions_file, f"executions of phase {phase}", EXECUTIONS, executions, note)
    write_table(runs_file, f"runs of phase {phase}", RUNS, runs, note | origin)


def has_failed(file: RunFile) -> bool:
    """Whether a block has a config without a valid run."""
    runs, _ = block_rows(file.rows.to_pylist(), "")
    return {run["config_id"] for run in runs} > {run["config_id"] for run in runs if run["valid"]}


def _telemetry(raw: pa.Table, phase: str) -> pa.Table:
    """The samples in a run file, one row each; their agent is null in runs, which are of all."""
    nested = raw["telemetry"].combine_chunks()
    samples = pc.list_flatten(nested)
    of = raw.select(_OF).take(pc.list_parent_indices(nested))
    agent = pc.if_else(pc.equal(of["mode"], "solo"), of["agent"], pa.scalar(None, pa.string()))
    columns = {field.name: pc.struct_field(samples, field.name) for field in samples.type}
    columns |= {name: of[name] for name in _OF}
    columns |= {"phase": pa.repeat(phase, len(samples)), "agent": agent}
    return _table(arrow_schema(TELEMETRY, ""), columns)


def _tokens(raw: pa.Table, phase: str) -> pa.Table:
    """The chunks in a run file, one row each; of failed executions too."""
    nested = raw["steps"].combine_chunks()
    chunks = pc.struct_field(pc.list_flatten(nested), "chunk_ns")
    row_of_step = np.asarray(pc.list_parent_indices(nested))
    step_of_chunk = np.asarray(pc.list_parent_indices(chunks))
    row = row_of_step[step_of_chunk]
    of = raw.select(_OF).take(pa.array(row))
    columns = {name: of[name] for name in _OF} | {
        "phase": pa.repeat(phase, len(row)),
        # Rows rise, so that what stands before the first of a row is what to count from.
        "step": pa.array(step_of_chunk - np.searchsorted(row_of_step, row), pa.int64()),
        "chunk": pa.array(np.arange(len(row)) - np.searchsorted(row, row), pa.int64()),
        "t_ns": pc.list_flatten(chunks),
    }
    return _table(arrow_schema(TOKENS, ""), columns)


def _table(schema: pa.Schema, columns: Mapping[str, pa.Array]) -> pa.Table:
    return pa.table([columns[name] for name in schema.names], schema=schema)
