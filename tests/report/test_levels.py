"""What an option changes: which configs are compared, and what may be said of them."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from raw_blocks import block, failed, rounds, scaled, where, write_dataset
from report_tables import t_interval, table

from tandembench.dataset.load import load_dataset
from tandembench.report.details import details
from tandembench.report.levels import level_text, option_comparisons
from tandembench.report.render import harmless, render
from tandembench.tables.columns import EXECUTIONS, STUDY_RUNS, arrow_schema

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]


def config(name: str, *by_agent: Row, **changes: Any) -> list[Row]:
    """A dual config of two agents under ``by_agent`` options, which its servers applied."""
    rows = block(name, (1.0, 1.1), (1.25, 1.4), topology="dual", workload=name, content=name)
    for row in rows:
        asked = by_agent[row["agent_index"] if len(by_agent) > 1 else 0]
        row["options_asked"] = json.dumps(asked)
        row["options_effective"] = json.dumps(asked | {"top_k": 40})
        row["num_ctx_effective"] = asked.get("num_ctx", 2048)
    return [row | changes for row in rows]


def compared(folder: Path, blocks: Blocks) -> list[dict[str, Any]]:
    return list(details(load_dataset(write_dataset(folder, blocks)))["options"])


def levels(comparison: dict[str, Any]) -> list[str]:
    return [row["level"] for row in comparison["levels"]]


def test_a_full_grid_is_compared_along_both_its_sides(tmp_path: Path) -> None:
    grid = [
        config(f"c{c}-t{t}", {"num_ctx": c, "temperature": t})
        for c, t in product((512, 1024, 2048), (0.6, 1.0))
    ]
    temperature, context = compared(tmp_path, rounds(2, *grid))
    assert (temperature["option"], temperature["title"]) == ("temperature", "Temperature")
    assert levels(temperature) == ["0.6", "1"]
    assert (temperature["configs"], temperature["cells"]) == (6, 3)
    assert (context["option"], context["title"]) == ("num_ctx", "Context")
    assert levels(context) == ["512", "1024", "2048"]
    assert [row["n"] for row in context["levels"]] == [4, 4, 4]
    assert [row["pairs"] for row in context["levels"][1:]] == [4, 4]


def test_levels_stand_beside_the_same_other_options(tmp_path: Path) -> None:
    """2048 was run at one temperature: its slow config weighs on no other level."""
    blocks = [
        config(f"c{c}-t{t}", {"num_ctx": c, "temperature": t})
        for c, t in ((512, 0.6), (1024, 0.6), (512, 1.0), (1024, 1.0), (2048, 1.0))
    ]
    found = [one for one in compared(tmp_path, rounds(2, *blocks)) if one["option"] == "num_ctx"]
    assert sorted(map(levels, found)) == [["512", "1024"], ["512", "1024", "2048"]]
    for comparison in found:
        assert len({row["n"] for row in comparison["levels"]}) == 1


def test_levels_of_agents_under_different_options(tmp_path: Path) -> None:
    tuned = [config(f"bvc-{c}", {}, {"num_ctx": c}) for c in (1024, 512)]
    (found,) = compared(tmp_path / "bvc", rounds(1, *tuned))
    assert levels(found) == ["default / 512", "default / 1024"]
    hetero = [
        config(f"het-{a}-{b}", {"num_ctx": a}, {"num_ctx": b})
        for a, b in ((1024, 2048), (512, 1024), (512, 512))
    ]
    (found,) = compared(tmp_path / "hetero", rounds(1, *hetero))
    assert levels(found) == ["512", "512 / 1024", "1024 / 2048"]
    assert compared(tmp_path / "same", rounds(1, config("one", {}), config("two", {}))) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"scenario": "chimera_hetero"},
        {"topology": "single"},
        {"work_policy": "natural"},
        {"threads": 2},
        {"max_tokens": 9},
        {"engine": "another"},
        {"agent": None},
        {"top_p": 0.9},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_configs_that_differ_otherwise_are_not_compared(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    asked = {"temperature": 1.0, **({"top_p": 0.9} if "top_p" in changes else {})}
    other = config("b", asked, **({} if set(changes) & {"agent", "top_p"} else changes))
    if "agent" in changes:
        other = [row | {"agent": f"{row['agent']}-two-step"} for row in other]
    first = config("a", {"temperature": 0.6})
    assert compared(tmp_path / "other", rounds(1, first, other)) == []
    alike = config("b", {"temperature": 1.0})
    assert len(compared(tmp_path / "alike", rounds(1, first, alike))) == 1


def test_other_models_are_levels_and_other_servers_are_not(tmp_path: Path) -> None:
    small, large = config("a", {}), config("b", {}, model="large-model")
    (found,) = compared(tmp_path / "model", rounds(1, small, large))
    assert (found["option"], found["title"]) == ("model", "Other options")
    assert levels(found) == ["large-model", "small-model"]
    ours, theirs = [], []
    for engine, blocks in (("embedded", ours), ("ollama", theirs)):
        for n, value in enumerate((0.6, 1.0)):
            endpoint = f"http://127.0.0.1:{9000 + n}"
            asked = {"temperature": value}
            blocks.append(config(f"t{n}", asked, endpoint=endpoint, engine=engine))
    assert len(compared(tmp_path / "ours", rounds(1, *ours))) == 1
    assert compared(tmp_path / "theirs", rounds(1, *theirs)) == []


def test_of_replicates_the_one_with_most_valid_runs_counts(tmp_path: Path) -> None:
    low, high, again = (
        config(name, {"temperature": value})
        for name, value in (("low", 0.6), ("high", 1.0), ("high-again", 1.0))
    )
    lost = failed([row | {"repetition": 3} for row in again], "insight", "solo", "oom")
    blocks = [*rounds(3, low, scaled(high, 1.2)), *rounds(2, scaled(again, 3.0)), lost]
    (found,) = compared(tmp_path, blocks)
    assert [row["n"] for row in found["levels"]] == [3, 3]
    assert found["levels"][1]["ratios"]["wall_s"].mean == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("factors", "verdict", "outcome"),
    [
        ((1.5, 1.5, 1.5), "worse", "differs"),
        ((0.7, 0.7, 0.7), "better", "differs"),
        ((1.0, 1.01, 0.99), "equivalent", "equivalent"),
        ((0.5, 1.0, 1.9), "inconclusive", "inconclusive"),
        ((1.5,), "inconclusive", "inconclusive"),
    ],
)
def test_the_verdict_follows_the_ratio(
    tmp_path: Path, factors: Sequence[float], verdict: str, outcome: str
) -> None:
    low, high = config("low", {"temperature": 0.6}), config("high", {"temperature": 1.0})
    blocks = [*rounds(3, low)]
    for n, factor in enumerate(factors, start=1):
        blocks += [[row | {"repetition": n} for row in scaled(high, factor)]]
    (found,) = compared(tmp_path, blocks)
    assert found["levels"][1]["verdict"] == verdict
    assert found["outcome"] == outcome
    assert found["tested"] == (len(factors) > 1)


def test_ratios_are_paired_by_session_and_round(tmp_path: Path) -> None:
    """A machine that slows down for both levels alike leaves the ratio alone."""
    low, high = config("low", {"temperature": 0.6}), config("high", {"temperature": 1.0})
    blocks = []
    for session, repetition, speed in (("s1", 1, 1.0), ("s1", 2, 2.0), ("s2", 1, 4.0)):
        key = {"session": session, "repetition": repetition}
        for rows, factor in ((low, 1.0), (high, 1.25)):
            blocks.append([row | key for row in scaled(rows, speed * factor)])
    (found,) = compared(tmp_path, blocks)
    wall = found["levels"][1]["ratios"]["wall_s"]
    assert (wall.mean, wall.low, wall.high) == (pytest.approx(1.25),) * 3
    assert found["levels"][1]["pairs"] == 3


def test_levels_of_other_invocations_are_not_compared(tmp_path: Path) -> None:
    low, high = config("low", {"temperature": 0.6}), config("high", {"temperature": 1.0})
    late = [[row | {"invocation": "inv2"} for row in rows] for rows in rounds(3, high)]
    (found,) = compared(tmp_path, [*rounds(3, low), *late])
    row = found["levels"][1]
    assert (row["ratios"]["speedup_true"], row["reason"]) == (None, "different sessions")
    assert (row["verdict"], found["outcome"]) == ("inconclusive", "inconclusive")


def test_all_levels_of_all_options_are_one_family(tmp_path: Path) -> None:
    """By itself one level in ten differs; among ten it does not."""

    def levels_of(values: Sequence[float]) -> list[list[Row]]:
        blocks = [*rounds(3, config("t0", {"temperature": 0.0}))]
        for value in values:
            factors = (1.20, 1.10, 1.15) if value == 1.0 else (0.8, 1.0, 1.3)
            rows = config(f"t{value}", {"temperature": value})
            blocks += [
                [row | {"repetition": n} for row in scaled(rows, factor)]
                for n, factor in enumerate(factors, start=1)
            ]
        return blocks

    (alone,) = compared(tmp_path / "alone", levels_of([1.0]))
    assert (alone["outcome"], alone["levels"][1]["verdict"]) == ("differs", "worse")
    (found,) = compared(tmp_path / "many", levels_of([0.1 * n for n in range(1, 11)]))
    (row,) = [row for row in found["levels"][1:] if row["alone"] != "inconclusive"]
    assert (row["level"], row["alone"], row["verdict"]) == ("1", "worse", "inconclusive")
    assert found["outcome"] == "inconclusive"
    assert row["p"] == pytest.approx(alone["levels"][1]["p"])
    assert row["adjusted_p"] == pytest.approx(10 * row["p"])


def test_what_was_not_applied_has_no_effect(tmp_path: Path) -> None:
    blocks = [config(f"g{n}", {"num_gpu": n}) for n in (60, 80, 120)]
    raised = config("g60", {"num_gpu": 60})
    for row in where(raised):
        row["options_effective"] = json.dumps({"num_gpu": 80})
    (applied,) = compared(tmp_path / "applied", rounds(2, *blocks))
    assert applied["outcome"] == "equivalent"
    (found,) = compared(tmp_path / "not", rounds(2, raised, *blocks[1:]))
    assert found["outcome"] == "not_applied"
    assert not any("ratios" in row for row in found["levels"])
    assert [row["speedup_true"].n for row in found["levels"]] == [2, 2, 2]
    said = render(details(load_dataset(tmp_path / "not/dataset")))
    assert "- 60: 80" in said
    assert table(said, "| asked for, not confirmed |")[0][0] == "60"
    assert not table(said, "| level against")


def test_natural_work_has_no_ratio_of_wall_times(tmp_path: Path) -> None:
    def grid(**changes: Any) -> list[list[Row]]:
        return rounds(2, *(config(f"t{t}", {"temperature": t}, **changes) for t in (0.6, 1.0)))

    (fixed,) = compared(tmp_path / "fixed", grid())
    assert "wall_s" in fixed["levels"][1]["ratios"]
    (natural,) = compared(tmp_path / "natural", grid(work_effective="natural"))
    assert "wall_s" not in natural["levels"][1]["ratios"]
    text = render(details(load_dataset(tmp_path / "natural/dataset")))
    (row,) = table(text, "| level against")
    assert [row[0], row[1], *row[5:]] == ["1"] + ["1.00 [1.00, 1.00]"] * 4


def test_one_agent_has_no_gain_that_could_differ(tmp_path: Path) -> None:
    blocks = []
    for value in (0.6, 1.0):
        rows = block(f"single-{value}", (1.0,), workload=str(value))
        asked = json.dumps({"temperature": value})
        blocks.append([r | {"options_asked": asked, "options_effective": asked} for r in rows])
    (found,) = compared(tmp_path, rounds(2, *blocks))
    assert found["outcome"] == "unknown"
    assert found["levels"][1]["ratios"]["speedup_true"] is None
    assert found["levels"][1]["ratios"]["wall_s"].mean == pytest.approx(1.0)


def test_the_numbers_of_levels_are_those_of_the_tables(tmp_path: Path) -> None:
    speeds = iter((1.0, 1.1, 0.9, 1.05, 1.2, 1.0, 0.95, 1.15, 1.3, 1.02, 1.08, 0.97))
    grid = product((512, 1024), (0.6, 1.0), (1, 2, 3))
    blocks = [
        [
            row | {"repetition": n}
            for row in scaled(config(f"c{c}-t{t}", {"num_ctx": c, "temperature": t}), next(speeds))
        ]
        for c, t, n in grid
    ]
    folder = write_dataset(tmp_path, blocks)
    text = render(details(load_dataset(folder)))
    runs = pd.read_parquet(folder / "runs.parquet")
    executions = pd.read_parquet(folder / "executions.parquet")
    shared = executions[executions["mode"] == "concurrent"]
    by_run = shared.groupby(["config_id", "repetition"])
    first = by_run["ttft_s"].mean()
    rate = by_run["decode_rate_tokens_per_s"].mean()
    runs = runs.set_index(["config_id", "repetition"]).assign(first=first, rate=rate)
    for row in table(text, "| level | n |"):
        hot = row[0] in ("0.6", "1")
        mark = {"0.6": "-t0.6", "1": "-t1.0", "512": "c512-", "1024": "c1024-"}[row[0]]
        own = runs[[mark in config_id for config_id, _ in runs.index]]
        assert hot or "-" in mark
        assert row[1:] == [
            "6",
            f"{own['speedup_estimate'].mean():.2f}",
            f"{100 * own['efficiency_estimate'].mean():.1f} %",
            t_interval(np.log(own["speedup_true"])),
            f"{own['first'].mean():.2f}",
            f"{own['aggregate_tokens_per_s'].mean():.1f}",
        ]
    metrics = ["speedup_true", "efficiency_estimate", "first", "rate", "wall_s"]
    for row in table(text, "| level against"):
        high, low = ("t1.0", "t0.6") if row[0] == "1" else ("c1024", "c512")
        above = runs[[high in config_id for config_id, _ in runs.index]]
        keys = [(config_id.replace(high, low), n) for config_id, n in above.index]
        ratios = above[metrics].to_numpy() / runs.loc[keys, metrics].to_numpy()
        expected = [t_interval(pd.Series(np.log(ratios[:, k]))) for k in range(5)]
        assert [row[1], *row[5:]] == expected


def test_options_of_foreign_names_and_values_forge_nothing(tmp_path: Path) -> None:
    name, value = "a\n# b `c` | <d>", "x\n## y | *z* `w`"
    blocks = rounds(2, config("a", {name: value}), config("b", {name: value + "2"}))
    text = render(details(load_dataset(write_dataset(tmp_path, blocks))))
    section = text.split("### Other options")[1].split("\n## ")[0]
    assert harmless(name) in section
    assert harmless(value) in section
    assert "\n#" not in section


def test_no_block_is_no_comparison() -> None:
    runs, executions = (
        arrow_schema(columns, "").empty_table().to_pandas().astype({"valid": bool})
        for columns in (STUDY_RUNS, EXECUTIONS)
    )
    assert option_comparisons(runs, executions, [], 0.05) == []


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (("512", "512"), "512"),
        (("512", "1024"), "512 / 1024"),
        ((None, "0.8"), "default / 0.8"),
        ((None, None), "default"),
        (("true", '"a"'), "True / a"),
    ],
)
def test_levels_as_text(level: tuple[str | None, ...], text: str) -> None:
    assert level_text(level) == text
