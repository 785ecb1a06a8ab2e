"""Where the loss goes: groups, exact sums, bounds, and what is said under which condition."""

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

from tandembench.analysis.attribution import Group, attribution, split
from tandembench.cli import main
from tandembench.dataset.load import load_dataset

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
ONE = ["s1"]


def groups(folder: Path, blocks: Blocks) -> tuple[Group, ...]:
    data = load_dataset(write_dataset(folder, blocks))
    return attribution(data.runs, data.executions, 0.05).groups


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


@pytest.mark.parametrize("loss", [[-0.1, 0.0], [0.05, -0.04, 0.01], [0.01, 0.3]])
def test_a_loss_that_may_be_none_has_no_shares(loss: list[float]) -> None:
    """A share of -3194 % is one of a mean loss near 0."""
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
    stamps = [stamp + 1_000_000_000 for stamp in rows[0]["steps"][0]["chunk_ns"]]
    last["steps"] = [
        last["steps"][0] | {"chunk_ns": stamps, "end_ns": 2_000_000_000, "prompt_s": None}
    ]
    (found,) = groups(tmp_path, rounds(3, rows))
    estimate, true = (
        {name: part.mean.mean for name, part in whole.parts.items() if part}
        for whole in (found.estimate, found.true)
    )
    assert (found.estimate.largest, found.estimate.largest_imbalance) == (
        "imbalance_loss",
        "imbalance_first_token",
    )
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
    folder = write_dataset(tmp_path, rounds(2, UNEVEN, block("serial")))
    for argument in (folder, folder / "datapackage.json"):
        done = CliRunner().invoke(main, ["attribution", str(argument)])
        assert done.exit_code == 0, done.output
        assert done.stdout.count("\n### ") + 1 == 3
    done = CliRunner().invoke(main, ["attribution", str(folder), "--format", "json"])
    found = json.loads(done.stdout)
    assert (found["flag"], len(found["groups"])) == (None, 3)
    assert found["groups"][1]["predictions"] is None
    part = found["groups"][2]["estimate"]["parts"]["orchestration_loss"]
    assert part["mean"]["mean"] == pytest.approx(0)
    lost = failed(block("dual"), "insight", "concurrent", "oom")
    nothing = write_dataset(tmp_path / "none", [lost])
    for style in ("markdown", "json"):
        done = CliRunner().invoke(main, ["attribution", str(nothing), "--format", style])
        assert (done.exit_code, "###" in done.stdout) == (0, False)
    done = CliRunner().invoke(main, ["attribution", str(tmp_path / "no")])
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)


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
