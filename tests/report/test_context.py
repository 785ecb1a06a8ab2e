"""Dataset -> context: what the report knows, and what it leaves out."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from raw_blocks import MACHINE, block, failed, no_server, rounds, scaled, where, write_dataset

from tandembench.dataset.load import load_dataset
from tandembench.report.context import report_context
from tandembench.stats.intervals import Interval

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
SERIAL, DUAL = block("serial"), block("dual", (1.0, 1.0), (1.25, 1.25))


def context(folder: Path, blocks: Blocks, **study: Any) -> dict[str, Any]:
    return report_context(load_dataset(write_dataset(folder, blocks, **study)))


def unsteady(rows: Sequence[Row], *factors: float) -> list[list[Row]]:
    """One block a round, each run stretched by its own factor."""
    return [
        [row | {"repetition": number} for row in scaled(rows, factor)]
        for number, factor in enumerate(factors, start=1)
    ]


def test_the_headline_compares_with_the_reference(tmp_path: Path) -> None:
    single = block("single", (1.0, 1.0), (2.5, 2.5))
    found = context(tmp_path, rounds(3, DUAL, SERIAL, single))["headline"]
    rows = {row["topology"]: row for row in found["rows"]}
    assert list(rows) == ["single", "dual"]
    ratio = rows["dual"]["makespan_ratio"]
    assert (ratio.mean, ratio.n) == (pytest.approx(1.6), 3)
    assert (rows["dual"]["verdict"], rows["single"]["verdict"]) == ("better", "worse")
    assert (rows["dual"]["pairs"], found["n_agents"], found["equal_threads"]) == (3, 2, True)
    assert (found["named"], found["more"]) == ([], 0)


def test_another_reference_turns_the_headline_round(tmp_path: Path) -> None:
    found = context(tmp_path, rounds(3, DUAL, SERIAL), reference="dual")["headline"]
    assert [(row["topology"], row["verdict"]) for row in found["rows"]] == [("serial", "worse")]


def test_the_headline_shows_a_replicate_once(tmp_path: Path) -> None:
    again = block("dual-again", (1.0, 1.0), (1.25, 1.25))
    found = context(tmp_path, rounds(3, SERIAL, DUAL, again))
    assert [row["config_id"] for row in found["headline"]["rows"]] == ["dual"]
    assert found["headline"]["named"] == []
    replicates = {row["config_id"]: row["replicate_of"] for row in _rows(found)}
    assert replicates == {"serial": None, "dual": None, "dual-again": "dual"}


def test_the_headline_names_configs_that_are_no_replicates(tmp_path: Path) -> None:
    other = block("dual-other", (1.0, 1.0), (1.25, 1.25), content="elsewhere")
    found = context(tmp_path, rounds(3, SERIAL, DUAL, other))["headline"]
    assert [row["config_id"] for row in found["rows"]] == ["dual", "dual-other"]
    assert found["named"] == ["dual"]


def _rows(found: Row) -> list[Row]:
    return [row for group in found["topology_groups"] for row in group["rows"]]


def test_the_largest_group_comes_first_and_the_others_are_counted(tmp_path: Path) -> None:
    small = [block(f"{name}-w2", topology=name, workload="w2") for name in ("serial", "dual")]
    single = block("single", (1.0, 1.0), (2.0, 2.0))
    found = context(tmp_path, rounds(2, *small, SERIAL, DUAL, single))
    assert [len(group["rows"]) for group in found["topology_groups"]] == [3, 2]
    assert len(found["headline"]["rows"]) == 2
    assert found["headline"]["more"] == 1


def test_groups_need_two_topologies_of_one_workload(tmp_path: Path) -> None:
    blocks = rounds(2, block("dual-a"), block("dual-b"), block("single", workload="w2"))
    found = context(tmp_path, blocks)
    assert (found["topology_groups"], found["headline"]) == ([], None)


def test_a_config_without_a_valid_block_stays_in_its_group(tmp_path: Path) -> None:
    lost = [failed(rows, "insight", "solo", "oom") for rows in rounds(3, DUAL)]
    found = context(tmp_path, [*rounds(3, SERIAL, block("single")), *lost])
    row = next(row for row in _rows(found) if row["config_id"] == "dual")
    assert (row["n"], row["pairs"], row["makespan_ratio"], row["verdict"]) == (
        0,
        0,
        None,
        "inconclusive",
    )
    assert [row["topology"] for row in found["headline"]["rows"]] == ["single", "dual"]
    assert found["measured"]["void_configs"] == ["dual"]


def test_pairs_count_rounds_that_hold_both(tmp_path: Path) -> None:
    lost = failed([row | {"repetition": 2} for row in SERIAL], "insight", "solo", "oom")
    blocks = [*rounds(3, SERIAL), *rounds(3, DUAL)]
    blocks[1] = lost
    row = context(tmp_path, blocks)["headline"]["rows"][0]
    assert (row["n"], row["pairs"], row["makespan_ratio"].n) == (3, 2, 2)


def test_three_sessions_are_three_values(tmp_path: Path) -> None:
    blocks = [
        [row | {"session": session} for row in rows]
        for session, factor in (("s1", 1.0), ("s2", 1.1), ("s3", 1.25))
        for rows in (*rounds(2, SERIAL), *rounds(2, scaled(DUAL, factor)))
    ]
    row = context(tmp_path, blocks)["headline"]["rows"][0]
    assert (row["pairs"], row["makespan_ratio"].n) == (6, 3)
    assert row["makespan_ratio"].mean == pytest.approx(1.6 / (1.1 * 1.25) ** (1 / 3))


def later(blocks: Blocks) -> list[list[Row]]:
    """The blocks as another invocation measured them."""
    return [[row | {"invocation": "inv2"} for row in rows] for rows in blocks]


def test_another_invocation_is_no_pair(tmp_path: Path) -> None:
    found = context(tmp_path, [*rounds(3, SERIAL), *later(rounds(3, DUAL))])
    (row,) = found["headline"]["rows"]
    assert (row["makespan_ratio"], row["pairs"]) == (None, 0)
    assert (row["verdict"], row["reason"]) == ("inconclusive", "different sessions")


def test_three_sessions_need_no_common_invocation(tmp_path: Path) -> None:
    blocks = [
        [row | {"session": session} for row in rows]
        for session, factor in (("s1", 1.0), ("s2", 1.01), ("s3", 0.99))
        for rows in (*rounds(2, SERIAL), *later(rounds(2, scaled(DUAL, factor))))
    ]
    (row,) = context(tmp_path, blocks)["headline"]["rows"]
    assert (row["basis"], row["sessions"], row["pairs"]) == ("sessions", 3, 0)
    assert (row["verdict"], row["makespan_ratio"].n) == ("better", 3)
    assert row["makespan_ratio"].mean == pytest.approx(1.6, rel=0.001)


def test_equal_configs_of_other_invocations_are_not_compared(tmp_path: Path) -> None:
    again = block("dual-again", (1.0, 1.0), (1.25, 1.25))
    (pair,) = context(tmp_path, [*rounds(3, DUAL), *later(rounds(3, again))])["controls"]["pairs"]
    assert (pair["ratio"], pair["passed"]) == (None, None)
    assert pair["reason"] == "different sessions"


def test_topologies_of_one_work_are_one_family(tmp_path: Path) -> None:
    """Alone dual is better; among three comparisons its p does not hold."""
    doubtful = unsteady(DUAL, 0.60, 0.95, 0.85)
    (row,) = context(tmp_path / "alone", [*rounds(3, SERIAL), *doubtful])["headline"]["rows"]
    assert (row["verdict"], row["alone"]) == ("better", "better")
    assert row["p"] == row["adjusted_p"]
    assert row["p"] < 0.05
    others = [
        *unsteady(block("single", (1.0, 1.0), (2.0, 2.0)), 0.8, 1.2, 1.0),
        *unsteady(block("single_parallel", (1.0, 1.0), (2.0, 2.0)), 0.8, 1.2, 1.0),
    ]
    found = context(tmp_path / "family", [*rounds(3, SERIAL), *doubtful, *others])
    dual = found["headline"]["rows"][-1]
    assert (dual["topology"], dual["verdict"], dual["alone"]) == ("dual", "inconclusive", "better")
    assert dual["p"] == pytest.approx(row["p"])
    assert dual["adjusted_p"] == pytest.approx(3 * row["p"])


def test_a_replicate_makes_no_family_larger(tmp_path: Path) -> None:
    again = block("dual-again", (1.0, 1.0), (1.25, 1.25))
    doubtful = [*unsteady(DUAL, 0.60, 0.95, 0.85), *unsteady(again, 0.61, 0.95, 0.85)]
    found = context(tmp_path, [*rounds(3, SERIAL), *doubtful])
    (row,) = found["headline"]["rows"]
    assert row["adjusted_p"] == row["p"]
    (group,) = found["topology_groups"]
    assert [one["verdict"] for one in group["rows"]] == ["equivalent", "better", "better"]


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


def test_controls_of_serial(tmp_path: Path) -> None:
    good = context(tmp_path / "good", rounds(3, SERIAL))["controls"]
    assert good["serial"]["gain"] == Interval(*[pytest.approx(1.0)] * 3, 3)
    assert (good["serial"]["passed"], good["failed"]) == (True, 0)
    for name, factor in (("slow", 1.2), ("fast", 0.8)):
        bad = context(tmp_path / name, rounds(3, scaled(SERIAL, factor)))["controls"]
        assert (bad["serial"]["passed"], bad["failed"]) == (False, 1)
    none = context(tmp_path / "none", rounds(3, DUAL))["controls"]
    assert (none["serial"]["listed"], none["serial"]["passed"], none["failed"]) == (False, None, 0)
    alone = context(tmp_path / "alone", rounds(3, block("serial", (1.0,))))["controls"]
    assert (alone["serial"]["listed"], alone["serial"]["passed"]) == (True, None)


def test_controls_of_equal_configs(tmp_path: Path) -> None:
    def pair(name: str, again: Blocks) -> Row:
        blocks = [*rounds(3, DUAL), *again]
        found = context(tmp_path / name, blocks)["controls"]
        (only,) = found["pairs"]
        assert (only["first"], only["second"]) == ("dual", "dual-again")
        assert found["failed"] == (only["passed"] is False)
        return dict(only)

    again = block("dual-again", (1.0, 1.0), (1.25, 1.25))
    equal = pair("equal", rounds(3, again))
    assert (equal["verdict"], equal["passed"], equal["pairs"]) == ("equivalent", True, 3)
    unclear = pair("unclear", unsteady(again, 0.5, 1.0, 2.0))
    assert (unclear["verdict"], unclear["passed"]) == ("inconclusive", True)
    slower = pair("slower", rounds(3, scaled(again, 1.5)))
    assert (slower["verdict"], slower["passed"]) == ("worse", False)
    assert slower["ratio"].mean == pytest.approx(1 / 1.5)
    once = pair("once", rounds(1, again))
    assert (once["pairs"], once["passed"]) == (1, None)
    never = pair("never", [[row | {"repetition": 9} for row in again]])
    assert (never["pairs"], never["ratio"], never["passed"]) == (0, None, None)
    lost = pair("lost", [no_server(again)])
    assert (lost["pairs"], lost["passed"]) == (0, None)


def test_the_controls_are_one_family(tmp_path: Path) -> None:
    """Of three pairs one is off by what one pair in thirty is off by chance: none has failed."""
    blocks = []
    for name, factors in (
        ("dual-a", (1.00, 1.00, 1.00)),
        ("dual-b", (1.20, 1.10, 1.15)),
        ("dual-c", (1.00, 1.25, 1.10)),
        ("dual-d", (1.20, 1.00, 1.15)),
    ):
        blocks += unsteady(block(name), *factors)
    found = context(tmp_path, blocks)["controls"]
    assert [pair["p"] < 0.05 for pair in found["pairs"]] == [True, False, False]
    assert [pair["passed"] for pair in found["pairs"]] == [True, True, True]
    assert found["pairs"][0]["adjusted_p"] == pytest.approx(3 * found["pairs"][0]["p"])


def test_three_equal_configs_are_two_pairs(tmp_path: Path) -> None:
    blocks = rounds(2, block("dual-c"), block("dual-a"), block("dual-b"))
    pairs = context(tmp_path, blocks)["controls"]["pairs"]
    assert [(pair["first"], pair["second"]) for pair in pairs] == [
        ("dual-a", "dual-b"),
        ("dual-b", "dual-c"),
    ]


def options(asked: Row, effective: Row, **changes: Any) -> Row:
    names = {"options_asked": json.dumps(asked), "options_effective": json.dumps(effective)}
    return {**names, **changes}


def test_factors_that_were_not_applied_or_not_reported(tmp_path: Path) -> None:
    asked = {"num_gpu": 80, "num_ctx": 512, "temperature": 0.8, "top_k": 40}
    said = {"temperature": 0.8, "top_k": 20}
    blocks = rounds(2, block("dual-a", **options(asked, said)), block("dual-b"))
    odd = block("single", **options(asked | {"num_ctx": 1024}, said, num_ctx_effective=2048))
    found = context(tmp_path, [*blocks, odd])["factors"]
    assert found["asked"] is True
    assert [tuple(row.values()) for row in found["rows"]] == [
        ("num_ctx", "1024", "2048", 1, "single"),
        ("num_gpu", "80", None, 2, "dual-a"),
        ("top_k", "40", "20", 2, "dual-a"),
    ]


def test_factors_are_compared_agent_by_agent(tmp_path: Path) -> None:
    rows = block("single", num_ctx_effective=1024)
    for row in where(rows, agent="insight"):
        row["options_asked"] = json.dumps({"num_ctx": 1024})
    (found,) = context(tmp_path, [rows])["factors"]["rows"]
    assert (found["asked"], found["effective"], found["n"]) == ("512", "1024", 1)


def test_factors_are_listed_by_value(tmp_path: Path) -> None:
    blocks = [
        block(f"dual-{value}", **options({"num_gpu": value}, {})) for value in (120, 60, 100, 80)
    ]
    rows = context(tmp_path, blocks)["factors"]["rows"]
    assert [row["asked"] for row in rows] == ["60", "80", "100", "120"]


@pytest.mark.parametrize(
    ("asked", "effective"), [(0.8, 0.800000011920929), (1, 1.0), (0, 0.0), ("a", "a")]
)
def test_factors_that_were_applied_are_not_listed(
    tmp_path: Path, asked: object, effective: object
) -> None:
    rows = block("dual", **options({"temperature": asked}, {"temperature": effective}))
    found = context(tmp_path, [rows])["factors"]
    assert (found["asked"], found["rows"]) == (True, [])


def test_factors_of_servers_that_never_answered_are_unknown(tmp_path: Path) -> None:
    broken = failed(block("single"), "collector", "solo", "reset")
    broken[0]["options_effective"] = "{}"
    found = context(tmp_path, [no_server(DUAL), broken])["factors"]
    assert found == {"asked": False, "rows": [], "summary": []}


def test_nothing_asked_is_nothing_to_check(tmp_path: Path) -> None:
    found = context(tmp_path, [block(options_asked="{}")])["factors"]
    assert (found["asked"], found["rows"]) == (False, [])


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


@pytest.mark.parametrize(("threads", "equal"), [(1, True), (2, False), (None, None)])
def test_equal_hardware_is_checked(tmp_path: Path, threads: int | None, equal: bool) -> None:
    dual = [row | {"threads": threads} for row in DUAL]
    found = context(tmp_path, rounds(2, SERIAL, dual))
    assert found["topology_groups"][0]["equal_threads"] is equal
    assert found["headline"]["equal_threads"] is equal


def test_a_failed_block_says_nothing_of_its_hardware(tmp_path: Path) -> None:
    lost = failed([row | {"repetition": 2} for row in DUAL], "collector", "solo", "reset")
    other = [failed(block("dual-b"), "collector", "solo", "reset")]
    found = context(tmp_path, [*rounds(1, SERIAL, DUAL), lost, *other])
    assert found["topology_groups"][0]["equal_threads"] is True


def test_disturbed_blocks_are_counted(tmp_path: Path) -> None:
    blocks = [
        [row | {"repetition": n, "foreign_cores": cores} for row in DUAL]
        for n, cores in enumerate((0.02, 0.1, 0.3, 1.5), start=1)
    ]
    blocks.append(no_server(block("single", foreign_cores=5.0)))
    found = context(tmp_path, blocks)["disturbed"]
    assert (found["n"], found["of"], found["max"]) == (2, 4, 1.5)
    assert found["median"] == pytest.approx(0.2)


def test_foreign_work_that_nobody_could_see_is_unknown(tmp_path: Path) -> None:
    assert context(tmp_path, [block(foreign_cores=None)])["disturbed"] is None


def test_attempts_configs_and_sessions_are_counted(tmp_path: Path) -> None:
    broken = failed(DUAL, "insight", "concurrent", "deadline")
    second = [row | {"attempt": 2, "session": "s2"} for row in DUAL]
    cold = block("single", cold=True)
    found = context(tmp_path, [broken, second, cold, no_server(SERIAL)])
    measured = found["measured"]
    assert (measured["attempts"], measured["valid"], measured["configs"]) == (4, 2, 3)
    assert (measured["void_configs"], measured["cold"]) == (["serial"], 1)
    assert (measured["sessions"], measured["agents_max"]) == (["s1", "s2"], 2)
    reasons = ["insight concurrent: deadline", "collector concurrent: server_start"]
    assert found["failures"]["n"] == 2
    assert [row["reason"] for row in found["failures"]["rows"]] == reasons


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
