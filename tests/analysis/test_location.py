"""Where rounds lie: a robust mean, and values that stand for it."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from timings import unhurried

from tandembench.analysis.location import hodges_lehmann, pseudo_values, scale

values = arrays(
    np.float64,
    st.integers(1, 40),
    elements=st.floats(-1, 1, allow_nan=False).map(lambda one: round(one, 4)),
)


def noise(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.03, n)


def test_hodges_lehmann_is_the_median_of_pairwise_means() -> None:
    # 0, 0.5, 1, 2, 2.5, 4
    assert hodges_lehmann(np.array([0.0, 1.0, 4.0])) == pytest.approx(1.5)
    assert hodges_lehmann(np.array([7.0])) == 7.0
    with pytest.raises(ValueError, match="no values"):
        hodges_lehmann(np.array([]))
    # A quarter of stalls moves it by less than the noise.
    stalled = np.concatenate([noise(15), np.full(5, -1.2)])
    assert abs(hodges_lehmann(stalled) - hodges_lehmann(noise(15))) < 0.03


@unhurried
@given(values, st.floats(-5, 5), st.randoms(use_true_random=False))
def test_both_move_with_their_values_turn_with_the_sign_and_ignore_the_order(
    logs: np.ndarray, shift: float, random: Random
) -> None:
    middle, pseudo = hodges_lehmann(logs), pseudo_values(logs)
    order = list(range(len(logs)))
    random.shuffle(order)
    assert hodges_lehmann(shift - logs[order]) == pytest.approx(shift - middle, abs=1e-9)
    assert pseudo_values(shift - logs[order]) == pytest.approx(shift - pseudo[order], abs=1e-6)


@pytest.mark.parametrize("n", [4, 12, 48])
def test_the_mean_of_pseudo_values_is_the_m_estimate(n: int) -> None:
    """It solves mean psi = 0, so that each round's weight times its distance adds up to nothing."""
    logs = np.concatenate([noise(n), [0.9, -1.1]])
    mean = float(pseudo_values(logs).mean())
    reach = 4.685 * scale(logs - hodges_lehmann(logs))
    u = np.clip((logs - mean) / reach, -1, 1)
    assert float(((logs - mean) * (1 - u**2) ** 2).sum()) == pytest.approx(0, abs=1e-6)


def test_a_far_stall_weighs_nothing_however_far_it_is() -> None:
    steady = noise(23)
    near, far = (pseudo_values(np.append(steady, [stall])) for stall in (0.7, 1.4))
    assert near == pytest.approx(far, abs=1e-9)
    assert near[-1] == pytest.approx(near.mean(), abs=1e-6)
    assert abs(near.mean() - steady.mean()) < 0.01


def test_without_stalls_the_spread_is_that_of_the_rounds() -> None:
    """95 % as efficient as the mean: the error of pseudo-values is what the estimate's really is"""
    random = np.random.default_rng(3)
    drawn = [pseudo_values(random.normal(0, 0.2, 24)) for _ in range(2000)]
    really = np.std([one.mean() for one in drawn])
    said = np.mean([one.std(ddof=1) for one in drawn]) / np.sqrt(24)
    assert said == pytest.approx(really, rel=0.05)
    assert really == pytest.approx(0.2 / np.sqrt(24), rel=0.08)


@pytest.mark.parametrize("minority", [0.11, -0.11])
def test_a_rarer_state_of_the_machine_is_no_stall(minority: float) -> None:
    """However quiet the machine is: three rounds in four in one state, the fourth in the other."""
    logs = np.where(np.arange(24) % 4 == 0, minority, 0.0) + 0.1 * noise(24)
    assert float(pseudo_values(logs).mean()) == pytest.approx(logs.mean(), abs=0.005)


def test_few_values_quiet_machines_and_two_clusters() -> None:
    three = np.array([0.0, 0.1, 1.5])
    assert pseudo_values(three) == pytest.approx(three)
    stalled = np.append(0.1 * noise(11), [np.log(2)])
    assert float(pseudo_values(stalled).mean()) == pytest.approx(0, abs=0.005)
    assert np.isfinite(pseudo_values(np.repeat([0.0, 1.0], 10) + noise(20))).all()
