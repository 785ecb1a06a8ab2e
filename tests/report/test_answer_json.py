"""The answer for programs: the keys that they may count on, and what is null where nothing is."""

import json
from typing import Any

import pytest
from answers import ANSWERS, FASTEST, SETTING

from tandembench.report.answer_json import as_values
from tandembench.text import as_json

KEYS = {
    *("question", "verdict", "best", "reference", "rows", "twin", "rounds", "blocks", "sessions"),
    *("disturbed", "measuring_s", "next"),
}
OF_A_ROW = {
    *("topology", "config_id", "makespan_s", "ratio", "low", "high", "verdict", "tokens_per_s"),
    *("first_token_s", "memory_gib"),
}


def values(name: str) -> Any:
    return json.loads(as_json(as_values(ANSWERS[name], SETTING)))


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_has_the_same_keys(name: str) -> None:
    content = values(name)
    assert set(content) == KEYS
    assert all(set(row) == OF_A_ROW for row in content["rows"])
    assert content["twin"] is None or set(content["twin"]) == {"ratio", "low", "high", "verdict"}
    assert content["next"] is None or set(content["next"]) == {"minutes", "command"}


def test_the_fastest_is_named_by_its_topology() -> None:
    content = values("fastest")
    assert (content["verdict"], content["best"], content["reference"]) == (
        "fastest",
        "dual",
        "serial",
    )
    dual, *_, serial = content["rows"]
    assert (dual["topology"], dual["ratio"], dual["low"], dual["high"], dual["verdict"]) == (
        *("dual", 1.19, 1.09, 1.30, "better"),
    )
    assert dual["first_token_s"] == [0.74, 0.78]
    assert (serial["ratio"], serial["low"], serial["verdict"]) == (1.0, None, None)
    assert content["twin"] == {"ratio": 1.0, "low": 0.99, "high": 1.01, "verdict": "equivalent"}
    assert content["next"] is None


def test_none_is_named_where_none_is_shown() -> None:
    for name in ("among", "equivalent", "inconclusive", "failed", "only slower"):
        assert values(name)["best"] is None, name
    assert values("the reference is fastest")["best"] == "serial"


def test_what_is_open_comes_with_a_command() -> None:
    following = values("inconclusive")["next"]
    assert following["minutes"] == 9.0
    assert following["command"].endswith("--config repetitions=12")


def test_without_a_comparison_nothing_is_said() -> None:
    content = as_values(None, SETTING)
    assert set(content) == KEYS
    assert (content["best"], content["rows"], content["verdict"]) == (None, [], "not_measured")


def test_rows_come_as_on_the_terminal() -> None:
    names = [row["config_id"] for row in as_values(FASTEST, SETTING)["rows"]]
    assert names == ["dual", "single_parallel", "single", "serial"]
