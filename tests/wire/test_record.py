"""Counts that a server sends with its chunks."""

import pytest

from tandembench.wire.record import running_counts


@pytest.mark.parametrize(
    ("counts", "answer_tokens", "expected"),
    [
        ((1, 2, 4), 5, (1, 2, 4)),
        ((1, 2, 4), None, None),
        ((), 5, None),
        ((1, None, 4), 5, None),
        ((1, 1, 4), 5, None),  # a chunk of no token: these count something else
        ((0, 2, 4), 5, None),
        ((1, 2, 6), 5, None),  # more than the answer has
        ((1, True, 3), 5, None),
    ],
)
def test_counts_are_running_if_each_chunk_adds_some_and_all_fit_into_the_answer(
    counts: tuple[int | None, ...], answer_tokens: int | None, expected: tuple[int, ...] | None
) -> None:
    assert running_counts(counts, answer_tokens) == expected
