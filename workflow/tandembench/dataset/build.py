"""Phases of a study -> its dataset: two tables and the descriptor that vouches for them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tandembench.dataset.aggregate import Row
from tandembench.dataset.columns import EXECUTIONS, STUDY_RUNS
from tandembench.dataset.descriptor import write_descriptor
from tandembench.dataset.manifest import read_manifest
from tandembench.dataset.parquet import read_note, read_rows, write_table
from tandembench.metrics import makespan_ratio


def build_dataset(manifest_file: Path, folder: Path) -> None:
    """Join the phases that the study's manifest names into the dataset at ``folder``."""
    manifest = read_manifest(manifest_file)
    phases = manifest_file.parent / "phases"
    runs: list[Row] = []
    executions: list[Row] = []
    found: dict[str, list[Any]] = {"machines": [], "measuring_code": []}
    for phase in (phase["name"] for phase in manifest["phases"]):
        runs += read_rows(phases / f"{phase}.parquet")
        executions += read_rows(phases / f"{phase}.executions.parquet")
        for key, values in read_note(phases / f"{phase}.parquet").items():
            found[key] += [value for value in values if value not in found[key]]
    runs = with_makespan_ratio(runs, manifest["reference"])
    write_table(folder / "runs.parquet", "runs", STUDY_RUNS, runs)
    write_table(folder / "executions.parquet", "executions", EXECUTIONS, executions)
    write_descriptor(folder, manifest, runs, executions, found)


def with_makespan_ratio(runs: Sequence[Mapping[str, Any]], reference: str) -> list[Row]:
    """The runs with makespan_ratio against the ``reference`` topology, paired by round.

    Null without a valid reference in the same session and round, for other workloads, and where
    the work was not fixed: a shorter answer is no faster server.
    """
    walls: dict[tuple[Any, ...], tuple[str, float]] = {}
    for run in sorted(runs, key=lambda run: str(run["config_id"]), reverse=True):
        if run["topology"] == reference and _comparable(run):
            walls[_round(run)] = (run["config_id"], run["wall_s"])
    rows = []
    for run in runs:
        config_id, wall_s = walls.get(_round(run), (None, None))
        known = wall_s is not None and _comparable(run)
        rows.append(
            {
                **run,
                "reference_config_id": config_id if known else None,
                "makespan_ratio": makespan_ratio(wall_s, run["wall_s"])
                if known and wall_s is not None
                else None,
            }
        )
    return rows


def _comparable(run: Mapping[str, Any]) -> bool:
    return bool(run["valid"]) and run["work_effective"] == "fixed"


def _round(run: Mapping[str, Any]) -> tuple[Any, ...]:
    return run["session"], run["repetition"], run["workload"]
