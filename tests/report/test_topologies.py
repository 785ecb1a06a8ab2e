"""Topologies side by side: groups of equal work, the headline, and what is compared in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from raw_blocks import block, failed, rounds, scaled, unsteady
from reporting import context

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
SERIAL, DUAL = block("serial"), block("dual", (1.0, 1.0), (1.25, 1.25))


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
