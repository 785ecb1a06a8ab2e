"""Many comparisons at once say what one at a time says."""

import math
from random import Random

import numpy as np
import pytest

from tandembench.analysis.comparison import Observation, paired_ratio
from tandembench.diff.grouped import Cells, Values, ratios

Block = tuple[int, str, int]  # group, session, round


def measure(random: Random, group: int, sessions: list[str], rounds: int) -> dict[Block, float]:
    """A value for most rounds; a session has its own level."""
    return {
        (group, session, number): math.exp(level + random.gauss(0, 0.05))
        for session in sessions
        for level in [random.gauss(0, 0.1)]
        for number in range(rounds)
        if random.random() < 0.9
    }


def grouped(a: dict[Block, float], b: dict[Block, float], n_groups: int) -> dict[int, object]:
    """``ratios`` of two sides, by group; a block that is in both pairs."""
    cells = {key: place for place, key in enumerate(dict.fromkeys(k[:2] for k in (*a, *b)))}

    def values(found: dict[Block, float]) -> Values:
        places = np.asarray([cells[key[:2]] for key in found], dtype=np.int32)
        return Values(np.asarray([math.log(value) for value in found.values()]), places)

    pairs = {key: b[key] / a[key] for key in a if key in b}
    groups = np.asarray([group for group, _ in cells], dtype=np.int64)
    told = ratios(values(a), values(b), values(pairs), Cells(groups, n_groups))
    return {one.group: one for one in told}


def observations(found: dict[Block, float], group: int) -> list[Observation]:
    return [
        Observation(value, session, session, number)
        for (own, session, number), value in found.items()
        if own == group
    ]


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_comparison_of_each_group(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - an example, no secret
    a: dict[Block, float] = {}
    b: dict[Block, float] = {}
    for group in range(30):
        mine = [f"a{k}" for k in range(random.choice([0, 1, 2, 3, 6]))]
        theirs = [f"b{k}" for k in range(random.choice([0, 1, 2, 4]))]
        shared = [f"s{k}" for k in range(random.choice([0, 0, 1, 3]))]
        a |= measure(random, group, mine + shared, random.choice([1, 5]))
        b |= measure(random, group, theirs + shared, random.choice([1, 5]))
    found = grouped(a, b, 30)
    kinds = set()
    for group in range(30):
        expected = paired_ratio(observations(b, group), observations(a, group))
        if expected.reason == "nothing measured":
            assert group not in found
            continue
        told = found[group]
        assert told.reason == expected.reason
        kinds.add((expected.basis, expected.reason))
        if expected.interval is None:
            # What may not be compared is told as it is, without bounds.
            assert told.logs.low is None
            continue
        interval = expected.interval
        assert told.logs.basis == interval.basis
        assert told.logs.n == interval.n
        assert math.exp(told.logs.mean) == pytest.approx(interval.mean, rel=1e-12)
        if interval.low is None:
            assert told.logs.low is None
        else:
            assert math.exp(told.logs.low) == pytest.approx(interval.low, rel=1e-9)
            assert math.exp(told.logs.high) == pytest.approx(interval.high, rel=1e-9)
    assert ("sessions", None) in kinds
    assert (None, "different sessions") in kinds


def test_without_bounds_it_is_the_ratio_of_geometric_means() -> None:
    a = {(0, "a", 1): 2.0, (0, "a", 2): 8.0}
    b = {(0, "b", 1): 6.0, (0, "c", 1): 6.0, (0, "c", 2): 6.0}
    (told,) = grouped(a, b, 1).values()
    assert math.exp(told.logs.mean) == pytest.approx(1.5)
    assert (told.logs.low, told.logs.n, told.reason) == (None, 2, "different sessions")
