"""The global test comes before any ranking; what is planted is found, and chance is not."""

import numpy as np

from tandembench.stats.ranking import ranking


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
    assert ranking([[0.1, 0.2]]).best is None
    assert ranking([[0.1, 0.2]]).p is None
    assert ranking([[0.1], [0.2]]).best == 0
    two_rounds = ranking([[0.0, 1.0], [0.0, 1.0]])
    assert two_rounds.best is None, "two rounds of two configs cannot show p < 0.05"
    assert two_rounds.p is not None
    assert two_rounds.p >= 0.25
