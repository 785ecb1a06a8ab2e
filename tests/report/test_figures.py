"""Figures: what they say is what the context says, and their files may stand anywhere."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from raw_blocks import NAMES, block, failed, no_server, rounds, scaled, where, write_dataset

from tandembench.dataset.load import Dataset, load_dataset
from tandembench.report.context import report_context
from tandembench.report.figures import Figure, draw
from tandembench.report.render import interval, number, percent
from tandembench.stats.intervals import Interval

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
TOPOLOGIES = ("serial", "single", "single_parallel", "dual")
BASELINES = [
    {
        "label": "tr113",
        "metric": "efficiency_estimate",
        "ours": Interval(0.9, 0.85, 0.95, 9),
        "theirs": Interval(0.72, None, None, 1),
        "verdict": "better",
    },
    {
        "label": "mine@1.0.0",
        "subject": "chimera_homo",
        "metric": "wall_s",
        "ours": Interval(12.5, 12.1, 12.9, 9),
        "theirs": None,
        "verdict": None,
    },
]
EVERY = ["makespan", "timeline", "ladder", "estimator", "slowdown", "latency", "heat-main"]
EVERY += ["telemetry", "telemetry-gpus", "order", "baselines"]


def four(factor: float = 1.0) -> Blocks:
    """One round of every topology, collector and insight unlike each other, with samples."""
    found = [
        block("serial", (1.0, 0.8), (1.0, 0.8), tokens=8),
        block("single", (1.0, 0.8), (1.0, 1.8), tokens=8),
        block("single_parallel", (1.0, 0.8), (1.9, 1.7), tokens=8),
        block("dual", (1.4, 1.1), (1.5, 1.2), tokens=8),
    ]
    found = [scaled(rows, factor) for rows in found]
    for rows in found:
        where(rows, "concurrent", "collector")[0]["telemetry"] = [
            sample(t, subject, cores=cores)
            for t in (0.2, 0.4, 0.6)
            for subject, cores in (("server 0", 0.9), ("server 1", 0.8), ("client", 0.1))
        ] + [sample(0.4, "gpu 0", utilisation=0.5), sample(0.6, "gpu 0", utilisation=0.7)]
    return found


def sample(t_s: float, subject: str, **values: float) -> Row:
    return {"t_ns": round(t_s * 1e9), "subject": subject, **values}


def study(repetitions: int = 3) -> Blocks:
    """A study with some noise, in which rounds follow each other."""
    factors = np.exp(np.random.default_rng(1).normal(0, 0.03, repetitions))
    return [
        [
            row | {"repetition": n + 1, "started_at": row["started_at"] + pd.Timedelta(minutes=n)}
            for row in rows
        ]
        for n, factor in enumerate(factors)
        for rows in four(float(factor))
    ]


def drawn(data: Dataset, **more: Any) -> tuple[dict[str, Figure], Row]:
    context = report_context(data) | {"comparisons": []} | more
    figures = draw(data, context)
    by_name = {figure.name: figure for figure in figures}
    assert len(by_name) == len(figures)
    return by_name, context


def loaded(folder: Path, blocks: Blocks, **changes: Any) -> Dataset:
    return load_dataset(write_dataset(folder, blocks, **changes))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return loaded(tmp_path_factory.mktemp("figures"), study())


@pytest.fixture(scope="module")
def whole(data: Dataset) -> tuple[dict[str, Figure], Row]:
    return drawn(data, comparisons=BASELINES)


def check_files(figures: Mapping[str, Figure]) -> None:
    """Well-formed, small, alone, accessible, and no id of one is an id of another."""
    ids: list[str] = []
    for figure in figures.values():
        assert len(figure.svg.encode()) <= 100_000, figure.name
        root = ElementTree.fromstring(figure.svg)  # noqa: S314 - our own
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert figure.svg.count("http") == 1  # the namespace
        own = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        ids += own
        for element in root.iter():
            tag = element.tag.removeprefix("{http://www.w3.org/2000/svg}")
            assert tag in KNOWN, (figure.name, tag)
            assert not {name for name in element.attrib if name.startswith(("on", "style", "{"))}
            for value in element.attrib.values():
                for target in re.findall(r"url\(([^)]*)\)", value):
                    assert target[0] == "#"
                    assert target[1:] in own
            if "href" in element.attrib:
                assert element.attrib["href"].removeprefix("#") in own
        title, description = root[0], root[1]
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {description.attrib['id']}"
        assert (title.text, description.text) == (figure.title, figure.alt)
        assert figure.alt
        assert figure.caption
        assert figure.rows
        assert {len(row) for row in figure.rows} == {len(figure.columns)}
    assert len(ids) == len(set(ids))


KNOWN = {"svg", "title", "desc", "g", "defs", "path", "use", "text", "tspan", "clipPath", "rect"}
KNOWN |= {"pattern"}


def test_every_figure_is_there_in_the_reports_order(
    whole: tuple[dict[str, Figure], Row],
) -> None:
    assert list(whole[0]) == EVERY


def test_their_files_may_stand_anywhere(whole: tuple[dict[str, Figure], Row]) -> None:
    check_files(whole[0])


def test_the_same_dataset_gives_the_same_bytes(data: Dataset) -> None:
    first, _ = drawn(data, comparisons=BASELINES)
    before = dict(matplotlib.rcParams)
    try:  # whatever a user's own matplotlibrc says
        matplotlib.rcParams |= {"font.size": 40, "svg.fonttype": "path", "lines.linewidth": 9}
        second, _ = drawn(data, comparisons=BASELINES)
    finally:
        dict.update(matplotlib.rcParams, before)
    assert first == second


def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, study())
    code = (
        "import sys, hashlib, pathlib\n"
        "from tandembench.dataset.load import load_dataset\n"
        "from tandembench.report.context import report_context\n"
        "assert 'matplotlib' not in sys.modules\n"  # it is imported where a figure is drawn
        "from tandembench.report.figures import draw\n"
        "data = load_dataset(pathlib.Path(sys.argv[1]))\n"
        "context = report_context(data)\n"
        "assert 'matplotlib' not in sys.modules\n"
        "for figure in draw(data, context):\n"
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


def test_makespan_says_what_the_headline_says(whole: tuple[dict[str, Figure], Row]) -> None:
    figures, context = whole
    expected = [
        (row["topology"], str(row["makespan_ratio"].n), interval(row["makespan_ratio"]))
        for row in context["headline"]["rows"]
    ]
    assert len(expected) == 3
    assert list(figures["makespan"].rows) == expected
    for topology, _, found in expected:
        assert f"{topology} {found}" in figures["makespan"].alt
        assert f">{found}<" in figures["makespan"].svg


def test_the_ladder_says_what_the_phases_say(whole: tuple[dict[str, Figure], Row]) -> None:
    figures, context = whole
    phases = {row["config_id"]: row for row in context["phases"][0]["rows"]}
    assert len(figures["ladder"].rows) == 8
    for topology, split, runs, *cells in figures["ladder"].rows:
        row = phases[topology]
        assert runs == str(row["n"])
        if split == "true split":
            names = ("work_imbalance", "true_sequencing", "contention", "orchestration_true")
            expected = [percent(row[name]) for name in (*names, "efficiency_true")]
        else:
            names = ("imbalance_loss", "sequencing_loss", "orchestration_loss")
            expected = [percent(row[name]) for name in (*names, "efficiency_estimate")]
            expected.insert(2, "not seen")
        assert cells == expected
        assert f"efficiency {expected[-1]}" in figures["ladder"].alt


def test_the_ladder_closes(whole: tuple[dict[str, Figure], Row]) -> None:
    for *_, work, turns, contention, rest, left in whole[0]["ladder"].rows:
        losses = [
            0.0 if one == "not seen" else float(one[:-2]) for one in (work, turns, contention, rest)
        ]
        assert 100 - sum(losses) == pytest.approx(float(left[:-2]), abs=0.25)


def test_the_last_step_of_the_ladder_ends_where_the_efficiency_does(tmp_path: Path) -> None:
    # the first agent gains by sharing: one step goes up
    rows = block("dual", (1.0, 0.8), (0.9, 1.2))
    svg = drawn(loaded(tmp_path, [rows]))[0]["ladder"].svg
    for colour, steps in (("#0072b2", 4), ("#d55e00", 3)):
        bar, after = re.split(f'fill="{colour}" />', svg, maxsplit=1)
        right = max(map(float, re.findall(r"[ML]([\d.]+) ", bar.rsplit("<path", 1)[1])))
        # the connectors of its steps follow, upright lines
        ends = re.findall(r'd="M([\d.]+) [\d.]+V[\d.]+"[^>]*stroke="#5b6670"', after)[:steps]
        assert len(ends) == steps
        assert float(ends[-1]) == pytest.approx(right, abs=0.02)


def test_the_estimator_counts_its_blind_spot(
    data: Dataset, whole: tuple[dict[str, Figure], Row]
) -> None:
    figures, context = whole
    results = {row["config_id"]: row for row in context["results"]}
    for topology, runs, estimate, true, blind in figures["estimator"].rows:
        own = data.runs[data.runs["topology"] == topology]
        assert (runs, estimate) == ("3", number(results[topology]["speedup_estimate"]))
        assert true == number(own["speedup_true"].mean())
        missed = (own["speedup_true"] <= 1.05) & (own["speedup_estimate"] > 1.05)
        assert blind == str(missed.sum())
    counts = [row[-1] for row in figures["estimator"].rows]
    assert counts == ["0", "3", "3", "0"]  # a single server gains nothing, whatever the estimator
    assert figures["estimator"].svg.count("<use") >= 12


def test_slowdowns_by_agent(data: Dataset, whole: tuple[dict[str, Figure], Row]) -> None:
    figure = whole[0]["slowdown"]
    assert [row[:2] for row in figure.rows] == [
        (topology, agent) for topology in TOPOLOGIES for agent in NAMES[:2]
    ]
    run = data.executions[data.executions["slowdown"].notna()]
    for topology, agent, blocks, found in figure.rows:
        own = run[(run["config_id"] == topology) & (run["agent"] == agent)]
        mean = np.exp(np.log(own["slowdown"]).mean())
        assert (blocks, found.split()[0]) == ("3", f"{mean:.2f}")
        assert f"{topology}, {agent} {found}" in figure.alt


def test_the_timeline_shows_the_block_of_median_wall_time(
    data: Dataset, whole: tuple[dict[str, Figure], Row]
) -> None:
    figure = whole[0]["timeline"]
    rows = {(row[0], row[2]): row for row in figure.rows}
    assert len(rows) == 16
    for topology in TOPOLOGIES:
        own = data.runs[data.runs["config_id"] == topology]
        median = own.sort_values("wall_s").iloc[1]
        assert f"{topology}: wall {median['wall_s']:.2f} s" not in figure.alt
        _, name, _, count, first, last = rows[topology, "insight in run"]
        assert name == f"{topology} (session s1, repetition {median['repetition']})"
        assert f"{name}: wall {median['wall_s']:.2f} s" in figure.alt
        tokens = data.tokens
        for key in ("config_id", "repetition"):
            tokens = tokens[tokens[key] == median[key]]
        tokens = tokens[(tokens["agent"] == "insight") & (tokens["mode"] == "concurrent")]
        assert count == "8"
        assert (first, last) == (
            f"{tokens['t_ns'].min() / 1e9:.3f}",
            f"{tokens['t_ns'].max() / 1e9:.3f}",
        )


def test_first_tokens_and_gaps(data: Dataset, whole: tuple[dict[str, Figure], Row]) -> None:
    figure = whole[0]["latency"]
    assert len(figure.rows) == 16
    own = data.executions[data.executions["config_id"] == "dual"]
    for mode, words in (("solo", "alone"), ("concurrent", "in the run")):
        waits = own.loc[own["mode"] == mode, "ttft_s"]
        (row,) = (row for row in figure.rows if row[:3] == ("first token", "dual", words))
        assert row[3:] == ("6", "too few", "too few", "too few", f"{1e3 * waits.max():.3g} ms")
        (row,) = (row for row in figure.rows if row[:3] == ("gap between chunks", "dual", words))
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


def test_the_heat_map_holds_the_reports_numbers(whole: tuple[dict[str, Figure], Row]) -> None:
    figures, context = whole
    figure = figures["heat-main"]
    phases = {row["config_id"]: row for row in context["phases"][0]["rows"]}
    groups = {row["config_id"]: row for row in context["topology_groups"][0]["rows"]}
    assert figure.columns[:4] == ("config", "makespan_ratio", "speedup_true", "slowdown")
    for config, ratio, gain, slowdown, *_, estimate in figure.rows:
        assert estimate == number(phases[config]["speedup_estimate"])
        assert gain == number(phases[config]["speedup_true"].mean)
        assert slowdown == number(phases[config]["slowdown"].mean)
        if config != "serial":
            assert ratio == number(groups[config]["makespan_ratio"].mean)
        assert figure.svg.count(f">{gain}</text>") >= 1


def test_servers_are_added_up_and_gpus_are_not(whole: tuple[dict[str, Figure], Row]) -> None:
    figures, _ = whole
    rows = {(row[0], row[2]): row[3:] for row in figures["telemetry"].rows}
    assert rows["dual", "servers"] == ("1.70", "1.70")
    assert rows["dual", "client"] == ("0.10", "0.10")
    assert ("dual", "others") not in rows
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
    told, _ = drawn(data, stability=[{"session": "s1", "drift": drift}])
    # the config's first run is 2.5 steps of 2 % under its mean, its last one above
    expected = [f"{100 * (1.01**off - 1):+.1f} %" for off in (-5, 5)]
    assert told["order"].rows == (("s1", "12", *expected, "1.12 [1.05, 1.19]"),)
    assert "session s1, 12 runs: drift 1.12 [1.05, 1.19]" in told["order"].alt
    few, _ = drawn(data, stability=[{"session": "s1", "drift": None}])
    assert few["order"].rows[0][-1] == "too few"
    in_turn, _ = drawn(data, stability=None)
    assert in_turn["order"].rows[0][-1] == "not told"
    assert "one after the other" in in_turn["order"].caption
    assert told["order"].svg.count("<path") == in_turn["order"].svg.count("<path") + 1


def test_cold_runs_and_runs_on_their_own_are_in_no_order(tmp_path: Path) -> None:
    cold = [[row | {"cold": True} for row in rows] for rows in rounds(2, block("serial"))]
    figures, _ = drawn(loaded(tmp_path, [*cold, *rounds(2, block("dual")), block("single")]))
    assert [row[1] for row in figures["order"].rows] == ["2"]


def test_baselines_as_intervals(whole: tuple[dict[str, Figure], Row]) -> None:
    figure = whole[0]["baselines"]
    ours = ("12.50 [12.10, 12.90]", "missing", "no verdict")
    assert figure.rows == (
        ("overall", "tr113", "efficiency_estimate", "0.90 [0.85, 0.95]", "0.72", "better"),
        ("chimera_homo", "mine@1.0.0", "wall_s", *ours),
    )
    said = "overall, efficiency_estimate: here 0.90 [0.85, 0.95], tr113 0.72"
    assert said in figure.alt
    assert re.findall(r">(better|no verdict)</text>", figure.svg) == ["better", "no verdict"]


def test_many_comparisons_are_cut_and_counted(data: Dataset) -> None:
    rows = [BASELINES[0] | {"label": f"b{n}", "metric": f"m{n % 7}"} for n in range(300)]
    figure = drawn(data, comparisons=rows)[0]["baselines"]
    assert len(figure.rows) == 24
    assert "The first 24 of 300 comparisons." in figure.caption
    check_files({"baselines": figure})


def test_nothing_valid_draws_nothing(tmp_path: Path) -> None:
    blocks = [failed(block("dual"), "insight", "solo", "oom"), no_server(block("serial"))]
    assert drawn(loaded(tmp_path, blocks))[0] == {}


def test_one_config(tmp_path: Path) -> None:
    figures, _ = drawn(loaded(tmp_path, rounds(2, block("dual", (1.0, 1.0), (1.5, 1.5)))))
    expected = ["timeline", "ladder", "estimator", "slowdown", "latency", "heat-main", "order"]
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
    assert list(figures) == ["ladder", "latency", "heat-main", "order"]
    assert {row[1] for row in figures["ladder"].rows} == {"TR114's split"}
    assert figures["heat-main"].columns[1:] == (
        "ttft_s",
        "aggregate_tokens_per_s",
        "speedup_estimate",
    )
    check_files(figures)


def test_five_agents_of_many_tokens(tmp_path: Path) -> None:
    times = (1.0, 0.9, 0.8, 0.7, 0.6)
    blocks = rounds(
        2,
        block("serial", times, tokens=700),
        block("dual", times, [3 * t for t in times], tokens=700),
    )
    figures, _ = drawn(loaded(tmp_path, blocks))
    check_files(figures)
    assert len(figures["timeline"].rows) == 20
    assert "Of more than 160 tokens in a row, 160 are drawn." in figures["timeline"].caption
    assert {row[1] for row in figures["slowdown"].rows} == set(NAMES)
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
        "headline": None,
        "topology_groups": [],
        "scenarios": [{"scenario": "chimera_homo", **agents}],
        "study": data.descriptor["study"],
        "margin": 0.05,
        "environment": {"machines": []},
    }


def test_3000_configs_are_cut_with_a_pointer(data: Dataset) -> None:
    large = many(data, 3000, 1)
    figures = {figure.name: figure for figure in draw(large, context_of(large))}
    check_files(figures)
    assert len(figures["heat-main"].rows) == 24
    assert "The first 24 of 3000; all stand in runs.parquet." in figures["heat-main"].caption
    assert "Of 3000 runs, 600 are drawn, evenly." in figures["estimator"].caption
    assert figures["estimator"].rows[0][1] == "3000"


def test_a_hundred_thousand_runs_stay_small(data: Dataset) -> None:
    large = many(data, 20, 5000)
    figures = {figure.name: figure for figure in draw(large, context_of(large))}
    check_files(figures)
    assert list(figures) == ["ladder", "estimator", "slowdown", "latency", "heat-main", "order"]
    assert figures["order"].rows[0][1] == "100000"
    assert "Of 100000 runs, 600 are drawn, evenly." in figures["order"].caption
    assert "Of more than 40 points in a row, 40 are drawn." in figures["slowdown"].caption


def test_many_rows_of_many_points_stay_small(tmp_path: Path) -> None:
    times = (1.0, 0.9, 0.8, 0.7, 0.6)
    data = loaded(tmp_path, [block(name, times) for name in TOPOLOGIES])
    often = pd.concat([data.executions.assign(repetition=n) for n in range(50)])
    figure = drawn(replace(data, executions=often))[0]["slowdown"]
    assert [row[2] for row in figure.rows] == ["50"] * 20
    assert "Of more than 30 points in a row, 30 are drawn." in figure.caption
    assert 20 * 31 <= figure.svg.count("<use") <= 20 * 31 + 20


def test_long_ids_that_look_alike_stay_apart(tmp_path: Path) -> None:
    ids = [f"hetero-{'x' * 20}-{n}-{'y' * 20}-dual" for n in range(3)]
    blocks = rounds(1, *(block(one, topology="dual") for one in ids))
    figure = drawn(loaded(tmp_path, blocks))[0]["heat-main"]
    labels = re.findall(r">(hetero[^<]*)<", figure.svg)
    assert len(labels) == len(set(labels)) == 3
    assert [row[0] for row in figure.rows] == ids


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


def test_names_are_only_text(tmp_path: Path) -> None:
    for place, name in enumerate(HOSTILE):
        rows = block("dual", (1.0, 0.8), (1.5, 1.0))
        hostile = [row | {"agent": name} if row["agent_index"] else row for row in rows]
        comparison = [one | {"label": name, "verdict": name, "metric": name} for one in BASELINES]
        figures, _ = drawn(loaded(tmp_path / str(place), [hostile]), comparisons=comparison)
        for figure in figures.values():
            shown = figure.svg.replace(name[:25], "")
            root = ElementTree.fromstring(figure.svg)  # noqa: S314 - our own
            assert "script" not in {element.tag.rsplit("}")[-1] for element in root.iter()}
            assert "onload=" not in re.sub(r">[^<]*<", "><", shown)
            said = "".join((figure.title, figure.alt, figure.caption, *sum(figure.rows, ())))
            assert not re.search("[\x00-\x1f\u202e\u200b]", said)
            assert all(len(cell) < 90 for row in figure.rows for cell in row)
        if name == "$x^2$":
            assert ">$x^2$ alone<" in figures["timeline"].svg
