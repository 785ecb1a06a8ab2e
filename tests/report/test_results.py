"""The appendix's full results and its summary."""

from pathlib import Path
from statistics import fmean, median, stdev

import numpy as np
import pandas as pd
from raw_blocks import block, no_server, rounds, scaled, write_dataset
from report_tables import t_interval, table

from tandembench.dataset.load import load_dataset
from tandembench.report.details import details
from tandembench.report.render import render


def test_the_numbers_of_the_appendix_are_those_of_the_tables(tmp_path: Path) -> None:
    dual = block("dual", (1.0, 0.7), (1.3, 1.2), tokens=(8, 12), starts=(0.0, 0.004))
    blocks = [
        *rounds(2, block("serial")),
        *[
            [row | {"repetition": n} for row in scaled(dual, factor)]
            for n, factor in enumerate((1.0, 1.1, 0.95), start=1)
        ],
        *rounds(2, block("single", (1.0,))),
        no_server(block("single_parallel-x", topology="single_parallel")),
    ]
    folder = write_dataset(tmp_path, blocks)
    text = render(details(load_dataset(folder)))
    runs = pd.read_parquet(folder / "runs.parquet")
    executions = pd.read_parquet(folder / "executions.parquet")
    rows = {row[0]: row[1:] for row in table(text, "| config | runs |")}
    assert list(rows) == ["dual", "serial", "single", "single_parallel-x"]

    own = runs[runs["config_id"] == "dual"]
    shared = executions[(executions["config_id"] == "dual") & (executions["mode"] == "concurrent")]
    firsts = [
        fmean(shared[shared["agent"] == agent]["ttft_s"]) for agent in ("collector", "insight")
    ]
    rates = [
        fmean(shared[shared["agent"] == agent]["decode_rate_tokens_per_s"])
        for agent in ("collector", "insight")
    ]
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
    estimates = runs["speedup_estimate"].dropna().to_list()
    assert summary["speedup_estimate"] == [
        "7",
        *(f"{of(estimates):.2f}" for of in (fmean, median, stdev, min, max)),
    ]
    shares = (100 * runs["efficiency_true"].dropna()).to_list()
    assert summary["efficiency_true"] == [
        "5",
        *(f"{of(shares):.1f} %" for of in (fmean, median, stdev, min, max)),
    ]
    assert list(summary) == [
        f"{name}_{kind}" for kind in ("estimate", "true") for name in ("speedup", "efficiency")
    ]
    contention = [row[1] for row in table(text, "| contention |")]
    slow = sum(value < 1.5 for value in runs[runs["n_agents"] == 2]["speedup_estimate"].dropna())
    assert contention == ["0/5", f"{slow}/5", "1/2"]


def test_nothing_measured_is_missing(tmp_path: Path) -> None:
    text = render(details(load_dataset(write_dataset(tmp_path, [no_server(block())]))))
    assert table(text, "| metric | n |")[0] == ["speedup_estimate", "0"] + ["-"] * 5
    assert [row[1] for row in table(text, "| contention |")] == ["-"] * 3


def test_rates_from_overlap_are_least_squares_over_the_stamps(tmp_path: Path) -> None:
    blocks = []
    for n, longer in enumerate((1.5, 1.9, 2.4, 2.8, 3.1), start=1):
        # The second agent decodes on alone, a little quicker in every other round.
        pair = block("dual", (1.0, longer), tokens=(11, round(14 * longer) + n % 2))
        blocks.append([row | {"repetition": n} for row in pair])
    folder = write_dataset(tmp_path, [*blocks, *rounds(5, block("serial"))])
    text = render(details(load_dataset(folder)))
    executions = pd.read_parquet(folder / "executions.parquet")
    own = executions[(executions["topology"] == "dual") & (executions["mode"] == "concurrent")]
    together = own.groupby("repetition")["decode_s"].transform("min")
    # Both begin to decode at 0.2 of their own time: the later one's begin is what they share from.
    firsts = own["first_token_s"].groupby(own["repetition"]).transform("max")
    ends = (own["first_token_s"] + own["decode_s"]).groupby(own["repetition"]).transform("min")
    beside = (ends - firsts).clip(lower=0)
    assert (beside <= together).all()
    alone = own["decode_s"] - beside
    design = np.column_stack([beside, alone])
    (shared, solo), *_ = np.linalg.lstsq(design, own["answer_tokens"] - 1, rcond=None)
    (row, again) = table(text, "| scenario | topology | runs | beside another")
    assert row[:3] == ["all", "dual", "5"]
    assert row[3].startswith(f"{shared:.1f} [")
    assert row[4].startswith(f"{solo:.1f} [")
    assert row[5].startswith(f"{2 * shared / solo:.2f} [")
    assert row[6] == f"{100 * alone.sum() / design.sum():.1f} %"
    assert again[0] == "chimera_homo"
    assert again[1:] == row[1:]


def test_without_overlap_there_are_no_rates(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, rounds(5, block("serial")))
    text = render(details(load_dataset(folder)))
    assert not table(text, "| scenario | topology | runs | beside another")
