"""What lengths predict: by simulating the sharing, and fits against scipy's."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_blocks import block, rounds, write_dataset
from scipy import stats
from scipy.optimize import curve_fit

from tandembench.analysis.attribution import Group, attribution
from tandembench.analysis.lengths import (
    agreement,
    fitted_gain,
    predict_sharing,
    predict_turns,
)
from tandembench.dataset.load import load_dataset

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


@pytest.mark.parametrize(("tokens", "first"), [((398, 610), 0), ((398, 610), 1), ((64, 64), 0)])
def test_turns_are_one_after_the_other(tokens: tuple[int, int], first: int) -> None:
    d = [0.0, 0.0]
    d[first], d[1 - first] = tokens[first], sum(tokens)
    assert predict_turns([tokens], [first]) == [pytest.approx(estimator(d))]


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
def test_the_fit_and_its_interval_are_least_squares(gain: float) -> None:
    tokens, measured = noisy(gain)
    lengths = np.asarray(tokens, float)

    def model(x: np.ndarray, g: float) -> np.ndarray:
        low, rest = x.min(axis=1), np.abs(np.diff(x, axis=1)).ravel()
        return np.asarray(0.5 + low / (2 * low + g * rest))

    wanted, covariance = curve_fit(model, lengths, measured, p0=[1.0])
    half = stats.t.ppf(0.975, len(measured) - 1) * math.sqrt(covariance[0, 0])
    found = fitted_gain(tokens, measured, ONE * 40)
    assert found.mean == pytest.approx(wanted[0], abs=1e-4)
    assert found.mean - found.low == pytest.approx(half, rel=1e-3)
    assert found.mean == pytest.approx(gain, abs=2 * half)


def test_from_three_sessions_on_the_gain_is_the_mean_of_their_fits() -> None:
    parts = [noisy(gain, 20, 0.0) for gain in (0.7, 0.8, 0.9)]
    tokens = [pair for part in parts for pair in part[0]]
    measured = [value for part in parts for value in part[1]]
    found = fitted_gain(tokens, measured, [s for s in ("s1", "s2", "s3") for _ in range(20)])
    assert (found.mean, found.n, found.basis) == (pytest.approx(0.8, abs=1e-4), 3, "sessions")


@pytest.mark.parametrize(
    ("tokens", "measured"),
    [
        ([(64, 64)] * 5, [0.98] * 5),
        (*noisy(1.0, 2),),
        # turns look like a gain without end
        ([(400, 600)] * 5, predict_turns([(400, 600)] * 5, [0] * 5)),
    ],
)
def test_there_is_no_gain_where_none_can_be_told(
    tokens: list[tuple[int, int]], measured: list[float]
) -> None:
    assert fitted_gain(tokens, measured, ONE * len(tokens)) is None


TOKENS, MEASURED = noisy(0.74)
RIGHT = predict_sharing(TOKENS, 0.74)


@pytest.mark.parametrize(
    ("predicted", "measured", "margin", "outcome"),
    [
        (RIGHT, MEASURED, 0.05, "agrees"),
        (predict_sharing(TOKENS, 3.0), MEASURED, 0.05, "differs"),
        (RIGHT[::-1], MEASURED, 0.3, "mean_only"),
        ([0.9] * 8, [0.89, 0.91] * 4, 0.05, "level"),
        ([0.9, 0.92] * 4, [0.92, 0.9] * 4, 0.05, "mean_only"),
        ([0.9, 0.92], [0.9, 0.5], 0.05, "inconclusive"),
        ([0.9], [0.9], 0.05, "inconclusive"),
    ],
)
def test_outcomes(
    predicted: list[float], measured: list[float], margin: float, outcome: str
) -> None:
    assert agreement(predicted, measured, ONE * len(predicted), margin).outcome == outcome


def test_the_correlation_and_its_interval_are_fishers() -> None:
    tokens, measured = noisy(0.74, 30, 0.05)
    predicted = predict_sharing(tokens, 0.74)
    found = agreement(predicted, measured, ONE * 30, 0.05).correlation
    r = float(np.corrcoef(predicted, measured)[0, 1])
    half = 1.959963984540054 / math.sqrt(30 - 3)
    assert (found.mean, found.low, found.high) == pytest.approx(
        (r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))
    )
    for flat in ([0.9] * 5, [0.8, 0.9, 1.0]):
        assert agreement(flat, flat, ONE * len(flat), 0.05).correlation is None


LENGTHS = [(40, 60), (30, 90), (50, 55), (70, 40), (45, 88), (33, 61)]


def natural(gain: float, cold: int = 0) -> list[list[dict[str, Any]]]:
    """A run for each pair of lengths, by two that make ``gain`` of what one makes alone."""
    blocks = []
    for number, (a, b) in enumerate(LENGTHS, start=1):
        ends = shared((a, b), gain, 1.0)
        work = {"work_policy": "natural", "work_effective": "natural", "cold": number <= cold}
        rows = block("dual", (float(a), float(b)), ends, tokens=(a, b), **work)
        blocks.append([row | {"repetition": number} for row in rows])
    return blocks


def group(folder: Path, blocks: list[list[dict[str, Any]]]) -> Group:
    data = load_dataset(write_dataset(folder, blocks))
    return attribution(data.runs, data.executions, 0.05).groups[-1]


@pytest.mark.parametrize("gain", [0.75, 1.0, 1.5])
def test_a_known_gain_is_found_and_the_estimator_has_measured_lengths(
    tmp_path: Path, gain: float
) -> None:
    found = group(tmp_path, natural(gain)).predictions
    assert found.gain.mean == pytest.approx(gain, abs=1e-3)
    assert (found.n, found.finding) == (6, "lengths")
    assert found.by in ("fitted", "share_one")
    assert (found.rows["fitted"].outcome, found.rows["turns"].outcome) == ("agrees", "differs")


@pytest.mark.parametrize(
    ("rows", "finding", "by"),
    [
        # equal answers: no gain can be seen; in turn, turns; else lengths explain nothing
        (block("dual", (1.0, 1.0), (1.9, 1.9)), "blind", "share_one"),
        (block("single", (1.0, 1.0), (2.0, 1.0)), "turns", "turns"),
        (block("dual", (1.0, 1.0), (2.0, 0.2)), "unexplained", None),
    ],
)
def test_with_equal_answers_it_has_measured_no_lengths(
    tmp_path: Path, rows: list[dict[str, Any]], finding: str, by: str | None
) -> None:
    found = group(tmp_path, rounds(3, rows)).predictions
    assert (found.finding, found.by, found.gain) == (finding, by, None)


def test_loads_are_left_out_of_predictions_and_stand_beside_them(tmp_path: Path) -> None:
    some = group(tmp_path / "some", natural(1.0, cold=1))
    assert (some.predictions.n, some.with_cold.n) == (5, 6)
    assert group(tmp_path / "all", natural(1.0, cold=6)).predictions is None


@pytest.mark.parametrize("rows", [block("serial"), block("dual", (1.0,) * 3)])
def test_serial_and_three_agents_are_not_predicted(
    tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    assert group(tmp_path, rounds(2, rows)).predictions is None
