"""Published tables against runs, cell by cell, and two publications against each other."""

import json
from typing import Any, cast

import pandas as pd
import pytest

from tandembench.audit.publications import Both, differences
from tandembench.audit.published import AgainstRuns, against_runs
from tandembench.audit.sides import Cell, open_side
from tandembench.dataset.load import Dataset


@pytest.fixture(params=["tr110", "tr113", "tr114"])
def against_its_runs(request: pytest.FixtureRequest) -> tuple[str, AgainstRuns]:
    name: str = request.param
    dataset: Dataset = request.getfixturevalue(name)
    return name, against_runs(open_side(name).printed, dataset.runs, dataset.executions)


# (agree, contradicted, never run) by scope
OF_REPORTS = {
    "tr114": {
        "overall": (38, 0, 0),
        "timeline": (0, 3, 0),
        "phase": (13, 0, 0),
        "scenario": (13, 21, 0),
        "level": (7, 25, 0),
        "config": (57, 88, 5),
    },
    "tr113": {
        "overall": (17, 4, 0),
        "scenario": (12, 0, 0),
        "level": (5, 4, 0),
        "config": (109, 3, 0),
    },
    "tr110": {
        "overall": (4, 7, 0),
        "scenario": (30, 11, 0),
        "level": (27, 2, 0),
        "config": (153, 0, 0),
    },
}


def test_reports_against_their_own_runs(against_its_runs: tuple[str, AgainstRuns]) -> None:
    name, found = against_its_runs
    assert {
        scope: (row["agree"], row["contradicted"], row["absent"])
        for scope, row in found["scopes"].items()
    } == OF_REPORTS[name]
    wrong = {row["metric"] for row in found["rows"] if not row["agrees"]}
    if name == "tr113":
        # What does not follow is all about contention: rates are the server's own, and do.
        assert wrong == {
            "contention_speedup_rule",
            "contention_rate",
            "contention_configs",
            "contention_configs_share",
        }
    if name == "tr110":
        # First tokens are means over two calls; sums over calls give no rates.
        first = [row["agrees"] for row in found["rows"] if row["metric"] == "ttft_delta_s"]
        assert sum(first) >= 29
        assert found["unchecked"]["config"]["throughput_delta_tokens_per_s"] == 32
    if name != "tr114":
        return
    # Section 9.4's statistics follow from the runs, to the last printed digit ...
    assert [row["agrees"] for row in found["rows"] if row["section"] == "9.4"] == [True] * 10
    # ... and most of its tables of 30 configs do not.
    cells = [row for row in found["rows"] if row["scope"] == "config" and row["statistic"] != "of"]
    assert (len(cells), sum(not row["agrees"] for row in cells)) == (120, 92)
    never_run = [row for row in cells if row["subject"] == "validation-homo-g80-c2048-t1.0"]
    assert [row["computed"] for row in never_run] == [None] * 4
    assert found["scopes"]["config"]["subjects_agree"] == 0
    # It says 6 h 15 min; its runs were done in 33 minutes.
    (took,) = (row for row in found["rows"] if row["metric"] == "duration_s")
    assert took["computed"] == pytest.approx(1967.5, abs=0.1)


def number(metric: str, value: float, **more: object) -> Cell:
    """One printed number."""
    row = {"report": "TR1", "section": "1", "table": "a table", "scope": "overall", "subject": ""}
    rest = {"statistic": "mean", "unit": "1", "resolution": 0.0005, "printed": str(value)}
    return cast("Cell", {**row, **rest, "note": "", "metric": metric, "value": value, **more})


def tables(*speedups: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs of one config each, agents 10 s and 8 s, 101 and 51 tokens, two calls each."""
    runs, executions = [], []
    for n, speedup in enumerate(speedups, 1):
        key: dict[str, Any] = {"session": "s1", "config_id": f"c{n}", "repetition": 1}
        key |= {"comparison": f"c{n}", "round": 1, "twin": False, "attempt": 1, "valid": True}
        stamp = pd.Timestamp("2026-03-01T00:00:00Z") + pd.Timedelta(minutes=n - 1)
        run: dict[str, Any] = {
            "phase": "core" if n == 1 else "temperature",
            "scenario": "baseline_vs_chimera",
        }
        run |= {"n_agents": 2, "started_at": stamp, "wall_s": 30.0, "ttft_delta_s": 99.0}
        run |= {"speedup_estimate": speedup, "efficiency_estimate": speedup / 2}
        run |= {"contention_speedup_rule": speedup < 1.5, "throughput_delta_tokens_per_s": 99.0}
        runs.append(key | run)
        options = {"num_gpu": 60 + 20 * n, "temperature": 0.8}
        for index, values in enumerate(((3.0, 101, 10.0, {}), (1.0, 51, 8.0, options))):
            names = ("first_token_s", "answer_tokens", "server_decode_s")
            about = {"agent": f"a{index}", "agent_index": index, "model": "m", "n_steps": 2}
            about |= {"mode": "concurrent", "options_asked": json.dumps(values[3])}
            executions.append(key | about | dict(zip(names, values[:3], strict=True)))
    return pd.DataFrame(runs), pd.DataFrame(executions)


BEST = {"scope": "scenario", "subject": "baseline_vs_chimera", "statistic": "best"}
LEVEL = {"scope": "level", "subject": "num_gpu=100"}
FLAGS = {"statistic": "count", "resolution": None}


@pytest.mark.parametrize(
    ("cell", "speedups", "computed", "agrees"),
    [
        # The print's own rounding decides; a count has none.
        (number("speedup_estimate", 1.4445), (1.445, 1.445), 1.445, True),
        (number("speedup_estimate", 1.4444), (1.445, 1.445), 1.445, False),
        (number("speedup_estimate", 1.4456), (1.445, 1.445), 1.445, False),
        (number("contention_speedup_rule", 1, **FLAGS), (1.4, 1.6), 1.0, True),
        (number("contention_speedup_rule", 1, **FLAGS), (1.4, 1.4), 2.0, False),
        (number("contention_speedup_rule", 1, **{**FLAGS, "statistic": "of"}), (1.4,), 1.0, True),
        # Of a phase, a scenario, a level, a config.
        (number("speedup_estimate", 1.6, scope="phase", subject="core"), (1.6, 1.8), 1.6, True),
        (number("speedup_estimate", 1.8, **BEST), (1.6, 1.8), 1.8, True),
        (number("speedup_estimate", 1.8, **BEST, note="phase core; at c1"), (1.6, 1.8), 1.6, False),
        (number("speedup_estimate", 1.8, **LEVEL), (1.6, 1.8), 1.8, True),
        (number("speedup_estimate", 1.8, scope="level",
                subject="baseline_vs_chimera num_gpu=80 temperature=0.8"), (1.6, 1.8), 1.6, False),
        # A table of one phase, of a report whose tables are known: no run of it has this level.
        (number("speedup_estimate", 1.8, **LEVEL, report="TR114", table="phase 1 by GPU layers"),
         (1.6, 1.8), None, False),
        (number("speedup_estimate", 1.6, scope="config", subject="c9"), (1.6,), None, False),
        # Deltas as the reports define them: means over two calls, tokens over the server's time.
        (number("ttft_delta_s", 1.0), (1.6,), 1.0, True),
        (number("throughput_delta_tokens_per_s", -3.725), (1.6,), 51 / 8 - 101 / 10, True),
        # A timeline is that of the stamps.
        (number("duration_s", 90.0, statistic="value", resolution=1.0), (1.6, 1.8), 90.0, True),
        (number("benchmarks_per_hour", 60.0), (1.6, 1.8), 80.0, False),
        # Configs are counted by their runs.
        (number("contention_configs", 1.0, **FLAGS), (1.4, 1.92, 1.95), 1.0, True),
        (number("contention_configs_share", 0.333, statistic="value"), (1.4, 1.9, 1.95),
         1 / 3, True),
        (number("efficient_configs", 2.0, **FLAGS), (1.4, 1.92, 1.95), 2.0, True),
        (number("configs", 3.0, statistic="n", resolution=None), (1.4, 1.92, 1.95), 3.0, True),
    ],
)  # fmt: skip
def test_a_cell_is_recomputed_from_its_runs(
    cell: Cell, speedups: tuple[float, ...], computed: float | None, agrees: bool
) -> None:
    (row,) = against_runs([cell], *tables(*speedups))["rows"]
    assert row["computed"] == (None if computed is None else pytest.approx(computed, abs=1e-6))
    assert row["agrees"] is agrees


def test_what_no_run_can_give_is_left_out_and_counted() -> None:
    runs, executions = tables(1.6)
    executions["server_decode_s"] = float("nan")
    cells = [
        number("speedup_estimate", 1.6, scope="level", subject="chimera_homo num_gpu<=80"),
        number("speedup_estimate", 1.6, scope="level", report="TR114", subject="num_gpu=80",
               table="contention by context"),
        number("memory_bytes", 1.0),
        number("speedup_estimate", 1.6, scope="comparison"),
        number("throughput_delta_tokens_per_s", 1.0),
    ]  # fmt: skip
    found = against_runs(cells, runs, executions)
    assert found["rows"] == []
    assert sum(sum(of.values()) for of in found["unchecked"].values()) == 5


# Two publications


def moments(mean: float, sd: float | None, n: int | None, report: str) -> list[Cell]:
    rows = [number("efficiency_estimate", mean, report=report)]
    if sd is not None:
        rows.append(number("efficiency_estimate", sd, statistic="sd", report=report))
    if n is not None:
        rows.append(number("runs", n, statistic="n", resolution=None, report=report))
    return rows


def mean_of(a: list[Cell], b: list[Cell]) -> Both:
    return next(row for row in differences(a, b) if row["statistic"] == "mean")


def test_printed_n_mean_and_sd_make_welchs_interval() -> None:
    tr113, tr114 = moments(0.72, 0.056, 19, "A"), moments(0.893, 0.055, 150, "B")
    found = mean_of(tr113, tr114)
    interval = found["difference"]
    # standard error 0.0136095, 22.6265 degrees of freedom, t 2.0705487
    assert interval.mean == pytest.approx(0.173)
    assert (interval.low, interval.high) == pytest.approx((0.1448208, 0.2011792), abs=1e-7)
    assert (found["verdict"], found["basis"]) == ("better", "printed n, mean and sd")
    assert (found["a_n"], found["b_n"]) == (19, 150)
    assert mean_of(tr114, tr113)["verdict"] == "worse"
    for sd, n in ((None, 19), (0.056, None), (0.0, 19), (0.056, 1)):
        row = mean_of(moments(0.72, sd, n, "A"), tr114)
        assert (row["difference"].low, row["verdict"]) == (None, "inconclusive")
        assert (row["basis"], row["difference"].mean) == (None, pytest.approx(0.173))
    spread = next(row for row in differences(tr113, tr114) if row["statistic"] == "sd")
    assert (spread["difference"].low, spread["verdict"]) == (None, "inconclusive")


def test_what_ran_once_prints_its_mean() -> None:
    once = number("speedup_estimate", 1.5, scope="config", subject="c", statistic="value")
    again = number("speedup_estimate", 1.75, scope="config", subject="c")
    (row,) = differences([once], [again])
    assert (row["statistic"], row["difference"].mean) == ("mean", 0.25)
