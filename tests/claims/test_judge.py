"""Verdicts: against tables whose statistics are known by heart."""

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML
from study_texts import REPOSITORY
from tandembench.claims.judge import Judged, audit, counts
from tandembench.claims.read import read_claims
from tandembench.claims.tables import Source, printed_table

from tandembench.errors import TandemError

SCHEMA: dict[str, Any] = YAML(typ="safe").load(REPOSITORY / "workflow/schemas/claims.schema.yaml")
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
        "repetition": [1, 2, 1, 2, 1],
        "efficiency_estimate": [0.88, 0.92, 0.91, 0.95, 0.70],
        "speedup_estimate": [1.76, 1.84, 1.82, 1.90, 1.40],
        "contention_speedup_rule": [False, False, False, False, True],
        "orchestration_loss": [1e-4, 2e-4, 3e-4, 4e-4, 5e-4],
        "speedup_true": [None] * 5,
        "started_at": pd.to_datetime(
            [f"2026-01-01T0{hour}:00:00Z" for hour in range(5)], format="ISO8601"
        ),
        "num_gpu": [60.0, 60.0, 80.0, 80.0, float("nan")],
    }
)
PRINTED = printed_table(
    [
        {"section": "1", "subject": name, "metric": "m", "value": value, "resolution": 0.005}
        for name, value in (("a", 0.9), ("b", 0.94), ("", None))
    ]
)
SOURCES = {"runs": Source("mine@1.0.0", runs=RUNS, printed_label="paper", printed=PRINTED)}
M = "{from: runs, of: efficiency_estimate, statistic: mean}"


def judged(*values: str, sources: dict[str, Source] = SOURCES, more: str = "") -> Judged:
    head = '  - {id: one, section: "1", kind: causal, paraphrase: a thing, values: ['
    text = f"{head}{', '.join(values)}]}}\n"
    return audit(read_claims(HEAD + text + more, SCHEMA, "f.yaml"), sources)[0]


def value(printed: str, how: str = M, label: str = "") -> str:
    named = f"label: {label}, " if label else ""
    return f'{{{named}printed: "{printed}", is: {how}}}'


def of(column: str, statistic: str, more: str = "") -> str:
    return f"{{from: runs, of: {column}, statistic: {statistic}{more}}}"


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [
        # The mean is 87.2 %.
        ("87.2%", "reproduced"),
        ("87%", "reproduced"),
        ("87.3%", "within_one_unit"),
        ("88%", "within_one_unit"),
        ("87.4%", "contradicted"),
        ("89%", "contradicted"),
        ("86-88%", "reproduced"),
        ("88-90%", "contradicted"),
        (">87%", "reproduced"),
        (">87.2%", "within_one_unit"),
        (">88%", "contradicted"),
        ("<88%", "reproduced"),
        ("<87%", "within_one_unit"),
        ("<86%", "contradicted"),
        ("87%+", "reproduced"),
        ("±88pp", "reproduced"),
        ("±1pp", "contradicted"),
    ],
)
def test_a_print_is_held_to_its_own_rounding(printed: str, verdict: str) -> None:
    found = judged(value(printed))
    assert found.verdict == verdict
    assert found.recomputed == (87.2,)
    assert found.published == (printed,)
    assert "mean efficiency_estimate, n = 5 (mine@1.0.0: all) = 0.872" in found.how


def test_half_a_unit_is_still_rounding() -> None:
    assert judged(value("87.0%", "0.8705")).verdict == "reproduced"
    assert judged(value("87.0%", "0.87051")).verdict == "within_one_unit"
    assert judged(value("87.0%", "0.871")).verdict == "within_one_unit"
    assert judged(value("87.0%", "0.87101")).verdict == "contradicted"


@pytest.mark.parametrize(
    ("printed", "how", "verdict", "recomputed"),
    [
        ("1/5", of("contention_speedup_rule", "count"), "reproduced", "1/5"),
        ("0/5", of("contention_speedup_rule", "count"), "contradicted", "1/5"),
        ("1/4", of("contention_speedup_rule", "count"), "contradicted", "1/5"),
        ("2/5", of("speedup_estimate", "count", ", holds: {above: 1.83}"), "reproduced", "2/5"),
        ("1/3", of("contention_speedup_rule", "count", ", by: config_id, each: max"),
         "reproduced", "1/3"),
        ("2/3", of("speedup_estimate", "count", ", by: config_id, holds: {above: 1.5}"),
         "reproduced", "2/3"),
        ("20%", of("contention_speedup_rule", "share"), "reproduced", 20.0),
        ("3", of("config_id", "distinct"), "reproduced", 3.0),
        ("4", of("config_id", "distinct"), "contradicted", 3.0),
        ("5 runs", "{from: runs, statistic: rows}", "reproduced", 5.0),
        ("3", "{from: runs, where: {num_gpu: {not: 60}}, statistic: rows}", "reproduced", 3.0),
        ("95.0%", of("efficiency_estimate", "max"), "reproduced", 95.0),
        ("23.0pp", of("efficiency_estimate", "range", ", by: config_id"), "reproduced", 23.0),
        ("90.0%", of("efficiency_estimate", "median", ", by: config_id"), "reproduced", 90.0),
        ("92%", of("efficiency_estimate", "min", ", by: num_gpu, each: max"), "reproduced", 92.0),
        ("91.5%", f"{{from: runs, where: {{phase: core}}, {M[1:-1].split(', ', 1)[1]}}}",
         "reproduced", 91.5),
        ("4 hours", of("started_at", "range"), "reproduced", 4.0),
        ("2026-01-01 04:00 UTC", of("started_at", "max"), "reproduced", "2026-01-01 04:00:00 UTC"),
        ("2026-01-01 05:00 UTC", of("started_at", "max"), "contradicted",
         "2026-01-01 04:00:00 UTC"),
    ],
)  # fmt: skip
def test_statistics_of_runs(printed: str, how: str, verdict: str, recomputed: object) -> None:
    found = judged(value(printed, how))
    assert (found.verdict, found.recomputed[0]) == (verdict, pytest.approx(recomputed))


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("{sum: [1, 2, 3.5]}", 6.5),
        ("{difference: [1, 3]}", -2),
        ("{product: [-1, 2, 3]}", -6),
        ("{ratio: [1, 4]}", 0.25),
        ("{change: [5, 4]}", 0.25),
        ("{mean: [1, 2, 6]}", 3),
        ("{smallest: [3, 1, 2]}", 1),
        ("{largest: [3, 1, 2]}", 3),
    ],
)
def test_operations(how: str, wanted: float) -> None:
    assert judged(f"{{expected: {wanted}, is: {how}}}").verdict == "reproduced"
    assert judged(f"{{expected: {wanted + 1e-6}, is: {how}}}").verdict == "contradicted"


def test_bounds_of_an_operation_hold_every_number_that_rounds_to_the_print() -> None:
    """Each corner of what two printed figures may mean lies between the bounds."""
    two = '  - {id: two, section: "1", kind: causal, paraphrase: a, values: ['
    two += f"{value('1.44x', label='x')}, {value('-0.3', label='y')}]}}\n"
    x, y = "{claim: two, value: x}", "{claim: two, value: y}"
    results = {
        "sum": lambda a, b: a + b,
        "difference": lambda a, b: a - b,
        "product": lambda a, b: a * b,
        "ratio": lambda a, b: a / b,
        "change": lambda a, b: a / b - 1,
        "mean": lambda a, b: (a + b) / 2,
        "smallest": min,
        "largest": max,
    }
    for name, result in results.items():
        ends = [
            result(a, b) for a, b in itertools.product((1.435, 1.44, 1.445), (-0.35, -0.3, -0.25))
        ]
        for end in (min(ends), max(ends)):
            text = f"{{expected: {end!r}, is: {{{name}: [{x}, {y}]}}}}"
            assert judged(text, more=two).verdict == "reproduced", (name, end)
        beyond = f"{{expected: {max(ends) + 1e-6!r}, is: {{{name}: [{x}, {y}]}}}}"
        assert judged(beyond, more=two).verdict == "contradicted", name


def test_a_rounded_operand_may_mean_any_number_that_rounds_to_it() -> None:
    """12/13 of rounded numbers: 99.25 - 95.7 is 3.55, which 3.6 and 3.5 both are."""
    two = '  - {id: two, section: "1", kind: causal, paraphrase: a, values: ['
    two += f"{value('95.7%')}]}}\n"
    how = "{difference: [0.9925, {claim: two}]}"
    assert judged(value("3.6pp", how), more=two).verdict == "reproduced"
    assert judged(value("3.5pp", how), more=two).verdict == "reproduced"
    assert judged(value("3.7pp", how), more=two).verdict == "within_one_unit"


def test_printed_tables_are_sources_of_their_own() -> None:
    how = "{from: runs, table: printed, where: {metric: m}, of: value, statistic: mean}"
    found = judged(value("92%", how))
    assert (found.verdict, found.recomputed) == ("reproduced", (92.0,))
    assert "mean printed value, n = 2 (paper: metric m)" in found.how
    # 0.92 +- 0.005 reaches 0.9245, and not 0.926
    assert judged(f"{{expected: 0.9245, is: {how}}}").verdict == "reproduced"
    assert judged(f"{{expected: 0.926, is: {how}}}").verdict == "contradicted"
    best = "{from: runs, table: printed, of: value, by: subject, statistic: highest}"
    assert judged(f"{{expected: b, is: {best}}}").verdict == "reproduced"


def test_a_best_level_is_only_named_where_levels_differ() -> None:
    best = of("efficiency_estimate", "highest", ", by: num_gpu")
    found = judged(f'{{expected: "80", is: {best}}}')
    assert found.verdict == "unsupported"
    assert found.recomputed == ("80",)
    assert "80 (0.93), then 60 (0.9); p = 0.67 that no num_gpu differs" in found.how
    other = judged(f'{{expected: "60", is: {best}}}')
    assert (other.verdict, other.recomputed) == ("unsupported", ("80",))
    never = judged(f'{{expected: "100", is: {best}}}')
    assert never.verdict == "contradicted", "no run has it"
    clear = pd.DataFrame({"num_gpu": [1.0, 2.0] * 5, "efficiency_estimate": [0.5, 0.9] * 5})
    sources = {"runs": Source("clear", runs=clear)}
    found = judged(f'{{expected: "2", is: {best}}}', sources=sources)
    assert found.verdict == "reproduced"
    assert judged(f'{{expected: "1", is: {best}}}', sources=sources).verdict == "contradicted"
    worst = best.replace("highest", "lowest")
    assert judged(f'{{expected: "1", is: {worst}}}', sources=sources).verdict == "reproduced"


def test_one_value_of_all_rows() -> None:
    core = "{from: runs, where: {phase: core}, of: phase, statistic: only}"
    assert judged(f"{{expected: core, is: {core}}}").verdict == "reproduced"
    assert judged(f"{{expected: core, is: {of('phase', 'only')}}}").verdict == "contradicted"


def test_what_no_data_has_is_unsupported_and_what_is_not_given_not_checkable() -> None:
    found = judged(value("2x", of("speedup_true", "mean")))
    assert (found.verdict, found.recomputed) == ("unsupported", (None,))
    assert found.how == "no speedup_true in the data (mine@1.0.0: all)"
    found = judged(value("2x", "{from: runs, where: {phase: x}, of: wall_s, statistic: mean}"))
    assert found.how == "runs has no column wall_s"
    none = "{from: runs, where: {phase: x}, of: speedup_estimate, statistic: mean}"
    assert judged(value("2x", none)).how == "no row matches (mine@1.0.0: phase x)"
    few = of("speedup_estimate", "p99")
    assert judged(value("2x", few)).how == "5 values are too few (mine@1.0.0: all)"
    found = judged(value("2x", of("speedup_estimate", "mean")), sources={})
    assert (found.verdict, found.how) == ("not_checkable", "needs the runs of runs")
    found = judged(value("2x", "{ratio: [1, {difference: [1, 1]}]}"))
    assert found.verdict == "unsupported"


def test_a_count_of_what_is_not_there_is_none_of_none() -> None:
    none = "{from: runs, where: {phase: x}, of: contention_speedup_rule, statistic: count}"
    found = judged(value("0/5", none))
    assert (found.verdict, found.recomputed) == ("contradicted", ("0/0",))


@pytest.mark.parametrize(
    ("verdicts", "wanted"),
    [
        (("reproduced", "within"), "within_one_unit"),
        (("within", "not given"), "not_checkable"),
        (("not given", "nowhere"), "unsupported"),
        (("nowhere", "wrong", "reproduced"), "contradicted"),
    ],
)
def test_a_claim_is_as_good_as_its_worst_value(verdicts: Sequence[str], wanted: str) -> None:
    texts = {
        "reproduced": value("87.2%", label="reproduced"),
        "within": value("87.3%", label="within"),
        "wrong": value("99.9%", label="wrong"),
        "not given": value("1x", "{from: others, of: wall_s, statistic: mean}", "not given"),
        "nowhere": value("1x", of("speedup_true", "mean"), "nowhere"),
    }
    assert judged(*(texts[one] for one in verdicts)).verdict == wanted


def test_counts_add_up() -> None:
    text = "".join(
        f'  - {{id: c{n}, section: "1", kind: {kind}, paraphrase: a, values: [{one}]}}\n'
        for n, (kind, one) in enumerate(
            [("aggregate", value("87%")), ("aggregate", value("99%")), ("causal", value("87%"))]
        )
    )
    text += (
        '  - {id: last, section: "1", kind: causal, paraphrase: a, unsupported: never, note: n}\n'
    )
    found = audit(read_claims(HEAD + text, SCHEMA, "f.yaml"), SOURCES)
    table = counts(found)
    assert (table["aggregate"]["reproduced"], table["aggregate"]["contradicted"]) == (1, 1)
    assert (table["causal"]["reproduced"], table["causal"]["unsupported"]) == (1, 1)
    assert table["all"] == {
        "reproduced": 2,
        "within_one_unit": 0,
        "contradicted": 1,
        "unsupported": 1,
        "not_checkable": 0,
    }
    assert found[-1].how == "never [n]"


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        (
            value("1x", of("config_id", "mean")),
            "f.yaml:5: mean config_id takes numbers for text, or text for numbers; check of,",
        ),
        (
            value("1x", "{from: runs, where: {phase: {above: 1}}, statistic: rows}"),
            "f.yaml:5: runs takes numbers for text, or text for numbers; check of,",
        ),
        (value("1x", of("wal_s", "mean")), "f.yaml:5: no column 'wal_s' in runs; "),
        (
            f"{{expected: best, is: {M}}}",
            "f.yaml:5: a number is no 'best'; highest, lowest and only give a name",
        ),
        (
            value("1x", "{sum: [" + of("efficiency_estimate", "highest", ", by: phase") + "]}"),
            "f.yaml:5: sum of a name; highest, lowest and only stand alone",
        ),
        (
            "{expected: 1, is: {claim: one}}",
            "f.yaml:5: claim 'one' prints no figure there; refer to a value that is printed",
        ),
    ],
)
def test_a_recomputation_that_cannot_be_is_one_line(one: str, wanted: str) -> None:
    with pytest.raises(TandemError) as error:
        judged(one)
    assert str(error.value).startswith(wanted)
