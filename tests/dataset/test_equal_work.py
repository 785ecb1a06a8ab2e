"""Times of equal work: what runs of unlike answers come to, by schedules that are known."""

import random
from dataclasses import replace
from fractions import Fraction

import pytest
from raw_blocks import block, side_by_side

from tandembench.dataset.blocks import block_rows
from tandembench.dataset.equal_work import Call, done_s, shared_part
from tandembench.steps import Step

ASKED = 32
PROMPT_S, GAP_S, PAUSE_S = 0.4, 0.05, 0.01


def call(agent: int, asked_s: float, begun_s: float, tokens: int, speed: float = 1.0) -> Call:
    """An answer that a free slot began at ``begun_s``; an early end is due like a token."""
    chunks = tuple(begun_s + (PROMPT_S + GAP_S * n) / speed for n in range(tokens))
    end_s = chunks[-1] + (GAP_S / speed if tokens < ASKED else 0.0)
    step = Step(asked_s, chunks[0], chunks[-1], end_s, tokens, chunks)
    return Call(agent, "one", ASKED, step)


def in_turn(lengths: list[list[int]], queued: bool) -> list[Call]:
    """Agents one after the other, or in the queue of one slot: step by step, agent by agent."""
    calls: list[Call] = []
    sent_s = dict.fromkeys(range(len(lengths)), 0.0)
    order = [(a, s) for a in range(len(lengths)) for s in range(len(lengths[a]))]
    for agent, step in sorted(order, key=lambda one: one[::-1]) if queued else order:
        free_s = calls[-1].step.end_s if calls else 0.0
        asked_s = sent_s[agent] if queued else free_s + PAUSE_S * bool(calls)
        calls.append(call(agent, asked_s, max(free_s, asked_s), lengths[agent][step]))
        sent_s[agent] = calls[-1].step.end_s + PAUSE_S
    return calls


def at_once(lengths: list[list[int]], speed: float) -> list[Call]:
    calls: list[Call] = []
    for agent, steps in enumerate(lengths):
        begun_s = 0.0
        for tokens in steps:
            one = call(agent, begun_s, begun_s, tokens, speed)
            calls.append(replace(one, server=f"server {agent}"))
            begun_s = one.step.end_s + PAUSE_S
    return calls


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("agents", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_unlike_answers_take_what_equal_ones_would(agents: int, steps: int, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - lengths

    def lengths() -> list[list[int]]:
        return [[draw.randint(2, ASKED) for _ in range(steps)] for _ in range(agents)]

    serial, single = in_turn(lengths(), queued=False), in_turn(lengths(), queued=True)
    dual = at_once(lengths(), 0.6)
    part = shared_part([*serial, *single, *dual])
    tokens = int(part * ASKED)
    assert 2 <= tokens <= ASKED
    alone_s = PROMPT_S + GAP_S * (tokens - 1)
    n = agents * steps
    known = {
        "serial": (serial, n * alone_s + (n - 1) * PAUSE_S),
        "dual": (dual, steps * alone_s / 0.6 + (steps - 1) * PAUSE_S),
    }
    if agents > 1:  # else it waits for itself
        known["single"] = (single, n * alone_s)
    for name, (calls, truth_s) in known.items():
        assert done_s(calls, part, name == "serial") == pytest.approx(truth_s), name
        shuffled = draw.sample(calls, len(calls))
        assert done_s(shuffled, part, name == "serial") == pytest.approx(truth_s)


@pytest.mark.parametrize(
    ("changes", "arrived"),
    [
        ({}, 2.0),
        ({"chunk_s": ()}, 2.0),
        ({"chunk_s": (1.0, 3.0), "chunk_tokens": (1, 3)}, 3.0),
        ({"chunk_s": (1.0, 2.5, 3.0), "chunk_tokens": (1, 2, 3)}, 2.5),
        # one piece of all, and what the server says of it
        ({"chunk_s": (3.0,), "first_s": 3.0}, None),
        ({"chunk_s": (3.0,), "first_s": 3.0, "decode_s": 1.0}, 2.5),
    ],
)
def test_a_token_is_there_when_it_arrived_or_as_the_server_says(
    changes: dict[str, object], arrived: float | None
) -> None:
    step = replace(Step(0.0, 1.0, 3.0, 3.5, 3, (1.0, 2.0, 3.0)), **changes)  # type: ignore[arg-type]
    assert step.token_s(2) == arrived
    assert (step.token_s(3), step.token_s(9)) == (3.0, 3.0)
    whole = done_s([Call(0, None, 3, step)], Fraction(2, 3), serial=False)
    assert whole == arrived


@pytest.mark.parametrize(
    ("serial", "dual", "share", "seconds"),
    [
        ("fixed", "fixed", 1.0, {"serial": 2.0, "dual": 1.2}),
        # serial ends after 4 of 8 tokens; that of dual is there after 0.24 s and 3 gaps
        ("capped", "fixed", 0.5, {"serial": 1.8, "dual": 0.24 + 3 / 7 * 0.84}),
        ("natural", "natural", None, {"serial": None, "dual": None}),
    ],
)
def test_rows_have_the_work_that_their_round_shares(
    serial: str, dual: str, share: float | None, seconds: dict[str, float | None]
) -> None:
    configs = (
        block("serial", tokens=4, max_tokens=8, work_effective=serial),
        block("dual", (1.0, 1.0), (1.2, 1.2), work_effective=dual),
    )
    for run in block_rows(side_by_side(*configs), "one")[0]:  # type: ignore[arg-type]
        assert run.get("equal_work_share") == share
        wanted = seconds[str(run["config_id"])]
        assert run.get("equal_work_s") == (wanted and pytest.approx(wanted))
