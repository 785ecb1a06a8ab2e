"""Rates from overlap: what was planted is recovered, and what cannot be told is not."""

import numpy as np
import pytest

from tandembench.dataset.rates import overlap_rates


def planted(seed: int, shared: float, solo: float, noise: float = 0.03) -> dict[str, float] | None:
    """60 runs of two agents, whose rates vary by run: agents of one run are not independent."""
    random = np.random.default_rng(seed)
    tokens, beside, alone, names = [], [], [], []
    for run in range(60):
        speed = random.normal(1, noise)
        together = random.uniform(4, 8)
        for mine in (0.0, random.uniform(1, 5)):
            tokens.append(round(speed * (shared * together + solo * mine)))
            beside.append(together)
            alone.append(mine)
            names.append(run)
    return overlap_rates(tokens, beside, alone, names)


def test_exact_rates_are_recovered_exactly() -> None:
    fitted = overlap_rates(
        [30, 50, 20, 40, 10, 40], [3, 3, 2, 2, 1, 1], [0, 1, 0, 1, 0, 1.5], "aabbcc"
    )
    assert fitted is not None
    expected = {"shared_tokens_per_s": 10, "solo_tokens_per_s": 20, "gain_overlap": 1}
    for name, value in expected.items():
        bounds = [fitted[name], fitted[f"{name}_low"], fitted[f"{name}_high"]]
        assert bounds == pytest.approx([value] * 3), name
    assert (fitted["runs"], fitted["alone_share"]) == (3, pytest.approx(3.5 / 15.5))
    # no spread is no warning
    for seed in range(20):
        random = np.random.default_rng(seed)
        beside, alone = random.uniform(0.5, 1, 12), random.uniform(0.01, 0.2, 12)
        fitted = overlap_rates((7 * beside + 9 * alone).tolist(), beside, alone, "aabbccddeeff")
        assert fitted is not None
        assert fitted["gain_overlap"] == pytest.approx(14 / 9)


@pytest.mark.parametrize("gain", [0.76, 1.0, 1.6])
def test_a_planted_gain_lies_in_its_interval(gain: float) -> None:
    inside = 0
    for seed in range(200):
        fitted = planted(seed, shared=gain * 50, solo=100)
        assert fitted is not None
        inside += fitted["gain_overlap_low"] <= gain <= fitted["gain_overlap_high"]
    # 95 % of 200 is 190; under 178 comes once in ten thousand times
    assert inside >= 178


def test_what_cannot_be_told_apart_is_not_told() -> None:
    assert overlap_rates([10] * 6, [1.0] * 6, [0.0] * 6, "aabbcc") is None
    assert overlap_rates([10] * 6, [0.0] * 6, [1.0] * 6, "aabbcc") is None
    assert overlap_rates([10] * 6, [1.0] * 6, [2.0] * 6, "aabbcc") is None
    assert overlap_rates([10, 20, 10, 20], [1, 1, 1, 1], [0, 1, 0, 1], "aabb") is None
    assert overlap_rates([], [], [], []) is None
