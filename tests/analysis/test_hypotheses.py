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

RULE = {"more": (1.0, math.inf), "less": (0.0, 1.0)}


def runs(
    values: Mapping[str, Sequence[float]], session: str = "s1", **changes: Any
) -> pd.DataFrame:
    """Runs by topology, one a round; the metric is antt."""
    frames = [
        pd.DataFrame(
            {
                "antt": own,
                "repetition": range(1, len(own) + 1),
                "topology": topology,
                "config_id": topology,
            }
        )
        for topology, own in values.items()
    ]
    shared: dict[str, Any] = {
        "session": session,
        "invocation": f"i-{session}",
        "workload": "w1",
        "scenario": "chimera_homo",
        "phase": "main",
        "work_policy": "fixed",
        "valid": True,
        "cold": False,
    }
    return pd.concat(frames, ignore_index=True).assign(**{**shared, **changes})


def hypothesis(
    name: str = "h",
    low: float = 1.0,
    high: float = math.inf,
    *,
    a: Mapping[str, str] | Side = {"topology": "dual"},  # noqa: B006 - read only
    b: Mapping[str, str] | Side | None = {"topology": "single"},  # noqa: B006
    constant: float | None = None,
    compare: Any = "ratio",
) -> Hypothesis:
    def side(one: Mapping[str, str] | Side) -> Side:
        return one if isinstance(one, Side) else Side(SELF, one)

    return Hypothesis(
        id=name,
        question="?",
        note=None,
        metric="antt",
        a=side(a),
        b=None if b is None or constant is not None else side(b),
        constant=constant,
        compare=compare,
        low=low,
        high=high,
        expected="so",
        digest=f"digest of {name}",
    )


def results(frame: pd.DataFrame, *those: Hypothesis, **source: Any) -> list[Result]:
    found = judge(those, {SELF: Source(frame, **source)}, {one.id: "before" for one in those})
    return found


def result(frame: pd.DataFrame, one: Hypothesis, **source: Any) -> Result:
    return results(frame, one, **source)[0]


CLEAR = runs({"dual": [2.0, 2.1, 1.9, 2.0, 2.05], "single": [1.0, 1.02, 0.99, 1.0, 1.01]})


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (*RULE["more"], "confirmed"),
        (*RULE["less"], "contradicted"),
        (1.5, 3.0, "confirmed"),
        (1.5, math.inf, "confirmed"),
        (0, 1.5, "contradicted"),
        (2.5, 3.0, "contradicted"),
        (1.1, 1.5, "contradicted"),
        (1.99, 3.0, "inconclusive"),
        (1 / 1.05, 1.05, "contradicted"),
    ],
)
def test_a_region_is_confirmed_contradicted_or_neither(
    low: float, high: float, verdict: str
) -> None:
    found = result(CLEAR, hypothesis(low=low, high=high))
    assert found.verdict == verdict
    assert found.estimate is not None
    assert found.estimate.n == 5
    assert found.basis == "within"


def test_ratio_interval_and_p_are_those_of_scipys_paired_t_test_on_logs() -> None:
    dual, single = (
        CLEAR.loc[CLEAR["topology"] == t, "antt"].to_numpy() for t in ("dual", "single")
    )
    wanted = stats.ttest_rel(np.log(dual), np.log(single))
    interval = wanted.confidence_interval(0.95)
    found = result(CLEAR, hypothesis())
    assert found.p == pytest.approx(wanted.pvalue)
    assert found.estimate is not None
    assert found.estimate.low == pytest.approx(math.exp(interval.low))
    assert found.estimate.high == pytest.approx(math.exp(interval.high))


@pytest.mark.parametrize(("constant", "compare"), [(1.9, "ratio"), (1.9, "difference")])
def test_against_a_constant_it_is_the_one_sample_test(constant: float, compare: str) -> None:
    values = CLEAR.loc[CLEAR["topology"] == "dual", "antt"].to_numpy()
    logs = compare == "ratio"
    wanted = stats.ttest_1samp(np.log(values / constant) if logs else values - constant, 0.0)
    same = 1.0 if logs else 0.0
    found = result(CLEAR, hypothesis(low=same, constant=constant, compare=compare))
    assert found.p == pytest.approx(wanted.pvalue)
    assert found.estimate is not None
    assert found.estimate.n == 5


@pytest.mark.parametrize("high", [1.05, 1.5])
def test_a_margin_is_two_one_sided_tests(high: float) -> None:
    near = runs({"dual": [1.0, 1.03, 0.98, 1.01], "single": [1.0, 1.0, 1.0, 1.0]})
    logs = np.log(near.loc[near["topology"] == "dual", "antt"])
    bounds = math.log(high)
    below = stats.ttest_1samp(logs, -bounds, alternative="greater").pvalue
    above = stats.ttest_1samp(logs, bounds, alternative="less").pvalue
    found = result(near, hypothesis(low=1 / high, high=high))
    assert found.p == pytest.approx(2 * max(below, above))
    assert found.verdict == ("confirmed" if found.p and found.p < 0.05 else "inconclusive")


def test_among_many_it_must_hold_by_holm() -> None:
    frame = runs({"dual": [1.12, 1.06, 1.15, 1.04, 1.10, 1.13], "single": [1.0] * 6})
    those = [hypothesis(f"h{i}", low=low) for i, low in enumerate((0.95, 1.0, 1.02, 1.05, 1.2))]
    found = results(frame, *those)
    ps = [one.p for one in found]
    inside = [
        one.estimate is not None and one.estimate.mean >= h.low
        for one, h in zip(found, those, strict=True)
    ]
    wanted = multipletests(
        [p if i else 1.0 for p, i in zip(ps, inside, strict=True)], method="holm"
    )[1]
    for one, adjusted, yes in zip(found, wanted, inside, strict=True):
        if yes:
            assert one.adjusted_p == pytest.approx(adjusted)
            assert (one.verdict == "confirmed") == (adjusted < 0.05)
    assert [one.alone for one in found] != [one.verdict for one in found]


def test_three_sessions_are_three_values() -> None:
    frame = pd.concat(
        [
            runs({"dual": [factor] * 4, "single": [1.0] * 4}, session)
            for session, factor in (("s1", 2.0), ("s2", 2.2), ("s3", 1.9))
        ],
        ignore_index=True,
    )
    for one in (hypothesis(), hypothesis(constant=1.0)):
        found = result(frame, one)
        assert found.estimate is not None
        assert (found.estimate.n, found.basis, found.sessions) == (3, "sessions", 3)


def test_sides_meet_in_the_work_that_both_did() -> None:
    both = runs({"dual": [2.0, 2.1, 2.0], "single": [1.0, 1.0, 1.1]})
    more = runs({"dual": [9.0, 9.1, 9.2]}, workload="w2", config_id="other")
    found = result(pd.concat([both, more], ignore_index=True), hypothesis())
    assert found.estimate is not None
    assert (found.workloads, found.estimate.n) == (1, 3)
    assert found.estimate.mean < 3


def test_rounds_pair_within_one_work() -> None:
    """In round 1 the sides did w1 both, in round 2 other work each."""
    parts = [
        runs({"dual": [2.0, 2.2, 2.0], "single": [1.0]}),
        runs({"dual": [18.0], "single": [9.0, 9.0, 9.5]}, workload="w2", config_id="other"),
    ]
    frame = pd.concat(parts, ignore_index=True)
    found = result(frame, hypothesis())
    assert found.estimate is not None
    assert (found.workloads, found.estimate.n) == (2, 2)
    assert found.estimate.mean == pytest.approx(2.0)


def test_other_work_is_in_no_session_mean_either() -> None:
    frames = [
        runs({topology: [value]}, f"s{n}", invocation=f"i-{topology}-{n}", workload=workload)
        for n in (1, 2, 3)
        for topology, value, workload in (
            ("dual", 2.0 + n / 100, "w1"),
            ("dual", 9.0, "w2"),
            ("single", 1.0, "w1"),
        )
    ]
    found = result(pd.concat(frames, ignore_index=True), hypothesis())
    assert found.estimate is not None
    assert (found.basis, found.workloads) == ("sessions", 1)
    assert found.estimate.mean == pytest.approx(2.02, abs=0.001)


def test_replicates_of_a_round_are_one_value() -> None:
    again = runs({"dual": [2.2, 2.1, 1.9, 2.0, 2.05]}, config_id="dual-again")
    found = result(pd.concat([CLEAR, again], ignore_index=True), hypothesis())
    assert found.estimate is not None
    assert found.estimate.n == 5


def test_cold_and_void_runs_are_left_out() -> None:
    frame = CLEAR.copy()
    frame.loc[0, ["antt", "cold"]] = [50.0, True]
    frame.loc[1, ["antt", "valid"]] = [50.0, False]
    found = result(frame, hypothesis())
    assert found.estimate is not None
    assert (found.cold, found.estimate.n) == (1, 3)
    assert found.estimate.mean < 3


@pytest.mark.parametrize(
    ("frame", "one", "reason"),
    [
        (CLEAR, hypothesis(a={"topology": "serial"}), "no valid run of side a"),
        (CLEAR, hypothesis(b={"phase": "none"}), "no valid run of side b"),
        (CLEAR.assign(antt=None), hypothesis(), "no antt of side a"),
        (CLEAR, hypothesis(a={}), "both sides hold the same runs"),
        (CLEAR.assign(antt=-1.0), hypothesis(), "antt of 0 or less, which has no ratio"),
        (
            CLEAR.assign(session=CLEAR["topology"], invocation=CLEAR["topology"]),
            hypothesis(),
            "different sessions",
        ),
        (
            CLEAR.assign(repetition=range(len(CLEAR))),
            hypothesis(),
            "different rounds",
        ),
    ],
)
def test_what_cannot_be_tested_says_why(frame: pd.DataFrame, one: Hypothesis, reason: str) -> None:
    found = result(frame, one)
    assert (found.verdict, found.reason, found.estimate) == ("not testable", reason, None)


def test_what_was_not_applied_is_not_tested() -> None:
    def checks(applied: bool | None) -> list[Check]:
        said = "1 server" if applied is not None else None
        return [
            Check("topology", "dual", said, applied, ("dual",)),
            Check("topology", "single", "1 server; 1 slot each", True, ("single",)),
            Check("num_gpu", "60", None, None, ("dual",)),
            Check("num_gpu", "80", None, None, ("single",)),
        ]

    refused = result(CLEAR, hypothesis(), checks=checks(applied=False))
    assert refused.reason == "not applied: topology, num_gpu"
    silent = result(CLEAR, hypothesis(), checks=checks(applied=None))
    assert silent.reason == "not reported by the servers: topology, num_gpu"
    alone = result(CLEAR, hypothesis(constant=1.0), checks=checks(applied=False))
    assert alone.reason == "not applied: topology"
    fine = result(CLEAR, hypothesis(), checks=checks(applied=True))
    assert (fine.verdict, fine.unapplied) == ("confirmed", ("num_gpu",))


PRINTED = {("overall", "", "antt"): (0.72, 0.056, 19), ("phase", "core", "antt"): (0.7, 0.05, 9)}
OTHER = Side("tr113", {})


def against_print(one: Hypothesis, runs: pd.DataFrame = CLEAR) -> Result:
    sources = {
        SELF: Source(runs),
        "tr113": Source(printed=PRINTED),
        "tr9": Source(obstacle="no baseline tr9"),
    }
    return judge([one], sources, {one.id: "before"})[0]


def test_printed_moments_are_welchs_test() -> None:
    values = CLEAR.loc[CLEAR["topology"] == "dual", "antt"]
    wanted = stats.ttest_ind_from_stats(
        values.mean(), values.std(), 5, 0.72, 0.056, 19, equal_var=False
    )
    found = against_print(hypothesis(low=0.0, b=OTHER, compare="difference"))
    assert found.p == pytest.approx(wanted.pvalue)
    assert (found.basis, found.verdict) == ("printed", "confirmed")
    phase = against_print(
        hypothesis(low=0.0, b=Side("tr113", {"phase": "core"}), compare="difference")
    )
    assert phase.estimate is not None
    assert phase.estimate.mean == pytest.approx(values.mean() - 0.7)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (hypothesis(b=OTHER), "printed means allow differences only"),
        (
            hypothesis(b=Side("tr113", {"topology": "dual"}), compare="difference"),
            "tr113 is a publication, which can be filtered by config, phase or scenario alone",
        ),
        (
            hypothesis(b=Side("tr113", {"phase": "two"}), compare="difference"),
            "tr113 prints no mean, sd and n of antt there",
        ),
        (hypothesis(b=Side("tr9", {})), "no baseline tr9"),
    ],
)
def test_print_does_not_allow_everything(one: Hypothesis, reason: str) -> None:
    assert against_print(one).reason == reason


def test_a_baseline_of_another_model_is_an_obstacle_only_beside_ones_own_runs() -> None:
    sources = {
        SELF: Source(CLEAR),
        "x": Source(CLEAR, beside_self="other models"),
        "y": Source(CLEAR, beside_self="other models"),
    }
    filters = {"topology": "dual"}
    mixed = hypothesis(b=Side("x", filters))
    theirs = hypothesis(a=Side("x", filters), b=Side("y", {"topology": "single"}))
    assert judge([mixed], sources, {"h": "before"})[0].reason == "other models"
    # one session each of two datasets: there is nothing to pair
    assert judge([theirs], sources, {"h": "before"})[0].reason == "different sessions"


def test_one_value_has_no_verdict() -> None:
    found = result(CLEAR[CLEAR["repetition"] == 1], hypothesis())
    assert (found.verdict, found.p, found.adjusted_p) == ("inconclusive", None, None)


NOTES = {"i1": {"h": "digest of h"}, "i2": {"h": "digest of h"}, "i3": {"h": "another"}, "i4": {}}


@pytest.mark.parametrize(
    ("invocations", "when"),
    [
        (["i1"], "before"),
        (["i1", "i2"], "before"),
        (["i1", "i3"], "after"),
        (["i4"], "after"),
        (["i1", "unknown"], "not known"),
        (["unknown", "i3"], "after"),
        ([""], "not known"),
        ([], "not known"),
    ],
)
def test_whether_it_stood_before_the_first_block(invocations: list[str], when: Declared) -> None:
    assert declared(hypothesis(), invocations, NOTES) == when


def test_about_data_that_were_there_already_everything_is_afterthought() -> None:
    theirs = hypothesis(a=OTHER, b=Side("tr114", {}))
    assert declared(theirs, ["i1"], NOTES) == "after"
    assert declared(hypothesis(), ["i1"], None) == "not known"
