"""What a run is held against: solo references, and waits for a slot of the server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timings import a_step, an_execution, eighths, executions, lasting, number, seconds, unhurried

from tandembench.metrics import Timing, queue_waits, run_metrics, solo_reference, timing

# Solo references


@unhurried
@given(executions(), st.integers(2, 900))
def test_token_normalised_equals_paired_at_equal_counts(run: Timing, tokens: int) -> None:
    def same_counts(prompt: int) -> Timing:
        steps = [(s.first_s - s.request_s, s.last_s - s.first_s) for s in run.steps]
        return timing([a_step(a, b, 1.0, tokens, prompt=prompt) for a, b in steps])

    paired = solo_reference(same_counts(7), same_counts(7))
    normalised = solo_reference(same_counts(8), same_counts(7))
    assert (paired[0], normalised[0]) == ("paired", "token_normalised")
    assert normalised[1] == paired[1] == same_counts(7).duration_s


@unhurried
@given(seconds, seconds, eighths, st.integers(2, 1000), st.data())
def test_token_normalised_is_the_formula_of_the_design(
    ttft: float, decode: float, rest: float, n_solo: int, data: st.DataObject
) -> None:
    n_run = data.draw(st.integers(-(-n_solo // 2), 2 * n_solo).filter(lambda n: n != n_solo))
    solo = an_execution(ttft, decode, rest + 0.125, n_solo)
    basis, value = solo_reference(an_execution(tokens=n_run), solo)
    u = decode / (n_solo - 1)
    assert basis == "token_normalised"
    assert value == pytest.approx(ttft + (n_run - 1) * u + rest + 0.125, abs=1e-9)


def test_normalisation_goes_step_by_step() -> None:
    # a quick step that grows and a slow one that shrinks: 3 + 3 * 0.5, 5 - 2 * 1.0
    solo = timing([a_step(1, 1.5, 0.5, 4), a_step(0.5, 4.0, 0.5, 5)])
    run = timing([a_step(tokens=7), a_step(tokens=3)])
    assert solo_reference(run, solo) == ("token_normalised", 4.5 + 3.0)


@pytest.mark.parametrize(
    ("run", "solo", "basis"),
    [
        ([(5, 7)], [(5, 7)], "paired"),
        ([(1, 7)], [(1, 7)], "paired"),
        ([(5, 7), (4, 9)], [(5, 7), (4, 9)], "paired"),
        ([(5, 7)], [(5, 8)], "token_normalised"),
        ([(5, 7)], [(5, None)], "token_normalised"),
        ([(5, None)], [(5, None)], "token_normalised"),
        ([(4, 7), (5, 7)], [(5, 7), (4, 7)], "token_normalised"),  # equal only in sum
        ([(4, 7)], [(8, 7)], "token_normalised"),
        ([(3, 7)], [(8, 7)], "none"),
        ([(8, 7)], [(4, 7)], "token_normalised"),
        ([(9, 7)], [(4, 7)], "none"),
        ([(2, 7)], [(1, 7)], "none"),
        ([(1, 7)], [(0, 7)], "none"),
        ([(5, 7), (9, 7)], [(5, 7), (4, 7)], "none"),
        ([(5, 7)], [(5, 7), (5, 7)], "none"),
    ],
)
def test_solo_basis(
    run: list[tuple[int, int | None]], solo: list[tuple[int, int | None]], basis: str
) -> None:
    ran, alone = (
        timing([a_step(tokens=tokens, prompt=prompt) for tokens, prompt in side])
        for side in (run, solo)
    )
    given_basis, value = solo_reference(ran, alone)
    assert given_basis == basis
    assert (value is None) == (basis == "none")


def test_no_reference_without_a_solo_without_steps_or_without_time() -> None:
    run, imported = an_execution(), lasting(3.0)
    for ran, alone in [(run, None), (imported, run), (run, imported), (imported, imported)]:
        assert solo_reference(ran, alone) == ("none", None)
    # one of two tokens kept, and the solo was all decode: nothing is left to compare with
    assert solo_reference(an_execution(0, 1, 0, 1), an_execution(0, 1, 0, 2))[0] == "none"


# Waiting for a slot


def in_line(
    *waits: float, prompt_s: float | None = 0.5, load_s: float | None = None
) -> list[Timing]:
    """Agents that wait, then take 0.25 s for the wire, 0.5 s for the prompt, 2 s to decode."""
    return [
        timing([a_step(wait + 0.75 + (load_s or 0.0), 2.0, 0.0, prompt_s=prompt_s, load_s=load_s)])
        for wait in waits
    ]


def served(*steps: tuple[float, float, float]) -> Timing:
    """An agent whose steps ask at, get their first token at and end at these seconds."""
    return timing([a_step(first - at, end - first, 0.0, at=at) for at, first, end in steps])


def test_queueing_by_hand() -> None:
    # each takes 2.75 s alone; on one slot the second waits for the first and then takes 3.25 s
    solos = in_line(0.0, 0.0)
    agents = [*in_line(0.0), timing([a_step(3.5, 2.5, 0.0, prompt_s=0.5)])]
    waits = queue_waits(agents, solos, 1)
    assert waits == [0.0, 2.75]
    row = run_metrics(agents, solos, 6.0, serial=False, waits_s=waits)
    expected = {
        "efficiency_true": 5.5 / 12,
        "work_imbalance": 0.0,
        "contention": 1 - 2.75 / 3.25,
        "queueing": 2.75 / 3.25 - 2.75 / 6,
        "orchestration_true": 0.0,
    }
    assert {name: number(row, name) for name in expected} == pytest.approx(expected)


ALONE = in_line(0.0, 0.0)
UNKNOWN: list[Timing | None] = [None] * 3


@pytest.mark.parametrize(
    ("agents", "solos", "slots", "waits"),
    [
        (in_line(0.0, 2.75), ALONE, 2, [0.0, 0.0]),
        # whoever does not know the slots believes the server's durations
        (in_line(0.0, 2.75), ALONE, None, [0.0, 2.75]),
        # a load is no queue; without a solo the wire is not known, and counts with the wait
        (in_line(0.0, 2.75, load_s=4.0), ALONE, 1, [0.0, 2.75]),
        (in_line(0.0, 2.75, load_s=4.0), UNKNOWN[:2], 1, [0.25, 3.0]),
        # by order of service: the first ends at 2.75, and the second is let in then
        (in_line(0.0, 2.75, prompt_s=None), UNKNOWN[:2], 1, [0.0, 2.75]),
        (in_line(0.0, 2.75, prompt_s=None), UNKNOWN[:2], None, [0.0, 0.0]),
        # three on two slots
        (
            [served((0, 0.5, 2.0)), served((0, 0.75, 3.0)), served((0, 2.5, 5.0))],
            UNKNOWN,
            2,
            [0.0, 0.0, 2.0],
        ),
        # it came while two others were at work: there are more slots than was said
        (
            [served((0, 0.5, 2.0)), served((0, 0.75, 3.0)), served((0, 1.0, 5.0))],
            UNKNOWN,
            2,
            [0.0, 0.0, 0.0],
        ),
        # one slot: A 0-2, B 2-5, A again 5-6, B again 6-8, each asking as soon as it is answered
        (
            [served((0, 0.5, 2), (2, 5.5, 6)), served((0, 3, 5), (5, 6.5, 8))],
            UNKNOWN[:2],
            1,
            [3.0, 3.0],
        ),
    ],
    ids=[
        *("slots for all", "slots unknown", "a load", "no solo", "by order", "nothing known"),
        *("two slots", "more slots", "steps"),
    ],
)
def test_who_waits_how_long(
    agents: list[Timing], solos: list[Timing | None], slots: int | None, waits: list[float]
) -> None:
    assert queue_waits(agents, solos, slots) == waits


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
    assert queue_waits(agents, [None] * len(agents), slots) == waits
    unsaid = [timing([a_step(one.steps[0].first_s, one.decode_s, 0.0)]) for one in agents]
    by_order = queue_waits(unsaid, [None] * len(agents), slots)
    # first contents that come out of turn hide who was let in first; one slot has but one order
    if slots == 1:
        assert by_order == waits
    assert all(
        0 <= wait <= agent.first_token_s for wait, agent in zip(by_order, agents, strict=True)
    )
