"""Phases of a study -> its dataset: tables and the descriptor that vouches for them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from tandembench.calibrate.record import read_instruments
from tandembench.dataset.blocks import Row
from tandembench.dataset.descriptor import OF_EXECUTIONS, write_descriptor
from tandembench.dataset.manifest import read_manifest
from tandembench.dataset.rates import COLUMNS, rates
from tandembench.invocation import declarations
from tandembench.tables.columns import (
    EXECUTIONS,
    RATES,
    STUDY_RUNS,
    TELEMETRY,
    TOKENS,
    Column,
)
from tandembench.tables.parquet import read_file, read_table, write_table, write_tables

# Tables that a dataset takes over from its phases as they are.
_JOINED: Mapping[str, Sequence[Column]] = {
    "executions": EXECUTIONS,
    "telemetry": TELEMETRY,
    "tokens": TOKENS,
}


def build_dataset(manifest_file: Path, folder: Path) -> None:
    """Join the phases that the study's manifest names into the dataset at ``folder``."""
    manifest = read_manifest(manifest_file)
    phases = [phase["tables"] for phase in manifest["phases"]]
    runs: list[Row] = []
    origin: dict[str, list[Any]] = {"machines": [], "measuring_code": []}
    for tables in phases:
        of_phase, note = read_file(Path(f"{tables}.parquet"))
        runs += of_phase
        for key, values in note.items():
            origin[key] += [value for value in values if value not in origin[key]]
    runs = with_makespan_ratio(runs, manifest["reference"])
    write_table(folder / "runs.parquet", "runs", STUDY_RUNS, runs)
    joined = {
        table: [read_table(Path(f"{tables}.{table}.parquet")) for tables in phases]
        for table in _JOINED
    }
    for table, columns in _JOINED.items():
        write_tables(folder / f"{table}.parquet", table, columns, joined[table])
    executions = _rows(joined["executions"], [*COLUMNS, *OF_EXECUTIONS])
    write_table(folder / "rates.parquet", "rates from overlap", RATES, rates(runs, executions))
    instruments = read_instruments(manifest["calibrations"])
    instrument = {name: asdict(one) for name, one in instruments.items()} or None
    noted, used = declarations(manifest_file.parent), {run["invocation"] for run in runs}
    declared = {name: noted[name] for name in sorted(noted.keys() & used)}
    write_descriptor(folder, manifest, runs, executions, origin, instrument, declared)


def _rows(tables: Sequence[pa.Table], names: Sequence[str]) -> list[Row]:
    wanted = list(dict.fromkeys(names))
    return [row for table in tables for row in table.select(wanted).to_pylist()]


def with_makespan_ratio(runs: Sequence[Mapping[str, Any]], reference: str) -> list[Row]:
    """The runs with makespan_ratio against the ``reference`` topology, paired by round.

    Null without a comparable run of the comparison's reference config, doing the same work, in the
    same attempt at the round, and where the work was not fixed: a shorter answer is no faster
    server. A twin, too, stands against the first run of the reference.
    """
    references = reference_configs(runs, reference)
    walls = {
        _round(run): run["wall_s"]
        for run in runs
        if comparable(run) and not run["twin"] and references.get(_work(run)) == run["config_id"]
    }
    rows = []
    for run in runs:
        wall_s = walls.get(_round(run)) if comparable(run) else None
        added: Row = {"reference_config_id": None, "makespan_ratio": None}
        if wall_s is not None:
            added["reference_config_id"] = references[_work(run)]
            added["makespan_ratio"] = wall_s / run["wall_s"]
        rows.append({**run, **added})
    return rows


def reference_configs(
    runs: Sequence[Mapping[str, Any]], reference: str
) -> dict[tuple[Any, Any], str]:
    """One reference config for each (comparison, workload).

    Of several the one with most comparable runs, then the smallest id.
    """
    counts = Counter(
        (*_work(run), run["config_id"])
        for run in runs
        if run["topology"] == reference and comparable(run)
    )
    chosen: dict[tuple[Any, Any], str] = {}
    for *work, config_id in sorted(counts, key=lambda key: (-counts[key], *key)):
        chosen.setdefault((work[0], work[1]), config_id)
    return chosen


def comparable(run: Mapping[str, Any]) -> bool:
    """Whether a run's wall time may stand beside that of another topology."""
    return bool(run["valid"]) and run["work_effective"] == "fixed"


def _work(run: Mapping[str, Any]) -> tuple[Any, Any]:
    return run["comparison"], run["workload"]


def _round(run: Mapping[str, Any]) -> tuple[Any, ...]:
    return run["session"], run["repetition"], run["round"], run["attempt"], *_work(run)
