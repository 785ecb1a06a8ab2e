"""Verdicts on hypotheses: regions, units, families, and what cannot be tested at all."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tandembench.analysis.hypotheses import Declared, Result, Source, declared, judge
from tandembench.analysis.settings import Check
from tandembench.study.hypotheses import SELF, Hypothesis, Side


def runs(
    values: Mapping[str, Sequence[float]], session: str = "s1", **changes: Any
) -> pd.DataFrame:
    """Runs by topology, one a round; the metric is antt."""
    rows = [
        {"antt": value, "repetition": number, "topology": topology, "config_id": topology}
        for topology, own in values.items()
        for number, value in enumerate(own, start=1)
    ]
    shared = {"session": session, "invocation": f"i-{session}", "workload": "w1", "cold": False}
    about = {"scenario": "chimera_homo", "phase": "main", "work_policy": "fixed", "valid": True}
    return pd.DataFrame(rows).assign(**{**shared, **about, **changes})


def together(*frames: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)


DUAL, SINGLE = Side(SELF, {"topology": "dual"}), Side(SELF, {"topology": "single"})


def hypothesis(
    name: str = "h",
    low: float = 1.0,
    high: float = math.inf,
    *,
    a: Side = DUAL,
    b: Side | None = SINGLE,
    constant: float | None = None,
    compare: Any = "ratio",
) -> Hypothesis:
    ends = {"b": None if constant is not None else b, "constant": constant, "compare": compare}
    region = {"low": low, "high": high, "expected": "so", "digest": f"digest of {name}"}
    return Hypothesis(id=name, question="?", note=None, metric="antt", a=a, **ends, **region)


def results(frame: pd.DataFrame, *those: Hypothesis, **source: Any) -> list[Result]:
    return judge(those, {SELF: Source(frame, **source)}, {one.id: "before" for one in those})


def result(frame: pd.DataFrame, one: Hypothesis, **source: Any) -> Result:
    return results(frame, one, **source)[0]


CLEAR = runs({"dual": [2.0, 2.1, 1.9, 2.0, 2.05], "single": [1.0, 1.02, 0.99, 1.0, 1.01]})
A, B = (CLEAR.loc[CLEAR["topology"] == name, "antt"].to_numpy() for name in ("dual", "single"))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.0, math.inf, "confirmed"),
        (0.0, 1.0, "contradicted"),
        (1.5, 3.0, "confirmed"),
        (0, 1.5, "contradicted"),
        (2.5, 3.0, "contradicted"),
        (1.99, 3.0, "inconclusive"),
        (1 / 1.05, 1.05, "contradicted"),
    ],
)
def test_a_region_is_confirmed_contradicted_or_neither(
    low: float, high: float, verdict: str
) -> None:
    found = result(CLEAR, hypothesis(low=low, high=high))
    assert (found.verdict, found.estimate.n, found.basis) == (verdict, 5, "within")


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, stats.ttest_rel(np.log(A), np.log(B))),
        ({"low": 0.0, "compare": "difference"}, stats.ttest_rel(A, B)),
        ({"constant": 1.9}, stats.ttest_1samp(np.log(A / 1.9), 0.0)),
        ({"low": 0.0, "constant": 1.9, "compare": "difference"}, stats.ttest_1samp(A - 1.9, 0.0)),
    ],
)
def test_intervals_and_ps_are_those_of_scipys_t_tests(changes: Any, wanted: Any) -> None:
    found = result(CLEAR, hypothesis(**changes))
    bounds = wanted.confidence_interval(0.95)
    low, high = bounds if "compare" in changes else map(math.exp, bounds)
    assert found.p == pytest.approx(wanted.pvalue)
    assert (found.estimate.low, found.estimate.high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize("high", [1.05, 1.5])
def test_a_margin_is_two_one_sided_tests(high: float) -> None:
    near = runs({"dual": [1.0, 1.03, 0.98, 1.01], "single": [1.0] * 4})
    logs, bound = np.log(near.loc[near["topology"] == "dual", "antt"]), math.log(high)
    below = stats.ttest_1samp(logs, -bound, alternative="greater").pvalue
    above = stats.ttest_1samp(logs, bound, alternative="less").pvalue
    found = result(near, hypothesis(low=1 / high, high=high))
    assert found.p == pytest.approx(2 * max(below, above))
    assert found.verdict == ("confirmed" if found.p < 0.05 else "inconclusive")


def test_among_many_it_must_hold_by_holm() -> None:
    frame = runs({"dual": [1.12, 1.06, 1.15, 1.04, 1.10, 1.13], "single": [1.0] * 6})
    lows = (0.95, 1.0, 1.02, 1.05, 1.2)
    found = results(frame, *(hypothesis(f"h{i}", low=low) for i, low in enumerate(lows)))
    inside = [one.estimate.mean >= low for one, low in zip(found, lows, strict=True)]
    assert inside == [True] * 4 + [False]
    ps = [one.p if yes else 1.0 for one, yes in zip(found, inside, strict=True)]
    wanted = multipletests(ps, method="holm")[1]
    assert [one.adjusted_p for one in found[:4]] == pytest.approx(wanted[:4])
    assert all((one.verdict == "confirmed") == (one.adjusted_p < 0.05) for one in found[:4])
    assert [one.alone for one in found] != [one.verdict for one in found]


OTHER_WORK = {"workload": "w2", "config_id": "other"}
BY_SESSION = [
    runs({topology: [value]}, f"s{n}", invocation=f"i-{topology}-{n}", workload=work)
    for n in (1, 2, 3)
    for topology, value, work in (
        ("dual", 2.0 + n / 100, "w1"),
        ("dual", 9.0, "w2"),
        ("single", 1.0, "w1"),
    )
]


@pytest.mark.parametrize(
    ("frames", "n", "mean"),
    [
        # only one side did the other work
        ([CLEAR, runs({"dual": [9.0, 9.1, 9.2]}, **OTHER_WORK)], 5, 2.0),
        # in round 1 both sides did w1, in round 2 other work each
        (
            [
                runs({"dual": [2.0, 2.2, 2.0], "single": [1.0]}),
                runs({"dual": [18.0], "single": [9.0, 9.0, 9.5]}, **OTHER_WORK),
            ],
            *(2, 2.0),
        ),
        # nor is other work in any session's mean
        (BY_SESSION, 3, 2.02),
        # replicates of a round are one value
        ([CLEAR, runs({"dual": [2.2, 2.1, 1.9, 2.0, 2.05]}, config_id="again")], 5, 2.02),
    ],
)
def test_sides_meet_in_the_work_and_the_rounds_that_both_did(
    frames: list[pd.DataFrame], n: int, mean: float
) -> None:
    found = result(together(*frames), hypothesis())
    assert found.estimate.n == n
    assert found.estimate.mean == pytest.approx(mean, rel=0.01)


def test_cold_and_void_runs_are_left_out() -> None:
    frame = CLEAR.copy()
    frame.loc[0, ["antt", "cold"]] = [50.0, True]
    frame.loc[1, ["antt", "valid"]] = [50.0, False]
    found = result(frame, hypothesis())
    assert (found.cold, found.estimate.n) == (1, 3)
    assert found.estimate.mean < 3


@pytest.mark.parametrize(
    ("frame", "one", "reason"),
    [
        (CLEAR, hypothesis(a=Side(SELF, {"topology": "serial"})), "no valid run of side a"),
        (CLEAR, hypothesis(b=Side(SELF, {"phase": "none"})), "no valid run of side b"),
        (CLEAR.assign(antt=None), hypothesis(), "no antt of side a"),
        (CLEAR, hypothesis(a=Side(SELF, {})), "both sides hold the same runs"),
        (CLEAR.assign(antt=-1.0), hypothesis(), "antt of 0 or less, which has no ratio"),
        (
            CLEAR.assign(session=CLEAR["topology"], invocation=CLEAR["topology"]),
            hypothesis(),
            "different sessions",
        ),
        (CLEAR.assign(repetition=range(len(CLEAR))), hypothesis(), "different rounds"),
    ],
)
def test_what_cannot_be_tested_says_why(frame: pd.DataFrame, one: Hypothesis, reason: str) -> None:
    found = result(frame, one)
    assert (found.verdict, found.reason, found.estimate) == ("not testable", reason, None)


@pytest.mark.parametrize(
    ("applied", "one", "verdict", "reason"),
    [
        (False, hypothesis(), "not testable", "not applied: topology, num_gpu"),
        (None, hypothesis(), "not testable", "not reported by the servers: topology, num_gpu"),
        (False, hypothesis(constant=1.0), "not testable", "not applied: topology"),
        (True, hypothesis(), "confirmed", None),
    ],
)
def test_what_was_not_applied_is_not_tested(
    applied: bool | None, one: Hypothesis, verdict: str, reason: str | None
) -> None:
    said = None if applied is None else "1 server"
    checks = [
        Check("topology", "dual", said, applied, ("dual",)),
        Check("topology", "single", "1 server; 1 slot each", True, ("single",)),
        Check("num_gpu", "60", None, None, ("dual",)),
        Check("num_gpu", "80", None, None, ("single",)),
    ]
    found = result(CLEAR, one, checks=checks)
    assert (found.verdict, found.reason) == (verdict, reason)
    assert found.unapplied == (("num_gpu",) if applied else ())


PRINTED = {("overall", "", "antt"): (0.72, 0.056, 19), ("phase", "core", "antt"): (0.7, 0.05, 9)}


def against_print(*filters: tuple[str, str], name: str = "tr113", **changes: Any) -> Result:
    one = hypothesis(low=0.0, b=Side(name, dict(filters)), **{"compare": "difference"} | changes)
    missing = Source(obstacle="no baseline tr9")
    sources = {SELF: Source(CLEAR), "tr113": Source(printed=PRINTED), "tr9": missing}
    return judge([one], sources, {one.id: "before"})[0]


def test_printed_moments_are_welchs_test() -> None:
    moments = (A.mean(), A.std(ddof=1), 5, 0.72, 0.056, 19)
    found = against_print()
    assert found.p == pytest.approx(stats.ttest_ind_from_stats(*moments, equal_var=False).pvalue)
    assert (found.basis, found.verdict) == ("printed", "confirmed")
    phase = against_print(("phase", "core"))
    assert phase.estimate.mean == pytest.approx(A.mean() - 0.7)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (against_print(compare="ratio"), "printed means allow differences only"),
        (
            against_print(("topology", "dual")),
            "tr113 is a publication, which can be filtered by config, phase or scenario alone",
        ),
        (against_print(("phase", "two")), "tr113 prints no mean, sd and n of antt there"),
        (against_print(name="tr9"), "no baseline tr9"),
    ],
)
def test_print_does_not_allow_everything(found: Result, reason: str) -> None:
    assert found.reason == reason


def test_a_baseline_of_another_model_is_an_obstacle_only_beside_ones_own_runs() -> None:
    theirs = Source(CLEAR, beside_self="other models")
    sources = {SELF: Source(CLEAR), "x": theirs, "y": theirs}
    x, y = Side("x", DUAL.filters), Side("y", SINGLE.filters)
    # one session each of two datasets: there is nothing to pair
    for one, reason in (
        (hypothesis(b=x), "other models"),
        (hypothesis(a=x, b=y), "different sessions"),
    ):
        assert judge([one], sources, {"h": "before"})[0].reason == reason


NOTES = {"i1": {"h": "digest of h"}, "i2": {"h": "digest of h"}, "i3": {"h": "another"}, "i4": {}}
THEIRS = hypothesis(a=Side("tr113", {}), b=Side("tr114", {}))


@pytest.mark.parametrize(
    ("one", "invocations", "notes", "when"),
    [
        (hypothesis(), ["i1"], NOTES, "before"),
        (hypothesis(), ["i1", "i3"], NOTES, "after"),
        (hypothesis(), ["i4"], NOTES, "after"),
        (hypothesis(), ["i1", "unknown"], NOTES, "not known"),
        (hypothesis(), ["unknown", "i3"], NOTES, "after"),
        (hypothesis(), [], NOTES, "not known"),
        (hypothesis(), ["i1"], None, "not known"),
        # about data that were there already everything is an afterthought
        (THEIRS, ["i1"], NOTES, "after"),
    ],
)
def test_whether_it_stood_before_the_first_block(
    one: Hypothesis, invocations: list[str], notes: Any, when: Declared
) -> None:
    assert declared(one, invocations, notes) == when
