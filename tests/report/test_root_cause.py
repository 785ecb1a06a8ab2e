"""Attribution of a dataset: groups, exact sums, what is said under which condition."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from raw_blocks import block, failed, rounds, scaled, write_dataset

from tandembench.cli import main
from tandembench.dataset.load import load_dataset
from tandembench.report.attribution import as_text, attribution
from tandembench.report.render import render

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]


def groups(folder: Path, blocks: Blocks, margin: float = 0.05) -> list[Row]:
    dataset = load_dataset(write_dataset(folder, blocks))
    found = attribution(dataset.runs, dataset.executions, margin)["groups"]
    return list(found)


def said(folder: Path, blocks: Blocks) -> str:
    dataset = load_dataset(write_dataset(folder, blocks))
    found = attribution(dataset.runs, dataset.executions, 0.05)
    return render({"attribution": found, "margin": 0.05}, "attribution.md.j2")


def place(row: Row) -> tuple[str | None, ...]:
    return row["topology"], row["work"], row["scenario"]


def natural(tokens: Sequence[tuple[int, int]], gain: float, topology: str = "dual") -> Blocks:
    """A run for each pair of lengths, by two that make ``gain`` of what one makes alone."""
    found = []
    for number, (a, b) in enumerate(tokens, start=1):
        short, rest = min(a, b), abs(a - b)
        both = 2 * short / gain
        shared = [both + (rest if own > short else 0) for own in (a, b)]
        one = block(
            topology,
            (float(a), float(b)),
            shared,
            tokens=(a, b),
            work_policy="natural",
            work_effective="natural",
        )
        found.append([row | {"repetition": number} for row in one])
    return found


LENGTHS = [(40, 60), (30, 90), (50, 55), (70, 40), (45, 88), (33, 61)]


def test_groups_are_the_dataset_each_topology_and_each_scenario(tmp_path: Path) -> None:
    blocks = rounds(
        2,
        block("serial"),
        block("dual"),
        block("dual-h", scenario="chimera_hetero"),
        block("dual-n", work_policy="natural"),
        block("dual-1", (1.0,)),
    )
    assert [(*place(row), row["n"]) for row in groups(tmp_path, blocks)] == [
        (None, None, None, 8),
        ("serial", "fixed", None, 2),
        ("dual", "fixed", None, 4),
        ("dual", "fixed", "chimera_hetero", 2),
        ("dual", "fixed", "chimera_homo", 2),
        ("dual", "natural", None, 2),
    ]


def test_one_topology_is_the_whole_dataset(tmp_path: Path) -> None:
    assert [place(row) for row in groups(tmp_path, rounds(2, block("dual")))] == [
        ("dual", "fixed", None)
    ]


def test_parts_add_up_in_every_group(tmp_path: Path) -> None:
    blocks = rounds(
        3, block("serial"), block("dual", (1.0, 0.6), (1.3, 0.9), tokens=(8, 5)), block("single")
    )
    for row in groups(tmp_path, blocks):
        for loss, whole in (
            ("estimate", ("imbalance_loss", "sequencing_loss", "orchestration_loss")),
            ("true", ("work_imbalance", "sequencing_loss", "contention", "orchestration_true")),
        ):
            parts = row[loss]["parts"]
            total = sum(parts[name].mean.mean for name in whole)
            assert total == pytest.approx(row[loss]["loss"].mean)
            shares = [parts[name].share for name in whole]
            if all(shares):
                assert sum(share.mean for share in shares) == pytest.approx(1)
        imbalance = [f"imbalance_{name}" for name in ("token", "rate", "first_token", "rest")]
        inner = sum(row["estimate"]["parts"][name].mean.mean for name in imbalance)
        assert inner == pytest.approx(row["estimate"]["parts"]["imbalance_loss"].mean.mean)


def test_void_runs_and_runs_of_one_agent_have_no_loss_to_explain(tmp_path: Path) -> None:
    lost = failed(block("dual"), "insight", "concurrent", "oom")
    assert groups(tmp_path, [lost, block("single", (1.0,))]) == []
    assert "there is no loss to explain" in said(tmp_path / "b", [lost])


def late(rows: Sequence[Row], seconds: float) -> list[Row]:
    """The run begins ``seconds`` after the barrier: time outside the agents."""
    found = []
    for row in rows:
        shift = round(seconds * 1e9) if row["mode"] == "concurrent" else 0
        steps = [
            step
            | {
                "request_ns": step["request_ns"] + shift,
                "chunk_ns": [stamp + shift for stamp in step["chunk_ns"]],
                "end_ns": step["end_ns"] + shift,
            }
            for step in row["steps"]
        ]
        found.append(row | {"steps": steps})
    return found


@pytest.mark.parametrize(
    ("seconds", "outside"),
    [
        ((0.0001, 0.0002, 0.0001), "nothing"),
        ((0.2, 0.21, 0.2), "part"),
        ((0.0001, 0.3, 0.001), "inconclusive"),
        ((0.1,), "inconclusive"),
    ],
)
def test_time_outside_the_agents_is_judged(
    tmp_path: Path, seconds: Sequence[float], outside: str
) -> None:
    uneven = block("dual", (1.0, 0.6), (1.0, 0.6), tokens=(8, 5))
    blocks = [
        [row | {"repetition": n} for row in late(uneven, one)]
        for n, one in enumerate(seconds, start=1)
    ]
    assert groups(tmp_path / "a", blocks)[0]["outside"] == outside


@pytest.mark.parametrize(
    ("factors", "sharing"),
    [
        ((1.4, 1.42, 1.41), "costs"),
        ((0.8, 0.81, 0.8), "helps"),
        ((0.6, 1.0, 2.0), "inconclusive"),
    ],
)
def test_what_sharing_costs_is_judged(
    tmp_path: Path, factors: Sequence[float], sharing: str
) -> None:
    blocks = [
        [row | {"repetition": n} for row in scaled(block("dual"), factor)]
        for n, factor in enumerate(factors, start=1)
    ]
    assert groups(tmp_path / "a", blocks)[0]["sharing"] == sharing


def test_without_solos_the_true_loss_is_unknown(tmp_path: Path) -> None:
    blocks = natural([(40, 900), (30, 800)], 1.0)  # lengths too unlike those alone
    for rows in blocks:
        for row in rows:
            if row["mode"] == "solo":
                row["steps"] = [step | {"answer_tokens": 4} for step in row["steps"]]
    (found,) = groups(tmp_path / "a", blocks)
    assert (found["true"], found["n_true"], found["sharing"]) == (None, 0, None)


@pytest.mark.parametrize("gain", [0.75, 1.0, 1.5])
def test_a_known_gain_is_found_and_the_estimator_has_measured_lengths(
    tmp_path: Path, gain: float
) -> None:
    (found,) = groups(tmp_path / "a", natural(LENGTHS, gain))
    told = found["predictions"]
    assert told["gain"].mean == pytest.approx(gain, abs=1e-3)
    assert (told["n"], told["finding"], told["by"] in ("fitted", "share_one")) == (
        6,
        "lengths",
        True,
    )
    assert told["rows"]["fitted"].outcome == "agrees"
    assert told["rows"]["turns"].outcome == "differs"


def test_with_equal_answers_the_estimator_is_blind(tmp_path: Path) -> None:
    blocks = rounds(3, block("dual", (1.0, 1.0), (1.9, 1.9)))
    (found,) = groups(tmp_path / "a", blocks)
    told = found["predictions"]
    assert (told["gain"], told["finding"]) == (None, "blind")
    assert "fitted" not in told["rows"]


def test_served_in_turn_it_has_measured_turns(tmp_path: Path) -> None:
    blocks = rounds(3, block("single", (1.0, 1.0), (2.0, 1.0)))
    (found,) = groups(tmp_path / "a", blocks)
    assert found["predictions"]["finding"] == "turns"
    assert found["predictions"]["rows"]["turns"].predicted == 0.75


def test_what_lengths_do_not_explain_is_said_too(tmp_path: Path) -> None:
    blocks = rounds(3, block("dual", (1.0, 1.0), (2.0, 0.2)))
    (found,) = groups(tmp_path / "a", blocks)
    assert found["predictions"]["finding"] is None


def test_loads_are_left_out_of_predictions_and_shown_beside_them(tmp_path: Path) -> None:
    blocks = [list(rows) for rows in natural(LENGTHS, 1.0)]
    blocks[0] = [row | {"cold": True} for row in blocks[0]]
    (found,) = groups(tmp_path / "a", blocks)
    assert (found["predictions"]["n"], found["with_cold"]["n"]) == (5, 6)
    assert "| `dual`, natural, with loads | 6 |" in said(tmp_path / "b", blocks)
    every = [[row | {"cold": True} for row in rows] for rows in blocks]
    assert groups(tmp_path / "c", every)[0]["predictions"] is None


def test_serial_and_mixed_groups_are_not_predicted(tmp_path: Path) -> None:
    found = groups(tmp_path, rounds(2, block("serial"), block("dual"), block("dual-3", (1.0,) * 3)))
    assert {place(row)[0]: row["predictions"] is not None for row in found} == {
        None: False,
        "serial": False,
        "dual": True,
    }


def test_the_command_prints_both_formats(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, natural(LENGTHS, 1.0))
    for argument in (folder, folder / "datapackage.json"):
        done = CliRunner().invoke(main, ["attribution", str(argument)])
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("### The estimator's loss, split exactly")
    done = CliRunner().invoke(main, ["attribution", str(folder), "--format", "json"])
    found = json.loads(done.stdout)
    assert found["flag"] is None
    (group,) = found["groups"]
    assert group["predictions"]["rows"]["fitted"]["outcome"] == "agrees"
    assert group["estimate"]["parts"]["orchestration_loss"]["mean"]["mean"] == pytest.approx(0)
    assert done.stdout == as_text(load_dataset(folder), "json")
    done = CliRunner().invoke(main, ["attribution", str(tmp_path / "none")])
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
