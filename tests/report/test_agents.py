"""Agent by agent: slower or not, and whether all pay alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from raw_blocks import block, rounds
from reporting import context


def only(folder: Path, shared: Sequence[float]) -> dict[str, Any]:
    """The row of three rounds in which agents that take 1 s alone take so long."""
    (row,) = context(folder, rounds(3, block("dual", (1.0,) * len(shared), shared)))["agents"]
    return dict(row)


def test_an_agent_pays_more_if_it_is_slowed_more_than_the_run(tmp_path: Path) -> None:
    row = only(tmp_path, (1.25, 2.5))
    slowdowns = [agent["slowdown"].mean for agent in row["agents"]]
    assert slowdowns == [pytest.approx(1.25), pytest.approx(2.5)]
    # over their geometric mean, the root of 1.25 times 2.5
    shares = [agent["share"].mean for agent in row["agents"]]
    assert shares == [pytest.approx(0.5**0.5), pytest.approx(2**0.5)]
    assert (row["fair"], row["pays"], row["slower"]) == ("unfair", ["insight"], "slower")
    # Jain: (1/1.25 + 1/2.5)^2 / 2 / (1/1.25^2 + 1/2.5^2)
    assert row["jain"].mean == pytest.approx(1.44 / 2 / 0.8)


@pytest.mark.parametrize(
    ("shared", "slower", "fair"),
    [
        ((2.0, 2.0), "slower", "fair"),
        ((1.0, 1.02), "equal", "fair"),
        ((0.5, 0.5), "faster", "fair"),
        ((0.5, 2.0), "mixed", "unfair"),
        ((1.0, 1.0, 2.0), "slower", "unfair"),
        ((1.0,), None, None),
    ],
)
def test_verdicts(
    tmp_path: Path, shared: Sequence[float], slower: str | None, fair: str | None
) -> None:
    row = only(tmp_path, shared)
    assert (row["slower"], row["fair"]) == (slower, fair)


def test_waits_are_an_agents_own(tmp_path: Path) -> None:
    """A first token takes a fifth of an execution; a p90 takes 64 of them."""
    row = only(tmp_path, (1.0, 2.0))
    waits = {agent["agent"]: agent["first_token"] for agent in row["agents"]}
    assert waits["insight"]["median"] == pytest.approx(0.4)
    assert (waits["collector"]["n"], waits["collector"]["p90"]) == (3, None)
    assert row["agents"][1]["first_token_alone"]["max"] == pytest.approx(0.2)
