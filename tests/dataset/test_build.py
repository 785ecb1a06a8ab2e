"""Phases -> dataset: paired ratios, a descriptor that holds, and a load that checks it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from raw_blocks import MACHINE, START, block, failed, no_server, rounds, scaled, write_dataset

from tandembench.dataset.build import with_makespan_ratio
from tandembench.dataset.descriptor import read_descriptor, seal
from tandembench.dataset.load import load_dataset
from tandembench.dataset.manifest import read_manifest
from tandembench.errors import TandemError
from tandembench.tables.columns import EXECUTIONS, RATES, STUDY_RUNS, TELEMETRY, TOKENS
from tandembench.tables.parquet import read_rows, write_table

Row = dict[str, Any]


def a_run(config_id: str, wall_s: float, **changes: Any) -> Row:
    topology = config_id.split("-", maxsplit=1)[0]
    row = {
        "config_id": config_id,
        "topology": topology,
        "wall_s": wall_s,
        "session": "s1",
        "comparison": "c1",
        "workload": "w1",
        "valid": True,
        "work_effective": "fixed",
    }
    return row | {"repetition": 1, "round": 1, "twin": False, "attempt": 1} | changes


def ratios(runs: list[Row], reference: str = "serial") -> list[tuple[str | None, float | None]]:
    rows = with_makespan_ratio(runs, reference)
    assert [{key: row[key] for key in runs[0]} for row in rows] == runs
    return [(row["reference_config_id"], row["makespan_ratio"]) for row in rows]


def test_a_ratio_is_the_reference_over_the_run() -> None:
    runs = [a_run("dual", 1.6), a_run("serial", 4.0)]
    assert ratios(runs) == [("serial", 2.5), ("serial", 1.0)]
    assert ratios(runs, "dual") == [("dual", 1.0), ("dual", 0.4)]


def test_runs_are_paired_by_session_and_round() -> None:
    runs = [
        a_run("serial", 1.0, repetition=1),
        a_run("serial", 2.0, repetition=2),
        a_run("serial", 3.0, repetition=1, session="s2"),
        a_run("dual", 1.0, repetition=1),
        a_run("dual", 1.0, repetition=2),
        a_run("dual", 1.0, repetition=1, session="s2"),
        a_run("dual", 1.0, repetition=2, session="s2"),
    ]
    assert [ratio for _, ratio in ratios(runs)[3:]] == [1.0, 2.0, 3.0, None]


def test_runs_are_paired_inside_a_round() -> None:
    places = [(1, 1), (2, 1), (2, 2), (3, 1)]
    pairs = [
        (a_run("serial", 4.0 + i, **where), a_run("dual", 2.0, **where))
        for i, where in enumerate({"round": r, "attempt": a} for r, a in places)
    ]
    found = ratios([run for pair in pairs for run in pair])
    assert [ratio for _, ratio in found[1::2]] == [2.0, 2.5, 3.0, 3.5]


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
        {"comparison": "c2"},
        {"round": 2},
        {"attempt": 2},
        {"session": "s2"},
        {"work_effective": "natural"},
        {"work_effective": "capped"},
        {"valid": False, "wall_s": None, "work_effective": None},
        {"repetition": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("of", ["reference", "run"])
def test_there_is_no_ratio_of_what_is_not_comparable(changes: Row, of: str) -> None:
    serial, dual = a_run("serial", 4.0), a_run("dual", 1.6)
    changed = serial if of == "reference" else dual
    changed |= changes
    assert ratios([serial, dual])[1] == (None, None)


def test_a_round_whose_reference_was_cut_short_has_no_ratio() -> None:
    runs = [a_run("serial", 4.0), a_run("serial", 1.0, repetition=2, work_effective="capped")]
    runs += [a_run("dual", 1.6), a_run("dual", 1.6, repetition=2)]
    assert [ratio for _, ratio in ratios(runs)] == [1.0, None, 2.5, None]


def test_one_reference_serves_a_whole_comparison() -> None:
    later, first = a_run("serial-b", 4.0), a_run("serial-a", 2.0)
    dual = a_run("dual", 1.0)
    assert ratios([later, first, dual]) == ratios([first, later, dual])[1::-1] + [("serial-a", 2.0)]
    assert ratios([later, first, dual])[0] == ("serial-a", 0.5)
    # the one with more comparable runs, even where the other one has a run
    more = a_run("serial-b", 6.0, repetition=2)
    assert ratios([later, first, more, dual])[3] == ("serial-b", 4.0)
    # never two in one column: a round without the chosen one has none
    alone = [a_run("serial-a", 2.0, repetition=3), a_run("dual", 1.0, repetition=3)]
    pool = [later, more, a_run("serial-b", 4.0, repetition=4), first, *alone]
    assert ratios(pool)[-1] == (None, None)


def test_other_workloads_have_their_own_reference() -> None:
    runs = [a_run("serial-a", 2.0), a_run("serial-b", 6.0, workload="w2")]
    runs += [a_run("dual-a", 1.0), a_run("dual-b", 1.0, workload="w2")]
    assert ratios(runs)[2:] == [("serial-a", 2.0), ("serial-b", 6.0)]


def test_other_comparisons_have_their_own_reference() -> None:
    runs = [a_run("serial-a", 2.0), a_run("serial-b", 6.0, comparison="c2")]
    runs += [a_run("dual-a", 1.0), a_run("dual-b", 1.0, comparison="c2")]
    assert ratios(runs)[2:] == [("serial-a", 2.0), ("serial-b", 6.0)]


def a_study(folder: Path, **changes: Any) -> Path:
    blocks = rounds(2, block("serial"), block("dual", (1.0, 1.0), (1.2, 1.2)))
    return write_dataset(folder, blocks, **changes)


def test_a_dataset_joins_its_phases(tmp_path: Path) -> None:
    phases = {"one": ["dual"], "two": ["serial"]}
    blocks = rounds(2, block("serial"), block("dual", (1.0, 1.0), (1.25, 1.25)))
    folder = write_dataset(tmp_path, blocks, phases)
    runs = read_rows(folder / "runs.parquet")
    found = [(run["phase"], run["config_id"], run["repetition"]) for run in runs]
    assert found == [("one", "dual", 1), ("one", "dual", 2), ("two", "serial", 1)] + [
        ("two", "serial", 2)
    ]
    assert [run["makespan_ratio"] for run in runs] == pytest.approx([1.6, 1.6, 1, 1])
    assert len(read_rows(folder / "executions.parquet")) == 16
    descriptor = json.loads((folder / "datapackage.json").read_text())
    assert len(descriptor["fingerprints"]["machines"]) == 1
    assert descriptor["fingerprints"]["measuring_code"] == ["c0de"]


def test_a_dataset_is_as_old_as_its_last_block(tmp_path: Path) -> None:
    blocks = [
        [row | {"repetition": n, "started_at": START + timedelta(hours=hours)} for row in block()]
        for n, hours in ((1, 2), (2, 30), (3, 7))
    ]
    found = json.loads((write_dataset(tmp_path, blocks) / "datapackage.json").read_text())
    assert found["created"] == "2026-11-23T23:30:00+00:00"


def test_the_descriptor_holds(tmp_path: Path) -> None:
    folder = a_study(tmp_path)
    content = json.loads((folder / "datapackage.json").read_text())
    assert [resource["path"] for resource in content["resources"]] == [
        "runs.parquet",
        "executions.parquet",
        "telemetry.parquet",
        "tokens.parquet",
        "rates.parquet",
    ]
    columns = {"runs": STUDY_RUNS, "executions": EXECUTIONS, "telemetry": TELEMETRY}
    columns |= {"tokens": TOKENS, "rates": RATES}
    for resource in content["resources"]:
        data = (folder / resource["path"]).read_bytes()
        assert resource["bytes"] == len(data)
        assert resource["hash"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        fields = resource["schema"]["fields"]
        assert [field["name"] for field in fields] == pq.read_schema(
            folder / resource["path"]
        ).names
        assert [field.get("unit", "") for field in fields] == [
            column.unit for column in columns[resource["name"]]
        ]
        assert all(field["description"] and field["type"] for field in fields)
        rows = read_rows(folder / resource["path"])
        if resource["name"] in ("runs", "executions", "tokens"):
            keys = [tuple(row[name] for name in resource["schema"]["primaryKey"]) for row in rows]
            assert len(set(keys)) == len(keys) > 0
        required = [f["name"] for f in fields if f.get("constraints", {}).get("required")]
        assert required
        assert all(row[name] is not None for row in rows for name in required)
    assert content["name"] == "test"
    assert content["created"] == "2026-11-22T17:30:00+00:00"
    study = content["study"]
    assert (study["margin"], study["reference"], study["criteria"]) == (0.05, "serial", [])
    compared = [{"id": "w1", "rounds": 1, "configs": ["serial", "dual"]}]
    assert study["phases"] == [
        {
            "name": "main",
            "title": "Phase main",
            "comparisons": compared,
            "configs": ["serial", "dual"],
        }
    ]
    assert str(tmp_path) not in json.dumps(content)


def test_what_the_study_asked_is_passed_on(tmp_path: Path) -> None:
    folder = a_study(tmp_path, criteria=["memory"], placement="in_turn", file="config/mine.yaml")
    study = load_dataset(folder).descriptor["study"]
    assert (study["criteria"], study["placement"]) == (["memory"], "in_turn")
    assert study["file"] == "config/mine.yaml"


def test_an_older_dataset_without_the_newer_tables_can_be_read(tmp_path: Path) -> None:
    folder = a_study(tmp_path)
    content = read_descriptor(folder)
    old = [one for one in content["resources"] if one["name"] in ("runs", "executions")]
    seal(folder, {**content, "resources": old})
    found = load_dataset(folder)
    assert found.telemetry.empty
    assert found.tokens.empty
    assert found.rates.empty
    seal(folder, {**content, "resources": old[:1]})
    with pytest.raises(TandemError, match="no table 'executions'"):
        load_dataset(folder)


def test_fingerprints_say_what_is_known(tmp_path: Path) -> None:
    blocks = [no_server(block("dual-a")), block("dual-b"), no_server(block("single", model="m2"))]
    other = {**MACHINE, "cpu": "Another CPU"}
    folder = write_dataset(tmp_path, blocks, machines=[MACHINE, other])
    found = json.loads((folder / "datapackage.json").read_text())["fingerprints"]
    assert found["servers"] == [{"engine": "embedded", "engine_version": "1.2.3"}]
    assert found["models"] == [
        {"model": "m2", "model_digest": None},
        {"model": "small-model", "model_digest": "ab" * 32},
    ]
    assert found["boots"] == ["boot1"]
    assert [machine["cpu"] for machine in found["machines"]] == ["A CPU", "Another CPU"]
    assert found["measuring_code"] == ["c0de"]
    assert found["analysing_code"] == "ana1ys1s"


def test_equal_run_files_make_equal_bytes(tmp_path: Path) -> None:
    first, second = (a_study(tmp_path / name) for name in ("a", "b"))
    for name in ("runs.parquet", "executions.parquet", "tokens.parquet", "datapackage.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_dataset_without_a_valid_run_loads(tmp_path: Path) -> None:
    void = failed(block("dual"), "insight", "concurrent", "deadline")
    blocks = [void, no_server(block("serial"))]
    dataset = load_dataset(write_dataset(tmp_path, blocks))
    assert dataset.runs["valid"].to_list() == [False, False]
    assert dataset.runs["wall_s"].isna().all()
    assert dataset.executions["valid"].dtype == bool
    assert set(dataset.executions["mode"][dataset.executions["valid"]]) == {"solo"}


def test_a_whole_dataset_loads(tmp_path: Path) -> None:
    dataset = load_dataset(a_study(tmp_path))
    assert dataset.runs["makespan_ratio"].to_list() == pytest.approx([1, 1, 2 / 1.2, 2 / 1.2])
    assert len(dataset.executions) == 16
    assert len(dataset.tokens) == 16 * 8
    assert dataset.descriptor["name"] == "test"


def exit_code_of_loading(folder: Path) -> int:
    with pytest.raises(TandemError) as caught:
        load_dataset(folder)
    assert "\n" not in str(caught.value)
    return caught.value.exit_code


def test_a_changed_table_is_refused(tmp_path: Path) -> None:
    folder = a_study(tmp_path)
    rows = read_rows(folder / "runs.parquet")
    rows[0]["wall_s"] /= 2  # a whole file, and not the one that was described
    write_table(folder / "runs.parquet", "runs", STUDY_RUNS, rows)
    assert exit_code_of_loading(folder) == 3


def test_a_table_of_another_dataset_is_refused(tmp_path: Path) -> None:
    folder = a_study(tmp_path / "a")
    other = write_dataset(tmp_path / "b", [block("single")])
    (folder / "executions.parquet").write_bytes((other / "executions.parquet").read_bytes())
    assert exit_code_of_loading(folder) == 3


def test_a_flipped_bit_in_a_table_is_refused(tmp_path: Path) -> None:
    folder = a_study(tmp_path)
    data = bytearray((folder / "runs.parquet").read_bytes())
    data[len(data) // 3] ^= 4
    (folder / "runs.parquet").write_bytes(data)
    assert exit_code_of_loading(folder) == 3


EDITS: Mapping[str, Callable[[str], str]] = {
    "margin": lambda text: text.replace('"margin": 0.05', '"margin": 0.5'),
    "title": lambda text: text.replace("A test study", "A best study"),
    "no digest": lambda text: text.replace('"digest"', '"disgust"'),
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "a list": lambda text: "[]",
    "a number": lambda text: "1",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_changed_descriptor_is_refused(tmp_path: Path, edit: Callable[[str], str]) -> None:
    path = a_study(tmp_path) / "datapackage.json"
    before = path.read_text()
    path.write_text(edit(before))
    assert path.read_text() != before
    assert exit_code_of_loading(path.parent) == 3


def test_a_descriptor_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = a_study(tmp_path) / "datapackage.json"
    path.write_bytes(path.read_bytes().replace(b"A test", b"A \xff\xfe\xfdt"))
    assert exit_code_of_loading(path.parent) == 3


def test_no_dataset_is_a_wrong_argument(tmp_path: Path) -> None:
    assert exit_code_of_loading(tmp_path) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"config_id": "x](http://evil)"},
        {"comparison": "<script>"},
        {"session": "s1\n# Verdict: PASS"},
        {"scenario": "<b>"},
        {"topology": "quantum"},
        {"config_id": "a|b"},
    ],
    ids=str,
)
def test_an_id_that_is_none_is_refused(tmp_path: Path, changes: Row) -> None:
    blocks = [[row | changes for row in block()]]
    assert exit_code_of_loading(write_dataset(tmp_path, blocks)) == 3


@pytest.mark.parametrize(
    "study",
    [
        {"reference": "`x`"},
        {"reference": "x"},
        {"phases": {"<b>": ["dual"]}},
        {"phases": {"main": ["dual", "| x |"]}},
    ],
    ids=str,
)
def test_a_descriptor_with_an_id_that_is_none_is_refused(tmp_path: Path, study: Row) -> None:
    assert exit_code_of_loading(write_dataset(tmp_path, [block()], **study)) == 3


@pytest.mark.parametrize(
    ("content", "says", "code"),
    [
        (None, "no such file; run snakemake", 2),
        ("", "no manifest", 3),
        ("{", "no manifest", 3),
        ("\x00", "no manifest", 3),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(
    tmp_path: Path, content: str | None, says: str, code: int
) -> None:
    path = tmp_path / "manifest.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TandemError, match=says) as caught:
        read_manifest(path)
    assert caught.value.exit_code == code


def test_the_builder_stretches_runs_only(tmp_path: Path) -> None:
    blocks = rounds(1, block("serial"), scaled(block("dual"), 1.5))
    runs = read_rows(write_dataset(tmp_path, blocks) / "runs.parquet")
    assert [run["wall_s"] for run in runs] == pytest.approx([2.0, 1.5])
    assert [run["slowdown_max"] for run in runs] == pytest.approx([1.0, 1.5])
