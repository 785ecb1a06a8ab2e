"""Run files -> phases -> dataset: tables, paired ratios, the descriptor, and a load that checks."""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from raw_blocks import (
    MACHINE,
    START,
    block,
    calibration,
    failed,
    no_server,
    rounds,
    side_by_side,
    where,
    write_block,
    write_dataset,
    write_json,
)

from tandembench.dataset.aggregate import aggregate_phase
from tandembench.dataset.build import makespan_ratios
from tandembench.dataset.descriptor import read_descriptor, seal
from tandembench.dataset.load import load_dataset
from tandembench.errors import TandemError
from tandembench.tables.columns import EXECUTIONS, RATES, STUDY_RUNS, TELEMETRY, TOKENS
from tandembench.tables.parquet import note_of, read_table, write_table

Row = dict[str, Any]
KEY: Row = {"session": "s1", "comparison": "w1", "repetition": 1, "round": 1}
KEY |= {"config_id": "dual", "twin": False, "attempt": 1, "phase": "main"}


# Phases


def aggregate(tmp_path: Path, *files: Path) -> dict[str, list[Row]]:
    """The rows of each table of a phase."""
    asked = {"phase": "main", "run_files": [str(file) for file in files]}
    manifest = write_json(tmp_path, "main.{}.manifest.json", asked)
    names = ("runs", "executions", "telemetry", "tokens")
    paths = {name: tmp_path / f"main.{name}.parquet" for name in names}
    aggregate_phase(manifest, *paths.values())
    return {name: read_table(path).to_pylist() for name, path in paths.items()}


def test_a_phase_is_made_of_whole_blocks(tmp_path: Path) -> None:
    second = [row | {"attempt": 2} for row in block("dual", (1.0, 1.0), (2.0, 2.0))]
    first = failed(block(), "collector", "concurrent", "oom")
    wide = side_by_side(block("dual"), block("serial"), rounds=3, twin="serial", repetition=2)
    files = [
        write_block(tmp_path, [*second, *first], {**MACHINE, "load_1min": 0.7}),
        write_block(tmp_path, wide, {**MACHINE, "cores": 64}),
        write_block(tmp_path, no_server(block("single"))),
    ]
    phase = aggregate(tmp_path, *files)
    runs = phase["runs"]
    # as the manifest lists the blocks; a failed attempt stands beside the valid one
    assert [(run["attempt"], run["valid"], run["reason"]) for run in runs[:2]] == [
        (1, False, "collector concurrent: oom"),
        (2, True, None),
    ]
    assert [run["speedup_true"] for run in runs[:2]] == [None, pytest.approx(1.0)]
    assert [run["config_id"] for run in runs[2:]] == ["dual", "serial", "serial"] * 3 + ["single"]
    assert len(phase["executions"]) == 8 + 20 + 2
    # what came before an execution failed is kept; without a server there is none
    key = (*KEY, "mode", "agent", "chunk")
    keys = {tuple(row[name] for name in key) for row in phase["tokens"]}
    assert len(keys) == len(phase["tokens"]) == 28 * 8
    known = {key: value for key, value in MACHINE.items() if key != "load_1min"}
    note = note_of(read_table(tmp_path / "main.runs.parquet"))
    assert note == {
        "tables": note["tables"],
        "machines": [known, known | {"cores": 64}],
        "measuring_code": ["c0de"],
    }


def test_samples_and_chunks_become_rows_that_know_their_execution(tmp_path: Path) -> None:
    rows = block("dual", (1.0, 2.0), (1.5, 3.0), tokens=(3, 2), steps=2, between_s=0.5)
    client = {"t_ns": 10, "subject": "client", "cores": 0.02, "memory_bytes": 5}
    gpu = {"t_ns": 10, "subject": "gpu 0", "utilisation": 0.5, "throttle": "SwPowerCap"}
    where(rows, "solo", "insight")[0]["telemetry"] = [client]
    where(rows, "concurrent", "collector")[0]["telemetry"] = [client, gpu]
    phase = aggregate(tmp_path, write_block(tmp_path, rows))
    unknown = dict.fromkeys(column.name for column in TELEMETRY)
    of_run, of_solo = ({"mode": "concurrent"}, {"mode": "solo", "agent": "insight"})
    expected = [unknown | KEY | of_run | client, unknown | KEY | of_run | gpu]
    expected.append(unknown | KEY | of_solo | client)
    assert sorted(phase["telemetry"], key=str) == sorted(expected, key=str)
    tokens = phase["tokens"]
    insight = [row for row in tokens if (row["agent"], row["mode"]) == ("insight", "concurrent")]
    assert all(row == row | KEY for row in tokens)
    # two steps of 1.5 s, half a second apart: content from 0.2 to 0.9 of each
    assert [(row["step"], row["chunk"], row["t_ns"]) for row in insight] == [
        (0, 0, 300_000_000),
        (0, 1, 1_350_000_000),
        (1, 2, 2_300_000_000),
        (1, 3, 3_350_000_000),
    ]


# Ratios of wall times


def a_run(config_id: str, wall_s: float | None, **changes: Any) -> Row:
    row = {"config_id": config_id, "topology": config_id.partition("-")[0], "equal_work_s": wall_s}
    of = {"comparison": "c1", "workload": "w1", "valid": True}
    return KEY | row | of | changes


def ratios(runs: list[Row], reference: str = "serial") -> list[tuple[str | None, float | None]]:
    columns = makespan_ratios(pd.DataFrame(runs), reference)
    pairs = zip(columns["reference_config_id"], columns["makespan_ratio"], strict=True)
    return [(None, None) if pd.isna(ratio) else (name, ratio) for name, ratio in pairs]


def test_a_ratio_is_the_reference_over_the_run() -> None:
    runs = [a_run("dual", 1.6), a_run("serial", 4.0)]
    assert ratios(runs) == [("serial", 2.5), ("serial", 1.0)]
    assert ratios(runs, "dual") == [("dual", 1.0), ("dual", 0.4)]


@pytest.mark.parametrize("key", ["session", "repetition", "round", "attempt", "comparison"])
def test_runs_are_paired_within_a_round(key: str) -> None:
    places: list[Row] = [{key: n if key != "session" else f"s{n}"} for n in (1, 2, 3)]
    runs = [a_run("serial", float(n), **place) for n, place in enumerate(places[:2], start=1)]
    runs += [a_run("dual", 1.0, **place) for place in places]
    assert [ratio for _, ratio in ratios(runs)[2:]] == [1.0, 2.0, None]


def test_a_twin_stands_against_the_first_run() -> None:
    runs = [a_run("serial", 4.0), a_run("serial", 5.0, twin=True), a_run("dual", 1.6)]
    runs += [a_run("dual", 2.0, twin=True)]
    assert [ratio for _, ratio in ratios(runs)] == [1.0, 0.8, 2.5, 2.0]
    # and is no reference itself
    assert ratios(runs[1:])[-2:] == [(None, None)] * 2


@pytest.mark.parametrize(
    "changes",
    [
        {"workload": "w2"},
        {"equal_work_s": None},
        {"valid": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("of", ["serial", "dual"])
def test_there_is_no_ratio_of_what_is_not_comparable(changes: Row, of: str) -> None:
    runs = [a_run("serial", 4.0), a_run("dual", 1.6)]
    runs = [run | changes if run["config_id"] == of else run for run in runs]
    assert ratios(runs)[1] == (None, None)


def test_one_reference_serves_a_whole_comparison() -> None:
    later, first = a_run("serial-b", 4.0), a_run("serial-a", 2.0)
    dual = a_run("dual", 1.0)
    assert ratios([later, first, dual]) == [("serial-a", 0.5), ("serial-a", 1.0), ("serial-a", 2.0)]
    # the one with more comparable runs, even where the other one has a run
    more = a_run("serial-b", 6.0, repetition=2)
    assert ratios([later, first, more, dual])[3] == ("serial-b", 4.0)
    # never two in one column: a round without the chosen one has none
    alone = [a_run("serial-a", 2.0, repetition=3), a_run("dual", 1.0, repetition=3)]
    pool = [later, more, a_run("serial-b", 4.0, repetition=4), first, *alone]
    assert ratios(pool)[-1] == (None, None)
    # and each work and comparison has its own
    runs = [a_run("serial-a", 2.0), dual]
    runs += [a_run("serial-b", 6.0, workload="w2"), a_run("dual-b", 1.0, workload="w2")]
    assert ratios(runs)[1::2] == [("serial-a", 2.0), ("serial-b", 6.0)]


# Datasets


def a_study(folder: Path, **changes: Any) -> Path:
    blocks = rounds(2, block("serial"), block("dual", (1.0, 1.0), (1.2, 1.2)))
    return write_dataset(folder, blocks, **changes)


def test_a_dataset_joins_its_phases(tmp_path: Path) -> None:
    phases = {"one": ["dual"], "two": ["serial"]}
    files = [calibration("s2"), calibration("s1", stamp_us=11.0)]
    asked = {"criteria": ["memory"], "placement": "in_turn", "file": "config/mine.yaml"}
    folder = a_study(tmp_path, phases=phases, calibrations=files, **asked)
    dataset = load_dataset(folder)
    runs = dataset.runs
    keys = runs[["phase", "config_id", "repetition"]].to_numpy().tolist()
    assert keys == [[*of, n] for of in (("one", "dual"), ("two", "serial")) for n in (1, 2)]
    assert runs["makespan_ratio"].to_list() == pytest.approx([2 / 1.2, 2 / 1.2, 1, 1])
    assert (len(dataset.executions), len(dataset.tokens)) == (16, 16 * 8)
    assert dataset.descriptor["instrument"] == {"s1": files[1], "s2": files[0]}
    assert asked.items() <= dataset.descriptor["study"].items()


def test_the_descriptor_holds(tmp_path: Path) -> None:
    folder = a_study(tmp_path)
    content = read_descriptor(folder)
    columns = {"runs": STUDY_RUNS, "executions": EXECUTIONS, "telemetry": TELEMETRY}
    columns |= {"tokens": TOKENS, "rates": RATES}
    paths = [resource["path"] for resource in content["resources"]]
    assert paths == [f"{name}.parquet" for name in columns]
    for resource in content["resources"]:
        path = folder / resource["path"]
        assert resource["bytes"] == path.stat().st_size
        assert resource["hash"] == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        fields = resource["schema"]["fields"]
        assert [(field["name"], field.get("unit", "")) for field in fields] == [
            (column.name, column.unit) for column in columns[resource["name"]]
        ]
        assert [field["name"] for field in fields] == pq.read_schema(path).names
        rows = read_table(path).to_pylist()
        if resource["name"] in ("runs", "executions", "tokens"):
            keys = [tuple(row[name] for name in resource["schema"]["primaryKey"]) for row in rows]
            assert len(set(keys)) == len(keys) > 0
        required = [f["name"] for f in fields if f.get("constraints", {}).get("required")]
        assert required
        assert all(row[name] is not None for row in rows for name in required)
    assert (content["name"], content["instrument"]) == ("test", None)
    compared = [{"id": "w1", "rounds": 1, "configs": ["serial", "dual"]}]
    phase = {"name": "main", "title": "Phase main", "configs": ["serial", "dual"]}
    assert content["study"]["phases"] == [phase | {"comparisons": compared}]
    assert str(tmp_path) not in json.dumps(content)
    again = a_study(tmp_path / "again")
    for path in folder.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()


def test_fingerprints_say_what_is_known(tmp_path: Path) -> None:
    late = [row | {"started_at": START + timedelta(hours=30)} for row in block("dual-b")]
    blocks = [no_server(block("dual-a")), late, no_server(block("single", model="m2"))]
    folder = write_dataset(tmp_path, blocks, machines=[MACHINE, {**MACHINE, "cpu": "Another CPU"}])
    content = read_descriptor(folder)
    machines = content["fingerprints"].pop("machines")
    assert [machine["cpu"] for machine in machines] == ["A CPU", "Another CPU"]
    assert content["fingerprints"] == {
        "servers": [{"engine": "embedded", "engine_version": "1.2.3"}],
        "models": [
            {"model": "m2", "model_digest": None},
            {"model": "small-model", "model_digest": "ab" * 32},
        ],
        "boots": ["boot1"],
        "measuring_code": ["c0de"],
        "analysing_code": "ana1ys1s",
    }
    # a dataset is as old as its last block
    assert content["created"] == "2026-11-23T23:30:00+00:00"


def test_datasets_that_hold_little_can_be_read(tmp_path: Path) -> None:
    void = failed(block("dual"), "insight", "concurrent", "deadline")
    folder = write_dataset(tmp_path, [void, no_server(block("serial"))])
    dataset = load_dataset(folder)
    assert dataset.runs["valid"].to_list() == [False, False]
    assert dataset.runs["wall_s"].isna().all()
    assert dataset.executions["valid"].dtype == bool
    assert set(dataset.executions["mode"][dataset.executions["valid"]]) == {"solo"}
    # older ones had fewer tables
    content = read_descriptor(folder)
    seal(folder, {**content, "resources": content["resources"][:2]})
    dataset = load_dataset(folder)
    assert dataset.telemetry.empty
    assert dataset.tokens.empty
    assert dataset.rates.empty
    seal(folder, {**content, "resources": content["resources"][:1]})
    assert exit_code_of_loading(folder) == 3


# Damage


def exit_code_of_loading(folder: Path) -> int:
    with pytest.raises(TandemError) as caught:
        load_dataset(folder)
    assert "\n" not in str(caught.value)
    return caught.value.exit_code


def test_a_table_that_is_not_as_described_is_refused(tmp_path: Path) -> None:
    folder = a_study(tmp_path / "a")
    path = folder / "runs.parquet"
    whole = path.read_bytes()
    rows = read_table(path).to_pylist()
    rows[0]["wall_s"] /= 2  # a whole file, and not the one that was described
    write_table(path, "runs", STUDY_RUNS, rows)
    assert exit_code_of_loading(folder) == 3
    path.write_bytes(whole[: len(whole) // 3] + b"?" + whole[len(whole) // 3 + 1 :])
    assert exit_code_of_loading(folder) == 3
    assert exit_code_of_loading(tmp_path) == 2


EDITS: Mapping[str, Callable[[bytes], bytes]] = {
    "margin": lambda data: data.replace(b'"margin": 0.05', b'"margin": 0.5'),
    "title": lambda data: data.replace(b"A test study", b"A best study"),
    "no digest": lambda data: data.replace(b'"digest"', b'"disgust"'),
    "no text": lambda data: data.replace(b"A test", b"A \xff\xfe\xfdt"),
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "a list": lambda _: b"[]",
    "a number": lambda _: b"1",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_changed_descriptor_is_refused(tmp_path: Path, edit: Callable[[bytes], bytes]) -> None:
    path = a_study(tmp_path) / "datapackage.json"
    before = path.read_bytes()
    path.write_bytes(edit(before))
    assert path.read_bytes() != before
    assert exit_code_of_loading(path.parent) == 3


@pytest.mark.parametrize(
    ("changes", "study"),
    [
        ({"config_id": "x](http://evil)"}, {}),
        ({"config_id": "a|b"}, {}),
        ({"comparison": "<script>"}, {}),
        ({"session": "s1\n# Verdict: PASS"}, {}),
        ({"scenario": "<b>"}, {}),
        ({"topology": "quantum"}, {}),
        ({}, {"reference": "`x`"}),
        ({}, {"reference": "x"}),
        ({}, {"phases": {"<b>": ["dual"]}}),
        ({}, {"phases": {"main": ["dual", "| x |"]}}),
    ],
    ids=str,
)
def test_an_id_that_is_none_is_refused(tmp_path: Path, changes: Row, study: Row) -> None:
    blocks = [[row | changes for row in block()]]
    assert exit_code_of_loading(write_dataset(tmp_path, blocks, **study)) == 3
