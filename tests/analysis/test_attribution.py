"""Attribution: shares that add up, predictions by simulating the sharing, fits against scipy's."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import curve_fit

from tandembench.analysis.attribution import (
    MIN_CORRELATION,
    Outcome,
    agreement,
    fitted_gain,
    predict_sharing,
    predict_turns,
    split,
)

ONE = ["s1"]


def estimator(d: Sequence[float]) -> float:
    return sum(d) / (2 * max(d))


def shared(tokens: tuple[int, int], gain: float, rate: float = 50.0) -> tuple[float, float]:
    """When each of two is done, token by token: both at g r / 2, then one alone at r."""
    left, clock, ends = list(map(float, tokens)), 0.0, [0.0, 0.0]
    while any(left):
        active = [i for i in (0, 1) if left[i]]
        own = gain * rate / 2 if len(active) == 2 else rate
        step = min(left[i] for i in active)
        clock += step / own
        for i in active:
            left[i] -= step
            ends[i] = clock if not left[i] else ends[i]
    return ends[0], ends[1]


@pytest.mark.parametrize("gain", [0.5, 0.74, 1.0, 1.6, 2.0])
@pytest.mark.parametrize("tokens", [(398, 610), (610, 398), (1, 1000), (64, 64), (10, 11)])
def test_sharing_is_what_two_that_share_a_rate_do(tokens: tuple[int, int], gain: float) -> None:
    assert predict_sharing([tokens], gain) == [pytest.approx(estimator(shared(tokens, gain)))]


def test_equal_answers_read_full_efficiency_whatever_the_gain() -> None:
    assert predict_sharing([(64, 64)] * 2, 1.0) == predict_sharing([(64, 64)] * 2, 2.0) == [1, 1]


@pytest.mark.parametrize(("tokens", "first"), [((398, 610), 0), ((398, 610), 1), ((64, 64), 0)])
def test_turns_are_one_after_the_other(tokens: tuple[int, int], first: int) -> None:
    d = [0.0, 0.0]
    d[first], d[1 - first] = tokens[first], sum(tokens)
    assert predict_turns([tokens], [first]) == [pytest.approx(estimator(d))]
    if tokens == (64, 64):
        assert predict_turns([tokens], [first]) == [0.75]


@pytest.mark.parametrize("tokens", [[], [(0, 0)], [(-1, 2)]])
def test_nothing_is_predicted_from_nothing(tokens: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="two agents with answers"):
        predict_sharing(tokens, 1.0)


def noisy(gain: float, n: int = 40, sd: float = 0.01) -> tuple[list[tuple[int, int]], list[float]]:
    generator = np.random.default_rng(114)
    tokens = [(int(a), int(b)) for a, b in generator.integers(100, 900, (n, 2))]
    noise = generator.normal(0, sd, n)
    return tokens, [float(p + e) for p, e in zip(predict_sharing(tokens, gain), noise, strict=True)]


@pytest.mark.parametrize("gain", [0.3, 0.74, 1.0, 2.0])
def test_the_fit_and_its_interval_are_those_of_scipys_curve_fit(gain: float) -> None:
    tokens, measured = noisy(gain)
    lengths = np.asarray(tokens, float)

    def model(x: np.ndarray, g: float) -> np.ndarray:
        low, rest = x.min(axis=1), np.abs(np.diff(x, axis=1)).ravel()
        return np.asarray(0.5 + low / (2 * low + g * rest))

    wanted, covariance = curve_fit(model, lengths, measured, p0=[1.0])
    half = stats.t.ppf(0.975, len(measured) - 1) * math.sqrt(covariance[0, 0])
    found = fitted_gain(tokens, measured, ONE * 40)
    assert found is not None
    assert found.mean == pytest.approx(wanted[0], abs=1e-4)
    assert found.low is not None
    assert found.mean - found.low == pytest.approx(half, rel=1e-3)
    assert found.mean == pytest.approx(gain, abs=2 * half)


def test_from_three_sessions_on_the_gain_is_the_mean_of_their_fits() -> None:
    parts = [noisy(gain, 20, 0.0) for gain in (0.7, 0.8, 0.9)]
    tokens = [pair for part in parts for pair in part[0]]
    measured = [value for part in parts for value in part[1]]
    found = fitted_gain(tokens, measured, [s for s in ("s1", "s2", "s3") for _ in range(20)])
    assert found is not None
    assert (found.mean, found.n) == (pytest.approx(0.8, abs=1e-4), 3)
    assert found.basis == "sessions"


def test_there_is_no_gain_where_none_can_be_told() -> None:
    equal = [(64, 64)] * 5
    assert fitted_gain(equal, [0.98] * 5, ONE * 5) is None
    tokens, measured = noisy(1.0, 2)
    assert fitted_gain(tokens, measured, ONE * 2) is None
    # turns look like a gain without end
    served = [(400, 600)] * 5
    assert fitted_gain(served, predict_turns(served, [0] * 5), ONE * 5) is None


def outcome(predicted: Sequence[float], measured: Sequence[float], margin: float = 0.05) -> Outcome:
    return agreement(predicted, measured, ONE * len(predicted), margin).outcome


def test_outcomes() -> None:
    tokens, measured = noisy(0.74)
    right, wrong = predict_sharing(tokens, 0.74), predict_sharing(tokens, 3.0)
    assert outcome(right, measured) == "agrees"
    assert outcome(wrong, measured) == "differs"
    assert outcome(right[::-1], measured, 0.3) == "mean_only"
    assert outcome([0.9] * 8, [0.89, 0.91] * 4) == "level"
    assert outcome([0.9, 0.92] * 4, [0.92, 0.9] * 4) == "mean_only"
    assert outcome([0.9, 0.92], [0.9, 0.5]) == "inconclusive"
    assert outcome([0.9], [0.9]) == "inconclusive"


def test_the_correlation_and_its_interval_are_fishers() -> None:
    tokens, measured = noisy(0.74, 30, 0.05)
    predicted = predict_sharing(tokens, 0.74)
    found = agreement(predicted, measured, ONE * 30, 0.05)
    r = float(np.corrcoef(predicted, measured)[0, 1])
    half = 1.959963984540054 / math.sqrt(30 - 3)
    assert found.correlation is not None
    assert found.correlation.mean == pytest.approx(r)
    assert found.correlation.low == pytest.approx(math.tanh(math.atanh(r) - half))
    assert found.correlation.high == pytest.approx(math.tanh(math.atanh(r) + half))
    assert pytest.approx(0.5) == MIN_CORRELATION**2


def test_what_does_not_vary_correlates_with_nothing() -> None:
    assert agreement([0.9] * 5, [0.8, 0.9, 1.0, 0.9, 0.9], ONE * 5, 0.05).correlation is None
    assert agreement([0.8, 0.9, 1.0], [0.8, 0.9, 1.0], ONE * 3, 0.05).correlation is None


Losses = st.lists(st.floats(0.001, 1.0), min_size=2, max_size=12)


@settings(max_examples=60, deadline=None)
@given(losses=Losses, weights=st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_shares_of_parts_that_add_up_add_up(losses: list[float], weights: list[float]) -> None:
    rest = 1 - sum(weights)
    parts = {str(i): [w * loss for loss in losses] for i, w in enumerate([*weights, rest])}
    found = split(losses, parts, ONE * len(losses))
    assert sum(part.mean.mean for part in found) == pytest.approx(np.mean(losses))
    assert sum(part.share.mean for part in found if part.share) == pytest.approx(1)


def test_the_interval_of_a_share_is_the_ratio_estimators() -> None:
    """Cochran 1977, (6.13): var R = (var y - 2 R cov + R^2 var x) / (n mean(x)^2)."""
    generator = np.random.default_rng(6)
    loss = generator.uniform(0.05, 0.2, 25)
    part = 0.3 * loss + generator.normal(0, 0.01, 25)
    ratio = part.mean() / loss.mean()
    (xx, xy), (_, yy) = np.cov(loss, part)
    error = math.sqrt((yy - 2 * ratio * xy + ratio**2 * xx) / 25) / loss.mean()
    (found,) = split(list(loss), {"p": list(part)}, ONE * 25)
    assert found.share is not None
    assert found.share.low is not None
    assert found.share.mean == pytest.approx(ratio)
    half = stats.t.ppf(0.975, 24) * error
    assert found.share.mean - found.share.low == pytest.approx(half)


def test_sessions_are_the_units_of_a_split_from_three_on() -> None:
    sessions = [s for s in ("a", "b", "c") for _ in range(4)]
    (found,) = split([0.1] * 12, {"p": [0.02] * 4 + [0.03] * 4 + [0.04] * 4}, sessions)
    assert (found.mean.n, found.mean.basis) == (3, "sessions")
    assert found.share is not None
    assert (found.share.mean, found.share.n) == (pytest.approx(0.3), 3)


def test_without_a_loss_there_are_no_shares() -> None:
    (found,) = split([-0.1, 0.0], {"p": [0.0, 0.0]}, ONE * 2)
    assert found.share is None
