"""When the phases were measured, and what share of the time was measuring."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from raw_blocks import START, block, failed, no_server, write_dataset
from report_tables import table

from tandembench.dataset.load import load_dataset
from tandembench.report.context import report_context
from tandembench.report.render import render
from tandembench.report.timeline import hours

Row = dict[str, Any]


def at(rows: Sequence[Row], minutes: float, **changes: Any) -> list[Row]:
    """The block, started so many minutes after the first."""
    return [row | {"started_at": START + timedelta(minutes=minutes)} | changes for row in rows]


def told(folder: Path, blocks: Sequence[Sequence[Row]], **study: Any) -> str:
    return render(report_context(load_dataset(write_dataset(folder, blocks, **study))))


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
        ["first", "s1", "2026-11-22 17:30", "2026-11-22 18:42", "1:12:30", "2", "1", "2"],
        ["second", "s1", "2026-11-22 17:32", "2026-11-22 17:34", "0:02:00", "1", "1", "1"],
        ["second", "s2", "2026-11-23 17:30", "2026-11-23 17:31", "0:01:00", "1", "0", "1"],
    ]
    # 60 + 30 + 60 of 240 s, 90 of 150 s, 60 of 60 s
    share = 100 * (150 + 90 + 60) / (240 + 150 + 60)
    assert "Measuring took 0:05:00 of the 0:07:30 between" in text
    assert f"({share:.1f} %)" in text
    assert "their times overlap" in text


def test_phases_one_after_the_other_do_not_overlap(tmp_path: Path) -> None:
    blocks = [at(ONE, 0, block_s=60.0), at(TWO, 1, block_s=60.0)]
    assert "their times overlap" not in told(tmp_path / "a", blocks, phases=PHASES)
    blocks = [at(ONE, 0, block_s=60.5), at(TWO, 1, block_s=60.0)]
    assert "their times overlap" in told(tmp_path / "b", blocks, phases=PHASES)


def test_a_clock_that_was_set_back_gives_no_share(tmp_path: Path) -> None:
    blocks = [at(ONE, 0, block_s=60.0), at(TWO, -0.5, block_s=60.0)]
    text = told(tmp_path, blocks, phases=PHASES)
    assert "Measuring took" not in text
    assert len(table(text, "| phase | session |")) == 2


def test_servers_that_never_stood_took_no_time(tmp_path: Path) -> None:
    text = told(tmp_path, [at(no_server(ONE), 0)])
    assert table(text, "| phase | session |")[0][4:] == ["0:00:00", "0", "1", "1"]
    assert "Measuring took" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00:00"), (59.4, "0:00:59"), (59.6, "0:01:00"), (3599.7, "1:00:00"), (22500, "6:15:00")],
)
def test_hours(seconds: float, text: str) -> None:
    assert hours(seconds) == text
