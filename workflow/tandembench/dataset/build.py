"""Phases of a study -> its dataset: tables and the descriptor that vouches for them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tandembench.calibrate.record import read_instruments
from tandembench.dataset.descriptor import PROFILE, SCHEMA_VERSION, Json, resource_of, seal
from tandembench.dataset.identity import read_digested, read_phase_table
from tandembench.dataset.manifest import declarations
from tandembench.dataset.rates import rates
from tandembench.study.spec import TABLES
from tandembench.tables.columns import (
    EXECUTIONS,
    KEY_OF,
    RATES,
    RUNS,
    STUDY_RUNS,
    TELEMETRY,
    TOKENS,
    Column,
    arrow_schema,
)
from tandembench.tables.parquet import note_of, write_tables

_TABLES: Mapping[str, Sequence[Column]] = {
    "runs": STUDY_RUNS,
    "executions": EXECUTIONS,
    "telemetry": TELEMETRY,
    "tokens": TOKENS,
    "rates": RATES,
}
# What a manifest holds of how the dataset is made; all the rest says what was asked.
_NOT_OF_STUDY = {"study", "title", "analysing_code", "run_files", "calibrations"}
_NOT_OF_PHASES = {"manifest", "tables"}


def build_dataset(manifest_file: Path, folder: Path) -> None:
    """Join the phases that the study's manifest names into the dataset at ``folder``."""
    manifest = read_digested(manifest_file)
    kinds = {"runs": RUNS, "executions": EXECUTIONS, "telemetry": TELEMETRY, "tokens": TOKENS}
    places = [phase["tables"] for phase in manifest["phases"]]
    tables = {
        name: [read_phase_table(Path(f"{place}{end}"), columns) for place in places]
        for (name, columns), end in zip(kinds.items(), TABLES, strict=True)
    }
    origin: dict[str, list[object]] = {"machines": [], "measuring_code": []}
    for table in tables["runs"]:
        for key, values in origin.items():
            values += [value for value in note_of(table)[key] if value not in values]
    tables["runs"] = [_runs(tables["runs"], manifest["reference"])]
    instruments = read_instruments(manifest["calibrations"])
    asked = {key: value for key, value in manifest.items() if key not in _NOT_OF_STUDY}
    asked["phases"] = [
        {key: value for key, value in phase.items() if key not in _NOT_OF_PHASES}
        for phase in manifest["phases"]
    ]
    noted = declarations(manifest_file.parent)
    used = set(pc.unique(tables["runs"][0]["invocation"]).to_pylist())
    about = {
        "name": manifest["study"],
        "title": manifest["title"],
        "sources": [{"title": f"runs of the study {manifest['study']}, measured by tandem-bench"}],
        "study": asked,
        "instrument": {name: asdict(one) for name, one in instruments.items()} or None,
        "declared": {name: noted[name] for name in sorted(noted.keys() & used)},
    }
    write_dataset(folder, tables, about, {**origin, "analysing_code": manifest["analysing_code"]})


def write_dataset(
    folder: Path,
    tables: Mapping[str, Sequence[pa.Table]],
    about: Mapping[str, object],
    origin: Mapping[str, object],
) -> None:
    """Write ``tables`` and their rates from overlap to ``folder``, and the descriptor of all.

    A table that is not given is empty. Times come from the data, so that the same rows give the
    same bytes. ``about`` is what the descriptor says beside the tables, ``origin`` the fingerprints
    of machines and code.
    """
    runs, executions = (pa.concat_tables(tables[name]) for name in ("runs", "executions"))
    every = {**tables, "rates": [rates(runs, executions)]}
    titles = {"rates": "rates from overlap"}
    for name, columns in _TABLES.items():
        path = folder / f"{name}.parquet"
        write_tables(path, titles.get(name, name), columns, every.get(name, ()))
    created = pc.max(runs["started_at"]).as_py()
    boots = {boot for boot in pc.unique(runs["boot_id"]).to_pylist() if boot}
    content = {
        "$schema": PROFILE,
        "schema_version": SCHEMA_VERSION,
        **about,
        **({"created": created.isoformat()} if created else {}),
        "resources": [
            resource_of(folder / f"{name}.parquet", columns, KEY_OF.get(name, ()))
            for name, columns in _TABLES.items()
        ],
        "fingerprints": {
            **origin,
            "servers": _identities(executions, "engine", "engine_version"),
            "models": _identities(executions, "model", "model_digest"),
            "boots": sorted(boots),
        },
    }
    seal(folder, content)


def _identities(executions: pa.Table, name: str, identity: str) -> list[Json]:
    """What was measured, with its distinct identities; null where no execution learned one.

    An execution that failed may know none, which says nothing where another one does.
    """
    distinct = executions.group_by([name, identity]).aggregate([]).to_pylist()
    known = {row[name] for row in distinct if row[identity] is not None}
    kept = [row for row in distinct if row[identity] is not None or row[name] not in known]
    return sorted(kept, key=lambda row: str((row[name], row[identity])))


def _runs(phases: Sequence[pa.Table], reference: str) -> pa.Table:
    """The runs of all phases, with the columns that only the whole study can say."""
    runs = pa.concat_tables(phases)
    frame = runs.select([*KEY_OF["runs"], "workload", "topology", "valid", "equal_work_s"])
    ratios = makespan_ratios(frame.to_pandas(), reference)
    schema = arrow_schema(STUDY_RUNS, "")
    columns = dict(zip(runs.column_names, runs.columns, strict=True))
    for name in schema.names:
        if name not in columns:
            values = ratios[name] if name in ratios else [None] * len(runs)
            columns[name] = pa.array(values, schema.field(name).type, from_pandas=True)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def makespan_ratios(runs: pd.DataFrame, reference: str) -> pd.DataFrame:
    """reference_config_id and makespan_ratio of each run, against the ``reference`` topology.

    Runs are paired by round. Null without a comparable run of the comparison's reference config,
    doing the same work, in the same attempt at the round, and at natural work: a shorter answer is
    no faster server. Where fixed work ended early, what all of the round have done is compared. A
    twin, too, stands against the first run of the reference. Of several reference configs of one
    work the one with most comparable runs counts, then the smallest id.
    """
    work = ["comparison", "workload"]
    pairing = ["session", "repetition", "round", "attempt", *work]
    # Only times of equal work may stand beside each other.
    comparable = runs["valid"].astype(bool) & runs["equal_work_s"].notna()
    references = runs[comparable & runs["topology"].eq(reference)]
    configs = references.groupby([*work, "config_id"], dropna=False).size().reset_index(name="n")
    chosen = configs.sort_values(["n", "config_id"], ascending=[False, True]).drop_duplicates(work)
    first = references[~references["twin"].astype(bool)].merge(chosen, on=[*work, "config_id"])
    walls = first[[*pairing, "config_id", "equal_work_s"]].rename(
        columns={"config_id": "reference_config_id", "equal_work_s": "reference_s"}
    )
    times = runs[[*pairing, "equal_work_s"]]
    paired = times.merge(walls, on=pairing, how="left").set_index(runs.index)
    paired["makespan_ratio"] = paired["reference_s"] / paired["equal_work_s"]
    return paired[["reference_config_id", "makespan_ratio"]].where(comparable)
