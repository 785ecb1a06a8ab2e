"""Executions and runs made up for the metrics: by hand, as an importer has them, and drawn."""

import math
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tandembench.metrics import Row, Timing, timing
from tandembench.steps import Step

Measured = tuple[list[Timing], list[Timing], float, bool]
EXACT = 1e-12


def a_step(
    ttft: float = 1.0,
    decode: float = 2.0,
    rest: float = 0.5,
    tokens: int = 5,
    *,
    at: float = 0.0,
    prompt: int | None = 7,
    prompt_s: float | None = None,
    load_s: float | None = None,
) -> Step:
    first, last = at + ttft, at + ttft + decode
    return Step(at, first, last, last + rest, tokens, (), prompt, prompt_s, load_s)


def an_execution(
    ttft: float = 1.0, decode: float = 2.0, rest: float = 0.5, tokens: int = 5
) -> Timing:
    return timing([a_step(ttft, decode, rest, tokens)])


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


def stretch(execution: Timing, factor: float) -> Timing:
    stamps = ("request_s", "first_s", "last_s", "end_s")
    return timing(
        [
            replace(step, **{name: getattr(step, name) * factor for name in stamps})
            for step in execution.steps
        ]
    )
