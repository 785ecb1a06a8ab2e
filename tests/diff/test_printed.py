"""Printed values against runs, and two publications against each other."""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from tandembench.cli import main
from tandembench.dataset.baseline import import_runs
from tandembench.diff.compare import OfPrintAndRuns, compare
from tandembench.diff.printed import against_runs
from tandembench.diff.publications import differences
from tandembench.diff.sides import open_side

Json = dict[str, Any]


def against_its_runs(report: str, layout: str, root: Path) -> Json:
    """What the diff of a published baseline against the import of its raw data holds."""
    folder = os.environ.get("TANDEMBENCH_SHARED_DATA")
    if not folder:
        pytest.skip("TANDEMBENCH_SHARED_DATA names no folder with chimeraforge/")
    source = Path(folder, "chimeraforge", report)
    made, _, _ = import_runs(layout, source, "mine", None, root)
    found = compare(open_side(report), open_side(str(made.folder)))
    assert isinstance(found, OfPrintAndRuns)
    return found.checked


def counts(content: Json) -> dict[str, tuple[int, int, int]]:
    """(agree, contradicted, never run) by scope."""
    return {
        row["scope"]: (row["agree"], row["contradicted"], row["absent"])
        for row in content["scopes"]
    }


def test_tr114_against_its_own_runs(tmp_path: Path) -> None:
    found = against_its_runs("tr114", "chimeraforge-rust", tmp_path)
    assert counts(found) == {
        "overall": (38, 0, 0),
        "timeline": (0, 3, 0),
        "phase": (13, 0, 0),
        "scenario": (13, 21, 0),
        "level": (7, 25, 0),
        "config": (57, 88, 5),
    }
    # Section 9.4's statistics follow from the runs, to the last printed digit ...
    overall = [row for row in found["rows"] if row["section"] == "9.4"]
    assert len(overall) == 10
    assert all(row["agrees"] for row in overall), [row for row in overall if not row["agrees"]]
    # ... and most of its tables of 30 configs do not (90 of 120 cells by DESIGN section 1, of
    # mean speedup, mean efficiency, peak and contention).
    cells = [row for row in found["rows"] if row["scope"] == "config" and row["statistic"] != "of"]
    assert len(cells) == 120
    assert sum(not row["agrees"] for row in cells) == 92
    # Two of the 92 are of the one config that was never run so: by place, they agree.
    never_run = [row for row in cells if row["subject"] == "validation-homo-g80-c2048-t1.0"]
    assert [row["computed"] for row in never_run] == [None] * 4
    configs = next(row for row in found["scopes"] if row["scope"] == "config")
    assert (configs["subjects"], configs["subjects_agree"]) == (30, 0)
    # It says 6 h 15 min; its runs were done in 33 minutes.
    (took,) = (row for row in found["rows"] if row["metric"] == "duration_s")
    assert took["computed"] == pytest.approx(1967.5, abs=0.1)


def test_tr113_against_its_own_runs(tmp_path: Path) -> None:
    found = against_its_runs("tr113", "chimeraforge-rust", tmp_path)
    assert counts(found) == {
        "overall": (17, 4, 0),
        "scenario": (12, 0, 0),
        "level": (5, 4, 0),
        "config": (109, 3, 0),
    }
    # What does not follow is all about contention: rates are the server's own, and do.
    wrong = {row["metric"] for row in found["rows"] if not row["agrees"]}
    assert wrong == {
        "contention_speedup_rule",
        "contention_rate",
        "contention_configs",
        "contention_configs_share",
    }
    rates = [row for row in found["rows"] if row["metric"] == "throughput_delta_tokens_per_s"]
    assert len(rates) == 18


def test_tr110_against_its_own_runs(tmp_path: Path) -> None:
    found = against_its_runs("tr110", "chimeraforge-python", tmp_path)
    assert counts(found) == {
        "overall": (4, 7, 0),
        "scenario": (30, 11, 0),
        "level": (27, 2, 0),
        "config": (153, 0, 0),
    }
    # its first tokens are means over two calls
    first_tokens = [row for row in found["rows"] if row["metric"] == "ttft_delta_s"]
    assert sum(row["agrees"] for row in first_tokens if row["scope"] == "config") == 29
    # sums over calls give no rates
    left_out = {(row["scope"], row["metric"]): row["values"] for row in found["unchecked"]}
    assert left_out["config", "throughput_delta_tokens_per_s"] == 32


def number(metric: str, value: float, **more: Any) -> Json:
    """One printed row."""
    row = {
        "report": "TR1",
        "section": "1",
        "table": "a table",
        "scope": "overall",
        "subject": "",
        "statistic": "mean",
        "unit": "1",
        "resolution": 0.0005,
        "printed": str(value),
        "note": "",
    }
    return {**row, "metric": metric, "value": value, **more}


def tables(*speedups: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs of one config each, agents 10 s and 8 s, 101 and 51 tokens, two calls each."""
    runs, executions = [], []
    for n, speedup in enumerate(speedups, 1):
        key = {"session": "s1", "config_id": f"c{n}", "repetition": 1, "attempt": 1}
        key |= {"comparison": f"c{n}", "round": 1, "twin": False}
        run = {
            "phase": "core" if n == 1 else "temperature",
            "scenario": "baseline_vs_chimera",
            "n_agents": 2,
            "valid": True,
            "speedup_estimate": speedup,
            "efficiency_estimate": speedup / 2,
            "contention_speedup_rule": speedup < 1.5,
            "started_at": pd.Timestamp("2026-03-01T00:00:00Z") + pd.Timedelta(minutes=n - 1),
            "wall_s": 30.0,
            "ttft_delta_s": 99.0,
            "throughput_delta_tokens_per_s": 99.0,
        }
        runs.append(key | run)
        for index, (first_s, tokens, seconds, options) in enumerate(
            ((3.0, 101, 10.0, {}), (1.0, 51, 8.0, {"num_gpu": 60 + 20 * n, "temperature": 0.8}))
        ):
            execution = {
                "agent_index": index,
                "mode": "concurrent",
                "n_steps": 2,
                "first_token_s": first_s,
                "answer_tokens": tokens,
                "server_decode_s": seconds,
                "options_asked": json.dumps(options),
            }
            executions.append(key | execution)
    return pd.DataFrame(runs), pd.DataFrame(executions)


def checked(row: Json, *speedups: float) -> tuple[float | None, bool] | None:
    """(what the runs give, whether it agrees); None if no run can tell."""
    found = against_runs([row], *tables(*speedups))
    if not found["rows"]:
        assert sum(group["values"] for group in found["unchecked"]) == 1
        return None
    (one,) = found["rows"]
    return one["computed"], one["agrees"]


def test_the_prints_own_rounding_decides() -> None:
    for printed, agrees in ((1.4445, True), (1.4444, False), (1.4455, True), (1.4456, False)):
        row = number("speedup_estimate", printed)
        assert checked(row, 1.445, 1.445) == (pytest.approx(1.445), agrees), printed
    # a count has no rounding
    flags = number("contention_speedup_rule", 1, statistic="count", resolution=None)
    assert checked(flags, 1.4, 1.6) == (1.0, True)
    assert checked(flags, 1.4, 1.4) == (2.0, False)
    assert checked(flags | {"statistic": "of"}, 1.4) == (1.0, True)


def test_values_of_a_phase_a_scenario_a_level_a_config() -> None:
    of = {"resolution": 0.0}
    assert checked(
        number("speedup_estimate", 1.6, scope="phase", subject="core", **of), 1.6, 1.8
    ) == (1.6, True)
    best = number(
        "speedup_estimate",
        1.8,
        scope="scenario",
        subject="baseline_vs_chimera",
        statistic="best",
        **of,
    )
    assert checked(best, 1.6, 1.8) == (1.8, True)
    assert checked(best | {"note": "phase core; at c1"}, 1.6, 1.8) == (1.6, False)
    level = number("speedup_estimate", 1.8, scope="level", subject="num_gpu=100", **of)
    assert checked(level, 1.6, 1.8) == (1.8, True)
    assert checked(
        level | {"subject": "baseline_vs_chimera num_gpu=80 temperature=0.8"}, 1.6, 1.8
    ) == (1.6, False)
    assert checked(level | {"table": "phase 1 by GPU layers"}, 1.6, 1.8) == (None, False)
    assert checked(number("speedup_estimate", 1.6, scope="config", subject="c9", **of), 1.6) == (
        None,
        False,
    )
    # what runs cannot tell
    assert checked(level | {"subject": "chimera_homo num_gpu<=80"}, 1.6) is None
    assert checked(number("memory_bytes", 1.0), 1.6) is None
    assert checked(number("speedup_estimate", 1.6, scope="comparison"), 1.6) is None


def test_deltas_are_those_that_the_reports_define() -> None:
    # mean over two calls, first agent less second
    assert checked(number("ttft_delta_s", 1.0), 1.6) == (1.0, True)
    # tokens over the server's seconds, second less first
    assert checked(number("throughput_delta_tokens_per_s", -3.725), 1.6) == (
        pytest.approx(51 / 8 - 101 / 10),
        True,
    )
    runs, executions = tables(1.6)
    executions["server_decode_s"] = float("nan")
    found = against_runs([number("throughput_delta_tokens_per_s", 1.0)], runs, executions)
    assert (found["rows"], found["unchecked"][0]["values"]) == ([], 1)


def test_a_timeline_is_that_of_the_stamps() -> None:
    assert checked(number("duration_s", 90.0, statistic="value", resolution=1.0), 1.6, 1.8) == (
        90.0,
        True,
    )
    assert checked(number("benchmarks_per_hour", 60.0), 1.6, 1.8) == (80.0, False)


def test_configs_are_counted_by_their_runs() -> None:
    for metric, statistic, value in (
        ("contention_configs", "count", 1.0),
        ("contention_configs", "of", 3.0),
        ("contention_configs_share", "value", 0.333),
        ("efficient_configs", "count", 2.0),
        ("efficient_configs_share", "value", 0.667),
        ("configs", "n", 3.0),
    ):
        row = number(metric, value, statistic=statistic)
        assert checked(row, 1.4, 1.92, 1.95) == (pytest.approx(value, abs=5e-4), True), metric


def moments(mean: float, sd: float | None, n: int | None, report: str) -> list[Json]:
    rows = [number("efficiency_estimate", mean, report=report)]
    if sd is not None:
        rows.append(number("efficiency_estimate", sd, statistic="sd", report=report))
    if n is not None:
        rows.append(number("runs", n, statistic="n", resolution=None, report=report))
    return rows


def mean_of(a: list[Json], b: list[Json]) -> Json:
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
        assert row["basis"] is None
        assert row["difference"].mean == pytest.approx(0.173)
    spread = next(row for row in differences(tr113, tr114) if row["statistic"] == "sd")
    assert (spread["difference"].low, spread["verdict"]) == (None, "inconclusive")


def test_what_ran_once_prints_its_mean() -> None:
    once = number("speedup_estimate", 1.5, scope="config", subject="c", statistic="value")
    (row,) = differences([once], [once | {"statistic": "mean", "value": 1.75}])
    assert (row["statistic"], row["difference"].mean) == ("mean", 0.25)


def test_reports_against_reports() -> None:
    def told(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["diff", *arguments])
        return done.exit_code, done.stdout

    code, text = told("tr113", "tr114")
    assert code == 1
    assert (
        "**Of 27 numbers that both print, B is better in 1, worse in 0; 26 are inconclusive**"
        in text
    )
    row = next(line for line in text.splitlines() if line.startswith("| all runs | efficiency_"))
    assert "| mean | 0.7200 | 0.8930 | 0.1730 [0.1448, 0.2012] |" in row
    assert "| from printed n, mean and sd (n = 19 and 150) | better |" in row
    assert told("tr113", "tr114", "--fail-on", "worse")[0] == 0
    assert told("tr114", "tr113", "--fail-on", "worse")[0] == 1
    code, text = told("tr114", "tr114@1.0.0")
    assert (code, "**Both print the same values.**" in text) == (0, True)
