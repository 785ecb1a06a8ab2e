"""The truth by hand, its losses exact; and what solo times it rests on."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timings import (
    EXACT,
    NEEDS_SOLO,
    TRUE_LOSSES,
    Measured,
    a_step,
    an_execution,
    eighths,
    executions,
    lasting,
    number,
    runs,
    seconds,
    stretch,
    total,
    unhurried,
)

from tandembench import metrics
from tandembench.metrics import Timing, run_metrics, timing

# The truth


def test_truth_by_hand() -> None:
    agents = [an_execution(1.0, 6.5, 0.5), an_execution(1.5, 7.5, 1.0)]  # 8 and 10
    solos = [an_execution(0.5, 3.0, 0.5), an_execution(0.5, 4.0, 0.5)]  # 4 and 5
    row = run_metrics(agents, solos, 12.5, serial=False)
    expected = {
        "solo_sum_s": 9.0,
        "speedup_true": 0.72,
        "efficiency_true": 0.36,
        "work_imbalance": 0.1,
        "contention": 0.45,  # 4.5 (1/5 - 1/10)
        "orchestration_true": 0.09,  # 4.5 (1/10 - 1/12.5)
        "slowdown_max": 2.0,
        "slowdown_log_mean": 0.6931471805599453,
        "stp": 1.0,
        "antt": 2.0,
        "jain": 1.0,
        "contention_ttft_rule": False,
        "contention_speedup_rule": True,
        "solo_basis": "paired",
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_unequal_slowdowns_by_hand() -> None:
    slowdowns = [metrics.slowdown(6.0, 3.0), metrics.slowdown(4.0, 4.0)]
    assert metrics.stp(slowdowns) == 1.5
    assert metrics.antt(slowdowns) == 1.5
    # three, since two agents are as fair in slowdown as in its inverse: 1, 1 and 1/2
    assert metrics.jain([1.0, 1.0, 2.0]) == pytest.approx(25 / 27)
    assert metrics.makespan_ratio(6.0, 4.0) == 1.5


def test_means_and_extremes_of_unequal_slowdowns() -> None:
    agents = [an_execution(1.0, 4.0, 1.0), an_execution(1.0, 2.0, 1.0)]  # 6 over 3, 4 over 4
    solos = [an_execution(1.0, 1.0, 1.0), an_execution(1.0, 2.0, 1.0)]
    row = run_metrics(agents, solos, 6.0, serial=False)
    assert row["slowdown_max"] == 2.0
    assert row["slowdown_log_mean"] == pytest.approx(math.log(2) / 2)


@unhurried
@given(runs(sizes=(2, 5)))
def test_losses_close_the_truth(run: Measured) -> None:
    agents, solos, wall, serial = run
    row = run_metrics(agents, solos, wall, serial)
    loss = 1 - number(row, "efficiency_true")
    # the terms grow like sum s / max d, where a run beats its solos by far
    scale = max(1.0, number(row, "solo_sum_s") / max(e.duration_s for e in agents))
    assert total(row, TRUE_LOSSES) == pytest.approx(loss, abs=EXACT * scale)
    assert number(row, "work_imbalance") >= 0
    assert number(row, "orchestration_true") >= -EXACT * scale
    ratio = sum(e.duration_s for e in solos) / sum(e.duration_s for e in agents)
    product = number(row, "speedup_estimate") * ratio
    assert row["speedup_true"] == pytest.approx(product, rel=EXACT)
    assert 1 / len(agents) - EXACT <= number(row, "jain") <= 1 + EXACT
    # the harmonic mean is below the arithmetic one
    assert number(row, "stp") * number(row, "antt") >= len(agents) * (1 - EXACT)


def test_serial_truth_by_hand() -> None:
    # alone 2 s and 4 s; in turn 3 s and 6 s with 1 s between them
    alone = [an_execution(decode=0.5), an_execution(decode=2.5)]
    turns = [an_execution(decode=1.5), an_execution(decode=4.5)]
    assert [one.duration_s for one in (*alone, *turns)] == [2.0, 4.0, 3.0, 6.0]
    row = run_metrics(turns, alone, 10.0, serial=True)
    expected = {
        "efficiency_true": 0.3,  # (2 + 4) / (2 * 10)
        "work_imbalance": 0.0,
        "sequencing_loss": 0.5,
        "contention": 0.15,  # (9 - 6) / 20
        "orchestration_true": 0.05,  # 1 / 20
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)


@unhurried
@given(runs(sizes=(2, 5)), st.sampled_from([1.5, 2.0, 7.0]))
def test_a_machine_that_slows_all_alike_moves_the_truth_only(run: Measured, factor: float) -> None:
    solos = run[1]
    wall = max(solo.duration_s for solo in solos)
    slowed = [stretch(solo, factor) for solo in solos]
    free = run_metrics(solos, solos, wall, serial=False)
    held = run_metrics(slowed, solos, wall * factor, serial=False)
    assert held["efficiency_estimate"] == pytest.approx(number(free, "efficiency_estimate"))
    assert held["efficiency_true"] == pytest.approx(number(free, "efficiency_true") / factor)
    assert (free["antt"], free["contention"]) == (1.0, 0.0)
    assert held["antt"] == pytest.approx(factor)


# Solo references


@unhurried
@given(executions(), st.integers(2, 900))
def test_token_normalised_equals_paired_at_equal_counts(run: Timing, tokens: int) -> None:
    def same_counts(prompt: int) -> Timing:
        steps = [(s.first_s - s.request_s, s.last_s - s.first_s) for s in run.steps]
        return timing([a_step(a, b, 1.0, tokens, prompt=prompt) for a, b in steps])

    paired = metrics.solo_reference(same_counts(7), same_counts(7))
    normalised = metrics.solo_reference(same_counts(8), same_counts(7))
    assert (paired[0], normalised[0]) == ("paired", "token_normalised")
    assert normalised[1] == paired[1] == same_counts(7).duration_s


@unhurried
@given(seconds, seconds, eighths, st.integers(2, 1000), st.data())
def test_token_normalised_is_the_formula_of_the_design(
    ttft: float, decode: float, rest: float, n_solo: int, data: st.DataObject
) -> None:
    n_run = data.draw(st.integers(-(-n_solo // 2), 2 * n_solo).filter(lambda n: n != n_solo))
    solo = an_execution(ttft, decode, rest + 0.125, n_solo)
    basis, value = metrics.solo_reference(an_execution(tokens=n_run), solo)
    u = decode / (n_solo - 1)
    assert basis == "token_normalised"
    assert value == pytest.approx(ttft + (n_run - 1) * u + rest + 0.125, abs=1e-9)


def test_normalisation_goes_step_by_step() -> None:
    # a quick step that grows and a slow one that shrinks: 3 + 3 * 0.5, 5 - 2 * 1.0
    solo = timing([a_step(1, 1.5, 0.5, 4), a_step(0.5, 4.0, 0.5, 5)])
    run = timing([a_step(tokens=7), a_step(tokens=3)])
    assert metrics.solo_reference(run, solo) == ("token_normalised", 4.5 + 3.0)


@pytest.mark.parametrize(
    ("run", "solo", "basis"),
    [
        ([(5, 7)], [(5, 7)], "paired"),
        ([(1, 7)], [(1, 7)], "paired"),
        ([(0, 7)], [(0, 7)], "paired"),
        ([(5, 7), (4, 9)], [(5, 7), (4, 9)], "paired"),
        ([(5, 7)], [(5, 8)], "token_normalised"),
        ([(5, None)], [(5, 7)], "token_normalised"),
        ([(5, 7)], [(5, None)], "token_normalised"),
        ([(5, None)], [(5, None)], "token_normalised"),
        ([(5, 7), (4, 9)], [(5, 7), (6, 9)], "token_normalised"),
        ([(4, 7), (5, 7)], [(5, 7), (4, 7)], "token_normalised"),  # equal only in sum
        ([(4, 7)], [(8, 7)], "token_normalised"),
        ([(3, 7)], [(8, 7)], "none"),
        ([(8, 7)], [(4, 7)], "token_normalised"),
        ([(9, 7)], [(4, 7)], "none"),
        ([(2, 7)], [(1, 7)], "none"),
        ([(1, 7)], [(1, 8)], "none"),
        ([(1, 7)], [(0, 7)], "none"),
        ([(5, 7), (9, 7)], [(5, 7), (4, 7)], "none"),
        ([(5, 7)], [(5, 7), (5, 7)], "none"),
        ([(5, 7), (5, 7)], [(5, 7)], "none"),
    ],
)
def test_solo_basis(
    run: list[tuple[int, int | None]], solo: list[tuple[int, int | None]], basis: str
) -> None:
    ran, alone = (
        timing([a_step(tokens=tokens, prompt=prompt) for tokens, prompt in side])
        for side in (run, solo)
    )
    found, value = metrics.solo_reference(ran, alone)
    assert found == basis
    assert (value is None) == (basis == "none")


def test_no_reference_without_a_solo_without_steps_or_without_time() -> None:
    run = an_execution()
    imported = lasting(3.0)
    for ran, alone in [(run, None), (imported, run), (run, imported), (imported, imported)]:
        assert metrics.solo_reference(ran, alone) == ("none", None)
    # one of two tokens kept, and the solo was all decode: nothing is left to compare with
    assert metrics.solo_reference(an_execution(0, 1, 0, 1), an_execution(0, 1, 0, 2))[0] == "none"


def test_a_run_has_the_weakest_basis_and_no_truth_below_it() -> None:
    paired, odd = an_execution(), an_execution(tokens=6)
    agents = [an_execution()] * 3
    row = run_metrics(agents, [paired, odd, paired], 5.0, serial=False)
    assert row["solo_basis"] == "token_normalised"
    assert row["speedup_true"] == pytest.approx((3.5 + 3.1 + 3.5) / 5)
    for missing in (None, an_execution(tokens=40)):
        row = run_metrics(agents, [paired, odd, missing], 5.0, serial=False)
        assert row["solo_basis"] == "none"
        assert all(row[name] is None for name in NEEDS_SOLO - {"contention_ttft_rule"})
        assert row["speedup_estimate"] is not None


@unhurried
@given(runs())
def test_without_solo_nothing_is_invented(
    run: Measured,
) -> None:
    agents, _, wall, serial = run
    row = run_metrics(agents, [None] * len(agents), wall, serial)
    assert all(row[name] is None for name in NEEDS_SOLO)
    assert row["solo_basis"] == "none"
