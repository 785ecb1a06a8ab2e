"""Run files -> the tables of a phase."""

import json
from pathlib import Path
from typing import Any

import pytest
from raw_blocks import MACHINE, block, failed, no_server, side_by_side, where, write_run_file

from tandembench.dataset.aggregate import aggregate_phase
from tandembench.errors import TandemError
from tandembench.tables.columns import EXECUTIONS, RUN_FILE, RUNS
from tandembench.tables.parquet import read_file, read_rows, write_table

Row = dict[str, Any]
KEY = {
    "session": "s1",
    "comparison": "w1",
    "repetition": 1,
    "round": 1,
    "config_id": "dual",
    "twin": False,
    "attempt": 1,
    "phase": "main",
}


def aggregate(tmp_path: Path, *files: Path) -> tuple[list[Row], list[Row], dict[str, Any]]:
    manifest = tmp_path / "main.manifest.json"
    manifest.write_text(json.dumps({"phase": "main", "run_files": [str(file) for file in files]}))
    runs, executions = tmp_path / "main.parquet", tmp_path / "main.executions.parquet"
    telemetry, tokens = (tmp_path / f"main.{name}.parquet" for name in ("telemetry", "tokens"))
    aggregate_phase(manifest, runs, executions, telemetry, tokens)
    return read_rows(runs), read_rows(executions), read_file(runs)[1]


def test_a_failed_attempt_stands_beside_the_valid_one(tmp_path: Path) -> None:
    second = [row | {"attempt": 2} for row in block("dual", (1.0, 1.0), (2.0, 2.0))]
    first = failed(block(), "collector", "concurrent", "oom")
    file = write_run_file(tmp_path / "a.parquet", [*second, *first])
    runs, executions, _ = aggregate(tmp_path, file)
    assert [(run["attempt"], run["valid"], run["reason"]) for run in runs] == [
        (1, False, "collector concurrent: oom"),
        (2, True, None),
    ]
    assert [run["speedup_true"] for run in runs] == [None, pytest.approx(1.0)]
    assert [row["attempt"] for row in executions] == [1, 1, 1, 1, 2, 2, 2, 2]


def test_aggregates_hold_all_their_columns_and_the_machines(tmp_path: Path) -> None:
    other = {**MACHINE, "cores": 64}
    files = [
        write_run_file(tmp_path / "a.parquet", block(), {**MACHINE, "load_1min": 0.7}),
        write_run_file(tmp_path / "b.parquet", block("single"), other),
        write_run_file(tmp_path / "c.parquet", block("serial"), MACHINE),
    ]
    runs, executions, found = aggregate(tmp_path, *files)
    assert [run["config_id"] for run in runs] == ["dual", "single", "serial"]  # the manifest's
    assert set(runs[0]) == {column.name for column in RUNS}
    assert set(executions[0]) == {column.name for column in EXECUTIONS}
    known = {key: value for key, value in MACHINE.items() if key != "load_1min"}
    assert found == {"machines": [known, known | {"cores": 64}], "measuring_code": ["c0de"]}


def test_a_table_that_is_no_run_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, "raw", RUN_FILE, block())
    with pytest.raises(TandemError, match="not a run file") as caught:
        aggregate(tmp_path, path)
    assert caught.value.exit_code == 3


def test_a_run_file_of_one_config_a_block_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    old = [column for column in RUN_FILE if column.name not in ("comparison", "round", "twin")]
    write_table(path, "raw", old, block(), {"spec": {"code": "c0de"}, "machine": MACHINE})
    with pytest.raises(TandemError, match="not a run file"):
        aggregate(tmp_path, path)


def test_a_block_of_several_configs_is_aggregated_once(tmp_path: Path) -> None:
    rows = side_by_side(block("dual"), block("serial"), rounds=3, twin="serial")
    runs, executions, _ = aggregate(tmp_path, write_run_file(tmp_path / "a.parquet", rows))
    assert len(runs) == 9
    assert len(executions) == 20
    tokens = read_rows(tmp_path / "main.tokens.parquet")
    key = (*KEY, "mode", "agent", "chunk")
    assert len({tuple(row[name] for name in key) for row in tokens}) == len(tokens) == 20 * 8


def test_every_sample_becomes_a_row_that_knows_its_execution(tmp_path: Path) -> None:
    rows = block()
    client = {"t_ns": 10, "subject": "client", "cores": 0.02, "memory_bytes": 5}
    gpu = {"t_ns": 10, "subject": "gpu 0", "utilisation": 0.5, "throttle": "SwPowerCap"}
    where(rows, "solo", "insight")[0]["telemetry"] = [client]
    where(rows, "concurrent", "collector")[0]["telemetry"] = [client, gpu]
    aggregate(tmp_path, write_run_file(tmp_path / "a.parquet", rows))
    found = read_rows(tmp_path / "main.telemetry.parquet")
    assert sorted((row["mode"], row["agent"] or "", row["subject"]) for row in found) == [
        ("concurrent", "", "client"),
        ("concurrent", "", "gpu 0"),
        ("solo", "insight", "client"),
    ]
    by_subject = {row["subject"]: row for row in found if row["mode"] == "concurrent"}
    nothing = dict.fromkeys(
        (
            "cores",
            "memory_bytes",
            "clock_mhz",
            "utilisation",
            "power_w",
            "temperature_c",
            "throttle",
        )
    )
    shared = KEY | nothing | {"mode": "concurrent", "agent": None}
    assert by_subject == {"client": shared | client, "gpu 0": shared | gpu}


def test_every_chunk_becomes_a_row_of_its_execution(tmp_path: Path) -> None:
    rows = block("dual", (1.0, 2.0), (1.5, 3.0), tokens=(3, 2), steps=2, between_s=0.5)
    second = [row | {"attempt": 2} for row in failed(rows, "collector", "concurrent", "reset")]
    aggregate(tmp_path, write_run_file(tmp_path / "a.parquet", [*rows, *second]))
    found = read_rows(tmp_path / "main.tokens.parquet")
    assert all(row | {"attempt": 1} == row | KEY for row in found)
    own = [row for row in found if row["attempt"] == 1]
    own = [row for row in own if (row["agent"], row["mode"]) == ("insight", "concurrent")]
    # two steps of 1.5 s, half a second apart: content from 0.2 to 0.9 of each
    assert [(row["step"], row["chunk"], row["t_ns"]) for row in own] == [
        (0, 0, 300_000_000),
        (0, 1, 1_350_000_000),
        (1, 2, 2_300_000_000),
        (1, 3, 3_350_000_000),
    ]
    # what came before an execution failed is kept, and so is its attempt's number
    counts = [
        sum(
            (one["agent"], one["mode"], one["attempt"]) == (row["agent"], row["mode"], 2)
            for one in found
        )
        for row in rows
    ]
    assert counts == [6, 4, 6, 4]


def test_without_steps_there_are_no_tokens(tmp_path: Path) -> None:
    aggregate(tmp_path, write_run_file(tmp_path / "a.parquet", no_server(block())))
    assert read_rows(tmp_path / "main.tokens.parquet") == []
