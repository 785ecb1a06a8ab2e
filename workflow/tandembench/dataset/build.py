"""Phases of a study -> its dataset: tables and the descriptor that vouches for them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tandembench.dataset.aggregate import Row
from tandembench.dataset.calibrations import read_calibrations
from tandembench.dataset.columns import EXECUTIONS, RATES, STUDY_RUNS, TELEMETRY, TOKENS
from tandembench.dataset.descriptor import write_descriptor
from tandembench.dataset.manifest import read_manifest
from tandembench.dataset.parquet import (
    read_file,
    read_rows,
    read_table,
    write_table,
    write_tables,
)
from tandembench.dataset.rates import rates
from tandembench.invocation import declarations
from tandembench.metrics import makespan_ratio


def build_dataset(manifest_file: Path, folder: Path) -> None:
    """Join the phases that the study's manifest names into the dataset at ``folder``."""
    manifest = read_manifest(manifest_file)
    phases = manifest_file.parent / "phases"
    runs: list[Row] = []
    executions: list[Row] = []
    telemetry: list[Row] = []
    tokens = []
    found: dict[str, list[Any]] = {"machines": [], "measuring_code": []}
    for phase in (phase["name"] for phase in manifest["phases"]):
        of_phase, note = read_file(phases / f"{phase}.parquet")
        runs += of_phase
        executions += read_rows(phases / f"{phase}.executions.parquet")
        telemetry += read_rows(phases / f"{phase}.telemetry.parquet")
        tokens.append(read_table(phases / f"{phase}.tokens.parquet"))
        for key, values in note.items():
            found[key] += [value for value in values if value not in found[key]]
    runs = with_makespan_ratio(runs, manifest["reference"])
    write_table(folder / "runs.parquet", "runs", STUDY_RUNS, runs)
    write_table(folder / "executions.parquet", "executions", EXECUTIONS, executions)
    write_table(folder / "telemetry.parquet", "telemetry", TELEMETRY, telemetry)
    write_tables(folder / "tokens.parquet", "tokens", TOKENS, tokens)
    write_table(folder / "rates.parquet", "rates from overlap", RATES, rates(runs, executions))
    instrument = read_calibrations(manifest["calibrations"])
    noted, used = declarations(manifest_file.parent), {run["invocation"] for run in runs}
    declared = {name: noted[name] for name in sorted(noted.keys() & used)}
    write_descriptor(folder, manifest, runs, executions, found, instrument, declared)


def with_makespan_ratio(runs: Sequence[Mapping[str, Any]], reference: str) -> list[Row]:
    """The runs with makespan_ratio against the ``reference`` topology, paired by round.

    Null without a comparable run of the workload's reference config in the same session,
    invocation and round, and where the work was not fixed: a shorter answer is no faster server.
    """
    references = reference_configs(runs, reference)
    walls = {
        _round(run): run["wall_s"]
        for run in runs
        if comparable(run) and references.get(run["workload"]) == run["config_id"]
    }
    rows = []
    for run in runs:
        wall_s = walls.get(_round(run)) if comparable(run) else None
        found: Row = {"reference_config_id": None, "makespan_ratio": None}
        if wall_s is not None:
            found["reference_config_id"] = references[run["workload"]]
            found["makespan_ratio"] = makespan_ratio(wall_s, run["wall_s"])
        rows.append({**run, **found})
    return rows


def reference_configs(runs: Sequence[Mapping[str, Any]], reference: str) -> dict[str, str]:
    """One reference config for each workload: most comparable runs, then the smallest id."""
    counts = Counter(
        (run["workload"], run["config_id"])
        for run in runs
        if run["topology"] == reference and comparable(run)
    )
    chosen: dict[str, str] = {}
    for workload, config_id in sorted(counts, key=lambda key: (-counts[key], *key)):
        chosen.setdefault(workload, config_id)
    return chosen


def comparable(run: Mapping[str, Any]) -> bool:
    """Whether a run's wall time may stand beside that of another topology."""
    return bool(run["valid"]) and run["work_effective"] == "fixed"


def _round(run: Mapping[str, Any]) -> tuple[Any, ...]:
    return run["session"], run["invocation"], run["repetition"], run["workload"]
