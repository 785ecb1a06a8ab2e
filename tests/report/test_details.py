"""Dataset -> context: what the report knows, and what it leaves out."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from raw_blocks import MACHINE, block, failed, no_server, rounds, unsteady, where
from reporting import context

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
SERIAL, DUAL = block("serial"), block("dual", (1.0, 1.0), (1.25, 1.25))


@pytest.mark.parametrize(
    ("factors", "verdict"),
    [
        ((1.0, 1.0, 1.0), "overstates"),
        ((0.8, 0.8, 0.8), "right"),
        ((0.4, 0.4, 0.4), "understates"),
        ((0.3, 0.8, 2.0), "cannot_tell"),
        ((1.0,), "cannot_tell"),
    ],
)
def test_the_estimator_against_the_truth(
    tmp_path: Path, factors: Sequence[float], verdict: str
) -> None:
    found = context(tmp_path, unsteady(DUAL, *factors))["estimator"]
    assert {name: len(rows) for name, rows in found.items() if rows} == {verdict: 1}
    assert found[verdict][0]["estimate"].mean == pytest.approx(2.0)


def test_without_a_solo_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    blocks = [*rounds(2, block("single", (1.0,))), no_server(DUAL)]
    found = context(tmp_path, blocks)["estimator"]
    assert [row["config_id"] for row in found["unknown"]] == ["single", "dual"]


def test_the_environment_shows_no_failed_execution(tmp_path: Path) -> None:
    found = context(tmp_path, [no_server(block("single")), DUAL])["environment"]
    assert found["engines"] == [{"engine": "embedded", "engine_version": "1.2.3"}]
    assert found["models"] == [{"model": "small-model", "model_digest": "ab" * 32}]
    servers = {row["topology"]: row for row in found["servers"]}
    assert servers["single"]["threads"] is None
    assert (servers["dual"]["threads"], servers["dual"]["num_ctx"]) == ("1", "512")
    assert (found["clocks"], found["prompt_tokens"]) == ("httpx_read", "100")


def test_servers_are_told_apart_by_topology_and_agents(tmp_path: Path) -> None:
    blocks = [block("single"), block("single-3", (1.0,) * 3), SERIAL]
    blocks.append(block("single-c", num_ctx_effective=1024))
    found = context(tmp_path, blocks)["environment"]["servers"]
    rows = [(row["topology"], row["n_agents"], row["num_ctx"]) for row in found]
    assert rows == [("serial", 2, "512"), ("single", 2, "512, 1024"), ("single", 3, "512")]


def test_attempts_configs_and_sessions_are_counted(tmp_path: Path) -> None:
    broken = failed(DUAL, "insight", "concurrent", "deadline")
    second = [row | {"attempt": 2, "session": "s2"} for row in DUAL]
    cold = block("single", cold=True)
    found = context(tmp_path, [broken, second, cold, no_server(SERIAL)])
    measured = found["measured"]
    assert (measured["attempts"], measured["valid"], measured["configs"]) == (4, 2, 3)
    assert (measured["void_configs"], measured["cold"]) == (["serial"], 1)
    assert measured["sessions"] == ["s1", "s2"]
    reasons = ["insight concurrent: deadline", "collector concurrent: server_start"]
    assert [row["reason"] for row in found["failures"]["rows"]] == reasons
    assert found["failures"]["n"] == 2


@pytest.mark.parametrize(
    ("last", "when"),
    [
        (datetime(2026, 11, 22, 18, 5, tzinfo=UTC), "2026-11-22 17:30 to 18:05 UTC"),
        (datetime(2026, 11, 23, 1, 5, tzinfo=UTC), "2026-11-22 17:30 to 2026-11-23 01:05 UTC"),
    ],
)
def test_when_says_the_day_of_the_end_if_it_is_another(
    tmp_path: Path, last: datetime, when: str
) -> None:
    blocks = [DUAL, [row | {"repetition": 2, "started_at": last} for row in DUAL]]
    assert context(tmp_path, blocks)["measured"]["when"] == when


def test_a_phase_lists_its_configs_in_the_order_of_the_study(tmp_path: Path) -> None:
    phases = {"two": ["serial"], "one": ["single", "dual", "never-measured"]}
    found = context(tmp_path, [DUAL, SERIAL, block("single")], phases=phases)["phases"]
    rows = [(phase["name"], [row["config_id"] for row in phase["rows"]]) for phase in found]
    assert rows == [("two", ["serial"]), ("one", ["single", "dual", "never-measured"])]
    assert found[1]["rows"][2]["n"] == 0
    assert found[1]["rows"][2]["speedup_estimate"] is None


@pytest.mark.parametrize(
    ("factors", "shown"),
    [((1.0, 1.02, 0.99), "yes"), ((0.4, 0.9, 2.0), "not shown"), ((1.0,), None)],
)
def test_contention_is_measured_by_its_interval(
    tmp_path: Path, factors: Sequence[float], shown: str | None
) -> None:
    row = context(tmp_path, unsteady(DUAL, *factors))["phases"][0]["rows"][0]
    assert row["contention_measured"] == shown


def test_the_true_loss_of_serial_is_unknown_without_its_solos(tmp_path: Path) -> None:
    rows = block("serial")
    where(rows, "concurrent", "insight")[0]["steps"][0]["answer_tokens"] = 17
    row = context(tmp_path, [rows])["phases"][0]["rows"][0]
    assert (row["sequencing_loss"], row["true_sequencing"]) == (0.5, None)
    assert row["speedup_true"] is None


def test_machines_are_told_apart(tmp_path: Path) -> None:
    blocks, other = rounds(2, DUAL), {**MACHINE, "cpu": "Another"}
    found = context(tmp_path, blocks, machines=[MACHINE, other])["environment"]["machines"]
    assert [machine["cpu"] for machine in found] == ["A CPU", "Another"]
