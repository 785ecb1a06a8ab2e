"""Topology and compute threads as servers tell them, or as agents show them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from raw_blocks import block, write_dataset

from tandembench.analysis.settings import Check
from tandembench.dataset.load import load_dataset
from tandembench.report.factors import checks, factors

Row = dict[str, Any]


def found(folder: Path, rows: Sequence[Row], threads_total: int | None = None) -> list[Check]:
    executions = load_dataset(write_dataset(folder, [rows])).executions
    return [
        check
        for check in checks(executions, threads_total)
        if check.factor in ("topology", "threads_total")
    ]


def topology(folder: Path, rows: Sequence[Row]) -> tuple[str | None, bool | None]:
    (check,) = found(folder, rows)
    assert check.factor == "topology"
    return check.effective, check.applied


APART = [0.0, 1.0]  # the second agent begins as the first one ends


@pytest.mark.parametrize(
    ("rows", "effective", "applied"),
    [
        (block("dual"), "2 servers; 1 slot each", True),
        (block("dual", endpoint="http://127.0.0.1:8000"), "1 server; 1 slot each", False),
        (block("single"), "1 server; 1 slot each", True),
        (block("single", slots=4), "1 server; 4 slots each", False),
        (block("single_parallel"), "1 server; 2 slots each", True),
        (block("single_parallel", slots=1), "1 server; 1 slot each", False),
        (block("serial", slots=4), "1 server; 4 slots each", True),
        (block("serial", (1.0, 1.0), endpoint=None), None, None),
        (block("single", slots=None), "1 server; agents decoded at once", False),
        (block("single", starts=APART, slots=None), "1 server; agents never decoded at once", True),
        (block("single_parallel", slots=None), "1 server; agents decoded at once", True),
        (
            block("single_parallel", starts=APART, slots=None),
            "1 server; agents never decoded at once",
            False,
        ),
        (block("dual", slots=None), "2 servers; agents decoded at once", True),
        (
            block("dual", starts=APART, slots=None),
            "2 servers; agents never decoded at once",
            False,
        ),
    ],
)
def test_a_topology_is_what_its_servers_are_or_do(
    tmp_path: Path, rows: list[Row], effective: str | None, applied: bool | None
) -> None:
    assert topology(tmp_path, rows) == (effective, applied)


def test_answers_of_one_token_show_nothing(tmp_path: Path) -> None:
    rows = block("single", starts=APART, tokens=1, slots=None)
    assert topology(tmp_path, rows) == ("1 server", None)


def test_one_agent_has_no_topology(tmp_path: Path) -> None:
    assert found(tmp_path, block("single", (1.0,))) == []


@pytest.mark.parametrize(
    ("rows", "asked", "effective", "applied"),
    [
        (block("dual"), 2, "2", True),
        (block("dual"), 3, "2", False),
        (block("single"), 2, "2", True),
        (block("single", threads=1), 2, "1", False),
        (block("single", threads=None), 2, None, None),
    ],
)
def test_threads_are_added_up_over_the_servers(
    tmp_path: Path, rows: list[Row], asked: int, effective: str | None, applied: bool | None
) -> None:
    (threads,) = (
        check for check in found(tmp_path, rows, asked) if check.factor == "threads_total"
    )
    assert (threads.asked, threads.effective, threads.applied) == (str(asked), effective, applied)


def test_every_factor_is_counted(tmp_path: Path) -> None:
    blocks = [block("dual"), block("single"), block("single-b", slots=4)]
    blocks.append(block("single-c", num_ctx_effective=2048))
    blocks.append(block("single-d", options_effective=None, num_ctx_effective=None))
    told = factors(checks(load_dataset(write_dataset(tmp_path, blocks)).executions))
    assert [tuple(row.values()) for row in told["summary"]] == [
        ("num_ctx", 3, 1, 1),
        ("temperature", 4, 0, 1),
        ("topology", 4, 1, 0),
    ]
    topologies = [row for row in told["rows"] if row["factor"] == "topology"]
    assert [(row["asked"], row["effective"], row["example"]) for row in topologies] == [
        ("single", "1 server; 4 slots each", "single-b")
    ]
