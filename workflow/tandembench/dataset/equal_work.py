"""Runs of a round whose answers ended at unlike lengths, at equal work: when that was done. Pure.

Servers that cannot go on past the model's end give fewer tokens than were asked for. What all
answers of a round have can still be timed: every token has its arrival.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tandembench.steps import Step


@dataclass(frozen=True, slots=True)
class Call:
    """An LLM call of a run: ``asked`` tokens of ``server`` by ``agent``, and what came."""

    agent: int
    server: str | None
    asked: int
    step: Step


def shared_part(calls: Iterable[Call]) -> Fraction:
    """The part of the tokens asked for that each of ``calls`` has, above 0 to 1."""
    return min(Fraction(call.step.tokens, call.asked) for call in calls)


def done_s(calls: Sequence[Call], part: Fraction, serial: bool) -> float | None:
    """Seconds from t0 until each call of a run had ``part`` of its tokens; ours.

    What a call made beyond that is cut off: whatever waited for its end, the agent's next call,
    the next agent of ``serial`` or what was queued for the server, is counted from so much sooner.
    What ran beside it stays as it was measured, in the company of what was cut off. None where the
    arrival of a token is not known (`Step.token_s`).
    """
    ends: list[tuple[Call, float]] = []
    latest_s = 0.0
    for call in sorted(calls, key=lambda one: one.step.first_s):
        # ceil, which no call falls short of
        reached_s = call.step.token_s(-(-part.numerator * call.asked // part.denominator))
        if reached_s is None:
            return None
        before = [one for one in ends if _waited(call, one[0], serial)]
        sooner_s = max(before, key=lambda one: one[0].step.end_s)[1] if before else 0.0
        latest_s = max(latest_s, reached_s - sooner_s)
        ends.append((call, sooner_s + call.step.end_s - reached_s))
    return latest_s


def _waited(call: Call, other: Call, serial: bool) -> bool:
    """Whether ``call`` began when ``other`` had ended because of that."""
    if serial or call.agent == other.agent:
        return other.step.end_s <= call.step.request_s
    queued = call.step.request_s < other.step.last_s <= call.step.first_s
    return queued and call.server == other.server
