"""Figures: what they say is what the data say, and nothing is drawn that is not known."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from figure_studies import EVERY, TOPOLOGIES, Drawn, drawn, in_turn, loaded, study
from raw_blocks import START, block, failed, no_server, rounds, scaled, write_dataset
from report_tables import table
from reporting import holding
from studies import blocks
from studies import study as a_study

from tandembench.analysis.findings import Answer
from tandembench.analysis.intervals import Interval
from tandembench.analysis.stability import Stability
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.report.formats import bounded
from tandembench.report.said import called
from tandembench.report.write import rendered

HOSTILE = (
    "$x^2$",
    "\\frac{1}{2} $\\badcommand$",
    "<script>alert(1)</script>",
    "]]><svg onload=x>",
    "--><script>x</script><!--",
    "&amp; \"quotes\" 'and' `ticks`",
    "http://evil.example/x.svg",
    "a\x1b[31m\u202egnp\u200b\nnew line",
    "\U0001f600 \u4ee3\u7406 \u0627\u0644",
    "very " * 50,
)


def answer_of(whole: Drawn) -> Answer:
    assert whole.answer
    return whole.answer


def test_every_figure_is_there_in_the_reports_order(whole: Drawn) -> None:
    assert list(whole.figures) == EVERY


def test_makespan_says_what_the_answer_says(whole: Drawn) -> None:
    figure, answer = whole.figures["makespan"], answer_of(whole)
    rows = {row[0]: row[1:] for row in figure.rows}
    assert len(rows) == 4
    for row in answer.rows:
        count, text = rows[called(answer, row.config_id)]
        ratio = row.against.ratio if row.against else None
        if ratio:
            assert (count, text) == ("3", bounded(ratio.value, ratio.low, ratio.high))
        assert text in figure.alt
        assert f">{text}<" in figure.svg
    assert sum(row.is_reference for row in answer.rows) == 1


def test_the_config_measured_twice_has_a_row_and_slowdowns_are_those_of_the_table(
    tmp_path: Path,
) -> None:
    dataset = load_dataset(a_study(tmp_path, blocks(2, 2)))
    whole = drawn(dataset)
    assert answer_of(whole).twin
    assert len(whole.figures["makespan"].rows) == 5
    (first, _, _), _ = rendered(dataset)
    texts = {(row[0], row[1]): row[3] for row in table(first, "| | order of service |")}
    assert len(whole.figures["slowdown"].rows) == 6
    for name, order, _, text in whole.figures["slowdown"].rows:
        assert texts[name, order] == text


def test_slowdowns_by_order_of_service(data: Dataset, whole: Drawn) -> None:
    answer = answer_of(whole)
    ids = {called(answer, row.config_id): row.config_id for row in answer.rows}
    rows = whole.figures["slowdown"].rows
    assert [(ids[row[0]], row[1]) for row in rows] == [
        (topology, order) for topology in TOPOLOGIES for order in ("first", "second")
    ]
    known = data.executions[data.executions["slowdown"].notna()]
    for name, order, runs, text in rows:
        of_row = known[known["config_id"] == ids[name]]
        of_row = of_row[of_row["service_order"] == {"first": 1, "second": 2}[order]]
        mean = np.exp(np.log(of_row["slowdown"]).mean())
        assert (runs, text.split()[0]) == ("3", f"{mean:.2f}")
        assert f"{name}, {order} {text}" in whole.figures["slowdown"].alt


def test_the_estimator_counts_its_blind_spot(data: Dataset, whole: Drawn) -> None:
    names = {called(answer_of(whole), topology): topology for topology in TOPOLOGIES}
    for name, runs, *means, blind in whole.figures["estimator"].rows:
        topology = names[name]
        of_topology = data.runs[data.runs["topology"] == topology]
        columns = ("speedup_estimate", "speedup_true")
        assert (runs, *means) == ("3", *(f"{of_topology[name].mean():.2f}" for name in columns))
        missed = (of_topology["speedup_true"] <= 1.05) & (of_topology["speedup_estimate"] > 1.05)
        assert blind == str(missed.sum())
    # a single server gains nothing, whatever the estimator shows
    assert [row[-1] for row in whole.figures["estimator"].rows] == ["0", "3", "3", "0"]


def test_the_timeline_shows_the_run_of_median_wall_time(data: Dataset, whole: Drawn) -> None:
    rows = {(row[0], row[2]): row for row in whole.figures["timeline"].rows}
    assert len(rows) == 8
    for topology in TOPOLOGIES:
        of_topology = data.runs[data.runs["config_id"] == topology]
        median = of_topology.sort_values("wall_s").iloc[1]
        _, run, _, *cells = rows[called(answer_of(whole), topology), "insight"]
        assert run == f"{topology} (session s1, repetition {median['repetition']}, round 1)"
        tokens = data.tokens.merge(
            median.to_frame().T[["config_id", "repetition"]].astype({"repetition": int})
        )
        tokens = tokens[(tokens["agent"] == "insight") & (tokens["mode"] == "concurrent")]
        times = tokens["t_ns"] / 1e9
        assert cells == ["8", f"{times.min():.3f}", f"{times.max():.3f}"]


def test_where_chunks_are_no_tokens_the_timeline_shows_pieces(data: Dataset, whole: Drawn) -> None:
    hidden = data.executions.assign(ttft_s=np.nan, first_chunk="bundle")
    timeline = drawn(holding(data, executions=hidden)).figures["timeline"]
    assert "token" in whole.figures["timeline"].title
    assert "token" not in f"{timeline.title}{timeline.alt}{timeline.caption}{timeline.columns}"
    assert [row[3:] for row in timeline.rows] == [row[3:] for row in whole.figures["timeline"].rows]


def test_servers_are_added_up_and_gpus_are_not(whole: Drawn) -> None:
    name = called(answer_of(whole), "dual")
    rows = {(row[0], row[2]): row[3:] for row in whole.figures["telemetry"].rows}
    assert rows[name, "servers"] == ("1.70", "1.70")
    assert rows[name, "client"] == ("0.10", "0.10")
    assert (name, "others") not in rows
    gpus = [row[2:] for row in whole.figures["telemetry-gpus"].rows]
    assert gpus == [("gpu 0", "0.60", "0.70")] * 4


def test_the_drift_and_the_levels_drawn_are_those_claimed(tmp_path: Path) -> None:
    # every block 1 % slower than the one before, in rounds
    blocks = []
    for n in range(6):
        for place, name in enumerate(("serial", "dual")):
            at = 2 * n + place
            rows = scaled(block(name), 1.01**at)
            when = rows[0]["started_at"] + pd.Timedelta(minutes=at)
            blocks.append([row | {"repetition": n + 1, "started_at": when} for row in rows])
    data = loaded(tmp_path, blocks)
    row = Stability("s1", 12, Interval(1.12, 1.05, 1.19, 12), "worse", "slowdown", (7,))
    told = drawn(data, [row]).figures["order"]
    # the config's first run is 2.5 steps of 2 % under its mean, its last one above
    expected = [f"{100 * (1.01**off - 1):+.1f} %" for off in (-5, 5)]
    assert told.rows == (("s1", "12", *expected, "1.12 [1.05, 1.19]", "7"),)
    few = drawn(data, [Stability("s1", 12, None, None, "too few", ())]).figures["order"]
    untold = drawn(data, None).figures["order"]
    assert few.rows[0][-2:] == untold.rows[0][-2:] == ("-", "-")
    assert len({told.caption, few.caption, untold.caption}) == 3
    # the level, in a colour that no topology has
    assert [one.svg.count("#d55e00") for one in (told, few, untold)] == [1, 0, 0]
    at_once = holding(data, runs=data.runs.assign(started_at=data.runs["started_at"].min()))
    assert "order" not in drawn(at_once).figures


def test_cold_runs_and_runs_on_their_own_are_in_no_order(tmp_path: Path) -> None:
    cold, warm = rounds(2, block("serial"), cold=True), rounds(2, block("dual"))
    data = loaded(tmp_path, in_turn([*cold, *warm, block("single")]))
    assert [row[1] for row in drawn(data).figures["order"].rows] == ["2"]


def test_nothing_is_drawn_that_is_not_known(tmp_path: Path, data: Dataset) -> None:
    lost = failed(block("dual"), "insight", "concurrent", "oom")
    nothing = loaded(tmp_path / "failed", [lost, no_server(block("serial"))])
    assert drawn(nothing).figures == {}
    one = in_turn(rounds(2, block("dual", (1.0, 1.0), (1.5, 1.5))))
    expected = ["timeline", "estimator", "order"]
    assert list(drawn(loaded(tmp_path / "one", one)).figures) == expected
    # nobody to share with, nothing repeated
    alone = loaded(tmp_path / "alone", [block("single", (1.0,), tokens=1)])
    assert list(drawn(alone).figures) == ["timeline"]
    solo = data.executions["mode"] == "solo"
    true = ["speedup_true", "efficiency_true", "work_imbalance", "contention"]
    true += ["orchestration_true", "slowdown_log_mean", "solo_sum_s", "makespan_ratio"]
    imported = holding(
        data,
        runs=data.runs.assign(**dict.fromkeys(true, np.nan), work_effective="natural"),
        executions=data.executions[~solo].assign(slowdown=np.nan, solo_s=np.nan),
        tokens=data.tokens.iloc[:0],
        telemetry=data.telemetry.iloc[:0],
    )
    assert list(drawn(imported).figures) == ["makespan", "order"]


def test_the_same_dataset_gives_the_same_bytes(data: Dataset, tmp_path: Path) -> None:
    first = drawn(data)
    before = dict(matplotlib.rcParams)
    try:  # whatever a user's own matplotlibrc says
        matplotlib.rcParams |= {"font.size": 40, "svg.fonttype": "path", "lines.linewidth": 9}
        assert drawn(data) == first
    finally:
        dict.update(matplotlib.rcParams, before)
    folder = write_dataset(tmp_path, study())
    code = (
        "import sys, hashlib, pathlib\n"
        "from tandembench.dataset.load import load_dataset\n"
        "from tandembench.analysis.answer import answers\n"
        "assert 'matplotlib' not in sys.modules\n"  # it is imported where a figure is drawn
        "data = load_dataset(pathlib.Path(sys.argv[1]))\n"
        "main = answers(data.runs, data.executions, 0.05, 'serial')[0]\n"
        "from tandembench.report.figures.draw import draw\n"
        "for figure in draw(data, main, ()):\n"
        "    print(hashlib.sha256(repr(figure).encode()).hexdigest())\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(folder)]
    hashes = [
        subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert hashes[0] == hashes[1]
    assert len(hashes[0].split()) == len(EVERY)


def test_many_tokens_agents_and_rounds_stay_small(tmp_path: Path) -> None:
    times = (1.0, 0.9, 0.8, 0.7, 0.6)
    together = [3 * t for t in times]
    long = rounds(2, block("serial", times, tokens=700), block("dual", times, together, tokens=700))
    figures = drawn(loaded(tmp_path / "long", long)).figures
    assert [row[3] for row in figures["timeline"].rows] == ["700"] * 10
    assert len(figures["slowdown"].rows) == 10
    data = loaded(tmp_path / "often", [block(name, times) for name in TOPOLOGIES])
    repeated = {
        name: pd.concat(
            [
                getattr(data, name).assign(
                    repetition=n, started_at=START + n * pd.Timedelta(minutes=1)
                )
                for n in range(50)
            ]
        )
        for name in ("runs", "executions")
    }
    large = holding(data, **repeated)
    assert [row[2] for row in drawn(large).figures["slowdown"].rows] == ["50"] * 20


def test_a_hundred_thousand_runs_stay_small(data: Dataset) -> None:
    def blown(rows: pd.DataFrame) -> pd.DataFrame:
        first = rows[(rows["config_id"] == "dual") & (rows["repetition"] == 1)]
        places = np.repeat(np.arange(100_000), len(first))
        large = first.iloc[np.tile(np.arange(len(first)), 100_000)].reset_index(drop=True)
        later = large["started_at"] + pd.to_timedelta(places, unit="s")
        return large.assign(repetition=places + 1, started_at=later)

    runs = blown(data.runs)
    noise = np.exp(np.random.default_rng(2).normal(0, 0.1, len(runs)))
    large = holding(
        data,
        runs=runs.assign(wall_s=runs["wall_s"] * noise, speedup_true=runs["speedup_true"] / noise),
        executions=blown(data.executions),
        tokens=data.tokens.iloc[:0],
        telemetry=data.telemetry.iloc[:0],
    )
    figures = drawn(large).figures
    assert list(figures) == ["estimator", "order"]
    assert figures["order"].rows[0][1] == "100000"


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_only_text(name: str, tmp_path: Path) -> None:
    rows = block("dual", (1.0, 0.8), (1.5, 1.0))
    hostile = [row | {"agent": name} if row["agent_index"] else row for row in rows]
    figures = drawn(loaded(tmp_path, [hostile])).figures
    for figure in figures.values():
        assert "onload=" not in re.sub(r">[^<]*<", "><", figure.svg)
        said = "".join((figure.title, figure.alt, figure.caption, *sum(figure.rows, ())))
        assert not re.search("[\x00-\x1f\u202e\u200b]", said)
        assert all(len(cell) < 90 for row in figure.rows for cell in row)
    if name == "$x^2$":
        assert ">$x^2$<" in figures["timeline"].svg
