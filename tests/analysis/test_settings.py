"""Settings that were asked for against those that servers report, and what may be put down to."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from raw_blocks import block, no_server, rounds, where, write_dataset

from tandembench.analysis.settings import Check, Unapplied, checks, settings, unapplied
from tandembench.dataset.load import load_dataset

Row = dict[str, Any]
APART = [0.0, 1.0]  # the second agent begins as the first one ends
LAYOUT = {"topology", "threads_total"}


def found(folder: Path, *blocks: Sequence[Row], threads: int | None = None) -> list[Check]:
    return checks(load_dataset(write_dataset(folder, blocks)).executions, threads)


def asking(name: str, asked: Row, effective: Row, **changes: Any) -> list[Row]:
    texts = {"options_asked": json.dumps(asked), "options_effective": json.dumps(effective)}
    return block(name, **texts, **changes)


def test_what_was_not_applied_or_not_reported_is_listed_by_value_and_counted(
    tmp_path: Path,
) -> None:
    asked = {"num_gpu": 80, "num_ctx": 512, "temperature": 0.8, "top_k": 40}
    told = {"temperature": 0.800000011920929, "top_k": 20}  # servers hold 32-bit numbers
    odd = asking("single", asked | {"num_ctx": 1024}, told, num_ctx_effective=2048)
    few = asking("dual-b", asked | {"num_gpu": 120}, told, slots=4)
    blocks = [*rounds(2, asking("dual-a", asked, told)), few, odd]
    summary = settings(found(tmp_path, *blocks))
    assert summary.asked
    assert [(row.factor, row.asked, row.effective, row.configs) for row in summary.rows] == [
        ("num_ctx", "1024", "2048", ("single",)),
        ("num_gpu", "80", None, ("dual-a", "single")),
        ("num_gpu", "120", None, ("dual-b",)),
        ("top_k", "40", "20", ("dual-a", "dual-b", "single")),
    ]
    assert [(n.factor, n.applied, n.not_applied, n.not_reported) for n in summary.summary] == [
        ("num_ctx", 2, 1, 0),
        ("num_gpu", 0, 0, 3),
        ("temperature", 3, 0, 0),
        ("top_k", 0, 3, 0),
        ("topology", 3, 0, 0),
    ]


@pytest.mark.parametrize(
    ("asked", "bytes_there", "effective", "applied"),
    [
        (80, 0, "no layer on a GPU", False),
        (0, 0, "no layer on a GPU", True),
        (80, 100, "all layers on a GPU", True),
        (0, 100, "all layers on a GPU", False),
        (80, 40, "40 % of the model on a GPU", None),
        (80, None, None, None),
    ],
)
def test_layers_are_known_by_where_the_model_lies(
    tmp_path: Path, asked: int, bytes_there: int | None, effective: str | None, applied: bool | None
) -> None:
    rows = asking("dual", {"num_gpu": asked}, {}, model_bytes=100, model_gpu_bytes=bytes_there)
    (one,) = (one for one in found(tmp_path, rows) if one.factor == "num_gpu")
    assert (one.effective, one.applied) == (effective, applied)


def test_settings_are_compared_agent_by_agent(tmp_path: Path) -> None:
    rows = block("single", num_ctx_effective=1024)
    for row in where(rows, agent="insight"):
        row["options_asked"] = json.dumps({"num_ctx": 1024})
    (one,) = settings(found(tmp_path, rows)).rows
    assert (one.asked, one.effective, one.configs) == ("512", "1024", ("single",))


def test_servers_that_never_answered_and_nothing_asked_are_nothing_to_check(tmp_path: Path) -> None:
    assert found(tmp_path / "a", no_server(block("dual")), no_server(block("single"))) == []
    nothing = settings(found(tmp_path / "b", block(options_asked="{}")))
    assert (nothing.asked, nothing.rows) == (False, ())
    assert [one.factor for one in nothing.summary] == ["topology"]


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
        # answers of one token show nothing
        (block("single", starts=APART, tokens=1, slots=None), "1 server", None),
        (block("single_parallel", slots=None), "1 server; agents decoded at once", True),
        (
            block("single_parallel", starts=APART, slots=None),
            "1 server; agents never decoded at once",
            False,
        ),
        (block("dual", slots=None), "2 servers; agents decoded at once", True),
        (block("dual", starts=APART, slots=None), "2 servers; agents never decoded at once", False),
    ],
)
def test_a_topology_is_what_its_servers_are_or_do(
    tmp_path: Path, rows: list[Row], effective: str | None, applied: bool | None
) -> None:
    (topology,) = (one for one in found(tmp_path, rows) if one.factor in LAYOUT)
    assert (topology.effective, topology.applied) == (effective, applied)


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
    (one,) = (c for c in found(tmp_path, rows, threads=asked) if c.factor == "threads_total")
    assert (one.asked, one.effective, one.applied) == (str(asked), effective, applied)


def test_one_agent_has_no_topology(tmp_path: Path) -> None:
    assert not LAYOUT & {one.factor for one in found(tmp_path, block("single", (1.0,)))}


CHECKS = [
    Check("num_ctx", "512", "512", True, ("a", "b", "c")),
    Check("num_ctx", "1024", "2048", False, ("d",)),
    Check("num_gpu", "60", None, None, ("a",)),
    Check("num_gpu", "80", None, None, ("b", "d")),
    Check("temperature", "0.8", "0.8", True, ("a", "b", "d")),
    Check("topology", "dual", "2 servers", True, ("a", "b", "d")),
    Check("topology", "single", "1 server; 2 slots each", False, ("c",)),
]


@pytest.mark.parametrize(
    ("configs", "chosen", "between"),
    [
        ("ab", (), Unapplied(("num_gpu",), all=True, reported=False)),
        ("bd", (), Unapplied(("num_ctx",), all=True, reported=True)),
        # temperature was not asked for in c, and is reported where it was
        ("ac", (), Unapplied(("num_gpu", "topology"), all=False, reported=True)),
        ("aa", (), None),
        ("aa", ("temperature",), None),
        # what made a side must hold, whatever the other one is
        ("c", ("topology",), Unapplied(("topology",), all=True, reported=True)),
        ("a", ("topology",), None),
        ("a", (), None),
    ],
)
def test_what_stands_between_sides(
    configs: str, chosen: tuple[str, ...], between: Unapplied | None
) -> None:
    assert unapplied([(CHECKS, {config}) for config in configs], chosen) == between
