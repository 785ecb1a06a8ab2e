"""Figures' files: the same bytes each time, small whatever they show, and texts are only text."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
from figure_studies import (
    BASELINES,
    EVERY,
    TOPOLOGIES,
    Drawn,
    Row,
    check_files,
    drawn,
    loaded,
    study,
)
from raw_blocks import START, block, rounds, write_dataset

from tandembench.dataset.load import Dataset
from tandembench.report.figures import draw

STEP = pd.Timedelta(minutes=1)
HOSTILE = (
    "$x^2$",
    "\\frac{1}{2} $\\badcommand$",
    "<script>alert(1)</script>",
    "]]><svg onload=x>",
    "&amp; \"quotes\" 'and' `ticks`",
    "http://evil.example/x.svg",
    "a\x1b[31m\u202egnp\u200b\nnew line",
    "\U0001f600 \u4ee3\u7406 \u0627\u0644",
    "very " * 50,
)


def test_their_files_may_stand_anywhere(whole: Drawn) -> None:
    check_files(whole[0])


def test_the_same_dataset_gives_the_same_bytes(data: Dataset) -> None:
    first, _ = drawn(data, beside=BASELINES)
    before = dict(matplotlib.rcParams)
    try:  # whatever a user's own matplotlibrc says
        matplotlib.rcParams |= {"font.size": 40, "svg.fonttype": "path", "lines.linewidth": 9}
        second, _ = drawn(data, beside=BASELINES)
    finally:
        dict.update(matplotlib.rcParams, before)
    assert first == second


def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, study())
    code = (
        "import sys, hashlib, pathlib\n"
        "from tandembench.dataset.load import load_dataset\n"
        "from tandembench.report.details import details\n"
        "assert 'matplotlib' not in sys.modules\n"  # it is imported where a figure is drawn
        "from tandembench.analysis.answer import answers\n"
        "from tandembench.report.figures import draw\n"
        "data = load_dataset(pathlib.Path(sys.argv[1]))\n"
        "context = details(data)\n"
        "main = answers(data.runs, data.executions, 0.05, 'serial')[0]\n"
        "assert 'matplotlib' not in sys.modules\n"
        "for figure in draw(data, main, context):\n"
        "    print(hashlib.sha256(repr(figure).encode()).hexdigest())\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code, str(folder)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    assert len(said.pop().split()) == len(EVERY) - 1  # no baselines


def test_many_comparisons_are_cut_and_counted(data: Dataset) -> None:
    rows = [BASELINES[0] | {"label": f"b{n}", "metric": f"m{n % 7}"} for n in range(300)]
    figure = drawn(data, beside=rows)[0]["baselines"]
    assert len(figure.rows) == 24
    assert re.findall(r"\d+", figure.caption)[-2:] == ["24", "300"]
    check_files({"baselines": figure})


def test_five_agents_of_many_tokens(tmp_path: Path) -> None:
    times = (1.0, 0.9, 0.8, 0.7, 0.6)
    blocks = rounds(
        2,
        block("serial", times, tokens=700),
        block("dual", times, [3 * t for t in times], tokens=700),
    )
    figures, _ = drawn(loaded(tmp_path, blocks))
    check_files(figures)
    assert len(figures["timeline"].rows) == 10
    assert [row[3] for row in figures["timeline"].rows] == ["700"] * 10
    assert len(figures["slowdown"].rows) == 10
    assert figures["latency"].rows[-1][-2] != "too few"  # a p99 of 699 gaps and more


def many(data: Dataset, configs: int, repetitions: int) -> Dataset:
    """The dual runs of a small dataset, many times over, without tokens and telemetry."""
    ids = [f"dual-{n:04}" for n in range(configs)]

    def blown(table: pd.DataFrame) -> pd.DataFrame:
        own = table[(table["config_id"] == "dual") & (table["repetition"] == 1)]
        places = np.repeat(np.arange(configs * repetitions), len(own))
        large = own.iloc[np.tile(np.arange(len(own)), configs * repetitions)]
        large = large.reset_index(drop=True)
        return large.assign(
            config_id=np.array(ids)[places // repetitions],
            repetition=places % repetitions + 1,
            started_at=large["started_at"] + pd.to_timedelta(places, unit="s"),
        )

    listing = [{"name": "main", "title": "Main", "manifest": None, "configs": ids}]
    about = {**data.descriptor["study"], "phases": listing}
    runs = blown(data.runs)
    noise = np.exp(np.random.default_rng(2).normal(0, 0.1, len(runs)))
    return replace(
        data,
        runs=runs.assign(wall_s=runs["wall_s"] * noise, speedup_true=runs["speedup_true"] / noise),
        executions=blown(data.executions),
        tokens=data.tokens.iloc[:0],
        telemetry=data.telemetry.iloc[:0],
        descriptor={**data.descriptor, "study": about},
    )


def context_of(data: Dataset) -> Row:
    """What figures take from the context, without the work of all the rest."""
    agents = {"n_agents": 2, "work_policy": "fixed", "topology": "dual"}
    return {
        "scenarios": [{"scenario": "chimera_homo", **agents}],
        "study": data.descriptor["study"],
        "margin": 0.05,
        "environment": {"machines": []},
        "stability": [],
        "beside": [],
    }


def test_3000_configs_are_cut_with_a_pointer(data: Dataset) -> None:
    large = many(data, 3000, 1)
    figures = {figure.name: figure for figure in draw(large, None, context_of(large))}
    check_files(figures)
    assert len(figures["heat-main"].rows) == 24
    assert re.findall(r"\d+", figures["heat-main"].caption)[-2:] == ["24", "3000"]
    assert figures["estimator"].rows[0][1] == "3000"


def test_a_hundred_thousand_runs_stay_small(data: Dataset) -> None:
    large = many(data, 20, 5000)
    figures = {figure.name: figure for figure in draw(large, None, context_of(large))}
    check_files(figures)
    assert list(figures) == ["estimator", "order", "ladder", "latency", "heat-main"]
    assert figures["order"].rows[0][1] == "100000"


def test_many_rows_of_many_points_stay_small(tmp_path: Path) -> None:
    times = (1.0, 0.9, 0.8, 0.7, 0.6)
    data = loaded(tmp_path, [block(name, times) for name in TOPOLOGIES])
    often = [data.executions.assign(repetition=n, started_at=START + n * STEP) for n in range(50)]
    runs = [data.runs.assign(repetition=n, started_at=START + n * STEP) for n in range(50)]
    large = replace(data, executions=pd.concat(often), runs=pd.concat(runs))
    figures, _ = drawn(large)
    assert [row[2] for row in figures["slowdown"].rows] == ["50"] * 20
    # 600 points in all, and a mark a row
    assert figures["slowdown"].svg.count("<use") <= 600 + 2 * 20
    check_files(figures)


def test_long_ids_that_look_alike_stay_apart(tmp_path: Path) -> None:
    ids = [f"hetero-{'x' * 20}-{n}-{'y' * 20}-dual" for n in range(3)]
    blocks = rounds(1, *(block(one, topology="dual") for one in ids))
    figure = drawn(loaded(tmp_path, blocks))[0]["heat-main"]
    labels = re.findall(r">(hetero[^<]*)<", figure.svg)
    assert len(labels) == len(set(labels)) == 3
    assert [row[0] for row in figure.rows] == ids


def test_names_are_only_text(tmp_path: Path) -> None:
    for place, name in enumerate(HOSTILE):
        rows = block("dual", (1.0, 0.8), (1.5, 1.0))
        hostile = [row | {"agent": name} if row["agent_index"] else row for row in rows]
        comparison = [one | {"label": name, "verdict": name, "metric": name} for one in BASELINES]
        figures, _ = drawn(loaded(tmp_path / str(place), [hostile]), beside=comparison)
        for figure in figures.values():
            shown = figure.svg.replace(name[:25], "")
            root = ElementTree.fromstring(figure.svg)  # noqa: S314 - our own
            assert "script" not in {element.tag.rsplit("}")[-1] for element in root.iter()}
            assert "onload=" not in re.sub(r">[^<]*<", "><", shown)
            said = "".join((figure.title, figure.alt, figure.caption, *sum(figure.rows, ())))
            assert not re.search("[\x00-\x1f\u202e\u200b]", said)
            assert all(len(cell) < 90 for row in figure.rows for cell in row)
        if name == "$x^2$":
            assert ">$x^2$<" in figures["timeline"].svg
