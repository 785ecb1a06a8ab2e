"""Verdicts: against tables whose statistics are known by heart."""

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f_oneway

from tandembench.analysis.intervals import mean_interval, moments, welch_from_moments
from tandembench.audit.claims import read_claims
from tandembench.audit.judge import Judged, audit
from tandembench.audit.ranking import no_level_differs
from tandembench.audit.sides import Cell
from tandembench.audit.tables import Source, printed_table
from tandembench.errors import TandemError

HEAD = """\
title: A report
data: {runs: what was run, others: what was not}
sections: {"1": results}
claims:
"""
# efficiency_estimate: mean 0.862, max 0.95; by config 0.90, 0.93 and 0.70.
RUNS = pd.DataFrame(
    {
        "config_id": ["a", "a", "b", "b", "c"],
        "phase": ["core"] * 4 + ["late"],
        "efficiency_estimate": [0.88, 0.92, 0.91, 0.95, 0.70],
        "speedup_estimate": [1.76, 1.84, 1.82, 1.90, 1.40],
        "wall_s": [10.0, 12.0, 11.0, 13.0, 14.0],
        "answer_tokens": [100, 110, 120, 130, 140],
        "contention_speedup_rule": [False, False, False, False, True],
        "speedup_true": [None] * 5,
        "started_at": pd.to_datetime(
            [f"2026-01-01T0{hour}:00:00Z" for hour in range(5)], format="ISO8601"
        ),
        "num_gpu": [60.0, 60.0, 80.0, 80.0, float("nan")],
        "scenario": ["chimera_homo"] * 4 + ["chimera_hetero"],
    }
)


def cell(subject: str, value: float | None) -> Cell:
    return Cell(
        **dict.fromkeys(("table", "printed", "note"), ""),
        **{"report": "R", "section": "1", "scope": "config", "metric": "m", "statistic": "mean"},
        **{"subject": subject, "value": value, "unit": "1", "resolution": 0.005},
    )


PRINTED = printed_table([cell("a", 0.9), cell("b", 0.94), cell("", None)])
SOURCES = {"runs": Source(runs=RUNS, printed=PRINTED)}
MEAN = "mean(runs.efficiency_estimate)"


def judged(
    *values: str, sources: Mapping[str, Source] = SOURCES, more: str = "", kind: str = "comparison"
) -> Judged:
    head = f'  - {{id: one, section: "1", kind: {kind}, paraphrase: a thing, values: ['
    return audit(read_claims(f"{HEAD}{head}{', '.join(values)}]}}\n{more}", "f.yaml"), sources)[0]


def value(printed: str, how: str = MEAN, label: str = "") -> str:
    return f'{{{f"label: {label}, " if label else ""}printed: "{printed}", is: "{how}"}}'


def expected(what: object, how: str, relation: str = "equal") -> str:
    return f'{{expected: {what}, relation: {relation}, is: "{how}"}}'


def of_runs(**columns: Sequence[object]) -> dict[str, Source]:
    return {"runs": Source(pd.DataFrame(columns))}


# What is printed


# The mean is 87.2 %.
PRINTS = {
    "reproduced": "87.2% 87% 86-88% >87% <88% 87%+ ±88pp",
    "within_one_unit": "87.3% 88% >87.2% <87%",
    "contradicted": "87.4% 89% 88-90% >88% <86% ±1pp",
}


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [(text, verdict) for verdict, texts in PRINTS.items() for text in texts.split()],
)
def test_a_print_is_held_to_its_own_rounding(printed: str, verdict: str) -> None:
    """A printed bound of an aggregate is one of these runs' own numbers."""
    found = judged(value(printed), kind="aggregate")
    assert (found.verdict, found.values[0].recomputed) == (verdict, 87.2)
    assert found.how.endswith(f"{MEAN} = 0.872 (n = 5)")


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        ("0.8705", "reproduced"),
        ("0.87051", "within_one_unit"),
        ("0.871", "within_one_unit"),
        ("0.87101", "contradicted"),
    ],
)
def test_half_a_unit_is_still_rounding(how: str, verdict: str) -> None:
    assert judged(value("87.0%", how)).verdict == verdict


FLAG = "runs.contention_speedup_rule"


@pytest.mark.parametrize(
    ("printed", "how", "verdict", "recomputed"),
    [
        # A share is a count of a whole, and the other way round, whichever is printed.
        ("1/5", f"count({FLAG})", "reproduced", "1/5"),
        ("20%", f"count({FLAG})", "reproduced", 20.0),
        ("1 runs", f"share({FLAG})", "reproduced", 1.0),
        ("0/5", f"count({FLAG})", "contradicted", "1/5"),
        ("1 of 4 runs", f"share({FLAG})", "contradicted", "1/5"),
        ("6%", f"count({FLAG})", "contradicted", 20.0),
        ("2/5", "count(runs.speedup_estimate > 1.83)", "reproduced", "2/5"),
        ("1/3", f"count({FLAG}, by=config_id, each=max)", "reproduced", "1/3"),
        ("2/3", "count(runs.speedup_estimate > 1.5, by=config_id)", "reproduced", "2/3"),
        ("2/10", f"count({FLAG}) + count({FLAG})", "reproduced", "2/10"),
        ("0/5", "count(runs.contention_speedup_rule, phase == 'core', num_gpu == 60)",
         "contradicted", "0/2"),
        ("3", "distinct(runs.config_id)", "reproduced", 3.0),
        ("2", "rows(runs, num_gpu in [60, 80], speedup_estimate >= 1.84)", "reproduced", 2.0),
        ("95.0%", "max(runs.efficiency_estimate)", "reproduced", 95.0),
        ("23.0pp", "range(runs.efficiency_estimate, by=config_id)", "reproduced", 23.0),
        ("92%", "min(runs.efficiency_estimate, by=num_gpu, each=max)", "reproduced", 92.0),
        ("91.5%", "mean(runs.efficiency_estimate, phase == 'core')", "reproduced", 91.5),
        ("1.58s", "sd(runs.wall_s)", "reproduced", 1.5811388),
        ("4 hours", "max(runs.started_at) - min(runs.started_at)", "reproduced", 4.0),
        ("2026-01-01 04:00 UTC", "max(runs.started_at)", "reproduced", "2026-01-01 04:00:00 UTC"),
        ("2026-01-01 05:00 UTC", "max(runs.started_at)", "contradicted",
         "2026-01-01 04:00:00 UTC"),
    ],
)  # fmt: skip
def test_statistics_of_runs(printed: str, how: str, verdict: str, recomputed: object) -> None:
    found = judged(value(printed, how))
    assert found.verdict == verdict
    assert found.values[0].recomputed == pytest.approx(recomputed)


OPERATIONS: Mapping[str, Callable[[float, float], float]] = {
    "{} + {}": lambda a, b: a + b,
    "{} - {}": lambda a, b: a - b,
    "{} * {}": lambda a, b: a * b,
    "{} / {}": lambda a, b: a / b,
    "change({}, {})": lambda a, b: a / b - 1,
    "average({}, {})": lambda a, b: (a + b) / 2,
    "smallest({}, {})": min,
    "largest({}, {})": max,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_holds_every_number_that_rounds_to_the_print(name: str) -> None:
    """Each corner of what two printed figures may mean lies between the bounds."""
    result = OPERATIONS[name]
    assert judged(expected(result(1.5, -4), name.format("1.5", "-4"))).verdict == "reproduced"
    two = '  - {id: two, section: "1", kind: causal, paraphrase: a, values: ['
    two += f"{value('1.44x', label='x')}, {value('-0.3', label='y')}]}}\n"
    how = name.format("claim('two', 'x')", "claim('two', 'y')")
    corners = itertools.product((1.435, 1.44, 1.445), (-0.35, -0.3, -0.25))
    ends = [result(a, b) for a, b in corners]
    for end in (min(ends), max(ends)):
        assert judged(expected(repr(end), how), more=two).verdict == "reproduced"
    beyond = expected(repr(max(ends) + 1e-6), how)
    assert judged(beyond, more=two).verdict == "contradicted"


def test_printed_tables_are_sources_of_their_own() -> None:
    found = judged(value("92%", "mean(runs.printed.m)"))
    assert (found.verdict, found.values[0].recomputed) == ("reproduced", 92.0)
    # 0.92 +- 0.005 reaches 0.9245, and not 0.926
    assert judged(expected(0.9245, "mean(runs.printed.m)")).verdict == "reproduced"
    assert judged(expected(0.926, "mean(runs.printed.m)")).verdict == "contradicted"
    best = "highest(runs.printed.m, by=subject)"
    assert judged(expected("b", best)).verdict == "reproduced"
    how = "rows(runs.printed, scope == 'config')"
    assert judged(expected(2, how)).verdict == "reproduced"


# What is said of more than these runs


def paired(ratio: float, spread: float, n: int = 12) -> dict[str, Source]:
    """Blocks of two configs, the second ``ratio`` times as long; the blocks differ by far more."""
    random = np.random.default_rng(7)
    block = np.repeat(np.arange(n), 2)
    level = 10 * (1 + 0.3 * random.standard_normal(n))[block]
    wall = level * np.tile([1, ratio], n) * np.exp(spread * random.standard_normal(2 * n))
    return of_runs(block=block, wall_s=wall, config_id=["a", "b"] * n, topology=["x", "y"] * n)


RATIO = "mean(runs.wall_s, config_id == 'b') / mean(runs.wall_s, config_id == 'a')"


@pytest.mark.parametrize(
    ("relation", "ratio", "verdict"),
    [
        ("below", 0.9, "reproduced"),
        ("at_least", 0.9, "contradicted"),
        ("below", 0.9997, "not_distinguishable"),
        ("above", 0.9997, "not_distinguishable"),
    ],
)
def test_sooner_needs_an_interval_and_pairs_stay_pairs(
    relation: str, ratio: float, verdict: str
) -> None:
    """0.9997 is not sooner; a tenth is, though blocks differ by a third."""
    found = judged(expected(1, RATIO, relation), sources=paired(ratio, 0.01))
    assert (found.verdict, "95 % interval" in found.how) == (verdict, True)


@pytest.mark.parametrize(
    ("one", "verdict"),
    [
        # a printed bound of a comparison holds by its interval or is wrong
        (value(">87%"), "not_distinguishable"),
        (value(">50%"), "reproduced"),
        (value(">88%"), "contradicted"),
        # a count of these runs needs no interval
        (expected(1.5, "rows(runs, speedup_estimate > 1.5)", "above"), "reproduced"),
        # one value of all rows
        (expected("core", "only(runs.phase, num_gpu == 60)"), "reproduced"),
        (expected("core", "only(runs.phase)"), "contradicted"),
    ],
)
def test_bounds_counts_and_names(one: str, verdict: str) -> None:
    assert judged(one).verdict == verdict


def bounds(how: str, sources: Mapping[str, Source]) -> tuple[float, float]:
    text = judged(expected(0, how, "above"), sources=sources).how
    low, high = text.rpartition("interval ")[2].split(" to ")
    return float(low), float(high)


def test_the_interval_of_means_is_students() -> None:
    values = np.random.default_rng(3).normal(5, 1, 30)
    half = ["a"] * 15 + ["b"] * 15
    runs = of_runs(wall_s=values, config_id=half)
    wanted = mean_interval(values.tolist())
    assert bounds("mean(runs.wall_s)", runs) == pytest.approx((wanted.low, wanted.high), rel=0.01)
    difference = "mean(runs.wall_s, config_id == 'a') - mean(runs.wall_s, config_id == 'b')"
    welch = welch_from_moments(moments(values[:15].tolist()), moments(values[15:].tolist()))
    # It takes the degrees of freedom of the smaller side.
    low, high = bounds(difference, runs)
    assert low < (welch.low or 0) < (welch.high or 0) < high
    assert high - low == pytest.approx((welch.high or 0) - (welch.low or 0), rel=0.12)


def test_rounds_of_one_block_are_no_further_blocks() -> None:
    rounds = np.random.default_rng(5).normal(1, 0.2, 6)
    alone = of_runs(block=range(6), wall_s=rounds)
    repeated = of_runs(block=np.repeat(range(6), 20), wall_s=np.repeat(rounds, 20))
    assert bounds("mean(runs.wall_s)", repeated) == bounds("mean(runs.wall_s)", alone)
    one = of_runs(block=[1] * 120, wall_s=np.repeat(rounds, 20))
    found = judged(expected(0, "mean(runs.wall_s)", "above"), sources=one)
    assert (found.verdict, found.values[0].recomputed) == (
        "not_distinguishable",
        pytest.approx(statistics.fmean(rounds)),
    )


def test_a_best_level_is_only_named_where_levels_differ() -> None:
    best = "highest(runs.efficiency_estimate, by=num_gpu)"
    found = judged(expected('"80"', best))
    assert (found.verdict, found.values[0].recomputed) == ("not_distinguishable", "80")
    assert "80 (0.93), then 60 (0.9) (n = 4); p = 0.67 that no num_gpu differs" in found.how
    assert judged(expected('"60"', best)).verdict == "not_distinguishable"
    assert judged(expected('"100"', best)).verdict == "contradicted", "no run has it"
    clear = of_runs(num_gpu=[1.0, 2.0] * 5, efficiency_estimate=[0.5, 0.9] * 5)
    worst = best.replace("highest", "lowest")
    for level, how, verdict in (
        ("2", best, "reproduced"),
        ("1", best, "contradicted"),
        ("1", worst, "reproduced"),
    ):
        assert judged(expected(f'"{level}"', how), sources=clear).verdict == verdict
    # Which single run is the highest is a fact.
    run = "highest(runs.efficiency_estimate, by=config_id, each=max)"
    assert judged(expected("b", run)).verdict == "reproduced"


def test_the_mean_of_pairs_or_the_largest_is_declared_and_the_other_is_said() -> None:
    # 80 less 60 layers: 2 in one config, 6 in another; what has one level only is no pair.
    pairs = of_runs(
        num_gpu=[60, 80, 60, 80, 60], config_id=["a", "a", "b", "b", "c"], wall_s=[1, 3, 1, 7, 50]
    )
    how = "range(runs.wall_s, by=num_gpu, within=config_id"
    found = judged(value("4.0s", f"{how})"), sources=pairs)
    assert (found.verdict, "their max 6" in found.how) == ("reproduced", True)
    wrong = judged(value("6.0s", f"{how})"), sources=pairs)
    assert (wrong.verdict, wrong.values[0].recomputed) == ("contradicted", 4.0)
    assert "which would follow" in wrong.how
    assert judged(value("6.0s", f"{how}, pick=max)"), sources=pairs).verdict == "reproduced"


# What cannot be decided


def test_what_the_data_lacks_is_unsupported_and_what_is_not_given_not_checkable() -> None:
    for how, verdict, why in (
        ("mean(runs.speedup_true)", "unsupported", "no speedup_true in the data of runs"),
        ("mean(runs.slowdown_max)", "unsupported", "runs has no column slowdown_max"),
        ("sd(runs.wall_s, config_id == 'c')", "unsupported", "1 values are too few"),
        ("2 / (rows(runs) - rows(runs))", "unsupported", "division by nothing"),
        ("mean(others.wall_s)", "not_checkable", "needs the runs of others"),
        ("mean(others.printed.m)", "not_checkable", "needs the published table of others"),
    ):
        found = judged(value("2x" if "wall" not in how else "2s", how))
        assert (found.verdict, found.values[0].recomputed) == (verdict, None)
        assert why in found.how


def test_every_value_has_its_verdict_and_the_claim_the_worst() -> None:
    texts = {
        "reproduced": value("87.2%", label="reproduced"),
        "within_one_unit": value("87.3%", label="within"),
        "not_checkable": value("1s", "mean(others.wall_s)", "not given"),
        "unsupported": value("1x", "mean(runs.speedup_true)", "nowhere"),
        "not_distinguishable": value(">87%", label="perhaps"),
        "contradicted": value("99.9%", label="wrong"),
    }
    for worst in range(1, len(texts) + 1):
        found = judged(*list(texts.values())[:worst])
        assert [one.verdict for one in found.values] == list(texts)[:worst]
        assert found.verdict == list(texts)[worst - 1]
    assert "reproduced: follows, 87.200%" in found.how
    assert "wrong: does not follow, 87.200%" in found.how


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        (value("1", "mean(runs.config_id)"), "takes numbers for text"),
        (value("1", "rows(runs, phase > 1)"), "takes numbers for text"),
        (value("1", "mean(runs.wal_s)"), "no column 'wal_s' in the runs of runs; did you mean 'wa"),
        (value("1", "rows(runs, fase == 'core')"), "no column 'fase'"),
        (value("1", "mean(runs.printed.n)"), "no metric 'n' is printed in runs; known: m"),
        # A condition that no row meets is a slip, not a finding.
        (value("1", "rows(runs, scenario == 'homo')"),
         "no row of runs has scenario 'homo'; known: chimera_hetero, chimera_homo"),
        (value("0", "count(runs.wall_s > 1, num_gpu == 70)"), "num_gpu 70; known: 60, 80"),
        (value("1", "mean(runs.wall_s, config_id == 'c', num_gpu == 60)"),
         "no row of runs also meets the condition on num_gpu; known: "),
        # A print in another unit than the column's.
        (value("12.5 GB", "mean(runs.wall_s)"), "'12.5 GB' is printed, and s is what"),
        (value("12%", "mean(runs.wall_s)"), "'12%' is printed, and s is what is recomputed"),
        (value("12x", "sum(runs.answer_tokens)"), "and tokens is what is recomputed"),
        (value("3 runs", "mean(runs.wall_s)"), "'3 runs' is printed"),
        (value("3s", "max(runs.started_at)"), "and time is what is recomputed"),
        (value("1s", "mean(runs.wall_s) - mean(runs.answer_tokens)"), "- of s and tokens; take"),
        (value("1/5", "mean(runs.wall_s)"), "'1/5' is a part of a whole; recompute it by count"),
        (expected("best", MEAN), "a number is no 'best'; highest, lowest and only give a name"),
        (value("1", "1 + highest(runs.wall_s, by=phase)"), "+ of a name"),
        ('{expected: 1, label: a, is: "3"}, {expected: 1, is: "claim(\'one\', \'a\')"}',
         "claim 'one' prints no figure there"),
    ],
)  # fmt: skip
def test_a_recomputation_that_cannot_be_is_one_line(one: str, wanted: str) -> None:
    with pytest.raises(TandemError) as error:
        judged(one)
    assert str(error.value).startswith("f.yaml:5: ")
    assert wanted in str(error.value)
    assert "\n" not in str(error.value)


def test_all_splits_of_seven_values() -> None:
    values = [1.0, 2.5, 2.0, 4.0, 3.5, 6.0, 5.0]

    def between(first: tuple[int, ...]) -> float:
        one = [values[i] for i in first]
        return sum(one) ** 2 / 3 + (sum(values) - sum(one)) ** 2 / 4

    splits = [between(first) for first in combinations(range(7), 3)]
    wanted = sum(split >= between((0, 1, 2)) - 1e-12 for split in splits) / len(splits)
    assert no_level_differs(values, list("aaabbbb")) == pytest.approx(wanted, abs=0.01)
    assert 0.02 < wanted < 0.2


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_of_many_normal_values_it_says_what_f_says_every_time(shift: float) -> None:
    rng = np.random.default_rng(3)
    groups = [rng.normal(shift * number / 2, 1, size) for number, size in enumerate((10, 20, 30))]
    labels = [number for number, group in enumerate(groups) for _ in group]
    found = no_level_differs(np.concatenate(groups).tolist(), labels)
    assert found == pytest.approx(f_oneway(*groups).pvalue, abs=0.02)
    assert found == no_level_differs(np.concatenate(groups).tolist(), labels)


@pytest.mark.parametrize(
    ("values", "levels", "p"),
    [
        # a level may have a single value; without repetitions, or with one level, is no test
        ([1.0, 1.1, 0.9, 1.0, 9.0], "aaaab", pytest.approx(0.2, abs=0.02)),
        ([1.0, 2.0], "aa", None),
        ([1.0, 2.0], "ab", None),
    ],
)
def test_what_few_values_say(values: list[float], levels: str, p: float | None) -> None:
    assert no_level_differs(values, list(levels)) == p
