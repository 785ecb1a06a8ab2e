"""The numbers in the tables of the details are those of the dataset, worked out another way."""

from pathlib import Path
from statistics import fmean, median, stdev

import numpy as np
import pandas as pd
import pytest
from raw_blocks import block, failed, no_server, rounds, unsteady, write_dataset
from report_scenes import AGAIN, DUAL, SERIAL, changed
from report_tables import percentage, t_interval, table
from reporting import second_page

from tandembench.analysis.intervals import Interval
from tandembench.analysis.summaries import Summary
from tandembench.dataset.load import load_dataset
from tandembench.report.details import details
from tandembench.report.sections import table as made
from tandembench.report.write import page_two

Tables = tuple[str, pd.DataFrame, pd.DataFrame]


def measured(folder: Path, blocks: list[list[dict[str, object]]]) -> Tables:
    """The details, the runs and the executions."""
    dataset = write_dataset(folder, blocks)
    text = page_two(details(load_dataset(dataset)))
    runs, executions = (
        pd.read_parquet(dataset / f"{name}.parquet") for name in ("runs", "executions")
    )
    return text, runs, executions


@pytest.fixture(scope="module")
def phases(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """One phase of four configs, and a run that failed."""
    return measured(
        tmp_path_factory.mktemp("phases"),
        [
            *unsteady(SERIAL, 1.0, 0.98, 1.03),
            *unsteady(block("dual", (1.0, 0.7), (1.3, 1.2), tokens=(8, 12)), 1.0, 1.1, 0.95),
            *unsteady(block("single", (0.9, 0.8), (1.5, 1.6), steps=2, between_s=0.05), 1, 1.2, 1),
            *unsteady(AGAIN, 1.02, 1.07, 0.97),
            failed(changed(DUAL, repetition=4), "insight", "concurrent", "oom"),
        ],
    )


def test_a_phase_as_tr114_and_against_each_agent_alone(phases: Tables) -> None:
    text, runs, _ = phases
    own = dict(iter(runs[runs["valid"]].groupby("config_id")))
    rows = table(text, "| config | n |")
    assert [row[0] for row in rows] == ["serial", "dual", "single", "dual-again"]
    for config_id, n, speedup, efficiency, peak, ttft, rule in rows:
        group = own[config_id]
        assert (n, ttft) == ("3", "0/3")
        assert speedup == f"{group['speedup_estimate'].mean():.2f}"
        assert efficiency == percentage(group["efficiency_estimate"])
        assert peak == f"{100 * group['efficiency_estimate'].max():.1f} %"
        assert rule == f"{(group['speedup_estimate'] < 1.5).sum()}/3"
    for config_id, speedup, _, efficiency, slowdown, worst, contended, basis in table(
        text, "| config | speedup_true |"
    ):
        group = own[config_id]
        assert speedup == t_interval(np.log(group["speedup_true"]))
        assert efficiency == percentage(group["efficiency_true"])
        assert slowdown == t_interval(group["slowdown_log_mean"])
        assert worst == f"{group['slowdown_max'].max():.2f}"
        assert contended == ("yes" if config_id != "serial" else "not shown")
        assert basis == "paired"


def test_losses_are_split_and_add_up(phases: Tables) -> None:
    text, runs, _ = phases
    own = dict(iter(runs[runs["valid"]].groupby("config_id")))
    for config_id, *shown in table(text, "| config | imbalance |"):
        parts = [f"imbalance_{part}" for part in ("loss", "token", "rate", "first_token", "rest")]
        parts += ["sequencing_loss", "orchestration_loss"]
        assert shown == [percentage(own[config_id][part], 2) for part in parts]
    for config_id, *shown in table(text, "| config | unequal work |"):
        parts = ["work_imbalance", "sequencing_loss", "queueing", "contention"]
        parts.append("orchestration_true")
        assert shown == [percentage(own[config_id][part], 2) for part in parts]
        loss = 100 * (1 - own[config_id]["efficiency_true"].mean())
        assert sum(float(cell[:-2]) for cell in shown) == pytest.approx(loss, abs=0.03)


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Rows of every kind: scenarios, works, topologies, numbers of agents."""
    dual = block("dual", (1.0, 0.7), (1.3, 1.2))
    return measured(
        tmp_path_factory.mktemp("scenarios"),
        [
            *rounds(3, block("serial")),
            *unsteady(dual, 1.0, 1.1, 0.95),
            *rounds(3, block("dual-b", (1.0, 1.0), (1.0, 1.9))),
            *rounds(3, block("dual-n", (1.0, 1.0), (1.0, 1.0)), work_policy="natural"),
            *rounds(1, block("dual-bvc"), scenario="baseline_vs_chimera"),
            *rounds(2, block("dual-3", (1.0, 1.0, 1.0))),
            *rounds(3, block("single_parallel", (1.0, 1.0), (2.5, 2.5))),
            no_server(block("single")),
        ],
    )


def test_rows_are_scenarios_work_topologies_and_agents(scenarios: Tables) -> None:
    text, _, _ = scenarios
    expected = [
        ["baseline_vs_chimera", "fixed", "dual", "2", "1", "1"],
        ["chimera_homo", "fixed", "serial", "2", "1", "3"],
        ["chimera_homo", "fixed", "single", "2", "0", "0"],
        ["chimera_homo", "fixed", "single_parallel", "2", "1", "3"],
        ["chimera_homo", "fixed", "dual", "2", "2", "6"],
        ["chimera_homo", "fixed", "dual", "3", "1", "2"],
        ["chimera_homo", "natural", "dual", "2", "1", "3"],
    ]
    rows = table(text, "| scenario | work | topology | agents | configs |")
    assert [row[:6] for row in rows] == expected
    assert rows[2][6:] == ["-"] * 6
    assert rows[0][6:10] == ["2.00", "2.00", "100.0 %", "100.0 %"], "a single run has no spread"
    true = table(text, "| scenario | work | topology | agents | n |")
    assert [row[:5] for row in true] == [row[:4] + row[5:] for row in expected]
    assert [(row[6], row[7]) for row in true] == [
        ("not decided", "not decided"),
        ("nothing that matters", "is right"),
        ("-", "-"),
        ("a loss", "reads too much"),
        ("a gain", "reads too much"),
        ("a gain", "is right"),
        ("a gain", "is right"),
    ]


def test_scenarios_have_the_numbers_of_their_runs(scenarios: Tables) -> None:
    text, runs, _ = scenarios
    own = runs[runs["config_id"].isin(["dual", "dual-b"])]
    row = table(text, "| scenario | work | topology | agents | configs |")[4]
    speedups = own["speedup_estimate"].to_list()
    shares = [100 * value for value in own["efficiency_estimate"]]
    assert row[6:] == [
        f"{fmean(speedups):.2f} ± {stdev(speedups):.2f}",
        f"{min(speedups):.2f} to {max(speedups):.2f}",
        f"{fmean(shares):.1f} % ± {stdev(shares):.1f} %",
        f"{min(shares):.1f} % to {max(shares):.1f} %",
        "0/6",
        f"{sum(value < 1.5 for value in speedups)}/6",
    ]
    row = table(text, "| scenario | work | topology | agents | n |")[4]
    assert row[5] == t_interval(np.log(own["speedup_true"]))
    assert row[8:] == [t_interval(own["slowdown_log_mean"]), "2/2"]


def test_full_results_and_summary(tmp_path: Path) -> None:
    dual = block("dual", (1.0, 0.7), (1.3, 1.2), tokens=(8, 12), starts=(0.0, 0.004))
    blocks = [
        *rounds(2, block("serial")),
        *unsteady(dual, 1.0, 1.1, 0.95),
        *rounds(2, block("single", (1.0,))),
        no_server(block("single_parallel-x", topology="single_parallel")),
    ]
    text, runs, executions = measured(tmp_path, blocks)
    rows = {row[0]: row[1:] for row in table(text, "| config | runs |")}
    assert list(rows) == ["dual", "serial", "single", "single_parallel-x"]
    own = runs[runs["config_id"] == "dual"]
    shared = executions[(executions["config_id"] == "dual") & (executions["mode"] == "concurrent")]
    by_agent = shared.groupby("agent")[["ttft_s", "decode_rate_tokens_per_s"]].mean()
    firsts, rates = (by_agent[name].to_list() for name in by_agent)
    assert rows["dual"] == [
        "3",
        f"{fmean(own['wall_s']):.2f}",
        "20.0",
        f"{fmean(own['sequential_estimate_s'] / own['wall_s']):.2f}",
        f"{50 * fmean(own['sequential_estimate_s'] / own['wall_s']):.1f} %",
        t_interval(np.log(own["solo_sum_s"] / own["wall_s"])),
        f"{firsts[0]:.2f} / {firsts[1]:.2f}",
        f"{firsts[0] - firsts[1]:.2f}",
        f"{rates[1] - rates[0]:.1f}",
        f"{4 * fmean((1.0, 1.1, 0.95)):.1f}",
    ]
    assert rows["single"][5:] == ["-", "0.20"] + ["-"] * 3
    assert rows["single_parallel-x"] == ["0"] + ["-"] * 9

    summary = {row[0]: row[1:] for row in table(text, "| metric | n |")}
    for metric, n in (("speedup_estimate", 7), ("speedup_true", 5)):
        values = runs[metric].dropna().to_list()
        shown = [f"{of(values):.2f}" for of in (fmean, median, stdev, min, max)]
        assert summary[metric] == [str(n), *shown]
    shares = (100 * runs["efficiency_true"].dropna()).to_list()
    shown = [f"{of(shares):.1f} %" for of in (fmean, median, stdev, min, max)]
    assert summary["efficiency_true"] == ["5", *shown]
    slow = sum(value < 1.5 for value in runs[runs["n_agents"] == 2]["speedup_estimate"].dropna())
    assert [row[1] for row in table(text, "| contention |")] == ["0/5", f"{slow}/5", "1/2"]


def test_nothing_measured_is_a_dash(tmp_path: Path) -> None:
    text = second_page(tmp_path, [no_server(block())])
    assert table(text, "| metric | n |")[0] == ["speedup_estimate", "0"] + ["-"] * 5
    assert [row[1] for row in table(text, "| contention |")] == ["-"] * 3


def test_rates_from_overlap_are_least_squares_over_the_stamps(tmp_path: Path) -> None:
    blocks = []
    for n, longer in enumerate((1.5, 1.9, 2.4, 2.8, 3.1), start=1):
        # The second agent decodes on alone, a little quicker in every other round.
        pair = block("dual", (1.0, longer), tokens=(11, round(14 * longer) + n % 2))
        blocks.append([row | {"repetition": n} for row in pair])
    text, _, executions = measured(tmp_path, [*blocks, *rounds(5, block("serial"))])
    own = executions[(executions["topology"] == "dual") & (executions["mode"] == "concurrent")]
    # Both begin to decode at 0.2 of their own time: the later one's begin is what they share from.
    firsts = own["first_token_s"].groupby(own["repetition"]).transform("max")
    ends = (own["first_token_s"] + own["decode_s"]).groupby(own["repetition"]).transform("min")
    beside = (ends - firsts).clip(lower=0)
    alone = own["decode_s"] - beside
    design = np.column_stack([beside, alone])
    (shared, solo), *_ = np.linalg.lstsq(design, own["answer_tokens"] - 1, rcond=None)
    (row, again) = table(text, "| scenario | topology | runs | beside another")
    assert row[:3] == ["all", "dual", "5"]
    assert row[3].startswith(f"{shared:.1f} [")
    assert row[4].startswith(f"{solo:.1f} [")
    assert row[5].startswith(f"{2 * shared / solo:.2f} [")
    assert row[6] == f"{100 * alone.sum() / design.sum():.1f} %"
    assert again == ["chimera_homo", *row[1:]]


def test_a_table_shows_values_as_its_columns_say() -> None:
    few = Summary("m", 1, Interval(0.5, None, None, 1), None, 0.5, 0.5, 0.5)
    row = {
        **{"scenario": "x", "work_policy": None, "topology": "dual", "n_agents": 2, "configs": 1},
        **{"n": 3, "speedup_estimate": few, "efficiency_estimate": few},
        "ttft_rule": float("nan"),
    }
    assert made("scenario_estimate", [row]).rows == (
        ("x", "-", "dual", "2", "1", "3", "0.50", "0.50", "50.0 %", "50.0 %", "-", "-"),
    )
    assert len(made("phases", [{}] * 99).rows) == 60
