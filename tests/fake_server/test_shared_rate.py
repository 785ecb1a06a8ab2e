"""The rule by which streams share a rate: due times follow exactly as streams come and go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandembench.fake_server.shared_rate import SharedRate

MS = 1_000_000


def test_one_stream_alone_decodes_at_the_rate() -> None:
    shared = SharedRate(1000.0, 0.5)
    shared.join("a", 5 * MS, 10)
    assert [shared.due_ns("a", k) for k in (1, 2, 10)] == [6 * MS, 7 * MS, 15 * MS]


def test_two_at_once_make_gain_times_the_rate_each_half() -> None:
    shared = SharedRate(1000.0, 0.5)
    shared.join("a", 0, 10)
    shared.join("b", 0, 10)
    assert [shared.due_ns(name, k) for name in "ab" for k in (1, 10)] == [4 * MS, 40 * MS] * 2


def test_the_rate_changes_at_the_very_instant_of_an_end() -> None:
    shared = SharedRate(1000.0, 1.0)
    shared.join("a", 0, 10)
    shared.join("b", 0, 16)
    # b has done 10 tokens when a ends at 20 ms, and does the other six alone
    assert shared.due_ns("b", 10) == pytest.approx(20 * MS)
    assert shared.due_ns("b", 11) == pytest.approx(21 * MS)
    assert shared.due_ns("b", 16) == pytest.approx(26 * MS)


def test_a_stream_that_comes_later_slows_the_first_from_then_on() -> None:
    shared = SharedRate(1000.0, 1.0)
    shared.join("a", 0, 10)
    shared.join("b", 4 * MS, 2)
    assert shared.due_ns("a", 4) == pytest.approx(4 * MS)
    assert shared.due_ns("a", 5) == pytest.approx(6 * MS)
    # b takes 2 tokens at half the rate: gone at 8 ms
    assert shared.due_ns("b", 2) == pytest.approx(8 * MS)
    assert shared.due_ns("a", 10) == pytest.approx(12 * MS)


def test_a_stream_that_breaks_off_gives_its_share_back() -> None:
    shared = SharedRate(1000.0, 1.0)
    shared.join("a", 0, 10)
    shared.join("b", 0, 10)
    shared.drop("b", 8 * MS)
    assert shared.due_ns("a", 10) == pytest.approx(14 * MS)
    shared.drop("b", 9 * MS)


@given(
    first=st.integers(1, 500),
    second=st.integers(1, 500),
    gain=st.floats(0.3, 2.5),
    rate=st.floats(10.0, 1e4),
)
def test_two_streams_that_start_together_end_as_the_formula_says(
    first: int, second: int, gain: float, rate: float
) -> None:
    shared = SharedRate(rate, gain)
    shared.join("a", 0, first)
    shared.join("b", 0, second)
    t1, t2 = sorted((first / rate, second / rate))
    end = max(shared.due_ns("a", first), shared.due_ns("b", second)) / 1e9
    assert end == pytest.approx(2 * t1 / gain + t2 - t1, rel=1e-5)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=6),
    st.floats(0.3, 2.5),
)
def test_due_times_never_go_back_and_no_work_is_lost(
    joins: list[tuple[int, int]], gain: float
) -> None:
    shared = SharedRate(1000.0, gain)
    at = 0
    for name, (wait, tokens) in enumerate(joins):
        at += wait * MS
        shared.join(name, at, tokens)
    name, tokens = len(joins) - 1, joins[-1][1]
    due = [shared.due_ns(name, k) for k in range(1, tokens + 1)]
    assert due == sorted(due)
    slowest = min(1.0, *(gain / k for k in range(2, len(joins) + 2))) * 1e-6
    assert at + tokens / max(1.0, gain) * MS * 0.999 <= due[-1] <= at + tokens / slowest * 1.001
