"""The permutation test: exact where it can be enumerated, like F's where values are normal."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import f_oneway

from tandembench.analysis.ranking import no_level_differs


def test_all_splits_of_seven_values() -> None:
    values = [1.0, 2.5, 2.0, 4.0, 3.5, 6.0, 5.0]

    def between(first: tuple[int, ...]) -> float:
        one = [values[i] for i in first]
        return sum(one) ** 2 / 3 + (sum(values) - sum(one)) ** 2 / 4

    splits = [between(first) for first in combinations(range(7), 3)]
    wanted = sum(split >= between((0, 1, 2)) - 1e-12 for split in splits) / len(splits)
    assert no_level_differs(values, list("aaabbbb")) == pytest.approx(wanted, abs=0.01)
    assert 0.02 < wanted < 0.2


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_of_many_normal_values_it_says_what_f_says_every_time(shift: float) -> None:
    rng = np.random.default_rng(3)
    groups = [rng.normal(shift * number / 2, 1, size) for number, size in enumerate((10, 20, 30))]
    labels = [number for number, group in enumerate(groups) for _ in group]
    found = no_level_differs(np.concatenate(groups).tolist(), labels)
    assert found == pytest.approx(f_oneway(*groups).pvalue, abs=0.02)
    assert found == no_level_differs(np.concatenate(groups).tolist(), labels)


@pytest.mark.parametrize(
    ("values", "levels", "p"),
    [
        # a level may have a single value; without repetitions, or with one level, is no test
        ([1.0, 1.1, 0.9, 1.0, 9.0], "aaaab", pytest.approx(0.2, abs=0.02)),
        ([1.0, 2.0], "aa", None),
        ([1.0, 2.0], "ab", None),
    ],
)
def test_what_few_values_say(values: list[float], levels: str, p: float | None) -> None:
    assert no_level_differs(values, list(levels)) == p
