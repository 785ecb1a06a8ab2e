"""Figures: what they say is what the context says, and nothing is drawn that is not known."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_studies import (
    EVERY,
    TOPOLOGIES,
    Drawn,
    check_files,
    drawn,
    in_turn,
    loaded,
)
from raw_blocks import block, failed, no_server, rounds, scaled
from report_tables import geometric, table
from studies import blocks
from studies import study as a_study

from tandembench.analysis.intervals import Interval
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.report.formats import bounded, number, percent
from tandembench.report.said import called
from tandembench.report.write import rendered


def test_every_figure_is_there_in_the_reports_order(
    whole: Drawn,
) -> None:
    assert list(whole[0]) == EVERY


def test_makespan_says_what_the_answer_says(whole: Drawn) -> None:
    figures, context = whole
    answer = context["answers"][0]
    rows = {row[0]: row[1:] for row in figures["makespan"].rows}
    assert len(rows) == 4
    for row in answer.rows:
        rounds, text = rows[called(answer, row.config_id)]
        ratio = row.against.ratio if row.against else None
        if ratio:
            assert text == bounded(ratio.value, ratio.low, ratio.high)
            assert rounds == "3"
        assert text in figures["makespan"].alt
        assert f">{text}<" in figures["makespan"].svg
    assert sum(row.is_reference for row in answer.rows) == 1


def test_the_same_config_twice_has_a_row_of_its_own(tmp_path: Path) -> None:
    figures, context = drawn(load_dataset(a_study(tmp_path, blocks(2, 2))))
    assert context["answers"][0].twin
    assert len(figures["makespan"].rows) == 5
    check_files(figures)


def test_the_ladder_says_what_the_phases_say(whole: Drawn) -> None:
    figures, context = whole
    phases = {row["config_id"]: row for row in context["phases"][0]["rows"]}
    assert len(figures["ladder"].rows) == 8
    answer = context["answers"][0]
    ids = {called(answer, row.config_id): row.config_id for row in answer.rows}
    for name, split, runs, *cells in figures["ladder"].rows:
        row = phases[ids[name]]
        assert runs == str(row["n"])
        if split == "true split":
            names = ("work_imbalance", "true_sequencing", "queueing", "contention")
            names = (*names, "orchestration_true")
            expected = [percent(row[name]) for name in (*names, "efficiency_true")]
        else:
            names = ("imbalance_loss", "sequencing_loss", "orchestration_loss")
            expected = [percent(row[name]) for name in (*names, "efficiency_estimate")]
            expected[2:2] = ["not seen", "not seen"]
        assert cells == expected
        assert f"efficiency {expected[-1]}" in figures["ladder"].alt


def test_the_ladder_closes(whole: Drawn) -> None:
    for *_, work, turns, queue, contention, rest, left in whole[0]["ladder"].rows:
        parts = (work, turns, queue, contention, rest)
        losses = [0.0 if one == "not seen" else float(one[:-2]) for one in parts]
        assert 100 - sum(losses) == pytest.approx(float(left[:-2]), abs=0.25)


def test_the_last_step_of_the_ladder_ends_where_the_efficiency_does(tmp_path: Path) -> None:
    # the first agent gains by sharing: one step goes up
    rows = block("dual", (1.0, 0.8), (0.9, 1.2))
    svg = drawn(loaded(tmp_path, [rows]))[0]["ladder"].svg
    for colour, steps in (("#0072b2", 5), ("#d55e00", 3)):
        bar, after = re.split(f'fill="{colour}" />', svg, maxsplit=1)
        right = max(map(float, re.findall(r"[ML]([\d.]+) ", bar.rsplit("<path", 1)[1])))
        # the connectors of its steps follow, upright lines
        ends = re.findall(r'd="M([\d.]+) [\d.]+V[\d.]+"[^>]*stroke="#5b6670"', after)[:steps]
        assert len(ends) == steps
        assert float(ends[-1]) == pytest.approx(right, abs=0.02)


def test_the_estimator_counts_its_blind_spot(data: Dataset, whole: Drawn) -> None:
    figures, context = whole
    results = {row["config_id"]: row for row in context["results"]}
    for topology, runs, estimate, true, blind in figures["estimator"].rows:
        own = data.runs[data.runs["topology"] == topology]
        assert (runs, true) == ("3", number(results[topology]["speedup_true"].mean))
        assert (estimate, true) == tuple(
            geometric(own[name]) for name in ("speedup_estimate", "speedup_true")
        )
        missed = (own["speedup_true"] <= 1.05) & (own["speedup_estimate"] > 1.05)
        assert blind == str(missed.sum())
    counts = [row[-1] for row in figures["estimator"].rows]
    assert counts == ["0", "3", "3", "0"]  # a single server gains nothing, whatever the estimator
    assert figures["estimator"].svg.count("<use") >= 12


def test_slowdowns_by_order_of_service(data: Dataset, whole: Drawn) -> None:
    figures, context = whole
    answer = context["answers"][0]
    ids = {called(answer, row.config_id): row.config_id for row in answer.rows}
    rows = figures["slowdown"].rows
    assert [(ids[row[0]], row[1]) for row in rows] == [
        (topology, order) for topology in TOPOLOGIES for order in ("first", "second")
    ]
    run = data.executions[data.executions["slowdown"].notna()]
    for name, order, blocks_, text in rows:
        own = run[(run["config_id"] == ids[name])]
        own = own[own["service_order"] == {"first": 1, "second": 2}[order]]
        mean = np.exp(np.log(own["slowdown"]).mean())
        assert (blocks_, text.split()[0]) == ("3", f"{mean:.2f}")
        assert f"{name}, {order} {text}" in figures["slowdown"].alt


def test_a_slowdown_is_the_same_in_table_and_figure(tmp_path: Path) -> None:
    dataset = load_dataset(a_study(tmp_path, blocks(2, 2)))
    (first, _, _), _ = rendered(dataset)
    figures, _ = drawn(dataset)
    table_ = {(row[0], row[1]): row[3] for row in table(first, "| | served |")}
    assert len(figures["slowdown"].rows) == 6
    for name, order, _, text in figures["slowdown"].rows:
        assert table_[name, order] == text


def test_the_timeline_shows_the_run_of_median_wall_time(data: Dataset, whole: Drawn) -> None:
    figures, context = whole
    answer = context["answers"][0]
    rows = {(row[0], row[2]): row for row in figures["timeline"].rows}
    assert len(rows) == 8
    for topology in TOPOLOGIES:
        own = data.runs[data.runs["config_id"] == topology]
        median = own.sort_values("wall_s").iloc[1]
        name = called(answer, topology)
        _, run, _, count, first, last = rows[name, "insight"]
        assert run == f"{topology} (session s1, repetition {median['repetition']}, round 1)"
        tokens = data.tokens
        for key in ("config_id", "repetition"):
            tokens = tokens[tokens[key] == median[key]]
        tokens = tokens[(tokens["agent"] == "insight") & (tokens["mode"] == "concurrent")]
        assert count == "8"
        assert (first, last) == (
            f"{tokens['t_ns'].min() / 1e9:.3f}",
            f"{tokens['t_ns'].max() / 1e9:.3f}",
        )


def test_first_tokens_and_gaps(data: Dataset, whole: Drawn) -> None:
    figure = whole[0]["latency"]
    name = called(whole[1]["answers"][0], "dual")
    assert len(figure.rows) == 16
    own = data.executions[data.executions["config_id"] == "dual"]
    for mode, words in (("solo", "alone"), ("concurrent", "in the run")):
        waits = own.loc[own["mode"] == mode, "ttft_s"]
        (row,) = (row for row in figure.rows if row[:3] == ("first token", name, words))
        assert row[3:] == ("6", "too few", "too few", "too few", f"{1e3 * waits.max():.3g} ms")
        (row,) = (row for row in figure.rows if row[:3] == ("gap between chunks", name, words))
        pooled = next(
            one for one in whole[1]["gaps"] if (one["config_id"], one["mode"]) == ("dual", mode)
        )
        assert row[3:] == (
            str(pooled["n"]),
            f"{1e3 * pooled['p50_s']:.3g} ms",
            "too few",
            "too few",
            f"{1e3 * pooled['max_s']:.3g} ms",
        )


def test_the_heat_map_holds_the_reports_numbers(data: Dataset, whole: Drawn) -> None:
    figures, context = whole
    figure = figures["heat-main"]
    phases = {row["config_id"]: row for row in context["phases"][0]["rows"]}
    runs = data.runs[data.runs["valid"]].groupby("config_id")["makespan_ratio"]
    assert figure.columns[:4] == ("config", "makespan_ratio", "speedup_true", "slowdown")
    for config, ratio, gain, slowdown, *_, estimate in figure.rows:
        assert estimate == number(phases[config]["speedup_estimate"])
        assert gain == number(phases[config]["speedup_true"].mean)
        assert slowdown == number(phases[config]["slowdown"].mean)
        if config != "serial":
            assert ratio == geometric(runs.get_group(config))
        assert figure.svg.count(f">{gain}</text>") >= 1


def test_servers_are_added_up_and_gpus_are_not(whole: Drawn) -> None:
    figures, context = whole
    name = called(context["answers"][0], "dual")
    rows = {(row[0], row[2]): row[3:] for row in figures["telemetry"].rows}
    assert rows[name, "servers"] == ("1.70", "1.70")
    assert rows[name, "client"] == ("0.10", "0.10")
    assert (name, "others") not in rows
    assert [row[2:] for row in figures["telemetry-gpus"].rows] == [("gpu 0", "0.60", "0.70")] * 4


def test_the_drift_is_the_reports(tmp_path: Path) -> None:
    # every block 1 % slower than the one before, in rounds
    blocks = []
    for n in range(6):
        for place, name in enumerate(("serial", "dual")):
            at = 2 * n + place
            rows = scaled(block(name), 1.01**at)
            when = rows[0]["started_at"] + pd.Timedelta(minutes=at)
            blocks.append([row | {"repetition": n + 1, "started_at": when} for row in rows])
    data = loaded(tmp_path, blocks)
    drift = Interval(1.12, 1.05, 1.19, 12)
    row = {"session": "s1", "drift": drift, "level_starts": [7]}
    told, _ = drawn(data, stability=[row])
    # the config's first run is 2.5 steps of 2 % under its mean, its last one above
    expected = [f"{100 * (1.01**off - 1):+.1f} %" for off in (-5, 5)]
    assert told["order"].rows == (("s1", "12", *expected, "1.12 [1.05, 1.19]", "7"),)
    few, _ = drawn(data, stability=[row | {"drift": None, "level_starts": []}])
    assert few["order"].rows[0][-2:] == ("-", "-")
    untold, _ = drawn(data, stability=None)
    assert untold["order"].rows[0][-2:] == ("-", "-")
    captions = {figures["order"].caption for figures in (told, few, untold)}
    assert len(captions) == 3
    at_once = replace(data, runs=data.runs.assign(started_at=data.runs["started_at"].min()))
    assert "order" not in drawn(at_once)[0]
    # the drift and the level are drawn
    assert told["order"].svg.count("<path") == untold["order"].svg.count("<path") + 2


def test_cold_runs_and_runs_on_their_own_are_in_no_order(tmp_path: Path) -> None:
    cold, warm = rounds(2, block("serial"), cold=True), rounds(2, block("dual"))
    figures, _ = drawn(loaded(tmp_path, in_turn([*cold, *warm, block("single")])))
    assert [row[1] for row in figures["order"].rows] == ["2"]


def test_baselines_as_intervals(whole: Drawn) -> None:
    figure = whole[0]["baselines"]
    ours = ("12.50 [12.10, 12.90]", "-", "no verdict")
    assert figure.rows == (
        ("overall", "tr113", "efficiency_estimate", "0.90 [0.85, 0.95]", "0.72", "better"),
        ("chimera_homo", "mine@1.0.0", "wall_s", *ours),
    )
    said = "overall, efficiency_estimate: here 0.90 [0.85, 0.95], tr113 0.72"
    assert said in figure.alt
    assert re.findall(r">(better|no verdict)</text>", figure.svg) == ["better", "no verdict"]


def test_nothing_valid_draws_nothing(tmp_path: Path) -> None:
    lost = failed(block("dual"), "insight", "concurrent", "oom")
    blocks = [lost, no_server(block("serial"))]
    assert drawn(loaded(tmp_path, blocks))[0] == {}


def test_one_config(tmp_path: Path) -> None:
    blocks = in_turn(rounds(2, block("dual", (1.0, 1.0), (1.5, 1.5))))
    figures, _ = drawn(loaded(tmp_path, blocks))
    expected = ["timeline", "estimator", "order", "ladder", "latency", "heat-main"]
    assert list(figures) == expected
    check_files(figures)


def test_one_agent_and_one_block(tmp_path: Path) -> None:
    figures, _ = drawn(loaded(tmp_path, [block("single", (1.0,), tokens=1)]))
    # nobody to share with, no gap, nothing repeated
    assert list(figures) == ["timeline", "ladder", "latency", "heat-main"]
    assert "true split" not in str(figures["ladder"])
    check_files(figures)


def test_without_solos_nothing_true_is_drawn(tmp_path: Path, data: Dataset) -> None:
    alone = data.executions["mode"] == "solo"
    true = ["speedup_true", "efficiency_true", "work_imbalance", "contention"]
    true += ["orchestration_true", "slowdown_log_mean", "solo_sum_s", "makespan_ratio"]
    imported = replace(
        data,
        runs=data.runs.assign(**dict.fromkeys(true, np.nan), work_effective="natural"),
        executions=data.executions[~alone].assign(slowdown=np.nan, solo_s=np.nan),
        tokens=data.tokens.iloc[:0],
        telemetry=data.telemetry.iloc[:0],
    )
    figures, _ = drawn(imported)
    assert list(figures) == ["makespan", "order", "ladder", "latency", "heat-main"]
    assert {row[1] for row in figures["ladder"].rows} == {"TR114's split"}
    assert figures["heat-main"].columns[1:] == (
        "ttft_s",
        "aggregate_tokens_per_s",
        "speedup_estimate",
    )
    check_files(figures)
