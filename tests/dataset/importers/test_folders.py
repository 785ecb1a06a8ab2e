"""Result folders of Chimeraforge's runners: what is kept."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from result_folders import (
    PYTHON,
    RUST,
    agent,
    imported,
    metrics,
    one_run,
    python_metrics,
    refused,
    write,
    write_log,
)

from tandembench.cli import main
from tandembench.dataset.baseline import import_runs
from tandembench.dataset.load import load_dataset


def test_folders_say_phase_and_repetition(tmp_path: Path) -> None:
    for place in (
        "homo_gpu80_ctx512/run_3/run_1",
        "homo_gpu80_ctx512/run_4",
        "runtime-tokio-default/chimera_homo_gpu80_ctx512/run_2/run_1",
        "runtime-async_std/chimera_homo_gpu80_ctx512/run_1/run_1",
    ):
        write(tmp_path / "in", place)
    names = ["phase", "runner", "config_id", "repetition"]
    runs = imported(tmp_path).runs[names].fillna("none")
    assert sorted(runs.to_numpy().tolist()) == [
        ["all", "async-std", "homo-g80-c512-async-std", 1],
        ["all", "none", "homo-g80-c512", 3],
        ["all", "none", "homo-g80-c512", 4],
        ["all", "tokio-default", "homo-g80-c512-tokio-default", 2],
    ]


def test_each_tree_of_results_is_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (
        "Two servers/phase1/chimera-homo/gpu80_ctx512/run_1",
        "Two servers/phase3/chimera-homo/gpu80_ctx512/run_1",
        "later/one/homo_gpu80_ctx512/run_1",
    ):
        write(tmp_path / "in", place)
    (tmp_path / "in/later/one/notes.md").touch()
    write_log(tmp_path / "in/later", (1, "chimera_homo"))
    made = import_runs(RUST, tmp_path / "in", "x", None, tmp_path / "b")
    folders = {one.name: load_dataset(one.folder).runs["config_id"].to_list() for one, _ in made}
    assert folders == {
        "x-two-servers": ["homo-g80-c512", "validation-homo-g80-c512"],
        "x-later-one": ["homo-g80-c512"],
    }
    assert [sum(tree.skipped.values()) for _, tree in made] == [0, 1]
    write(tmp_path / "in", "two-servers/homo/run_1")
    assert "'Two servers'" in refused(tmp_path / "in", tmp_path / "c")
    for day in ("mon", "tue"):
        write(tmp_path / "py", f"{day}/phase_1_test_001/run_1", python_metrics())
        write_log(tmp_path / "py" / day, (1, "chimera_homo"))
    write(tmp_path / "py", "wed/phase_1_test_001/run_1", python_metrics())
    line = refused(tmp_path / "py", tmp_path / "c", PYTHON)
    assert line.startswith(f"{tmp_path}/py/wed/phase_1_test_001: no test_execution_log.json")
    write_log(tmp_path / "py" / "wed", (1, "chimera_homo"))
    monkeypatch.chdir(tmp_path)
    command = ["baseline", "import", PYTHON, "py", "--name", "y", "--format", "json"]
    facts = json.loads(CliRunner().invoke(main, command).stdout)
    assert [one["baseline"] for one in facts] == [f"y-{day}@1.0.0" for day in ("mon", "tue", "wed")]


def test_what_two_folders_do_not_tell_may_differ(tmp_path: Path) -> None:
    """Of one phase they are no repeats of a config; another phase measures configs once more."""
    for place in ("phase1/homo_gpu80", "phase1/homo_gpu80_kvq8", "phase3/homo_gpu80"):
        write(tmp_path / "in", f"{place}/run_1")
    runs = imported(tmp_path).runs.set_index("config_id")
    assert runs["content"].nunique() == 2
    assert runs["content"]["homo-g80-c512"] == runs["content"]["validation-homo-g80-c512"]


def test_what_ran_the_agents_is_kept(tmp_path: Path) -> None:
    content = metrics(run_number=4)
    content["collector"]["result"]["system_info"] = {
        "os": "windows",
        "arch": "x86_64",
        "hostname": "desk-7",
        "rust_version": "1.90.0",
    }
    run = one_run(tmp_path, content).runs.iloc[0]
    names = ["client_version", "client_platform", "process_run"]
    assert run[names].to_list() == ["rust 1.90.0", "windows x86_64", 4]
    assert one_run(tmp_path / "less", metrics()).runs["client_version"].isna().all()


@pytest.mark.parametrize(
    ("loads_ms", "above_s", "cold"),
    [
        # what a fixed limit of 0.5 s would part, and what it would not
        ((310, 498.6, 501.4, 730, 4800, 9100), None, 2),
        ((180, 210, 240), None, 0),
        ((120, 130, 420, 450), None, 2),
        ((6000, 7000, 9000), None, 3),
        ((0, 0.01, 3), None, 0),
        ((310, 498.6, 501.4, 730, 4800, 9100), 0.5, 4),
    ],
)
def test_a_gap_in_load_times_tells_which_were_loads(
    tmp_path: Path, loads_ms: tuple[float, ...], above_s: float | None, cold: int
) -> None:
    for number, load in enumerate(loads_ms):
        content = metrics()
        for name in ("collector", "insight"):
            content[name]["result"]["individual_runs"][0]["load_duration_ms"] = load
        # one agent with a model of its own, whose loads are no measure for the other's
        content["insight"]["config"]["model"] = "small"
        content["insight"]["result"]["individual_runs"][0]["load_duration_ms"] = 150
        write(tmp_path / "in", f"homo/run_{number}", content)
    ((made, _),) = import_runs(RUST, tmp_path / "in", "x", None, tmp_path, None, above_s)
    dataset = load_dataset(made.folder)
    assert [int(table["cold"].sum()) for table in (dataset.runs, dataset.executions)] == [cold] * 2
    assert dataset.runs["valid"].all()  # nobody declared them to be warm


def test_options_are_those_of_the_file_whatever_its_folder_is_called(tmp_path: Path) -> None:
    wide = {"temperature": 0.800000011920929, "repeat_penalty": 1.0499999523162842}
    content = metrics(
        collector=agent(11434, 4.0),
        insight=agent(11435, 5.0, num_gpu=80, num_ctx=2048, top_k=None, **wide),
        scenario="baseline_vs_chimera",
    )
    write(tmp_path / "in", "phase3/baseline-vs-chimera/gpu60_ctx512/run_1", content)
    dataset = imported(tmp_path)
    assert dataset.runs["config_id"].to_list() == ["validation-bvc-g80-c2048"]
    assert [json.loads(text) for text in dataset.executions["options_asked"]] == [
        {},
        {"num_gpu": 80, "num_ctx": 2048, "temperature": 0.8, "repeat_penalty": 1.05},
    ]


@pytest.mark.parametrize("flag", [True, False, None])
def test_two_calls_of_an_agent_are_one_execution(tmp_path: Path, flag: bool | None) -> None:
    content = metrics()
    calls = content["collector"]["result"]["individual_runs"]
    calls.append({**calls[0], "ttft_ms": 150.0, "tokens_generated": 51, "eval_duration_ms": 99.5})
    # a tenth of a nanosecond, and the sources' own flag and delta, which are not asked
    content["collector"]["result"]["timestamp"] = "2025-11-13T02:00:17.9605901007Z"
    content["summary"] |= {"resource_contention_detected": flag, "throughput_delta": 99.0}
    dataset = one_run(tmp_path, content)
    row = dataset.executions.set_index("agent").loc["collector"]
    assert (row["n_steps"], row["answer_tokens"], row["duration_s"]) == (2, 151, 4.0)
    assert row["ttft_s"] == 0.25
    assert row["first_token_s"] == pytest.approx(0.4)
    assert row["decode_s"] == pytest.approx(3.7995)
    assert row["decode_rate_tokens_per_s"] == pytest.approx(149 / 3.7995)
    # which of the two decoded when is not known
    assert dataset.executions["overlap_s"].isna().all()
    run = dataset.runs.iloc[0]
    assert not run["contention_speedup_rule"]
    assert run["throughput_delta_tokens_per_s"] == pytest.approx(99 / 4.7 - 149 / 3.7995)
    kept = run["contention_source"]
    assert pd.isna(kept) if flag is None else bool(kept) is flag


def test_servers_are_told_apart_and_not_named(tmp_path: Path) -> None:
    content = metrics()
    for name, port in (("collector", 11434), ("insight", 11435)):
        content[name]["config"]["base_url"] = f"http://me:key@desk-7.example:{port}"
        content[name]["result"]["system_info"] = {"hostname": "desk-7"}
    dataset = one_run(tmp_path / "far", content)
    assert dataset.runs["topology"].to_list() == ["dual"]
    assert dataset.executions["endpoint"].isna().all()
    for file in dataset.folder.iterdir():
        assert b"desk-7" not in file.read_bytes()
    # one URL in two spellings is one server
    content = metrics(insight=agent(11434, 5.0))
    content["insight"]["config"]["base_url"] = "http://127.0.0.1:11434/"
    dataset = one_run(tmp_path / "near", content)
    assert dataset.runs["topology"].to_list() == ["single"]
    assert set(dataset.executions["endpoint"]) == {"http://127.0.0.1:11434"}


def test_two_agents_decode_beside_each_other_over_the_full_hour(tmp_path: Path) -> None:
    early, late = agent(11434, 4.0), agent(11435, 6.0)
    early["result"]["timestamp"] = "2025-11-13T01:59:59.000000000Z"
    late["result"]["timestamp"] = "2025-11-13T02:00:01.000000000Z"
    dataset = one_run(tmp_path, metrics(collector=early, insight=late))
    # Both begin at 01:59:55 and have their first token after 0.25 s.
    table = dataset.executions.set_index("agent")
    assert table["overlap_s"].to_dict() == pytest.approx({"collector": 3.75, "insight": 3.75})
    assert table["alone_s"].to_dict() == pytest.approx({"collector": 0.0, "insight": 2.0})


def test_the_log_alone_names_the_scenario_of_the_python_runners_tests(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for place in ("phase_1_test_001/run_1", "phase_1_test_001/run_2", "phase_3_test_007/run_1"):
        write(root, place, python_metrics())
    write_log(root, (1, "baseline_vs_chimera"), (7, "chimera_hetero"), (9, "chimera_homo"))
    (root / "phase_1_test_001/summary.json").write_text("{}")
    dataset = imported(tmp_path, PYTHON)
    runs = dataset.runs.set_index(["config_id", "repetition"])
    assert runs["scenario"].to_dict() == {
        ("bvc-g60-c512", 1): "baseline_vs_chimera",
        ("bvc-g60-c512", 2): "baseline_vs_chimera",
        ("validation-hetero-gdefaultx60-cdefaultx512", 1): "chimera_hetero",
    }
    # the second run of a test began when the first had ended
    starts = runs["started_at"].sort_index()
    assert (starts.iloc[1] - starts.iloc[0]).total_seconds() == 5.5
    row = dataset.executions[dataset.executions["agent"] == "collector"].iloc[0]
    assert (row["duration_s"], row["answer_tokens"], row["n_steps"]) == (4.0, 300, 2)
    assert row["first_token_s"] == 0.5  # the mean, times two calls
    assert dataset.runs["imbalance_token"].isna().all()
