"""Raw rows -> runs and executions: every value by hand, or from the stamps another way."""

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from raw_blocks import block, failed, no_server, side_by_side, where

from tandembench.dataset.blocks import block_rows
from tandembench.metrics import RUN_METRICS

Row = dict[str, Any]
METRICS = set(RUN_METRICS)
EXECUTION_METRICS = {
    *("duration_s", "ttft_s", "first_token_s", "decode_s", "rest_s", "decode_rate_tokens_per_s"),
    *("gap_p50_s", "gap_p90_s", "gap_max_s", "first_token_start_s", "queue_s"),
    *("solo_s", "slowdown", "solo_basis"),
}
TRUE = ("solo_sum_s", "speedup_true", "efficiency_true", "contention", "stp", "antt", "jain")


def aggregated(rows: list[Row]) -> Row:
    (run,), _ = block_rows(rows, "main")
    return run


def near(expected: float) -> Any:
    return pytest.approx(expected, rel=1e-8, abs=1e-8)


def holds(row: Row, **expected: Any) -> None:
    assert {name: row[name] for name in expected} == near(expected)


def test_a_block_of_two_by_hand() -> None:
    # alone 1.0 and 0.8 s, together 1.5 and 1.0 s: W 1.5, S 2.5, sum s 1.8
    run = aggregated(block("dual", (1.0, 0.8), (1.5, 1.0), tokens=(8, 15)))
    assert (run["valid"], run["reason"]) == (True, None)
    holds(run, wall_s=1.5, sequential_estimate_s=2.5)
    holds(run, speedup_estimate=2.5 / 1.5, efficiency_estimate=2.5 / 3.0)
    holds(run, imbalance_loss=0.25 / 1.5, orchestration_loss=0.0, sequencing_loss=0.0)
    # t 7 and 14, u 1.05/7 = 0.15 and 0.7/14 = 0.05, over N W = 3
    holds(run, imbalance_token=-7 * (0.15 + 0.05) / 2 / 3)
    holds(run, imbalance_rate=(0.15 - 0.05) * 21 / 2 / 3)
    holds(run, imbalance_first_token=(0.3 - 0.2) / 3, imbalance_rest=(0.15 - 0.1) / 3)
    holds(run, solo_sum_s=1.8, speedup_true=1.2, efficiency_true=0.6, work_imbalance=0.1)
    holds(run, contention=0.3, queueing=0.0, orchestration_true=0.0, slowdown_max=1.5)
    holds(run, slowdown_log_mean=(math.log(1.5) + math.log(1.25)) / 2)
    holds(run, stp=1 / 1.5 + 0.8, antt=1.375)
    holds(run, jain=(1 / 1.5 + 0.8) ** 2 / (2 * (1 / 1.5**2 + 0.8**2)))
    holds(run, aggregate_tokens_per_s=23 / 1.5, makespan_per_token_s=1.5 / 23)
    holds(run, ttft_delta_s=0.3 - 0.2, throughput_delta_tokens_per_s=14 / 0.7 - 7 / 1.05)
    holds(run, answer_tokens=23, prompt_tokens=200, start_skew_s=0.0, client_cpu_s=0.03)
    holds(run, foreign_cores=0.02, server_memory_bytes=2**28)
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
    holds(shared, duration_s=1.5, ttft_s=0.3, first_token_s=0.3, first_token_start_s=0.3)
    holds(shared, service_order=2, queue_s=0.0, decode_s=1.05, rest_s=0.15, n_steps=1)
    holds(shared, answer_tokens=8, prompt_tokens=100, cached_tokens=0, prompt_s=0.225)
    holds(shared, server_decode_s=1.05, decode_rate_tokens_per_s=7 / 1.05, gap_max_s=0.15)
    holds(shared, solo_s=1.0, slowdown=1.5)
    assert shared["solo_basis"] == "paired"
    assert shared["gap_p90_s"] is None  # 7 gaps are no 64
    assert shared["load_s"] is None  # the server said nothing
    alone = by_key["insight", "solo"]
    assert (alone["duration_s"], alone["slowdown"], alone["solo_s"]) == (near(0.8), None, None)
    assert (alone["first_token_start_s"], alone["queue_s"]) == (near(0.16), None)
    assert "service_order" not in alone
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
    (run,), executions = block_rows(random.sample(rows, len(rows)), "main")

    def durations(mode: str) -> Any:
        spans = [
            [step["end_ns"] - step["request_ns"] for step in row["steps"]]
            for row in sorted(where(rows, mode), key=lambda row: row["agent_index"])
        ]
        return np.array(spans).sum(axis=1) / 1e9

    d, s = durations("concurrent"), durations("solo")
    ends = [step["end_ns"] for row in where(rows, "concurrent") for step in row["steps"]]
    wall = max(ends) / 1e9
    holds(run, wall_s=wall, speedup_estimate=d.sum() / wall, speedup_true=s.sum() / wall)
    holds(run, slowdown_max=(d / s).max(), antt=(d / s).mean())
    assert run["speedup_true"] == near(run["speedup_estimate"] * s.sum() / d.sum())
    losses = ("imbalance_loss", "sequencing_loss", "orchestration_loss")
    assert sum(run[name] for name in losses) == near(1 - d.sum() / wall / n)
    losses = ("work_imbalance", "sequencing_loss", "contention", "queueing", "orchestration_true")
    assert sum(run[name] for name in losses) == near(1 - s.sum() / wall / n)
    slowdowns = [row["slowdown"] for row in executions if row["mode"] == "concurrent"]
    assert slowdowns == pytest.approx(list(d / s), rel=1e-8)


def test_turns_lose_themselves_and_nothing_else() -> None:
    (run,), executions = block_rows(block("serial", (1.0, 3.0)), "main")
    holds(run, wall_s=4.0, speedup_true=1.0, sequencing_loss=0.5)
    holds(run, imbalance_loss=0.0, work_imbalance=0.0, contention=0.0, queueing=0.0)
    assert run["start_skew_s"] is None  # the second agent starts late on purpose
    # a turn counts from its own request, and what a user waits from the start
    turns = [row for row in executions if row["mode"] == "concurrent"]
    assert [row["ttft_s"] for row in turns] == [near(0.2), near(0.6)]
    assert [row["first_token_start_s"] for row in turns] == [near(0.2), near(1.6)]
    assert [row["service_order"] for row in turns] == [1, 2]


def test_one_agent_is_one_execution_without_a_truth() -> None:
    (run,), executions = block_rows(block("single", (1.0,)), "main")
    assert (run["valid"], len(executions)) == (True, 1)
    assert (run["wall_s"], run["speedup_estimate"]) == (near(1.0), near(1.0))
    pairwise = ("ttft_delta_s", "throughput_delta_tokens_per_s", "contention_speedup_rule")
    assert [run[name] for name in (*TRUE, *pairwise, "start_skew_s")] == [None] * 11
    assert executions[0]["slowdown"] is None


def test_time_outside_the_agents_is_orchestration() -> None:
    (run,), executions = block_rows(block("dual", (1.0, 1.0), steps=2, between_s=0.25), "main")
    holds(run, wall_s=1.25, orchestration_loss=0.2, speedup_true=1.6)
    row = executions[-1]
    assert (row["duration_s"], row["n_steps"], row["answer_tokens"]) == (near(1.0), 2, 16)
    assert row["first_token_s"] == near(0.2)
    assert row["ttft_s"] == near(0.1)  # of the first step only
    # a late start is skew and wall
    run = aggregated(block("dual", (1.0, 1.0), starts=(0.0, 0.05)))
    holds(run, start_skew_s=0.05, wall_s=1.05, orchestration_loss=0.05 / 1.05)


@pytest.mark.parametrize(
    ("mode", "changes", "of_run"),
    [
        ("concurrent", {"cold": True}, {"cold": True}),
        ("solo", {"cold": True}, {"cold": False}),
        ("concurrent", {"work_effective": "capped"}, {"work_effective": "capped"}),
        ("concurrent", {"work_effective": "natural"}, {"work_effective": "capped"}),
        ("concurrent", {"foreign_cores": 0.1}, {"foreign_cores": 0.1, "disturbed": False}),
        ("concurrent", {"foreign_cores": 0.11}, {"foreign_cores": 0.11, "disturbed": True}),
        ("solo", {"foreign_cores": 0.7}, {"foreign_cores": 0.02, "disturbed": False}),
    ],
)
def test_what_one_execution_makes_of_its_run(mode: str, changes: Row, of_run: Row) -> None:
    rows = block()
    where(rows, mode, "insight")[0].update(changes)
    run = aggregated(rows)
    assert {name: run[name] for name in of_run} == of_run


def test_what_all_executions_say_is_their_runs() -> None:
    run = aggregated(block(foreign_cores=None, work_effective="natural"))
    names = ("work_effective", "foreign_cores", "disturbed")
    assert [run[name] for name in names] == ["natural", None, None]


def test_an_unknown_number_of_prompt_tokens_is_not_zero() -> None:
    rows = block()
    where(rows, "concurrent", "insight")[0]["steps"][0]["prompt_tokens"] = None
    (run,), executions = block_rows(rows, "main")
    assert run["prompt_tokens"] is None
    assert executions[-1]["prompt_tokens"] is None
    assert run["solo_basis"] == "token_normalised"  # not known to be the same work


def broken_steps(**changes: Any) -> list[Row]:
    rows = block()
    where(rows, "concurrent", "insight")[0]["steps"][0].update(changes)
    return rows


MISSING = "missing or there twice"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (failed(block(), "insight", "concurrent", "deadline"), "insight concurrent: deadline"),
        (no_server(block()), "collector concurrent: server_start"),
        (block()[:3], f"insight concurrent: {MISSING}"),
        (block()[::2], f"agent 1 concurrent: {MISSING}"),
        (block()[:2], f"collector concurrent: {MISSING}"),
        ([*block(), block()[3]], f"insight concurrent: {MISSING}"),
        (
            [*block(), block("dual", (1.0,) * 3, n_agents=2)[5]],
            "executions of agents that the config does not have",
        ),
        (broken_steps(chunk_ns=[]), "insight concurrent: empty"),
        ([*block()[:3], block()[3] | {"steps": []}], "insight concurrent: empty"),
        (broken_steps(answer_tokens=None), "insight concurrent: no_token_count"),
        (broken_steps(request_ns=10**10), "insight concurrent: bad_stamps"),
    ],
)
def test_a_void_run_has_a_reason_and_no_metrics(rows: list[Row], reason: str) -> None:
    (run,), executions = block_rows(rows, "main")
    assert (run["valid"], run["reason"]) == (False, reason)
    assert not METRICS & {key for key, value in run.items() if value is not None}
    assert "work_effective" not in run
    assert len(executions) == len(rows)
    # what failed keeps what it said
    assert {row["error"] for row in executions} == {row["error"] for row in rows}
    for row in executions:
        solo = row["mode"] == "solo"
        assert (row["valid"], row["reason"]) == (solo, None if solo else reason)
        metrics = EXECUTION_METRICS & {key for key, value in row.items() if value is not None}
        assert bool(metrics) is solo


@pytest.mark.parametrize(
    "rows",
    [
        failed(block(), "insight", "solo", "deadline"),
        where(block(), "concurrent") + where(block(), "solo", "collector"),
        # an answer more than twice as long as its solo's has nothing to compare with
        broken_steps(answer_tokens=17),
    ],
    ids=["failed", "missing", "longer"],
)
def test_a_run_without_a_solo_counts_and_has_no_truth(rows: list[Row]) -> None:
    (run,), executions = block_rows(rows, "main")
    assert (run["valid"], run["reason"], run["solo_basis"]) == (True, None, "none")
    assert [run[name] for name in TRUE] == [None] * len(TRUE)
    assert run["speedup_estimate"] == near(2.0)
    ran = [row for row in executions if row["mode"] == "concurrent"]
    assert [row["solo_basis"] for row in ran] == ["paired", "none"]
    for row in executions:
        if row["error"]:
            assert (row["valid"], row["reason"]) == (False, "insight solo: deadline")


# Blocks of several configs and rounds


def of(runs: list[Row], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(run.get(name) for name in names) for run in runs]


def test_a_block_has_a_run_for_every_config_in_every_round() -> None:
    rows = side_by_side(block("dual"), block("serial"), rounds=2, twin="dual")
    late = [row | {"attempt": 2} for row in rows if row["round"] == 1]
    runs, executions = block_rows([*late, *reversed(rows)], "main")
    # in the order in which they were measured
    assert of(runs, "attempt", "round", "config_id", "twin") == [
        (attempt, number, config_id, twin)
        for attempt, number in ((1, 1), (1, 2), (2, 1))
        for config_id, twin in (("dual", False), ("serial", False), ("dual", True))
    ]
    assert all(run["valid"] for run in runs)
    # two agents in each of nine runs, and dual's solos in round 1
    keys = ("attempt", "round", "config_id", "twin", "mode", "agent")
    assert len(set(of(executions, *keys))) == len(executions) == 22


def test_a_serial_run_is_the_solo_of_those_on_its_server() -> None:
    # in turn 1.0 and 2.0 s; one slot makes of it 1.0 and, after a wait of 1.0, 2.0 s
    line = where(block("single", (1.0, 2.0), (1.0, 3.0)), "concurrent")
    line[1]["steps"] = block("single", (2.0,), starts=(1.0,))[0]["steps"]
    line[1]["steps"][0]["request_ns"] = 0
    runs, executions = block_rows(side_by_side(block("serial", (1.0, 2.0)), line), "main")
    serial, single = runs
    assert (serial["solo_basis"], serial["speedup_true"], serial["antt"]) == ("none", None, None)
    assert single["solo_basis"] == "paired"
    ran = [row for row in executions if row["config_id"] == "single"]
    assert [(row["solo_s"], row["queue_s"]) for row in ran] == [(near(1), 0), (near(2), near(1))]
    # queueing: 1.5 (1/2 - 1/3)
    holds(single, speedup_true=1.0, work_imbalance=0.25, queueing=0.25)
    holds(single, contention=0.0, orchestration_true=0.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"deployment": "another"},
        {"deployment": None},
        {"workload": "w2"},
        {"round": 2},
        {"twin": True, "endpoint": "http://127.0.0.1:9000"},
    ],
    ids=str,
)
def test_a_serial_run_elsewhere_is_no_solo(changes: Row) -> None:
    single = where(block("single"), "concurrent")
    serial = [row | changes for row in where(block("serial"), "concurrent")]
    runs, _ = block_rows([*single, *serial], "main")
    bases = {run["config_id"]: run["solo_basis"] for run in runs}
    assert bases == {"single": "none", "serial": "none"}


def test_the_nearest_solo_counts() -> None:
    def solos(number: int, seconds: float, attempt: int = 1) -> list[Row]:
        changes = {"round": number, "attempt": attempt}
        return [row | changes for row in where(block("dual", (seconds, seconds)), "solo")]

    def run(number: int, attempt: int = 1) -> list[Row]:
        ran = where(block("dual", (1.0, 1.0), (2.0, 2.0)), "concurrent")
        return [row | {"round": number, "attempt": attempt} for row in ran]

    rows = [*run(1), *run(2), *run(4), *run(6), *run(2, 2)]
    rows += [*solos(2, 1.0), *solos(5, 1.6), *solos(2, 0.8, 2)]
    runs, _ = block_rows(rows, "main")
    antt = {(run["round"], run["attempt"]): run["antt"] for run in runs if run["valid"]}
    assert antt == {
        (1, 1): near(2.0),  # of round 2, and the same attempt
        (2, 1): near(2.0),
        (4, 1): near(1.25),
        (6, 1): near(1.25),
        (2, 2): near(2.5),
    }


@pytest.mark.parametrize(("endpoint", "basis"), [("same", "paired"), ("other", "none")])
def test_a_twin_has_solos_only_where_it_ran_on_the_same_servers(endpoint: str, basis: str) -> None:
    rows = block("dual", (1.0, 1.0), (1.5, 1.5))
    changes = {"twin": True} if endpoint == "same" else {"twin": True, "endpoint": "http://[::1]:9"}
    runs, _ = block_rows([*rows, *(row | changes for row in where(rows, "concurrent"))], "main")
    assert of(runs, "twin", "solo_basis") == [(False, "paired"), (True, basis)]


def test_one_disturbed_run_disturbs_its_round() -> None:
    rows = side_by_side(block("dual"), block("serial"), rounds=3)
    rows += [row | {"attempt": 2} for row in rows if row["round"] == 2]
    for row in rows:
        disturbs = (row["round"], row["attempt"], row["topology"]) == (2, 1, "serial")
        row["foreign_cores"] = 0.11 if disturbs else 0.1
    runs, _ = block_rows(rows, "main")
    disturbed = {(run["round"], run["attempt"]) for run in runs if run["disturbed"]}
    assert disturbed == {(2, 1)}
    assert sum(run["disturbed"] for run in runs) == 2
    assert {run["foreign_cores"] for run in runs if run["config_id"] == "dual"} == {0.1}


def test_a_failed_run_voids_itself_alone() -> None:
    rows = side_by_side(block("dual"), block("serial"), block("single"), rounds=2)
    for row in rows:
        if (row["round"], row["config_id"], row["agent"]) == (1, "serial", "insight"):
            row["error"] = "reset"
    runs, executions = block_rows(rows, "main")
    void = [run for run in runs if not run["valid"]]
    assert of(void, "round", "config_id", "reason") == [(1, "serial", "insight concurrent: reset")]
    # a failed turn is no solo, the other one is
    bases = {
        row["agent"]: row["solo_basis"]
        for row in executions
        if (row["round"], row["config_id"], row["mode"]) == (1, "single", "concurrent")
    }
    assert bases == {"collector": "paired", "insight": "none"}
