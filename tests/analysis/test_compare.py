"""One engine compares configs: a family of ratios, and what they come to."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_tables import SIDES, some_rounds
from timings import unhurried

from tandembench.analysis.compare import Compared, compare, pair_fit, verdict, versus
from tandembench.analysis.levels import Allowance, Fit, Side, fit
from tandembench.analysis.rounds import Rounds

MARGIN = 0.05
PLAIN = {name: Side(name, (), started=False) for name in (*SIDES, "other")}


def measured(
    ratios: Mapping[str, float], n: int = 24, seed: int = 1, sd: float = 0.01, per_block: int = 4
) -> Rounds:
    random = np.random.default_rng(seed)
    common = random.normal(0, 0.2, n)
    return some_rounds(
        {
            name: math.log(ratio) + common + random.normal(0, sd, n)
            for name, ratio in ratios.items()
        },
        per_block,
    )


def outcome(ratios: Mapping[str, float], **changes: float) -> Compared:
    return compare(measured(ratios, **changes), "serial", MARGIN, PLAIN)


@pytest.mark.parametrize(
    ("ratios", "outcome_", "best", "rivals"),
    [
        ({"single": 1.0, "dual": 1.2}, "fastest", "dual", ()),
        # what may be as fast as the best is its rival
        ({"single_parallel": 1.19, "dual": 1.2}, "among", "dual", ("single_parallel",)),
        # the reference is best where others are only slower
        ({"single": 0.8, "dual": 1.0}, "among", "serial", ("dual",)),
        ({"single": 0.8}, "fastest", "serial", ()),
        ({"single": 1.01, "dual": 0.99}, "equivalent", None, ()),
    ],
)
def test_what_a_comparison_comes_to(
    ratios: dict[str, float], outcome_: str, best: str | None, rivals: tuple[str, ...]
) -> None:
    found = outcome({"serial": 1.0, **ratios})
    assert (found.outcome, found.best, found.rivals) == (outcome_, best, rivals)


@pytest.mark.parametrize(
    ("names", "outcome_"),
    [(["serial", "single", "dual"], "inconclusive"), (["serial"], "not_measured")]
    + [(["single", "dual"], "not_measured")],
)
def test_too_noisy_rounds_leave_it_open_and_no_other_config_is_no_comparison(
    names: list[str], outcome_: str
) -> None:
    found = outcome(dict.fromkeys(names, 1.0), sd=0.2)
    assert (found.outcome, found.best) == (outcome_, None)


def test_rounds_that_never_hold_both_measure_nothing() -> None:
    table = measured({"serial": 1.0, "dual": 1.2})
    table.logs.loc[table.logs.index[3::2], "dual"] = np.nan
    (against,) = compare(table, "serial", MARGIN, PLAIN).against
    assert (against.rounds, against.blocks, against.sessions) == (13, 6, 1)
    table.logs.loc[table.logs["dual"].notna(), "serial"] = np.nan
    found = compare(table, "serial", MARGIN, PLAIN)
    assert (found.outcome, found.adjusted_p) == ("not_measured", None)
    (against,) = found.against
    assert (against.ratio, against.rounds, against.verdict) == (None, 0, "inconclusive")


def test_one_round_of_a_config_leaves_the_others_alone() -> None:
    table = measured({"serial": 1.0, "single": 1.0, "dual": 1.2})
    table.logs.loc[table.logs.index[1:], "single"] = np.nan
    found = compare(table, "serial", MARGIN, PLAIN)
    assert (found.best, found.rivals) == ("dual", ("single",))
    without = dataclasses.replace(table, logs=table.logs[["serial", "dual"]])
    assert found.adjusted_p == compare(without, "serial", MARGIN, PLAIN).adjusted_p


@unhurried
@given(
    st.lists(st.sampled_from([0.8, 1.0, 1.02, 1.1, 1.3]), min_size=3, max_size=3),
    st.permutations(["serial", "x", "y", "z"]),
    st.integers(0, 20),
)
def test_names_and_columns_may_be_exchanged(
    ratios: list[float], order: list[str], seed: int
) -> None:
    """The same numbers under other names, in another order, come to the same."""
    names = ["serial", "single", "dual", "other"]
    new = dict(zip(names, ["serial", "x", "y", "z"], strict=True))
    table = measured(dict(zip(names, [1.0, *ratios], strict=True)), seed=seed)
    renamed = dataclasses.replace(table, logs=table.logs.rename(columns=new)[order])
    one = compare(table, "serial", MARGIN, PLAIN)
    other = compare(renamed, "serial", MARGIN, {new[name]: PLAIN[name] for name in names})
    assert (other.outcome, other.best) == (one.outcome, one.best and new[one.best])
    assert {*other.rivals} == {new[name] for name in one.rivals}
    assert other.adjusted_p == pytest.approx(one.adjusted_p)
    theirs = {against.subject: against for against in other.against}
    for ours in one.against:
        their = theirs[new[ours.subject]]
        assert their.verdict == ours.verdict
        assert their.ratio.value == pytest.approx(ours.ratio.value)
        assert their.ratio.low == pytest.approx(ours.ratio.low)


@unhurried
@given(st.integers(0, 30), st.sampled_from([0.9, 1.0, 1.2]))
def test_either_side_of_a_pair_may_be_the_reference(seed: int, ratio: float) -> None:
    """a against b is 1 over b against a."""
    table = measured({"serial": 1.0, "dual": ratio}, seed=seed)
    (one,) = compare(table, "serial", MARGIN, SIDES).against
    (other,) = compare(table, "dual", MARGIN, SIDES).against
    assert other.ratio.value == pytest.approx(1 / one.ratio.value)
    assert other.ratio.low == pytest.approx(1 / one.ratio.high)
    opposite = {"better": "worse", "worse": "better"}
    assert other.verdict == opposite.get(one.verdict, one.verdict)


def test_others_never_count_for_more_than_the_pairs_own_blocks() -> None:
    """However many blocks others have: that they vary alike is expected, and not known."""
    table = measured({"serial": 1.0, "single_parallel": 1.0}, sd=0.03)
    one = pair_fit(table, "single_parallel", "serial", SIDES)
    calm = dataclasses.replace(one, of_block=1e-6)
    as_many, many = (
        compare(table, "serial", MARGIN, SIDES, [(SIDES["serial"], twin)]).against[0].spread
        for twin in (calm, dataclasses.replace(calm, of_block_freedom=1000.0))
    )
    assert many == as_many


@pytest.mark.parametrize(("alike", "pooled"), [("single_parallel", True), ("dual", False)])
def test_pairs_that_behave_alike_lend_each_other_their_blocks(alike: str, pooled: bool) -> None:
    """Where starts of one pair are worth more than expected, those of the other may well be."""
    sides = {name: Side(name, side.threads, started=True) for name, side in SIDES.items()}
    table = measured({"serial": 1.0, "single": 1.0, alike: 1.0})
    table.logs[alike] += np.repeat([0.2, -0.2, 0.1, -0.1, 0.2, -0.2], 4)
    (one, _) = compare(table, "serial", MARGIN, sides).against
    without = dataclasses.replace(table, logs=table.logs.drop(columns=alike))
    (alone,) = compare(without, "serial", MARGIN, sides).against
    assert (one.spread > 1.5 * alone.spread) is pooled


def test_twins_count_for_like_pairs_and_for_no_others() -> None:
    table = measured({"serial": 1.0, "single_parallel": 1.0, "dual": 1.2}, sd=0.02)
    wild = fit(
        [0.3, -0.3] * 12,
        [place // 2 for place in range(24)],
        ["s"] * 24,
        [0.0] * 24,
        Allowance(0.028, 0.0),
    )
    wilder = dataclasses.replace(wild, of_block=1.0, of_block_freedom=11.0)
    plain = compare(table, "serial", MARGIN, SIDES).against
    twin = compare(table, "serial", MARGIN, SIDES, [(SIDES["serial"], wilder)]).against
    assert twin[0].spread > 2 * plain[0].spread
    assert twin[1].spread == plain[1].spread


def a_fit(log: float, error: float) -> Fit:
    return Fit(log, error, 1e6, error**2, 5.0, error**2, 24, 6, 1)


@pytest.mark.parametrize(
    ("log", "error", "p", "said"),
    [
        (0.0, 0.01, 1.0, "equivalent"),
        (0.03, 0.005, 0.0, "equivalent"),  # told from 1, and within the margin: it does not matter
        (0.04, 0.01, 0.0, "better"),
        (-0.2, 0.05, 0.0, "worse"),
        (-0.2, 0.05, 0.06, "inconclusive"),  # one of a family in which its p does not hold
        (0.04, 0.03, 0.2, "inconclusive"),
    ],
)
def test_a_verdict_is_of_the_interval_and_of_the_family(
    log: float, error: float, p: float, said: str
) -> None:
    assert verdict(a_fit(log, error), MARGIN, p) == said


def test_a_fit_becomes_a_finding() -> None:
    one = versus("dual", "serial", a_fit(math.log(1.2), 0.01), MARGIN)
    assert one.ratio.value == pytest.approx(1.2)
    assert one.ratio.low == pytest.approx(1.2 * math.exp(-1.95996 * 0.01), rel=1e-4)
    assert (one.verdict, one.spread, one.rounds, one.blocks) == ("better", 0.01, 24, 6)
    assert one.detectable == pytest.approx(math.exp(2.8016 * 0.01), rel=1e-3)


def test_a_difference_has_to_hold_in_the_family_of_all_configs() -> None:
    """What is shown of one config alone is less than what is shown of the best of three."""
    for seed in range(200):
        four = outcome({**dict.fromkeys(SIDES, 1.0), "dual": 1.06}, n=8, seed=seed, sd=0.05)
        ps = [one.p for one in four.against if one.p is not None]
        assert four.adjusted_p == pytest.approx(min(1.0, 3 * min(ps)))
        if min(ps) < 0.05 < four.adjusted_p:
            assert four.best is None
            return
    pytest.fail("no study was between the two")
