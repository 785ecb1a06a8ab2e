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


# Waiting for a slot


def in_line(
    *waits: float, prompt_s: float | None = 0.5, load_s: float | None = None
) -> list[Timing]:
    """Agents that wait, then take 0.25 s for the wire, 0.5 s for the prompt, 2 s to decode."""
    return [
        timing([a_step(wait + 0.75 + (load_s or 0.0), 2.0, 0.0, prompt_s=prompt_s, load_s=load_s)])
        for wait in waits
    ]


def test_queueing_by_hand() -> None:
    # each takes 2.75 s alone; on one slot the second waits for the first and then takes 3.25 s
    solos = in_line(0.0, 0.0)
    agents = [*in_line(0.0), timing([a_step(3.5, 2.5, 0.0, prompt_s=0.5)])]
    waits = metrics.queue_waits(agents, solos, 1)
    assert waits == [0.0, 2.75]
    row = run_metrics(agents, solos, 6.0, serial=False, waits_s=waits)
    expected = {
        "efficiency_true": 5.5 / 12,
        "work_imbalance": 0.0,
        "contention": 1 - 2.75 / 3.25,
        "queueing": 2.75 / 3.25 - 2.75 / 6,
        "orchestration_true": 0.0,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    unsplit = run_metrics(agents, solos, 6.0, serial=False)
    assert unsplit["contention"] == pytest.approx(
        number(row, "contention") + number(row, "queueing")
    )
    assert unsplit["queueing"] == 0.0


def test_equal_jobs_on_one_slot_lose_half_to_the_queue_and_nothing_to_contention() -> None:
    solos, agents = in_line(0.0, 0.0), in_line(0.0, 2.75)
    waits = metrics.queue_waits(agents, solos, 1)
    row = run_metrics(agents, solos, 5.5, serial=False, waits_s=waits)
    assert (row["queueing"], row["contention"]) == (0.5, 0.0)


def test_with_slots_for_all_nobody_waits() -> None:
    agents = in_line(0.0, 2.75)
    assert metrics.queue_waits(agents, in_line(0.0, 0.0), 2) == [0.0, 0.0]
    # whoever does not know the slots believes the server's durations
    assert metrics.queue_waits(agents, in_line(0.0, 0.0), None) == [0.0, 2.75]


def test_a_load_and_the_wire_are_no_queue() -> None:
    agents = in_line(0.0, 2.75, load_s=4.0)
    assert metrics.queue_waits(agents, in_line(0.0, 0.0), 1) == [0.0, 2.75]
    # without a solo the wire is not known, and counts with the wait
    assert metrics.queue_waits(agents, [None, None], 1) == [0.25, 3.0]


def test_without_the_servers_durations_the_order_of_service_tells() -> None:
    # ends at 2.75; the other is let in then, and its first content comes at 3.5
    agents = in_line(0.0, 2.75, prompt_s=None)
    assert metrics.queue_waits(agents, [None, None], 1) == [0.0, 2.75]
    assert metrics.queue_waits(agents, [None, None], None) == [0.0, 0.0]


def test_two_slots_for_three_agents_by_order_of_service() -> None:
    def served(first: float, end: float) -> Timing:
        return timing([a_step(first, end - first, 0.0)])

    agents = [served(0.5, 2.0), served(0.75, 3.0), served(2.5, 5.0)]
    assert metrics.queue_waits(agents, [None] * 3, 2) == [0.0, 0.0, 2.0]
    # it came while two others were at work: there are more slots than was said
    agents[2] = served(1.0, 5.0)
    assert metrics.queue_waits(agents, [None] * 3, 2) == [0.0, 0.0, 0.0]


def test_steps_wait_in_line_one_by_one() -> None:
    # one slot: A 0-2, B 2-5, A again 5-6, B again 6-8, each asking as soon as it is answered
    first = timing([a_step(0.5, 1.5, 0.0), a_step(3.5, 0.5, 0.0, at=2.0)])
    second = timing([a_step(3.0, 2.0, 0.0), a_step(1.5, 1.5, 0.0, at=5.0)])
    assert metrics.queue_waits([first, second], [None, None], 1) == [3.0, 3.0]


@unhurried
@given(runs(sizes=(2, 3, 5)), st.data())
def test_queueing_closes_the_truth_exactly(run: Measured, data: st.DataObject) -> None:
    agents, solos, wall, serial = run
    parts = st.floats(0, 1)
    waits = [data.draw(parts) * agent.duration_s for agent in agents]
    row = run_metrics(agents, solos, wall, serial, waits)
    loss = 1 - number(row, "efficiency_true")
    served = max(a.duration_s - w for a, w in zip(agents, waits, strict=True))
    scale = max(1.0, number(row, "solo_sum_s") / (served or max(a.duration_s for a in agents)))
    assert total(row, TRUE_LOSSES) == pytest.approx(loss, abs=EXACT * scale)
    assert number(row, "queueing") >= -EXACT * scale
    unsplit = run_metrics(agents, solos, wall, serial)
    both = number(row, "contention") + number(row, "queueing")
    assert number(unsplit, "contention") == pytest.approx(both, abs=EXACT * scale)
    for name in ("work_imbalance", "sequencing_loss", "orchestration_true"):
        assert row[name] == unsplit[name]


@st.composite
def queues(draw: st.DrawFn) -> tuple[list[Timing], list[float], int]:
    """Agents on a server of k slots, first come first served, with what each must have waited."""
    n = draw(st.integers(2, 5))
    slots = draw(st.integers(1, n))
    free, agents, waits = [0.0] * slots, [], []
    for _ in range(n):
        slot = min(range(slots), key=lambda number: free[number])
        begin = free[slot]
        prompt, decode = draw(st.integers(1, 40)) / 8, draw(st.integers(1, 40)) / 8
        agents.append(timing([a_step(begin + prompt, decode, 0.0, prompt_s=prompt)]))
        waits.append(begin)
        free[slot] = begin + prompt + decode
    return agents, waits, slots


@unhurried
@given(queues())
def test_both_ways_find_the_waits_of_a_queue(queue: tuple[list[Timing], list[float], int]) -> None:
    agents, waits, slots = queue
    assert metrics.queue_waits(agents, [None] * len(agents), slots) == waits
    unsaid = [timing([a_step(one.steps[0].first_s, one.decode_s, 0.0)]) for one in agents]
    by_order = metrics.queue_waits(unsaid, [None] * len(agents), slots)
    # first contents that come out of turn hide who was let in first; one slot has but one order
    if slots == 1:
        assert by_order == waits
    assert all(
        0 <= wait <= agent.first_token_s for wait, agent in zip(by_order, agents, strict=True)
    )


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
