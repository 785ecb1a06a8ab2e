"""The simulations: a small run keeps every promise, and a broken one is told."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
import simulations
from click.testing import CliRunner

from tandembench.stats import comparison, family, hypotheses, planning
from tandembench.stats.intervals import MIN_SESSIONS

STUDIES = 200


def test_a_small_run_keeps_every_promise() -> None:
    rows = [simulations.counted(cell, STUDIES) for cell in simulations.cells()]
    assert [row["cell"] for row in rows if row["passed"] is False] == []
    assert Counter(row["passed"] for row in rows)[None] == 5
    assert len({row["cell"] for row in rows}) == len(rows)
    share = {row["cell"]: row["share"] for row in rows}
    # what the promises are for
    assert share["the same without Holm, 5 sessions"] > 0.1
    assert share["interval of one session covers the machine"] < 0.9
    one_session = "false alarm in a family, one session, 10 % drift, random order"
    assert share[one_session] < 0.3 * share["the same, one session, blocked order"]


def test_a_fixed_seed_gives_the_same_count() -> None:
    cell = next(simulations.cells())
    assert simulations.counted(cell, 50) == simulations.counted(cell, 50)


def wrong(cell_name: str, studies: int = 400) -> bool | None:
    (cell,) = [one for one in simulations.cells() if one.name == cell_name]
    passed: bool | None = simulations.counted(cell, studies)["passed"]
    return passed


def test_pooled_repetitions_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wrong("interval covers, 10 sessions") is True
    monkeypatch.setattr(comparison, "MIN_SESSIONS", 1000)
    assert wrong("interval covers, 10 sessions") is False
    assert MIN_SESSIONS == 3


def test_a_family_without_holm_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "holm", list)
    assert wrong("false alarm in a family, 5 sessions") is False


def test_hypotheses_without_holm_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypotheses, "holm", list)
    assert wrong("false verdict on three hypotheses of more, 5 sessions", 200) is False


def test_the_noncentrality_alone_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = "printed effect found by the next study, 3 sessions"
    assert wrong(printed) is True

    def by_known_spread(difference: comparison.Interval) -> float:
        assert difference.low is not None
        assert difference.high is not None
        error = (difference.high - difference.low) / 2 / 4.302653
        return float(error * planning.noncentrality(2, 0.95, 0.8))

    monkeypatch.setattr(comparison, "smallest_detectable_difference", by_known_spread)
    assert wrong(printed) is False


@pytest.mark.parametrize("blocked", [False, True])
def test_every_place_of_a_session_is_taken_once(blocked: bool) -> None:
    found = simulations.places(np.random.default_rng(1), (2, 5, 7), blocked)
    for session in found:
        assert sorted(session.ravel()) == pytest.approx([k / 34 for k in range(35)])
    rounds = (found[0].max(axis=1) - found[0].min(axis=1)) * 34
    assert rounds == pytest.approx([30 if blocked else 6] * 5)


def test_the_noise_of_a_study_is_what_it_says() -> None:
    random = np.random.default_rng(2)
    one, two = simulations.study(random, (1.0, 2.0), 4000)
    ratios = np.log([b.value / a.value for a, b in zip(one, two, strict=True)]).reshape(4000, 5)
    means = ratios.mean(axis=1)
    assert means.mean() == pytest.approx(np.log(2), abs=0.003)
    assert means.var() == pytest.approx(0.03**2 + 0.04**2 / 5, rel=0.1)
    assert ratios.var(axis=1, ddof=1).mean() == pytest.approx(0.04**2, rel=0.05)


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
    cell = simulations.Cell("a cell", lambda _: next(outcomes), low, high)
    row = simulations.counted(cell, 1000)
    assert (row["share"], row["passed"]) == (pytest.approx(share), passed)


@pytest.mark.parametrize(("found", "code"), [(True, 1), (False, 0)])
def test_the_exit_code_says_whether_a_promise_is_broken(
    monkeypatch: pytest.MonkeyPatch, found: bool, code: int
) -> None:
    cell = simulations.Cell("an alarm", lambda _: found, None, 0.05)
    monkeypatch.setattr(simulations, "cells", partial(iter, [cell]))
    done = CliRunner().invoke(simulations.main, ["--studies", "300"])
    assert done.exit_code == code
    share = "100.00 %" if found else "0.00 %"
    assert f"| an alarm | at most 5 % | {share} |" in done.output
