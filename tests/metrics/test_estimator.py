"""TR114's estimator by hand, and its losses: exact, and the Shapley value in fractions."""

import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timings import (
    ESTIMATED_LOSSES,
    EXACT,
    PARTS,
    Measured,
    an_execution,
    eighths,
    executions,
    lasting,
    number,
    runs,
    total,
    unhurried,
)

from tandembench import metrics
from tandembench.metrics import Timing, run_metrics


def test_estimator_by_hand() -> None:
    row = run_metrics([lasting(6.0), lasting(9.0)], [None, None], 10.0, serial=False)
    expected = {
        "wall_s": 10.0,
        "sequential_estimate_s": 15.0,
        "speedup_estimate": 1.5,
        "efficiency_estimate": 0.75,
        "imbalance_loss": 0.15,
        "sequencing_loss": 0.0,
        "orchestration_loss": 0.1,
        "aggregate_tokens_per_s": 1.0,
        "makespan_per_token_s": 1.0,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_estimator_rates_perfect_serialisation_of_equal_jobs_at_three_quarters() -> None:
    # one slot: the second agent waits out the first, and its wait counts as work
    alone = an_execution(0.5, 1.5, 0.0)
    queued = an_execution(2.5, 1.5, 0.0)
    row = run_metrics([alone, queued], [alone, alone], 4.0, serial=False)
    assert row["efficiency_estimate"] == 0.75
    assert row["efficiency_true"] == 0.5
    assert row["contention"] == 0.5


def test_serial_by_hand() -> None:
    row = run_metrics([lasting(3.0), lasting(6.0)], [None, None], 10.0, serial=True)
    assert row["efficiency_estimate"] == pytest.approx(0.45)
    assert row["sequencing_loss"] == 0.5
    assert row["orchestration_loss"] == pytest.approx(0.05)
    assert [row[name] for name in ("imbalance_loss", *PARTS)] == [0.0] * 5


@unhurried
@given(runs())
def test_losses_close_the_estimate(run: Measured) -> None:
    agents, _, wall, serial = run
    row = run_metrics(agents, [None] * len(agents), wall, serial)
    loss = 1 - number(row, "efficiency_estimate")
    assert total(row, ESTIMATED_LOSSES) == pytest.approx(loss, abs=EXACT)
    assert all(-EXACT <= number(row, name) <= 1 for name in ESTIMATED_LOSSES)
    assert total(row, PARTS) == pytest.approx(number(row, "imbalance_loss"), abs=EXACT)


def shapley(agents: Sequence[Timing], wall: float) -> list[Fraction]:
    """The split by its definition: swap t and u in both orders, average, in exact fractions."""
    facts = [
        (e.intervals, Fraction(e.duration_s), Fraction(e.first_token_s), Fraction(e.decode_s))
        for e in agents
    ]
    longest = max(fact[1] for fact in facts)
    tied = [fact for fact in facts if fact[1] == longest]
    sums = [Fraction(0)] * 4
    for t_m, d_m, x_m, c_m in tied:
        for t_j, d_j, x_j, c_j in facts:
            u_m = c_m / t_m if t_m else (c_j / t_j if t_j else Fraction(0))
            u_j = c_j / t_j if t_j else u_m
            t_first = t_m * u_j - t_j * u_j
            t_last = t_m * u_m - t_j * u_m
            u_first = t_j * u_m - t_j * u_j
            u_last = t_m * u_m - t_m * u_j
            sums[0] += (t_first + t_last) / 2
            sums[1] += (u_first + u_last) / 2
            sums[2] += x_m - x_j
            sums[3] += (d_m - x_m - t_m * u_m) - (d_j - x_j - t_j * u_j)
    return [part / (len(tied) * len(facts) * Fraction(wall)) for part in sums]


@unhurried
@given(st.lists(executions(), min_size=1, max_size=5), st.integers(0, 2), eighths)
def test_imbalance_split_is_the_shapley_value(
    agents: list[Timing], copies: int, gap: float
) -> None:
    # copies of the longest agent are ties
    longest = max(agents, key=lambda agent: agent.duration_s)
    agents = agents + [longest] * copies
    wall = longest.duration_s + gap
    split = metrics.imbalance_split(agents, wall)
    assert list(split) == list(PARTS)
    expected = [float(part) for part in shapley(agents, wall)]
    assert list(split.values()) == pytest.approx(expected, abs=1e-11, rel=1e-11)


def test_split_by_hand() -> None:
    # d = 1 + 4 * 2.0 + 1 = 10 and 2 + 2 * 1.5 + 1 = 6; W = 10, N = 2
    slow = an_execution(1.0, 8.0, 1.0, tokens=5)
    quick = an_execution(2.0, 3.0, 1.0, tokens=3)
    split = metrics.imbalance_split([quick, slow], 10.0)
    assert split == pytest.approx(
        {
            "imbalance_token": 2 * 1.75 / 20,
            "imbalance_rate": 0.5 * 3 / 20,
            "imbalance_first_token": -1 / 20,
            "imbalance_rest": 0.0,
        }
    )


def test_split_averages_tied_agents_that_differ() -> None:
    # both last 6 s: one by answer length, one by first token; the third is short and quick
    long_answer = an_execution(1.0, 5.0, 0.0, tokens=6)
    late_start = an_execution(4.0, 2.0, 0.0, tokens=3)
    short = an_execution(1.0, 1.0, 0.0, tokens=2)
    split = metrics.imbalance_split([short, late_start, long_answer], 6.0)
    # against `long_answer`: token 0 + 3 + 4, first token 0 - 3 + 0
    # against `late_start`: token -3 + 0 + 1, first token 3 + 0 + 3
    assert split["imbalance_token"] == pytest.approx((7 - 2) / 2 / 18)
    assert split["imbalance_first_token"] == pytest.approx((-3 + 6) / 2 / 18)
    assert split["imbalance_rate"] == pytest.approx(0.0)
    assert math.fsum(split.values()) == pytest.approx(4 / 18)


@pytest.mark.parametrize("tokens", [0, 1])
def test_an_agent_without_intervals_borrows_the_rate_of_the_other(tokens: int) -> None:
    short = an_execution(1.0, 0.0, 0.0, tokens=tokens)
    split = metrics.imbalance_split([an_execution(1.0, 8.0, 0.0, tokens=5), short], 9.0)
    assert split == pytest.approx(dict(zip(PARTS, (8 / 18, 0, 0, 0), strict=True)))


def test_decode_without_an_interval_is_rest() -> None:
    # one token that came in two chunks a second apart
    agents = [an_execution(1.0, 1.0, 0.0, tokens=1), an_execution(1.0, 0.0, 0.0, tokens=1)]
    split = metrics.imbalance_split(agents, 2.0)
    assert split == pytest.approx(dict(zip(PARTS, (0, 0, 0, 1 / 4), strict=True)))
