"""When tokens are due, without a server: machines of known ways, streams that share a rate."""

import math
import statistics
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandembench.fake_server import Behaviour
from tandembench.fake_server.timing import SharedRate

MS = 1_000_000
MINUTE_NS = 60_000_000_000
# an answer of 4 tokens takes 0.05 s at speed 1
PLAIN: dict[str, Any] = {"first_token_s": 0.02, "gap_s": 0.01, "jitter_s": 0.0, "tokens": 4}


def lasting_s(behaviour: Behaviour, request: int = 0, begun_ns: int = 0) -> float:
    return behaviour.due_ns("x", 4, request, begun_ns)[-1] / 1e9


def test_jitter_is_of_seed_and_prompt_and_stays_within_its_bounds() -> None:
    behaviour = Behaviour(first_token_s=0.03, gap_s=0.004, jitter_s=0.002)
    one, two, again = (behaviour.due_ns(prompt, 20) for prompt in ("one", "two", "one"))
    assert one == again != two
    assert one != replace(behaviour, seed=2).due_ns("one", 20)
    assert one[0] == 30 * MS
    gaps = [b - a for a, b in pairwise(one)]
    assert all(2 * MS - 2 <= gap <= 6 * MS + 2 for gap in gaps)
    assert len(set(gaps)) > 10


@given(drift=st.floats(0.0, 2.0), turn_s=st.floats(1.0, 1000.0), at_ns=st.integers(0, 10**15))
def test_drift_is_of_the_clock_alone_and_stays_in_bounds(
    drift: float, turn_s: float, at_ns: int
) -> None:
    one, other = (
        Behaviour(speed=speed, seed=seed, drift=drift, drift_turn_s=turn_s)
        for speed, seed in ((1.0, 1), (1.2, 2))
    )
    assert one.slowness(at_ns) == other.slowness(at_ns)
    assert 1 <= one.slowness(at_ns) <= 1 + drift * turn_s / 60 * (1 + 1e-9)
    # nowhere faster than it says, turns and all
    moved = abs(one.slowness(at_ns + 10**9) - one.slowness(at_ns))
    assert moved <= drift / 60 * (1 + 1e-6) + 1e-6


def test_ten_percent_a_minute_there_and_back() -> None:
    behaviour = Behaviour(**PLAIN, drift=0.1, drift_turn_s=120)
    slow = [behaviour.slowness(minute * MINUTE_NS) for minute in range(6)]
    assert slow == pytest.approx([1.0, 1.1, 1.2, 1.1, 1.0, 1.1])
    # inside an answer too: it ends later than it would at the pace of its start
    assert lasting_s(behaviour, begun_ns=MINUTE_NS) == pytest.approx(0.05 * 1.1, rel=1e-3)
    assert lasting_s(behaviour, begun_ns=MINUTE_NS) > 0.05 * 1.1


def test_noise_is_log_normal_and_of_the_request_not_of_its_prompt() -> None:
    behaviour = Behaviour(**PLAIN, noise=0.05)
    logs = [math.log(lasting_s(behaviour, request) / 0.05) for request in range(4000)]
    # 4 standard errors
    assert statistics.mean(logs) == pytest.approx(0, abs=4 * 0.05 / math.sqrt(4000))
    assert statistics.stdev(logs) == pytest.approx(0.05, rel=4 / math.sqrt(2 * 4000))
    again, other = Behaviour(**PLAIN, noise=0.05), Behaviour(**PLAIN, noise=0.05, seed=2)
    assert lasting_s(again, 7) == lasting_s(behaviour, 7) != lasting_s(other, 7)
    # one draw for all of an answer
    due = behaviour.due_ns("x", 4, request=7)
    assert due[3] - due[2] == pytest.approx(due[0] / 2, abs=2)


def test_hangs_come_as_often_as_asked_and_before_the_first_token() -> None:
    behaviour = Behaviour(**PLAIN, hang_share=0.03, hang_s=0.5, speed=2.0)
    dues = [behaviour.due_ns("x", 4, request) for request in range(4000)]
    hung = [due for due in dues if due[0] > 100 * MS]
    assert len(hung) / 4000 == pytest.approx(0.03, abs=4 * math.sqrt(0.03 * 0.97 / 4000))
    # neither shorter on a faster server, nor part of any gap
    assert {due[0] for due in hung} == {510 * MS}
    assert {due[1] - due[0] for due in hung} == {5 * MS}


@pytest.mark.parametrize(
    "settings",
    [
        *({name: -1.0} for name in ("gap_s", "drift", "hang_s")),
        *({name: math.nan} for name in ("first_token_s", "noise", "speed")),
        *(
            {name: 0}
            for name in ("tokens", "slots", "gain", "shared_rate", "speed", "drift_turn_s")
        ),
        {"hang_share": 1.1},
        # a shared rate knows no machine
        *({name: 0.5, "shared_rate": 100.0} for name in ("speed", "drift", "noise", "hang_share")),
    ],
    ids=str,
)
def test_settings_that_make_no_server_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Behaviour(**settings)


# The shared rate: due times follow exactly as streams come and go


def shared(gain: float, *joins: tuple[str, float, int]) -> SharedRate:
    """A rate of 1000 tokens/s that these streams have joined, each at a time in ms."""
    rate = SharedRate(1000.0, gain)
    for name, at_ms, tokens in joins:
        rate.join(name, at_ms * MS, tokens)
    return rate


@pytest.mark.parametrize(
    ("gain", "joins", "due_ms"),
    [
        # one alone decodes at the rate
        (0.5, [("a", 5, 10)], {("a", 1): 6, ("a", 2): 7, ("a", 10): 15}),
        # two at once make gain times the rate, each half
        (
            0.5,
            [("a", 0, 10), ("b", 0, 10)],
            {("a", 1): 4, ("a", 10): 40, ("b", 1): 4, ("b", 10): 40},
        ),
        # b has done 10 tokens when a ends at 20 ms, and does the other six alone
        (1.0, [("a", 0, 10), ("b", 0, 16)], {("b", 10): 20, ("b", 11): 21, ("b", 16): 26}),
        # b comes later, takes 2 tokens at half the rate, and is gone at 8 ms
        (
            1.0,
            [("a", 0, 10), ("b", 4, 2)],
            {("a", 4): 4, ("a", 5): 6, ("b", 2): 8, ("a", 10): 12},
        ),
    ],
)
def test_streams_share_the_rate_by_the_rule(
    gain: float, joins: list[tuple[str, float, int]], due_ms: dict[tuple[str, int], float]
) -> None:
    rate = shared(gain, *joins)
    assert {k: rate.due_ns(*k) / MS for k in due_ms} == pytest.approx(due_ms)


def test_a_stream_that_breaks_off_gives_its_share_back() -> None:
    rate = shared(1.0, ("a", 0, 10), ("b", 0, 10))
    rate.drop("b", 8 * MS)
    assert rate.due_ns("a", 10) == pytest.approx(14 * MS)
    rate.drop("b", 9 * MS)
    # one that is done is past
    rate.drop("c", 20 * MS)
    assert rate.due_ns("a", 10) == 20 * MS


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=6),
    st.floats(0.3, 2.5),
)
def test_due_times_never_go_back_and_no_work_is_lost(
    joins: list[tuple[int, int]], gain: float
) -> None:
    rate = SharedRate(1000.0, gain)
    at = 0
    for name, (wait, tokens) in enumerate(joins):
        at += wait * MS
        rate.join(name, at, tokens)
    name, tokens = len(joins) - 1, joins[-1][1]
    due = [rate.due_ns(name, k) for k in range(1, tokens + 1)]
    assert due == sorted(due)
    slowest = min(1.0, *(gain / k for k in range(2, len(joins) + 2))) * 1e-6
    assert at + tokens / max(1.0, gain) * MS * 0.999 <= due[-1] <= at + tokens / slowest * 1.001
