"""Rates from overlap: what was planted is found, and what cannot be told is not."""

import numpy as np
import pytest

from tandembench.analysis.overlap import OverlapRates, overlap_rates


def planted(
    seed: int, shared: float, solo: float, noise: float = 0.03, runs: int = 60
) -> OverlapRates | None:
    """Two agents a run, whose rates vary by run: agents of one run are not independent."""
    random = np.random.default_rng(seed)
    tokens, beside, alone, names = [], [], [], []
    for run in range(runs):
        speed = random.normal(1, noise)
        together = random.uniform(4, 8)
        for mine in (0.0, random.uniform(1, 5)):
            tokens.append(round(speed * (shared * together + solo * mine)))
            beside.append(together)
            alone.append(mine)
            names.append(run)
    return overlap_rates(tokens, beside, alone, names)


def test_exact_rates_are_found_exactly() -> None:
    found = overlap_rates(
        [30, 50, 20, 40, 10, 40], [3, 3, 2, 2, 1, 1], [0, 1, 0, 1, 0, 1.5], "aabbcc"
    )
    assert found is not None
    assert found.shared.mean == pytest.approx(10)
    assert found.solo.mean == pytest.approx(20)
    assert found.gain.mean == pytest.approx(1.0)
    assert found.gain.low == pytest.approx(1.0)
    assert found.runs == 3
    assert found.alone_share == pytest.approx(3.5 / 15.5)


@pytest.mark.parametrize("gain", [0.76, 1.0, 1.6])
def test_a_planted_gain_lies_in_its_interval(gain: float) -> None:
    inside = 0
    for seed in range(200):
        found = planted(seed, shared=gain * 50, solo=100)
        assert found is not None
        assert found.gain.low is not None
        assert found.gain.high is not None
        inside += found.gain.low <= gain <= found.gain.high
    # 95 % of 200 is 190; under 178 comes once in ten thousand times
    assert inside >= 178


def test_an_exact_fit_has_no_spread_and_no_warning() -> None:
    for seed in range(20):
        random = np.random.default_rng(seed)
        beside, alone = random.uniform(0.5, 1, 12), random.uniform(0.01, 0.2, 12)
        tokens = 7 * beside + 9 * alone
        found = overlap_rates(tokens.tolist(), beside, alone, "aabbccddeeff")
        assert found is not None
        assert found.gain.mean == pytest.approx(14 / 9)


def test_what_cannot_be_told_apart_is_not_told() -> None:
    assert overlap_rates([10] * 6, [1.0] * 6, [0.0] * 6, "aabbcc") is None
    assert overlap_rates([10] * 6, [0.0] * 6, [1.0] * 6, "aabbcc") is None
    assert overlap_rates([10] * 6, [1.0] * 6, [2.0] * 6, "aabbcc") is None
    assert overlap_rates([10, 20, 10, 20], [1, 1, 1, 1], [0, 1, 0, 1], "aabb") is None
    assert overlap_rates([], [], [], []) is None
