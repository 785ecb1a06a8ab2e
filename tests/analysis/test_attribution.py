"""Where the loss goes: groups, exact sums, bounds, and what lengths predict."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_blocks import block, failed, rounds, unsteady, write_dataset
from scipy import stats
from scipy.optimize import curve_fit

from tandembench.analysis.attribution import Group, attribution, split
from tandembench.analysis.lengths import agreement, fitted_gain, predict_sharing, predict_turns
from tandembench.cli import main
from tandembench.dataset.load import load_dataset

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
ONE = ["s1"]


def groups(folder: Path, blocks: Blocks) -> tuple[Group, ...]:
    data = load_dataset(write_dataset(folder, blocks))
    return attribution(data.runs, data.executions, 0.05)


def place(group: Group) -> tuple[str | None, ...]:
    return group.topology, group.work, group.scenario


LOSSES = st.lists(st.floats(0.001, 1.0), min_size=2, max_size=12)


@settings(max_examples=60, deadline=None)
@given(losses=LOSSES, weights=st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_means_of_parts_add_up_and_shares_are_of_a_whole(
    losses: list[float], weights: list[float]
) -> None:
    every = [*weights, 1 - sum(weights)]
    parts = {str(i): [w * loss for loss in losses] for i, w in enumerate(every)}
    loss, found = split(losses, parts, ONE * len(losses))
    assert loss.mean == pytest.approx(np.mean(losses))
    assert sum(part.mean.mean for part in found.values()) == pytest.approx(loss.mean)
    above = loss.low is not None and loss.low > 0
    for name, weight in zip(parts, every, strict=True):
        share = found[name].share
        # a part that others cancel is no share of the whole: neither -2400 % nor 2500 %
        if -1e-9 < weight < 1 + 1e-9:
            assert (share is not None) is above
            assert share is None or share.mean == pytest.approx(weight, abs=1e-6)
        else:
            assert share is None


def test_the_interval_of_a_share_is_the_ratio_estimators() -> None:
    """Cochran 1977, (6.13): var R = (var y - 2 R cov + R^2 var x) / (n mean(x)^2)."""
    generator = np.random.default_rng(6)
    loss = generator.uniform(0.05, 0.2, 25)
    part = 0.3 * loss + generator.normal(0, 0.01, 25)
    ratio = part.mean() / loss.mean()
    (xx, xy), (_, yy) = np.cov(loss, part)
    error = math.sqrt((yy - 2 * ratio * xy + ratio**2 * xx) / 25) / loss.mean()
    share = split([*loss], {"p": [*part]}, ONE * 25)[1]["p"].share
    half = stats.t.ppf(0.975, 24) * error
    assert (share.mean, share.low) == (pytest.approx(ratio), pytest.approx(ratio - half))


def test_sessions_are_the_units_of_a_split_from_three_on() -> None:
    sessions = [session for session in "abc" for _ in range(4)]
    part = split([0.1] * 12, {"p": [0.02] * 4 + [0.03] * 4 + [0.04] * 4}, sessions)[1]["p"]
    assert (part.mean.n, part.mean.basis) == (3, "sessions")
    assert (part.share.mean, part.share.n) == (pytest.approx(0.3), 3)


def test_a_loss_that_may_be_none_has_no_shares() -> None:
    """A share of -3194 % is one of a mean loss near 0."""
    for loss in ([-0.1, 0.0], [0.05, -0.04, 0.01], [0.01, 0.3]):
        assert split(loss, {"p": [0.2] * len(loss)}, ONE * len(loss))[1]["p"].share is None


def test_intervals_stay_within_what_is_possible() -> None:
    losses = [0.1, 0.11, 0.1]
    parts = {"orchestration_loss": [0.0, 0.01, 0.0], "imbalance_loss": [0.1, 0.1, 0.1]}
    for part in split(losses, parts, ONE * 3)[1].values():
        for one in (part.mean, part.share):
            assert 0 <= one.low <= one.mean <= one.high <= 1


def test_groups_are_the_dataset_each_topology_and_each_scenario(tmp_path: Path) -> None:
    one = rounds(2, block("dual"))
    assert [place(row) for row in groups(tmp_path / "one", one)] == [("dual", "fixed", None)]
    blocks = rounds(
        2,
        block("serial"),
        block("dual"),
        block("dual-h", scenario="chimera_hetero"),
        block("dual-n", work_policy="natural"),
        block("dual-1", (1.0,)),
    )
    assert [(*place(row), row.n) for row in groups(tmp_path / "all", blocks)] == [
        (None, None, None, 8),
        ("serial", "fixed", None, 2),
        ("dual", "fixed", None, 4),
        ("dual", "fixed", "chimera_hetero", 2),
        ("dual", "fixed", "chimera_homo", 2),
        ("dual", "natural", None, 2),
    ]


UNEVEN = block("dual", (1.0, 0.6), (1.3, 0.9), tokens=(8, 5))


def test_parts_add_up_in_every_group(tmp_path: Path) -> None:
    blocks = rounds(3, block("serial"), UNEVEN, block("single", (1.0, 1.0), (2.0, 1.0)))
    for row in groups(tmp_path, blocks):
        for whole in (row.estimate, row.true):
            means = {name: part.mean.mean for name, part in whole.parts.items() if part}
            inner = ("imbalance_token", "imbalance_rate", "imbalance_first_token", "imbalance_rest")
            total = sum(mean for name, mean in means.items() if name not in inner)
            assert total == pytest.approx(whole.loss.mean)
        estimate = row.estimate.parts
        imbalance = sum(part.mean.mean for name in inner if (part := estimate[name]))
        assert imbalance == pytest.approx(estimate["imbalance_loss"].mean.mean)


def test_a_queue_is_neither_contention_nor_unequal_work(tmp_path: Path) -> None:
    """32 of 32 tokens, served one at a time: the estimator loses a quarter, and nothing of it to
    answers; against each alone, half is lost, to waiting."""
    rows = block("single", (1.0, 1.0), (1.0, 2.0), tokens=32)
    (last,) = (row for row in rows if (row["agent"], row["mode"]) == ("insight", "concurrent"))
    first = rows[0]["steps"][0]
    stamps = [stamp + 1_000_000_000 for stamp in first["chunk_ns"]]
    late = {"chunk_ns": stamps, "end_ns": 2_000_000_000, "prompt_s": None}
    last["steps"] = [last["steps"][0] | late | {"decode_s": first["decode_s"]}]
    (found,) = groups(tmp_path, rounds(3, rows))
    estimate, true = (
        {name: part.mean.mean for name, part in whole.parts.items() if part}
        for whole in (found.estimate, found.true)
    )
    assert found.estimate.largest == "imbalance_loss"
    assert estimate["imbalance_loss"] == pytest.approx(0.25)
    assert estimate["imbalance_token"] == pytest.approx(0)
    assert found.true.largest == "queueing"
    assert true["queueing"] == pytest.approx(0.5)
    assert true["contention"] == pytest.approx(0, abs=1e-9)
    assert true["work_imbalance"] == pytest.approx(0)


def test_void_runs_and_runs_of_one_agent_have_no_loss_to_explain(tmp_path: Path) -> None:
    lost = failed(block("dual"), "insight", "concurrent", "oom")
    assert groups(tmp_path, [lost, block("single", (1.0,))]) == ()


def test_without_solos_the_true_loss_is_not_known(tmp_path: Path) -> None:
    rows = block("dual", tokens=40)
    for row in rows:
        if row["mode"] == "solo":  # lengths too unlike those in the run
            row["steps"] = [step | {"answer_tokens": 4} for step in row["steps"]]
    (found,) = groups(tmp_path, rounds(2, rows))
    assert (found.true, found.n_true, found.sharing) == (None, 0, "inconclusive")


def test_the_command_prints_both_formats(tmp_path: Path) -> None:
    def done(folder: Path, *style: str) -> Any:
        return CliRunner().invoke(main, ["attribution", str(folder), *style])

    folder = write_dataset(tmp_path, rounds(2, UNEVEN, block("serial")))
    for argument in (folder, folder / "datapackage.json"):
        assert done(argument).stdout.count("\n### ") + 1 == 3
    found = json.loads(done(folder, "--format", "json").stdout)
    assert len(found["groups"]) == 3
    assert found["groups"][1]["predictions"] is None
    part = found["groups"][2]["estimate"]["parts"]["orchestration_loss"]
    assert part["mean"]["mean"] == pytest.approx(0)
    lost = failed(block("dual"), "insight", "concurrent", "oom")
    nothing = done(write_dataset(tmp_path / "none", [lost]))
    assert (nothing.exit_code, "###" in nothing.stdout) == (0, False)
    absent = done(tmp_path / "no")
    assert (absent.exit_code, len(absent.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    ("late_s", "outside"),
    [
        ((0.0001, 0.0002, 0.0001), "below"),
        ((0.2, 0.21, 0.2), "above"),
        ((0.0001, 0.3, 0.001), "inconclusive"),
        ((0.1,), "inconclusive"),
    ],
)
def test_time_outside_the_agents_is_judged(
    tmp_path: Path, late_s: Sequence[float], outside: str
) -> None:
    blocks = [
        block("dual", (1.0, 0.6), (1.0, 0.6), tokens=(8, 5), starts=[seconds] * 2, repetition=n)
        for n, seconds in enumerate(late_s, start=1)
    ]
    assert groups(tmp_path, blocks)[0].outside == outside


@pytest.mark.parametrize(
    ("factors", "sharing"),
    [((1.4, 1.42, 1.41), "above"), ((0.8, 0.81, 0.8), "below"), ((0.6, 1, 2), "inconclusive")],
)
def test_what_sharing_costs_is_judged(tmp_path: Path, factors: Any, sharing: str) -> None:
    assert groups(tmp_path, unsteady(block("dual"), *factors))[0].sharing == sharing


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
        work = {"work_policy": "natural", "work_effective": "natural", "cold": number <= cold}
        times = (float(a), float(b)), shared((a, b), gain, 1.0)
        blocks.append(block("dual", *times, tokens=(a, b), repetition=number, **work))
    return blocks


def group(folder: Path, blocks: list[list[dict[str, Any]]]) -> Group:
    data = load_dataset(write_dataset(folder, blocks))
    return attribution(data.runs, data.executions, 0.05)[-1]


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
