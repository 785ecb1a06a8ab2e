"""The metrics against hand-worked examples, exact identities, and an oracle in fractions."""

import math
from collections.abc import Sequence
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from tandembench import metrics
from tandembench.metrics import RUN_METRICS, Row, Step, Timing, run_metrics, timing

Measured = tuple[list[Timing], list[Timing], float, bool]
EXACT = 1e-12
SIGNED = {"ttft_delta_s", "throughput_delta_tokens_per_s"}
ESTIMATED_LOSSES = ("imbalance_loss", "sequencing_loss", "orchestration_loss")
PARTS = ("imbalance_token", "imbalance_rate", "imbalance_first_token", "imbalance_rest")
OWN_TRUE_LOSSES = ("work_imbalance", "contention", "orchestration_true")
TRUE_LOSSES = (*OWN_TRUE_LOSSES, "sequencing_loss")  # the last is part of both splits
NEEDS_SOLO = {
    "solo_sum_s",
    "speedup_true",
    "efficiency_true",
    *OWN_TRUE_LOSSES,
    "slowdown_max",
    "slowdown_log_mean",
    "stp",
    "antt",
    "jain",
    "contention_ttft_rule",
}


def a_step(
    ttft: float = 1.0,
    decode: float = 2.0,
    rest: float = 0.5,
    tokens: int = 5,
    *,
    at: float = 0.0,
    prompt: int | None = 7,
) -> Step:
    first, last = at + ttft, at + ttft + decode
    return Step(at, first, last, last + rest, tokens, (), prompt)


def an_execution(
    ttft: float = 1.0,
    decode: float = 2.0,
    rest: float = 0.5,
    tokens: int = 5,
    prompt: int | None = 7,
) -> Timing:
    return timing([a_step(ttft, decode, rest, tokens, prompt=prompt)])


def lasting(duration: float, tokens: int = 5, ttft: float | None = 0.0) -> Timing:
    """As an importer builds it: sums only."""
    return Timing(
        duration_s=duration,
        first_token_s=0.0,
        decode_s=duration,
        intervals=max(tokens - 1, 0),
        answer_tokens=tokens,
        ttft_s=ttft,
    )


def number(row: Row, name: str) -> float:
    value = row[name]
    assert isinstance(value, float)
    return value


def total(row: Row, names: Sequence[str]) -> float:
    return math.fsum(number(row, name) for name in names)


# a busy machine is no failure
unhurried = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

# Dyadic times make ties and sums of a few steps exact in binary.
eighths = st.integers(0, 400).map(lambda k: k / 8)
seconds = eighths | st.floats(0, 100, allow_subnormal=False).map(lambda x: round(x, 9))
# 400 a step keep the products of one agent's tokens and another's rate, which cancel, near 1
some_tokens = st.integers(0, 3) | st.integers(0, 400)


@st.composite
def executions(draw: st.DrawFn) -> Timing:
    steps, now = [], 0.0
    for _ in range(draw(st.integers(1, 3))):
        rest = draw(seconds) + 0.125
        steps.append(a_step(draw(seconds), draw(seconds), rest, draw(some_tokens), at=now))
        now = steps[-1].end_s + draw(eighths)
    return timing(steps)


@st.composite
def runs(draw: st.DrawFn, sizes: Sequence[int] = (1, 2, 5)) -> Measured:
    """Agents, their paired solos, a wall time that holds them, and whether they took turns."""
    n = draw(st.sampled_from(sizes))
    agents = [draw(executions()) for _ in range(n)]
    if draw(st.booleans()):
        agents[-1] = agents[0]
    solos = [
        timing([a_step(draw(seconds), draw(seconds), 0.125, s.tokens) for s in agent.steps])
        for agent in agents
    ]
    serial = draw(st.booleans())
    durations = [agent.duration_s for agent in agents]
    wall = (sum(durations) if serial else max(durations)) + draw(eighths)
    return agents, solos, wall, serial


# Steps and executions


def test_timing_sums_steps_and_leaves_out_the_time_between_them() -> None:
    first = Step(0.5, 1.0, 3.0, 3.25, 9, (1.0, 2.0, 3.0), 20)
    second = Step(10.0, 10.25, 10.25, 11.0, 1, (10.25,), 30)
    execution = timing([first, second])
    assert execution.duration_s == 2.75 + 1.0
    assert execution.first_token_s == 0.5 + 0.25
    assert execution.ttft_s == 0.5
    assert execution.decode_s == 2.0
    assert (execution.intervals, execution.answer_tokens) == (8, 10)
    assert metrics.wall([execution, an_execution()]) == 11.0


def test_an_answer_of_no_tokens_has_no_negative_interval() -> None:
    assert timing([a_step(tokens=0), a_step(tokens=4)]).intervals == 3


@pytest.mark.parametrize(
    ("stamps", "tokens"),
    [
        ((1.0, 0.5, 2.0, 3.0), 1),  # a first token before its request
        ((0.0, 2.0, 1.0, 3.0), 1),
        ((0.0, 1.0, 4.0, 3.0), 1),
        ((0.0, math.nan, 1.0, 3.0), 1),
        ((0.0, 1.0, 2.0, math.inf), 1),
        ((0.0, 1.0, 2.0, 3.0), -1),
    ],
)
def test_impossible_steps_are_refused(
    stamps: tuple[float, float, float, float], tokens: int
) -> None:
    with pytest.raises(ValueError, match="out of order"):
        Step(*stamps, tokens)


@pytest.mark.parametrize(
    ("duration", "first", "decode", "intervals"),
    [
        (0, 0, 0, 1),
        (-1, 0, 0, 1),
        (math.nan, 0, 0, 1),
        (2, -1, 1, 1),
        (2, 1, math.inf, 1),
        (2, 1, 1, -1),
        (2, 1, 1, 9),  # more intervals than tokens
    ],
)
def test_impossible_sums_are_refused(
    duration: float, first: float, decode: float, intervals: int
) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Timing(
            duration_s=duration,
            first_token_s=first,
            decode_s=decode,
            intervals=intervals,
            answer_tokens=8,
            ttft_s=None,
        )


def test_execution_row_by_hand() -> None:
    # gaps 1, 1, 2 and 0.25; the 6.5 s between the steps is no gap
    first = Step(0.5, 1.0, 5.0, 5.25, 9, (1.0, 2.0, 3.0, 5.0), 20)
    second = Step(11.5, 11.75, 12.0, 13.0, 3, (11.75, 12.0), 30)
    assert metrics.execution_metrics(timing([first, second])) == {
        "duration_s": 6.25,
        "ttft_s": 0.5,
        "first_token_s": 0.75,
        "decode_s": 4.25,
        "rest_s": 1.25,
        "answer_tokens": 12,
        "decode_rate_tokens_per_s": pytest.approx(10 / 4.25),
        "gap_p50_s": None,
        "gap_p90_s": None,
        "gap_max_s": 2.0,
        "solo_s": None,
        "slowdown": None,
        "solo_basis": "none",
    }


def test_gap_percentiles_of_an_execution_obey_their_floors() -> None:
    def gaps(n: int) -> Row:
        stamps = tuple(float(k * (k + 1) // 2) for k in range(n + 1))  # gaps 1, 2, ..., n
        return metrics.execution_metrics(timing([Step(0, 0, stamps[-1], stamps[-1], n, stamps)]))

    assert gaps(63)["gap_p50_s"] == 32
    assert gaps(63)["gap_p90_s"] is None
    assert gaps(64)["gap_p90_s"] == pytest.approx(1 + 63 * 0.9)
    assert gaps(64)["gap_max_s"] == 64


def test_execution_row_with_its_solo() -> None:
    row = metrics.execution_metrics(an_execution(decode=4.5), an_execution(decode=1.0))
    assert (row["solo_s"], row["slowdown"], row["solo_basis"]) == (2.5, 2.4, "paired")


def test_rates() -> None:
    assert metrics.decode_rate(an_execution(decode=2.0, tokens=5)) == 2.0
    assert metrics.decode_rate(an_execution(decode=2.0, tokens=1)) is None
    assert metrics.decode_rate(an_execution(decode=0.0, tokens=5)) is None
    assert metrics.server_rate(5, 2.0) == 2.5
    assert metrics.server_rate(5, 0.0) is None


# TR114's estimator


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


# Flags, deltas, percentiles


@pytest.mark.parametrize(
    ("run", "solo", "flag"),
    [
        ([4.0, 1.0], [1.0, 1.0], False),  # exactly 3 s later is not more
        ([4.125, 1.0], [1.0, 1.0], True),
        ([1.0, 4.125], [1.0, 1.0], True),
        ([1.0, 1.0], [9.0, 9.0], False),
        ([9.0, 1.0], [1.0, None], True),
        ([1.0, 1.0], [1.0, None], None),
        ([None, 1.0], [1.0, 1.0], None),
    ],
)
def test_ttft_rule(run: list[float | None], solo: list[float | None], flag: bool | None) -> None:
    agents, solos = ([lasting(9.0, ttft=ttft) for ttft in side] for side in (run, solo))
    assert metrics.contention_ttft_rule(agents, solos) is flag
    assert run_metrics(agents, solos, 9.0, serial=False)["contention_ttft_rule"] is flag


def test_ttft_rule_is_undecided_without_a_solo() -> None:
    assert metrics.contention_ttft_rule([lasting(1.0)], [None]) is None


def test_speedup_rule_is_for_two_agents() -> None:
    assert metrics.contention_speedup_rule(1.4999, 2) is True
    assert metrics.contention_speedup_rule(1.5, 2) is False
    assert metrics.contention_speedup_rule(1.0, 1) is None
    assert metrics.contention_speedup_rule(1.0, 3) is None


def test_deltas_have_the_signs_of_tr114() -> None:
    collector, insight = an_execution(3.0, 2.0, tokens=5), an_execution(1.0, 1.0, tokens=6)
    row = run_metrics([collector, insight], [None, None], 9.0, serial=False)
    assert (row["ttft_delta_s"], row["throughput_delta_tokens_per_s"]) == (2.0, 3.0)
    row = run_metrics([lasting(1.0, ttft=None), insight], [None, None], 9.0, serial=False)
    assert row["ttft_delta_s"] is None
    row = run_metrics([lasting(1.0, tokens=1), insight], [None, None], 9.0, serial=False)
    assert row["throughput_delta_tokens_per_s"] is None


@pytest.mark.parametrize(("p", "floor"), [(0.5, 11), (0.9, 64), (0.99, 662)])
def test_percentile_floors_are_the_smallest_sample_sizes(p: float, floor: int) -> None:
    assert metrics.percentile_floor(p) == floor
    assert binom.sf(1, floor, 1 - p) >= 0.99 > binom.sf(1, floor - 1, 1 - p)
    values = [float(k) for k in range(floor)]
    assert metrics.percentile(values, p) is not None
    assert metrics.percentile(values[1:], p) is None


@pytest.mark.parametrize("p", [90, 1.0, 0.1, 0.0])
def test_percentiles_take_fractions(p: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        metrics.percentile([1.0] * 1000, p)


@unhurried
@given(st.lists(seconds, min_size=64, max_size=80), st.sampled_from([0.5, 0.75, 0.9]))
def test_percentiles_agree_with_numpy(values: list[float], p: float) -> None:
    expected = float(np.quantile(values, p))
    assert metrics.percentile(values, p) == pytest.approx(expected, abs=1e-9)


# Whole rows


def stretch(execution: Timing, factor: float) -> Timing:
    return timing(
        [
            Step(
                step.request_s * factor,
                step.first_s * factor,
                step.last_s * factor,
                step.end_s * factor,
                step.tokens,
                (),
                step.prompt_tokens,
            )
            for step in execution.steps
        ]
    )


@unhurried
@given(runs(), st.sampled_from([0.25, 2.0, 1024.0]))
def test_rows_scale_with_time(run: Measured, factor: float) -> None:
    agents, solos, wall, serial = run
    row = run_metrics(agents, solos, wall, serial)
    grown = run_metrics(
        [stretch(e, factor) for e in agents],
        [stretch(e, factor) for e in solos],
        wall * factor,
        serial,
    )
    powers = {"s": factor, "s/token": factor, "tokens/s": 1 / factor}
    for name, (unit, _) in RUN_METRICS.items():
        value = row[name]
        if isinstance(value, float):  # a power of two changes no digit
            assert grown[name] == value * powers.get(unit, 1.0), name
        elif name != "contention_ttft_rule":  # 3 s stay 3 s
            assert grown[name] == value, name


@unhurried
@given(runs(), st.randoms(use_true_random=False))
def test_rows_do_not_depend_on_the_order_of_agents(run: Measured, random: Random) -> None:
    agents, solos, wall, serial = run
    order = list(range(len(agents)))
    random.shuffle(order)
    row = run_metrics(agents, solos, wall, serial)
    shuffled = run_metrics([agents[k] for k in order], [solos[k] for k in order], wall, serial)
    sign = 1 if order == sorted(order) else -1
    for name, value in row.items():
        if name in SIGNED and value is not None:
            assert shuffled[name] == sign * number(row, name)
        else:
            assert shuffled[name] == value, name


@unhurried
@given(executions(), eighths, st.booleans())
def test_one_agent_has_no_true_or_pairwise_metric(agent: Timing, gap: float, serial: bool) -> None:
    wall = agent.duration_s + gap
    row = run_metrics([agent], [agent], wall, serial)
    null = NEEDS_SOLO | SIGNED | {"contention_speedup_rule"}
    assert {name for name in row if row[name] is None} - {"makespan_per_token_s"} == null
    assert row["efficiency_estimate"] == row["speedup_estimate"] == agent.duration_s / wall
    assert row["orchestration_loss"] == pytest.approx(gap / wall, abs=EXACT)
    assert [row[name] for name in ("imbalance_loss", "sequencing_loss", *PARTS)] == [0.0] * 6
    assert row["solo_basis"] == "none"


def test_five_agents_have_no_pairwise_metric() -> None:
    row = run_metrics([an_execution()] * 5, [an_execution()] * 5, 4.0, serial=False)
    assert {name for name in row if row[name] is None} == SIGNED | {"contention_speedup_rule"}
    assert row["efficiency_true"] == pytest.approx(3.5 / 4)


def test_no_tokens_at_all() -> None:
    agents = [an_execution(tokens=0)] * 2
    row = run_metrics(agents, [None, None], 4.0, serial=False)
    assert (row["aggregate_tokens_per_s"], row["makespan_per_token_s"]) == (0.0, None)
    assert row["throughput_delta_tokens_per_s"] is None


@unhurried
@given(runs())
def test_rows_keep_to_their_schema(run: Measured) -> None:
    agents, solos, wall, serial = run
    for references in (solos, [None] * len(agents)):
        row = run_metrics(agents, references, wall, serial)
        assert list(row) == list(RUN_METRICS)
        for name, value in row.items():
            kind = {"boolean": bool, "string": str}.get(RUN_METRICS[name][0], float)
            assert value is None or type(value) is kind, name


def test_schema_names_carry_their_units() -> None:
    suffixes = {"s": "_s", "tokens/s": "_tokens_per_s", "s/token": "_per_token_s"}
    assert {unit for unit, _ in RUN_METRICS.values()} == {*suffixes, "1", "boolean", "string"}
    for name, (unit, description) in RUN_METRICS.items():
        assert name.endswith(suffixes.get(unit, "")), name
        assert description
        assert "\n" not in description


@pytest.mark.parametrize("wall", [0.0, -1.0, math.nan, math.inf])
def test_runs_without_a_wall_time_are_refused(wall: float) -> None:
    with pytest.raises(ValueError, match="positive wall"):
        run_metrics([lasting(1.0)], [None], wall, serial=False)


def test_runs_need_an_agent_and_a_solo_slot_for_each() -> None:
    with pytest.raises(ValueError, match="needs an agent"):
        run_metrics([], [], 1.0, serial=False)
    with pytest.raises(ValueError, match="zip"):
        run_metrics([lasting(1.0), lasting(1.0)], [None], 1.0, serial=False)


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([[(0, 4)], [(1, 3)]], [(2, 2), (2, 0)]),
        ([[(0, 1)], [(2, 3)]], [(0, 1), (0, 1)]),
        ([[(0, 10)], [(1, 4)], [(3, 6)]], [(5, 5), (3, 0), (3, 0)]),
        ([[(0, 2), (4, 6)], [(1, 5)]], [(2, 2), (2, 2)]),
        ([[(0, 2)], []], [(0, 2), (0, 0)]),
        ([[(1, 1)], [(0, 2)]], [(0, 0), (0, 2)]),
    ],
    ids=["inside", "apart", "three", "two steps", "nobody else", "one token"],
)
def test_decoding_beside_others_and_alone(
    windows: list[list[tuple[float, float]]], expected: list[tuple[float, float]]
) -> None:
    assert metrics.decode_overlap(windows) == expected
