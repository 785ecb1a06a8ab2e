"""What to choose: criteria, the best of each, and how the others stand against it."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from raw_blocks import block, rounds, where
from reporting import context

from tandembench.report.decision import _status

Row = dict[str, Any]


def with_memory(rows: list[Row], *gib: float) -> list[Row]:
    """The block, its servers holding so much in the run, after less."""
    where(rows, "concurrent", "collector")[0]["telemetry"] = [
        {"t_ns": t, "subject": f"server {n}", "memory_bytes": round(part * one * 2**30)}
        for t, part in ((1, 0.5), (2, 1.0))
        for n, one in enumerate(gib)
    ]
    return rows


@pytest.fixture
def decided(tmp_path: Path) -> Row:
    blocks = rounds(
        4,
        with_memory(block("serial"), 1.0),
        with_memory(block("single", (1.0, 1.0), (1.0, 2.0)), 1.0),
        with_memory(block("dual", (1.0, 1.0), (1.25, 1.25)), 0.75, 1.0),
    )
    return dict(context(tmp_path, blocks)["decision"])


def test_every_criterion_has_its_numbers(decided: Row) -> None:
    names = [one["name"] for one in decided["criteria"]]
    assert names == ["throughput", "first_token", "first_token_from_start", "fairness", "memory"]
    cells = {
        row["topology"]: [cell["value"].mean if cell["value"] else None for cell in row["cells"]]
        for row in decided["rows"]
    }
    # a first token takes a fifth of an execution; in serial the second agent waits 1 s before it
    assert cells == {
        "serial": [None, *map(pytest.approx, (0.2, 0.7, 1.0, 1.0))],
        "single": list(map(pytest.approx, (1.0, 0.3, 0.3, 0.9, 1.0))),
        "dual": list(map(pytest.approx, (1.6, 0.25, 0.25, 1.0, 1.75))),
    }


def test_the_best_and_how_the_others_stand(decided: Row) -> None:
    statuses = {
        row["topology"]: [cell["status"] for cell in row["cells"]] for row in decided["rows"]
    }
    assert statuses == {
        "serial": ["worse", "best", "worse", "best", "best"],
        "single": ["worse", "worse", "worse", "worse", "as_good"],
        "dual": ["best", "worse", "best", "as_good", "worse"],
    }
    outcomes = [one["outcome"] for one in decided["criteria"]]
    assert outcomes == ["best", "best", "best", "several", "several"]


def test_others_are_judged_at_bonferronis_level() -> None:
    """3.3 standard errors over five rounds: enough for one comparison, not for one of three."""
    noise = [0.067 * z for z in (-1.265, -0.632, 0.0, 0.632, 1.265)]
    table = pd.DataFrame({"a": [0.1 + one for one in noise], "b": [0.0] * 5})
    assert _status("b", "a", table, 0.05) == "worse"
    assert _status("b", "a", table.assign(c=0.0, d=0.0), 0.05) == "not_shown"
    assert _status("a", "a", table, 0.05) == "best"
    assert _status("b", None, table, 0.05) == "none"
