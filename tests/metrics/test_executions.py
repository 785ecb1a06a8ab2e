"""Steps, executions, gaps and overlap by hand; percentiles and their floors."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from timings import a_step, an_execution, lasting, seconds, unhurried

from tandembench import metrics
from tandembench.metrics import Row, Timing, timing
from tandembench.steps import Step, decode_overlap


def test_an_answer_of_no_tokens_has_no_negative_interval() -> None:
    assert timing([a_step(tokens=0), a_step(tokens=4)]).intervals == 3


def sums(duration: float, first: float, decode: float, intervals: int) -> Timing:
    return replace(
        lasting(1.0, tokens=8),
        duration_s=duration,
        first_token_s=first,
        decode_s=decode,
        intervals=intervals,
    )


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (Step, (1.0, 0.5, 2.0, 3.0, 1)),  # a first token before its request
        (Step, (0.0, 2.0, 1.0, 3.0, 1)),
        (Step, (0.0, 1.0, 4.0, 3.0, 1)),
        (Step, (0.0, math.nan, 1.0, 3.0, 1)),
        (Step, (0.0, 1.0, 2.0, math.inf, 1)),
        (Step, (0.0, 1.0, 2.0, 3.0, -1)),
        (sums, (0, 0, 0, 1)),
        (sums, (-1, 0, 0, 1)),
        (sums, (math.nan, 0, 0, 1)),
        (sums, (2, -1, 1, 1)),
        (sums, (2, 1, math.inf, 1)),
        (sums, (2, 1, 1, -1)),
        (sums, (2, 1, 1, 9)),  # more intervals than tokens
        *((partial(metrics.percentile, [1.0] * 1000), (p,)) for p in (90, 1.0, 0.1, 0.0)),
    ],
)
def test_what_is_impossible_is_refused(
    make: Callable[..., object], values: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - none of them is possible
        make(*values)


def test_execution_row_by_hand() -> None:
    # gaps 1, 1, 2 and 0.25; the time between the steps is no gap, and in no sum
    first = Step(0.5, 1.0, 5.0, 5.25, 9, (1.0, 2.0, 3.0, 5.0), 20, chunk_tokens=(1, 2, 4, 9))
    second = Step(11.5, 11.75, 12.0, 13.0, 3, (11.75, 12.0), 30)
    execution = timing([first, second])
    # of three tokens in two chunks the one that ends the answer is not seen
    assert execution.intervals == 9
    assert metrics.wall([execution, an_execution()]) == 13.0
    assert metrics.execution_metrics(execution) == {
        "duration_s": 6.25,
        "ttft_s": 0.5,
        "first_token_s": 0.75,
        "first_token_start_s": 1.0,
        "decode_s": 4.25,
        "rest_s": 1.25,
        "coalesced": 0,
        "first_chunk": "token",
        "rate_basis": "arrival",
        "answer_tokens": 12,
        "decode_rate_tokens_per_s": pytest.approx(9 / 4.25),
        "gap_p50_s": None,
        "gap_p90_s": None,
        "gap_max_s": 2.0,
        "queue_s": None,
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


def test_execution_rows_with_a_solo_and_of_sums_alone() -> None:
    row = metrics.execution_metrics(an_execution(decode=4.5), an_execution(decode=1.0))
    assert (row["solo_s"], row["slowdown"], row["solo_basis"]) == (2.5, 2.4, "paired")
    assert metrics.execution_metrics(lasting(3.0))["first_token_start_s"] is None


@pytest.mark.parametrize(
    ("decode", "tokens", "rate"), [(2.0, 5, 2.0), (2.0, 1, None), (0.0, 5, None)]
)
def test_decode_rate(decode: float, tokens: int, rate: float | None) -> None:
    assert an_execution(decode=decode, tokens=tokens).decode_rate == rate


@pytest.mark.parametrize(("p", "floor"), [(0.5, 11), (0.9, 64), (0.99, 662)])
def test_percentile_floors_are_the_smallest_sample_sizes(p: float, floor: int) -> None:
    assert metrics.percentile_floor(p) == floor
    assert binom.sf(1, floor, 1 - p) >= 0.99 > binom.sf(1, floor - 1, 1 - p)
    values = [float(k) for k in range(floor)]
    assert metrics.percentile(values, p) is not None
    assert metrics.percentile(values[1:], p) is None


@unhurried
@given(st.lists(seconds, min_size=64, max_size=80), st.sampled_from([0.5, 0.75, 0.9]))
def test_percentiles_agree_with_numpy(values: list[float], p: float) -> None:
    expected = float(np.quantile(values, p))
    assert metrics.percentile(values, p) == pytest.approx(expected, abs=1e-9)


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
    assert decode_overlap(windows) == expected


@pytest.mark.parametrize(
    ("chunk_s", "tokens", "decode_s", "known"),
    [
        ((1.0, 1.9), 10, 0.95, (0.95, 9, "server")),
        ((1.0, 1.9), 10, 3.0, None),  # longer than the call
        ((1.0, 1.9), 10, 0.5, None),  # shorter than what was seen
        ((1.0, 1.9), 1, 0.95, None),  # of one token no time is known
        ((1.0, 1.0), 10, 0.001, None),  # quicker than any server
    ],
)
def test_where_chunks_are_no_tokens_a_servers_duration_counts_if_it_can_be(
    chunk_s: tuple[float, ...], tokens: int, decode_s: float, known: object
) -> None:
    step = Step(0.0, chunk_s[0], chunk_s[-1], 2.0, tokens, chunk_s, decode_s=decode_s)
    assert step.decoding == known


@pytest.mark.parametrize(("tokens", "known"), [(100, True), (102, True), (103, False)])
def test_one_token_in_fifty_need_not_show(tokens: int, known: bool) -> None:
    """It was a part of a letter."""
    stamps = tuple(n / 100 for n in range(1, 101))
    step = Step(0.0, stamps[0], stamps[-1], 1.0, tokens, stamps)
    assert (step.decoding is not None) == known
    assert step.first_chunk == ("token" if known else "bundle")


@pytest.mark.parametrize(
    ("together", "first", "basis"), [(0.0, "burst", "server"), (0.01, "token", "arrival")]
)
def test_of_chunks_that_come_at_once_nobody_saw_the_first_token(
    together: float, first: str, basis: str
) -> None:
    """Whatever the server counts with each of them; how long it decoded, it knows better."""
    stamps = (0.5, 0.5 + together, 0.8, 0.9)
    counts = (1, 2, 3, 4)
    step = Step(0.0, stamps[0], stamps[-1], 1.0, 4, stamps, decode_s=0.5, chunk_tokens=counts)
    assert step.first_chunk == first
    assert step.decoding is not None
    assert step.decoding.basis == basis
