"""The global test comes before any ranking; what is planted is found, and chance is not."""

from collections.abc import Iterable, Sequence
from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tandembench.analysis.ranking import (
    Ranking,
    block_f_p,
    no_column_differs,
    ranking,
)


def table(
    seed: int, effects: list[float], rounds: int = 5, noise: float = 0.02
) -> list[list[float]]:
    random = np.random.default_rng(seed)
    drift = random.normal(0, 0.2, (rounds, 1))  # of the machine, the same for all in a round
    values = np.array(effects) + drift + random.normal(0, noise, (rounds, len(effects)))
    return [[float(value) for value in row] for row in values]


def test_a_planted_best_is_found_through_the_drift() -> None:
    found = ranking(table(1, [0.0, 0.0, 0.3, 0.0]))
    assert found.best == 2
    assert found.p is not None
    assert found.p < 0.01
    assert found.rivals == ()


def test_a_close_second_is_not_called_worse() -> None:
    found = ranking(table(3, [0.0, 0.298, 0.3, 0.0]))
    assert found.best in (1, 2)
    assert found.rivals == (3 - found.best,)


def test_equal_configs_have_a_best_once_in_twenty() -> None:
    named = [ranking(table(seed, [0.0] * 6)).best is not None for seed in range(200)]
    # 200 trials at 5 %: 10 expected, 22 or more once in 2,500 times.
    assert 1 <= sum(named) <= 21


def test_what_cannot_be_ranked() -> None:
    assert ranking([]) == Ranking(None, None, ())
    assert ranking([[0.1, 0.2]]).best is None
    assert ranking([[0.1, 0.2]]).p is None
    assert ranking([[0.1], [0.2]]).best == 0
    two_rounds = ranking([[0.0, 1.0], [0.0, 1.0]])
    assert two_rounds.best is None, "two rounds of two configs cannot show p < 0.05"
    assert two_rounds.p is not None
    assert two_rounds.p >= 0.25


def test_the_global_p_is_that_of_all_permutations() -> None:
    """Three rows of three columns have 216 orders, all of which can be tried by hand."""
    rows = table(9, [0.0, 0.02, 0.05], rounds=3)

    def spread(candidate: Iterable[Sequence[float]]) -> float:
        return float(np.array(list(candidate)).mean(axis=0).var())

    every = [spread(one) for one in product(*(list(permutations(row)) for row in rows))]
    expected = sum(value >= spread(rows) * (1 - 1e-9) for value in every) / len(every)
    assert len(every) == 216
    assert ranking(rows).p == pytest.approx(expected)


def test_the_global_test_agrees_with_an_f_test_where_that_is_exact() -> None:
    """Two-way analysis of variance: configs within rounds, normal noise."""
    import statsmodels.formula.api as smf  # noqa: PLC0415 - slow to import
    from statsmodels.stats.anova import anova_lm  # noqa: PLC0415

    rows = table(10, [0.0, 0.01, 0.0, 0.02], rounds=12)
    long = pd.DataFrame(
        [(value, f"r{r}", f"c{c}") for r, row in enumerate(rows) for c, value in enumerate(row)],
        columns=["value", "round", "config"],
    )
    expected = anova_lm(smf.ols("value ~ C(round) + C(config)", long).fit())
    p = expected.loc["C(config)", "PR(>F)"]
    assert ranking(rows).p == pytest.approx(p, abs=0.02)
    assert block_f_p(np.array(rows)) == pytest.approx(p, abs=1e-9)


def test_of_two_columns_the_f_test_is_the_paired_t_test() -> None:
    rows = np.array(table(11, [0.0, 0.02], rounds=4))
    expected = stats.ttest_rel(rows[:, 0], rows[:, 1]).pvalue
    assert block_f_p(rows) == pytest.approx(expected)
    assert no_column_differs(rows) >= 2 / 2**4, "too few orders for a smaller one"


def test_columns_without_spread_differ_surely_or_not_at_all() -> None:
    assert block_f_p(np.array([[0.0, 1.0], [0.0, 1.0]])) == 0.0
    assert block_f_p(np.array([[0.5, 0.5], [1.0, 1.0]])) == 1.0


def test_a_large_table_takes_no_permutation() -> None:
    rows = np.array(table(12, [0.0] * 400, rounds=10))
    assert no_column_differs(rows) == block_f_p(rows)
