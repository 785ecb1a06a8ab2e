"""One row per scenario, work and topology."""

from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pandas as pd
import pytest
from raw_blocks import block, no_server, rounds, scaled, write_dataset
from report_tables import t_interval, table

from tandembench.dataset.load import load_dataset
from tandembench.report.details import details
from tandembench.report.render import render

Row = dict[str, Any]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, pd.DataFrame]:
    dual = block("dual", (1.0, 0.7), (1.3, 1.2))
    blocks = [
        *rounds(3, block("serial")),
        *[
            [row | {"repetition": n} for row in scaled(dual, factor)]
            for n, factor in enumerate((1.0, 1.1, 0.95), start=1)
        ],
        *rounds(3, block("dual-b", (1.0, 1.0), (1.0, 1.9))),
        *rounds(3, block("dual-n", (1.0, 1.0), (1.0, 1.0)), work_policy="natural"),
        *rounds(1, block("dual-bvc"), scenario="baseline_vs_chimera"),
        *rounds(2, block("dual-3", (1.0, 1.0, 1.0))),
        no_server(block("single")),
    ]
    folder = write_dataset(tmp_path_factory.mktemp("scenarios"), blocks)
    text = render(details(load_dataset(folder)))
    return text, pd.read_parquet(folder / "runs.parquet")


def test_rows_are_scenarios_work_topologies_and_agents(
    measured: tuple[str, pd.DataFrame],
) -> None:
    text, _ = measured
    expected = [
        ["baseline_vs_chimera", "fixed", "dual", "2", "1", "1"],
        ["chimera_homo", "fixed", "serial", "2", "1", "3"],
        ["chimera_homo", "fixed", "single", "2", "0", "0"],
        ["chimera_homo", "fixed", "dual", "2", "2", "6"],
        ["chimera_homo", "fixed", "dual", "3", "1", "2"],
        ["chimera_homo", "natural", "dual", "2", "1", "3"],
    ]
    rows = table(text, "| scenario | work | topology | agents | configs |")
    assert [row[:6] for row in rows] == expected
    assert rows[2][6:] == ["-"] * 6
    rows = table(text, "| scenario | work | topology | agents | n |")
    assert [row[:5] for row in rows] == [row[:4] + row[5:] for row in expected]
    assert rows[2][5:] == ["-"] * 5


def test_the_numbers_are_those_of_the_runs(measured: tuple[str, pd.DataFrame]) -> None:
    text, runs = measured
    own = runs[runs["config_id"].isin(["dual", "dual-b"])]
    row = table(text, "| scenario | work | topology | agents | configs |")[3]
    speedups = own["speedup_estimate"].to_list()
    shares = [100 * value for value in own["efficiency_estimate"]]
    low = sum(value < 1.5 for value in speedups)
    assert row[6:] == [
        f"{fmean(speedups):.2f} ± {stdev(speedups):.2f}",
        f"{min(speedups):.2f} to {max(speedups):.2f}",
        f"{fmean(shares):.1f} % ± {stdev(shares):.1f} %",
        f"{min(shares):.1f} % to {max(shares):.1f} %",
        "0/6",
        f"{low}/6",
    ]
    row = table(text, "| scenario | work | topology | agents | n |")[3]
    assert row[5] == t_interval(np.log(own["speedup_true"]))
    assert row[8:] == [t_interval(own["slowdown_log_mean"]), "2/2"]


def test_a_single_run_has_no_spread(measured: tuple[str, pd.DataFrame]) -> None:
    row = table(measured[0], "| scenario | work | topology | agents | configs |")[0]
    assert row[6:10] == ["2.00", "2.00", "100.0 %", "100.0 %"]


def test_verdicts_stand_where_tr114_has_observations(
    measured: tuple[str, pd.DataFrame],
) -> None:
    rows = table(measured[0], "| scenario | work | topology | agents | n |")
    assert [(row[6], row[7]) for row in rows] == [
        ("not decided", "not decided"),
        ("nothing that matters", "is right"),
        ("-", "-"),
        ("a gain", "reads too much"),
        ("a gain", "is right"),
        ("a gain", "is right"),
    ]


def test_a_loss_is_called_one(tmp_path: Path) -> None:
    blocks = rounds(3, block("single", (1.0, 1.0), (2.5, 2.5)), block("dual", (1.0,), (1.0,)))
    text = render(details(load_dataset(write_dataset(tmp_path, blocks))))
    rows = table(text, "| scenario | work | topology | agents | n |")
    assert [row[5:8] for row in rows] == [
        ["0.80 [0.80, 0.80]", "a loss", "reads too much"],
        ["-", "-", "-"],
    ]
