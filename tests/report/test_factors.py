"""Settings that were asked for, against those that servers report."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from raw_blocks import block, no_server, rounds, where
from reporting import context

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
SERIAL, DUAL = block("serial"), block("dual", (1.0, 1.0), (1.25, 1.25))


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
    assert [one["applied"] for one in found["summary"]] == [1, 1]


def test_factors_of_servers_that_never_answered_are_unknown(tmp_path: Path) -> None:
    found = context(tmp_path, [no_server(DUAL), no_server(block("single"))])["factors"]
    assert found == {"asked": False, "rows": [], "summary": []}


def test_nothing_asked_is_nothing_to_check(tmp_path: Path) -> None:
    found = context(tmp_path, [block(options_asked="{}")])["factors"]
    assert (found["asked"], found["rows"]) == (False, [])
    assert [one["factor"] for one in found["summary"]] == ["topology"]
