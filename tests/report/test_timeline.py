"""When the phases were measured, and what share of the time was measuring."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from raw_blocks import START, block, failed, no_server, write_dataset
from report_tables import table

from tandembench.dataset.load import load_dataset
from tandembench.report.details import details
from tandembench.report.render import render
from tandembench.report.timeline import hours

Row = dict[str, Any]


def at(rows: Sequence[Row], minutes: float, **changes: Any) -> list[Row]:
    """The block, started so many minutes after the first."""
    return [row | {"started_at": START + timedelta(minutes=minutes)} | changes for row in rows]


def timed(folder: Path, blocks: Sequence[Sequence[Row]], **study: Any) -> Row:
    found: Row = details(load_dataset(write_dataset(folder, blocks, **study)))["timeline"]
    return found


def hours_in_s(text: str) -> int:
    hour, minute, second = map(int, text.split(":"))
    return 3600 * hour + 60 * minute + second


def told(folder: Path, blocks: Sequence[Sequence[Row]], **study: Any) -> str:
    return render(details(load_dataset(write_dataset(folder, blocks, **study))))


ONE, TWO = block("dual"), block("single")
PHASES = {"first": ["dual"], "second": ["single"]}


def test_phases_have_their_times(tmp_path: Path) -> None:
    blocks = [
        at(ONE, 0, block_s=60.0),
        at(failed(TWO, "insight", "solo", "oom"), 2, block_s=30.0),
        at(TWO, 3, attempt=2, block_s=60.0),
        at(no_server(ONE), 70, repetition=2, invocation="inv2"),
        at(ONE, 71, repetition=2, attempt=2, invocation="inv2", block_s=90.0),
        at(TWO, 24 * 60, session="s2", invocation="inv3", block_s=60.0),
    ]
    text = told(tmp_path, blocks, phases=PHASES)
    assert table(text, "| phase | session |") == [
        ["first", "s1", "2026-11-22 17:29", "2026-11-22 18:41", "1:12:00", "3", "2", "1", "2"],
        ["second", "s1", "2026-11-22 17:31", "2026-11-22 17:33", "0:01:30", "2", "2", "0", "1"],
        ["second", "s2", "2026-11-23 17:29", "2026-11-23 17:30", "0:01:00", "1", "1", "0", "1"],
    ]
    found = timed(tmp_path / "b", blocks, phases=PHASES)
    assert found["inside"] == "0:05:00"
    # 150 of 209 s, 90 of 91 s, 60 of 60 s: starts to ends of the three invocations
    assert found["share"] == pytest.approx(300 / hours_in_s(found["elapsed"]), abs=0.01)
    assert found["overlap"]


def test_phases_one_after_the_other_do_not_overlap(tmp_path: Path) -> None:
    blocks = [at(ONE, 0, block_s=50.0), at(TWO, 1, block_s=50.0)]
    assert not timed(tmp_path / "a", blocks, phases=PHASES)["overlap"]
    blocks = [at(ONE, 0, block_s=60.0), at(TWO, 1, block_s=70.0)]
    assert timed(tmp_path / "b", blocks, phases=PHASES)["overlap"]


def test_a_clock_that_was_set_back_gives_no_share(tmp_path: Path) -> None:
    blocks = [at(ONE, 0, block_s=60.0), at(TWO, -0.5, block_s=60.0)]
    found = timed(tmp_path, blocks, phases=PHASES)
    assert found["share"] is None
    assert len(found["rows"]) == 2


def test_servers_that_never_stood_took_no_time(tmp_path: Path) -> None:
    text = told(tmp_path, [at(no_server(ONE), 0)])
    assert table(text, "| phase | session |")[0][4:] == ["0:00:00", "1", "0", "1", "1"]
    assert "Measuring took" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00:00"), (59.4, "0:00:59"), (59.6, "0:01:00"), (3599.7, "1:00:00"), (22500, "6:15:00")],
)
def test_hours(seconds: float, text: str) -> None:
    assert hours(seconds) == text
