"""How many more minutes decide: what is planned really does."""

import dataclasses
import math

import numpy as np
import pytest

from tandembench.analysis.compare import verdict, versus
from tandembench.analysis.findings import Next
from tandembench.analysis.levels import Allowance, Fit, fit
from tandembench.analysis.planning import Pace, deciding_half_width, next_step, slowest

MARGIN = 0.05
BLOCK_S = 36.0
LIKE = Allowance(0.028, 0.007, 100.0)
UNLIKE = Allowance(0.028, 0.042, 100.0)


def measured(truth: float, blocks: int, seed: int, sessions: int = 1, sd: float = 0.04) -> Fit:
    """A like pair whose servers' starts are worth 2 % each, at 4 rounds a block."""
    random = np.random.default_rng(seed)
    shape = (sessions, blocks, 4)
    logs = truth + random.normal(0, sd, shape) + random.normal(0, 0.028, shape[:2])[..., None]
    place = np.arange(logs.size)
    one = fit(
        logs.ravel().tolist(),
        ((place // 4) % blocks).tolist(),
        [f"s{number}" for number in place // (4 * blocks)],
        (BLOCK_S / 4 * place).tolist(),
        LIKE,
    )
    return one


def planned(one: Fit, precision: float | None = None, allowed: Allowance = LIKE) -> Next:
    finding = versus("dual", "serial", one, MARGIN)
    half = math.log1p(precision) if precision else deciding_half_width(finding, MARGIN)
    return next_step(finding, one, allowed, half, Pace(BLOCK_S, one.blocks // one.sessions))


def half_width(one: Fit) -> float:
    ratio = one.estimate()
    return math.log(ratio.high / ratio.low) / 2


@pytest.mark.parametrize(
    ("value", "half"),
    [(1.2, math.log(1.2)), (1 / 1.2, math.log(1.2)), (1.0, math.log(1.05))]
    + [(1.01, math.log(1.05 / 1.01))],
)
def test_the_easier_of_difference_and_equivalence_decides(value: float, half: float) -> None:
    one = versus("dual", "serial", measured(math.log(value), 3, 1), MARGIN)
    one = dataclasses.replace(one, ratio=dataclasses.replace(one.ratio, value=value))
    assert 0.8 * half < deciding_half_width(one, MARGIN) < half
    # a ratio that nothing measured is decided within the margin
    assert deciding_half_width(versus("dual", "serial", None, MARGIN), MARGIN) < math.log(1.05)


@pytest.mark.parametrize("precision", [0.03, 0.02])
def test_planned_repetitions_reach_the_precision(precision: float) -> None:
    reached = []
    for seed in range(150):
        step = planned(measured(0.0, 3, seed), precision)
        assert step.sessions is None
        assert step.minutes == pytest.approx((step.repetitions - 3) * BLOCK_S / 60)
        assert step.precision == pytest.approx(precision)
        after = measured(0.0, step.repetitions, seed + 10_000)
        reached.append(half_width(after) / math.log1p(precision))
    assert np.median(reached) < 1.1
    assert np.mean(np.array(reached) < 1.35) > 0.85


@pytest.mark.parametrize("truth", [0.0, 0.07])
def test_the_planned_number_of_blocks_decides(truth: float) -> None:
    """Of open studies that go on for as long as they were told, most are open no more."""
    decided = []
    for seed in range(400):
        one = measured(truth, 3, seed)
        if verdict(one, MARGIN, one.p) != "inconclusive":
            continue
        step = planned(one)
        if step.repetitions is not None:
            after = measured(truth, step.repetitions, seed)
            decided.append(verdict(after, MARGIN, after.p) != "inconclusive")
    assert len(decided) > 50
    assert np.mean(decided) > 0.75


def test_what_no_sitting_shows_is_left_to_more_sessions() -> None:
    step = planned(measured(0.0, 6, 1), 0.01, UNLIKE)
    assert step.repetitions is None
    assert step.minutes == pytest.approx(step.sessions * 6 * BLOCK_S / 60)


def test_sessions_that_differed_more_than_expected_ask_for_more_of_them() -> None:
    one = measured(0.0, 6, 1, sessions=3)
    wild = dataclasses.replace(one, error=5 * one.error)
    steps = [planned(each, 0.03) for each in (one, wild)]
    assert steps[1].sessions > 2 * steps[0].sessions


def test_the_slowest_step_takes_the_others_in() -> None:
    short, long = Next(2.0, 8, None, 0.05, "a"), Next(5.0, 12, None, 0.05, "b")
    sessions = Next(4.0, None, 1, 0.05, "c")
    assert slowest([short, long]) is long
    assert slowest([long, sessions, short]) is sessions
    assert slowest([]) is None


def test_planned_sessions_reach_the_precision() -> None:
    step = planned(measured(0.0, 6, 1, sessions=2), 0.01)
    assert step.repetitions is None
    after = [half_width(measured(0.0, 6, seed, sessions=2 + step.sessions)) for seed in range(60)]
    assert np.median(after) < 1.1 * math.log(1.01)
