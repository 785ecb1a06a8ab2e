"""Raw rows -> runs and executions: every value by hand, or from the stamps another way."""

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from raw_blocks import (
    MACHINE,
    NAMES,
    block,
    failed,
    no_server,
    where,
    write_run_file,
)

from tandembench.dataset.aggregate import aggregate_phase, block_rows
from tandembench.dataset.columns import EXECUTIONS, RUN_FILE, RUNS
from tandembench.dataset.parquet import read_file, read_rows, write_table
from tandembench.errors import TandemError
from tandembench.metrics import RUN_METRICS, Step, execution_metrics, timing

Row = dict[str, Any]
METRICS = set(RUN_METRICS)
EXECUTION_METRICS = {"duration_s", "ttft_s", "first_token_s", "decode_s", "rest_s"} | {
    "decode_rate_tokens_per_s",
    "gap_p50_s",
    "gap_p90_s",
    "gap_max_s",
    "solo_s",
    "slowdown",
    "solo_basis",
}
TRUE = ("solo_sum_s", "speedup_true", "efficiency_true", "contention", "stp", "antt", "jain")


def aggregated(rows: list[Row]) -> Row:
    return block_rows(rows, "main")[0]


def near(expected: float) -> Any:
    return pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_the_builder_makes_what_a_run_file_holds() -> None:
    assert {column.name for column in RUN_FILE} == set(block()[0])


def test_a_block_of_two_by_hand() -> None:
    # alone 1.0 and 0.8 s, together 1.5 and 1.0 s: W 1.5, S 2.5, sum s 1.8
    run = aggregated(block("dual", (1.0, 0.8), (1.5, 1.0), tokens=(8, 15)))
    assert run["valid"] is True
    assert run["reason"] is None
    expected = {
        "wall_s": 1.5,
        "sequential_estimate_s": 2.5,
        "speedup_estimate": 2.5 / 1.5,
        "efficiency_estimate": 2.5 / 3.0,
        "imbalance_loss": 0.25 / 1.5,
        "orchestration_loss": 0.0,
        "sequencing_loss": 0.0,
        # t 7 and 14, u 1.05/7 = 0.15 and 0.7/14 = 0.05, over N W = 3
        "imbalance_token": -7 * (0.15 + 0.05) / 2 / 3,
        "imbalance_rate": (0.15 - 0.05) * 21 / 2 / 3,
        "imbalance_first_token": (0.3 - 0.2) / 3,
        "imbalance_rest": (0.15 - 0.1) / 3,
        "solo_sum_s": 1.8,
        "speedup_true": 1.2,
        "efficiency_true": 0.6,
        "work_imbalance": 0.1,
        "contention": 0.3,
        "orchestration_true": 0.0,
        "slowdown_max": 1.5,
        "slowdown_log_mean": (math.log(1.5) + math.log(1.25)) / 2,
        "stp": 1 / 1.5 + 0.8,
        "antt": 1.375,
        "jain": (1 / 1.5 + 0.8) ** 2 / (2 * (1 / 1.5**2 + 0.8**2)),
        "aggregate_tokens_per_s": 23 / 1.5,
        "makespan_per_token_s": 1.5 / 23,
        "ttft_delta_s": 0.3 - 0.2,
        "throughput_delta_tokens_per_s": 14 / 0.7 - 7 / 1.05,
        "answer_tokens": 23,
        "prompt_tokens": 200,
        "start_skew_s": 0.0,
        "client_cpu_s": 0.03,
        "foreign_cores": 0.02,
    }
    assert {name: run[name] for name in expected} == {
        name: near(value) for name, value in expected.items()
    }
    assert run["contention_ttft_rule"] is False
    assert run["contention_speedup_rule"] is False
    assert (run["solo_basis"], run["cold"], run["work_effective"]) == ("paired", False, "fixed")
    assert set(run) >= METRICS


def test_the_executions_of_that_block_by_hand() -> None:
    rows = block("dual", (1.0, 0.8), (1.5, 1.0), tokens=(8, 15))
    _, executions = block_rows(rows, "main")
    by_key = {(row["agent"], row["mode"]): row for row in executions}
    assert len(executions) == len(by_key) == 4
    shared = by_key["collector", "concurrent"]
    expected = {
        "duration_s": 1.5,
        "ttft_s": 0.3,
        "first_token_s": 0.3,
        "decode_s": 1.05,
        "rest_s": 0.15,
        "answer_tokens": 8,
        "prompt_tokens": 100,
        "cached_tokens": 0,
        "n_steps": 1,
        "prompt_s": 0.225,
        "server_decode_s": 1.05,
        "decode_rate_tokens_per_s": 7 / 1.05,
        "gap_max_s": 0.15,
        "solo_s": 1.0,
        "slowdown": 1.5,
    }
    assert {name: shared[name] for name in expected} == {
        name: near(value) for name, value in expected.items()
    }
    assert shared["solo_basis"] == "paired"
    assert shared["gap_p90_s"] is None  # 7 gaps are no 64
    assert shared["load_s"] is None  # the server said nothing
    alone = by_key["insight", "solo"]
    assert (alone["duration_s"], alone["slowdown"], alone["solo_s"]) == (near(0.8), None, None)
    assert {row["phase"] for row in executions} == {"main"}


@pytest.mark.parametrize("seed", range(20))
def test_any_block_recomputed_from_its_stamps(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - an example, no secret
    n, steps = random.randint(2, 5), random.randint(1, 3)
    topology = random.choice(["serial", "single", "single_parallel", "dual"])
    solo = [random.uniform(0.5, 2) for _ in range(n)]
    rows = block(
        topology,
        solo,
        [s * random.uniform(0.9, 2.5) for s in solo],
        tokens=[random.randint(2, 40) for _ in range(n)],
        steps=steps,
        between_s=random.choice([0.0, 0.05]),
    )
    run, executions = block_rows(random.sample(rows, len(rows)), "main")

    def durations(mode: str) -> Any:
        spans = [
            [step["end_ns"] - step["request_ns"] for step in row["steps"]]
            for row in sorted(where(rows, mode), key=lambda row: row["agent_index"])
        ]
        return np.array(spans).sum(axis=1) / 1e9

    d, s = durations("concurrent"), durations("solo")
    ends = [step["end_ns"] for row in where(rows, "concurrent") for step in row["steps"]]
    wall = max(ends) / 1e9
    assert run["wall_s"] == near(wall)
    assert run["speedup_estimate"] == near(d.sum() / wall)
    assert run["speedup_true"] == near(s.sum() / wall)
    assert run["slowdown_max"] == near((d / s).max())
    assert run["antt"] == near((d / s).mean())
    assert run["speedup_true"] == near(run["speedup_estimate"] * s.sum() / d.sum())
    losses = ("imbalance_loss", "sequencing_loss", "orchestration_loss")
    assert sum(run[name] for name in losses) == near(1 - d.sum() / wall / n)
    losses = ("work_imbalance", "sequencing_loss", "contention", "orchestration_true")
    assert sum(run[name] for name in losses) == near(1 - s.sum() / wall / n)
    assert [row["slowdown"] for row in executions if row["mode"] == "concurrent"] == [
        near(value) for value in d / s
    ]


def test_serial_loses_its_turns_and_nothing_else() -> None:
    run = aggregated(block("serial", (1.0, 3.0)))
    assert run["wall_s"] == near(4.0)
    assert run["speedup_true"] == near(1.0)
    assert run["sequencing_loss"] == near(0.5)
    assert run["imbalance_loss"] == run["work_imbalance"] == 0.0
    assert run["contention"] == near(0.0)
    assert run["start_skew_s"] is None  # the second agent starts late on purpose


def test_one_agent_is_one_execution_without_a_truth() -> None:
    run, executions = block_rows(block("single", (1.0,)), "main")
    assert (run["valid"], len(executions)) == (True, 1)
    assert run["wall_s"] == near(1.0)
    assert run["speedup_estimate"] == near(1.0)
    pairwise = ("ttft_delta_s", "throughput_delta_tokens_per_s", "contention_speedup_rule")
    assert [run[name] for name in (*TRUE, *pairwise, "start_skew_s")] == [None] * 11
    assert executions[0]["slowdown"] is None


def test_five_agents() -> None:
    run, executions = block_rows(block("single", (1.0,) * 5, (2.5,) * 5), "main")
    assert len(executions) == 10
    assert run["speedup_estimate"] == near(5.0)  # as if sharing cost nothing
    assert run["speedup_true"] == near(2.0)
    assert run["efficiency_true"] == near(0.4)
    assert run["contention"] == near(0.6)
    assert run["contention_speedup_rule"] is None
    assert [row["agent"] for row in executions if row["mode"] == "concurrent"] == list(NAMES)


def test_time_between_two_steps_is_orchestration() -> None:
    run, executions = block_rows(block("dual", (1.0, 1.0), steps=2, between_s=0.25), "main")
    assert run["wall_s"] == near(1.25)
    assert run["orchestration_loss"] == near(0.2)
    assert run["speedup_true"] == near(1.6)
    row = executions[-1]
    assert (row["duration_s"], row["n_steps"], row["answer_tokens"]) == (near(1.0), 2, 16)
    assert row["first_token_s"] == near(0.2)
    assert row["ttft_s"] == near(0.1)  # of the first step only


def test_a_late_start_is_skew_and_wall() -> None:
    run = aggregated(block("dual", (1.0, 1.0), starts=(0.0, 0.05)))
    assert run["start_skew_s"] == near(0.05)
    assert run["wall_s"] == near(1.05)
    assert run["orchestration_loss"] == near(0.05 / 1.05)


@pytest.mark.parametrize(("mode", "cold"), [("concurrent", True), ("solo", False)])
def test_a_run_is_cold_if_a_model_was_loaded_inside_it(mode: str, cold: bool) -> None:
    rows = block()
    where(rows, mode, "insight")[0]["cold"] = True
    assert aggregated(rows)["cold"] is cold


@pytest.mark.parametrize(
    ("first", "second", "of_run"),
    [
        ("fixed", "fixed", "fixed"),
        ("fixed", "capped", "capped"),
        ("capped", "capped", "capped"),
        ("natural", "natural", "natural"),
    ],
)
def test_a_run_did_fixed_work_only_if_all_did(first: str, second: str, of_run: str) -> None:
    rows = block()
    where(rows, "concurrent", "collector")[0]["work_effective"] = first
    where(rows, "concurrent", "insight")[0]["work_effective"] = second
    assert aggregated(rows)["work_effective"] == of_run


def test_foreign_work_is_the_worst_of_the_block() -> None:
    rows = block(foreign_cores=None)
    assert aggregated(rows)["foreign_cores"] is None
    where(rows, "solo", "insight")[0]["foreign_cores"] = 0.7
    where(rows, "concurrent", "insight")[0]["foreign_cores"] = 0.2
    assert aggregated(rows)["foreign_cores"] == 0.7


def test_an_unknown_number_of_prompt_tokens_is_not_zero() -> None:
    rows = block()
    where(rows, "concurrent", "insight")[0]["steps"][0]["prompt_tokens"] = None
    run, executions = block_rows(rows, "main")
    assert run["prompt_tokens"] is None
    assert executions[-1]["prompt_tokens"] is None
    assert run["solo_basis"] == "token_normalised"  # not known to be the same work


def test_a_much_longer_answer_has_no_solo_to_compare_with() -> None:
    rows = block("dual", (1.0, 1.0), tokens=(8, 8))
    long = where(rows, "concurrent", "insight")[0]["steps"][0]
    long["answer_tokens"] = 17
    run, executions = block_rows(rows, "main")
    assert (run["valid"], run["solo_basis"]) == (True, "none")
    assert [run[name] for name in TRUE] == [None] * len(TRUE)
    assert [row["solo_basis"] for row in executions[2:]] == ["paired", "none"]


def broken_steps(**changes: Any) -> list[Row]:
    rows = block()
    where(rows, "concurrent", "insight")[0]["steps"][0].update(changes)
    return rows


VOID = {
    "an error": (failed(block(), "insight", "solo", "deadline"), "insight solo: deadline"),
    "no server": (no_server(block()), "collector concurrent: server_start"),
    "a missing run": (block()[:3], "insight concurrent: missing or there twice"),
    "a missing solo": (block()[1:], "collector solo: missing or there twice"),
    "a row twice": ([*block()[1:], block()[1]], "collector solo: missing or there twice"),
    "one row too many": ([*block(), block()[3]], "insight concurrent: missing or there twice"),
    "a third agent": (
        [*block(), block("dual", (1.0,) * 3, n_agents=2)[5]],
        "executions of agents that the config does not have",
    ),
    "no content": (broken_steps(chunk_ns=[]), "insight concurrent: empty"),
    "no steps": ([*block()[:3], block()[3] | {"steps": []}], "insight concurrent: empty"),
    "no count": (broken_steps(answer_tokens=None), "insight concurrent: no_token_count"),
    "an early answer": (broken_steps(request_ns=10**10), "insight concurrent: bad_stamps"),
}


@pytest.mark.parametrize("name", VOID)
def test_a_void_block_has_a_reason_and_no_metrics(name: str) -> None:
    rows, reason = VOID[name]
    run, executions = block_rows(rows, "main")
    assert (run["valid"], run["reason"]) == (False, reason)
    assert not METRICS & {key for key, value in run.items() if value is not None}
    assert "work_effective" not in run
    assert len(executions) == len(rows)
    for row in executions:
        assert (row["valid"], row["reason"]) == (False, reason)
        assert not EXECUTION_METRICS & {key for key, value in row.items() if value is not None}


def test_a_failed_execution_keeps_what_it_said() -> None:
    _, executions = block_rows(failed(block(), "insight", "concurrent", "reset"), "main")
    last = executions[-1]
    assert (last["error"], last["detail"], last["answer_tokens"]) == ("reset", "it broke", 8)


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
    assert [run["speedup_true"] for run in runs] == [None, near(1.0)]
    assert [row["attempt"] for row in executions] == [1, 1, 1, 2, 2, 2, 2]


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


def test_every_metric_of_an_execution_has_its_column() -> None:
    _, executions = block_rows(block(), "main")
    assert set(executions[-1]) <= {column.name for column in EXECUTIONS}
    one = timing([Step(0.0, 0.1, 0.2, 0.3, 4)])
    assert set(execution_metrics(one, one)) == EXECUTION_METRICS | {"answer_tokens"}


def test_a_table_that_is_no_run_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, "raw", RUN_FILE, block())
    with pytest.raises(TandemError, match="not a run file") as caught:
        aggregate(tmp_path, path)
    assert caught.value.exit_code == 3


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
    key = {"session": "s1", "config_id": "dual", "repetition": 1, "attempt": 1, "phase": "main"}
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
    shared = key | nothing | {"mode": "concurrent", "agent": None}
    assert by_subject == {"client": shared | client, "gpu 0": shared | gpu}


def test_every_chunk_becomes_a_row_of_its_execution(tmp_path: Path) -> None:
    rows = block("dual", (1.0, 2.0), (1.5, 3.0), tokens=(3, 2), steps=2, between_s=0.5)
    second = [row | {"attempt": 2} for row in failed(rows, "collector", "concurrent", "reset")]
    aggregate(tmp_path, write_run_file(tmp_path / "a.parquet", [*rows, *second]))
    found = read_rows(tmp_path / "main.tokens.parquet")
    shared = {"session": "s1", "config_id": "dual", "repetition": 1, "phase": "main"}
    assert all(row.items() >= shared.items() for row in found)
    own = [row for row in found if (row["agent"], row["mode"]) == ("insight", "concurrent")]
    # two steps of 1.5 s, half a second apart: content from 0.2 to 0.9 of each
    assert [(row["step"], row["chunk"], row["t_ns"]) for row in own] == [
        (0, 0, 300_000_000),
        (0, 1, 1_350_000_000),
        (1, 2, 2_300_000_000),
        (1, 3, 3_350_000_000),
    ]
    # what came before an execution failed is kept, and so is its attempt's number
    counts = {
        (row["agent"], row["mode"]): sum(
            (one["agent"], one["mode"], one["attempt"]) == (row["agent"], row["mode"], 2)
            for one in found
        )
        for row in rows
    }
    assert counts == {
        ("collector", "solo"): 6,
        ("insight", "solo"): 4,
        ("collector", "concurrent"): 6,
        ("insight", "concurrent"): 0,
    }


def test_without_steps_there_are_no_tokens(tmp_path: Path) -> None:
    aggregate(tmp_path, write_run_file(tmp_path / "a.parquet", no_server(block())))
    assert read_rows(tmp_path / "main.tokens.parquet") == []
