"""The simulations: a small run keeps every promise, and a broken one is told."""

from functools import partial

import cells
import numpy as np
import pytest
import simulations
from cells import Cell, Seen
from click.testing import CliRunner

from tandembench.analysis import compare, hypotheses, levels
from tandembench.analysis.levels import Allowance

STUDIES = 100


@pytest.fixture(autouse=True)
def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same cells everywhere, also where a shared folder is named."""
    monkeypatch.delenv(cells.SHARED_DATA, raising=False)


@pytest.fixture(scope="module")
def rows() -> list[simulations.Row]:
    # made before what holds for each test alone
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(cells.SHARED_DATA, raising=False)
        return [simulations.counted(cell, STUDIES) for cell in cells.cells()]


def test_a_small_run_keeps_every_promise(rows: list[simulations.Row]) -> None:
    assert [row.cell for row in rows if row.passed is False] == []
    assert len({row.cell for row in rows}) == len(rows)
    # what the promises are for: sessions of their own, and what is known beforehand
    assert [row.share < 0.93 for row in rows if row.passed is None] == [True, True]


def test_the_first_version_stands_beside_it(rows: list[simulations.Row]) -> None:
    row = {one.cell: one for one in rows}
    one_window = row["interval covers, unlike servers, 1 x 3"]
    assert one_window.first_version < one_window.share
    assert row["1.20 is named, one sitting"].first_version == 0
    for one in rows:
        # On replayed noise its intervals were as narrow, and did not hold the truth.
        if one.half_width is not None and "noise" not in one.cell:
            assert one.half_width < one.first_half_width


def test_more_data_narrows_the_interval_and_the_first_versions_widened() -> None:
    falls = simulations.widths(100)
    assert {(one.subject, one.added) for one in falls} == {
        (subject, added)
        for subject in ("dual", "single_parallel")
        for added in ("rounds", "blocks", "sessions")
    }
    for one in falls:
        assert one.half_widths[-1] < 0.8 * one.half_widths[0]
        if one.added == "sessions":  # 1, 2, 3, 5
            assert one.first_half_widths[2] > one.first_half_widths[1]


def kept(cell_name: str, studies: int = 400) -> bool | None:
    (cell,) = [one for one in cells.cells() if one.name == cell_name]
    return simulations.counted(cell, studies).passed


def nothing_known(*_: object) -> Allowance:
    return Allowance(0.0, 0.0)


def as_they_are(logs: np.ndarray) -> np.ndarray:
    return logs


@pytest.mark.parametrize(
    ("cell", "module", "name", "broken"),
    [
        # rounds of one sitting for rounds of the machine
        ("interval covers, unlike servers, 1 x 3", compare, "allowance", nothing_known),
        # a prior that no session can move
        ("interval covers, unlike servers, 3 x 6", levels, "OF_SESSIONS", 1000.0),
        ("one of four equals is named, one sitting, running servers", compare, "holm", list),
        ("false verdict on three hypotheses of more, 5 sessions", hypotheses, "holm", list),
    ],
)
def test_a_broken_rule_would_be_seen(
    monkeypatch: pytest.MonkeyPatch, cell: str, module: object, name: str, broken: object
) -> None:
    assert kept(cell) is True
    monkeypatch.setattr(module, name, broken)
    assert kept(cell) is False


def test_a_mean_that_stalls_move_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    (cell,) = [one for one in cells.cells() if one.name == "interval covers, like servers, 1 x 6"]
    robust = simulations.counted(cell, 100).half_width
    monkeypatch.setattr(levels, "pseudo_values", as_they_are)
    moved = simulations.counted(cell, 100).half_width
    assert moved > 3 * robust


@pytest.mark.parametrize(
    ("share", "low", "high", "passed"),
    [
        (0.5, 0.94, 0.97, False),
        (0.95, 0.94, 0.97, True),
        (0.06, None, 0.05, True),  # 99 % interval from 4.2 %
        (0.08, None, 0.05, False),
        (0.0, None, 0.05, True),
        (0.94, 0.95, None, True),
        (0.9, 0.95, None, False),
        (0.5, None, None, None),
    ],
)
def test_a_promise_is_judged_by_the_interval_of_its_count(
    share: float, low: float | None, high: float | None, passed: bool | None
) -> None:
    outcomes = iter([True] * int(share * 1000) + [False] * 1000)
    row = simulations.counted(Cell("a cell", lambda _: Seen(next(outcomes)), low, high), 1000)
    assert (row.share, row.passed) == (pytest.approx(share), passed)


@pytest.mark.parametrize(("happens", "code"), [(True, 1), (False, 0)])
@pytest.mark.parametrize("style", ["text", "json"])
def test_the_exit_code_says_whether_a_promise_is_broken(
    monkeypatch: pytest.MonkeyPatch, happens: bool, code: int, style: str
) -> None:
    cell = Cell("an alarm", lambda _: Seen(happens), None, 0.05)
    monkeypatch.setattr(simulations, "cells", partial(iter, [cell]))
    monkeypatch.setattr(simulations, "widths", lambda _: [])
    done = CliRunner().invoke(simulations.main, ["--studies", "300", "--format", style])
    assert done.exit_code == code
    assert "an alarm" in done.output
