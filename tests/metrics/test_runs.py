"""Rows of runs: known answers, splits that close exactly, symmetries, and nulls where none is."""

import math
from collections.abc import Sequence
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timings import (
    EXACT,
    Measured,
    an_execution,
    eighths,
    executions,
    lasting,
    number,
    runs,
    stretch,
    total,
    unhurried,
)

from tandembench.metrics import IMBALANCE_PARTS, RUN_METRICS, TRUE_PARTS, Row, Timing, run_metrics
from tandembench.steps import service_order

DELTAS = {"ttft_delta_s", "throughput_delta_tokens_per_s"}
ESTIMATED_LOSSES = ("imbalance_loss", "sequencing_loss", "orchestration_loss")
NEEDS_SOLO = {
    *("solo_sum_s", "speedup_true", "efficiency_true", *TRUE_PARTS),
    *("slowdown_max", "slowdown_log_mean", "stp", "antt", "jain", "contention_ttft_rule"),
} - {"sequencing_loss"}


def row_of(agents: Sequence[Timing], wall: float, serial: bool = False) -> Row:
    """The row of a run without solos."""
    return run_metrics(agents, [None] * len(agents), wall, serial)


BY_HAND: dict[str, tuple[Row, Row]] = {
    "the estimator": (
        row_of([lasting(6.0), lasting(9.0)], 10.0),
        {
            "wall_s": 10.0,
            "sequential_estimate_s": 15.0,
            "speedup_estimate": 1.5,
            "efficiency_estimate": 0.75,
            "imbalance_loss": 0.15,
            "sequencing_loss": 0.0,
            "orchestration_loss": 0.1,
            "aggregate_tokens_per_s": 1.0,
            "makespan_per_token_s": 1.0,
            "contention_speedup_rule": False,  # 1.5 is not below 1.5
        },
    ),
    "the estimator, in turn": (
        row_of([lasting(3.0), lasting(6.0)], 10.0, serial=True),
        {
            "efficiency_estimate": 0.45,
            "sequencing_loss": 0.5,
            "orchestration_loss": 0.05,
            **dict.fromkeys(("imbalance_loss", *IMBALANCE_PARTS), 0.0),
        },
    ),
    # one slot: the second agent waits out the first, and its wait counts as work
    "perfect serialisation of equal jobs": (
        run_metrics(
            [an_execution(0.5, 1.5, 0.0), an_execution(2.5, 1.5, 0.0)],
            [an_execution(0.5, 1.5, 0.0)] * 2,
            4.0,
            serial=False,
        ),
        {"efficiency_estimate": 0.75, "efficiency_true": 0.5, "contention": 0.5},
    ),
    "the truth": (  # 8 over 4 and 10 over 5
        run_metrics(
            [an_execution(1.0, 6.5, 0.5), an_execution(1.5, 7.5, 1.0)],
            [an_execution(0.5, 3.0, 0.5), an_execution(0.5, 4.0, 0.5)],
            12.5,
            serial=False,
        ),
        {
            "solo_sum_s": 9.0,
            "speedup_true": 0.72,
            "efficiency_true": 0.36,
            "work_imbalance": 0.1,
            "contention": 0.45,  # 4.5 (1/5 - 1/10)
            "queueing": 0.0,
            "orchestration_true": 0.09,  # 4.5 (1/10 - 1/12.5)
            "slowdown_max": 2.0,
            "slowdown_log_mean": 0.6931471805599453,
            "stp": 1.0,
            "antt": 2.0,
            "jain": 1.0,
            "contention_ttft_rule": False,
            "contention_speedup_rule": True,
            "solo_basis": "paired",
        },
    ),
    "unequal slowdowns": (  # 6 over 3, 4 over 4, and 4 over 4
        run_metrics(
            [an_execution(1.0, 4.0, 1.0), *[an_execution(1.0, 2.0, 1.0)] * 2],
            [an_execution(1.0, 1.0, 1.0), *[an_execution(1.0, 2.0, 1.0)] * 2],
            6.0,
            serial=False,
        ),
        {
            "slowdown_max": 2.0,
            "slowdown_log_mean": math.log(2) / 3,
            "stp": 2.5,
            "antt": 4 / 3,
            "jain": 25 / 27,
            "contention_speedup_rule": None,
        },
    ),
    "the truth, in turn": (  # alone 2 s and 4 s; in turn 3 s and 6 s with 1 s between them
        run_metrics(
            [an_execution(decode=1.5), an_execution(decode=4.5)],
            [an_execution(decode=0.5), an_execution(decode=2.5)],
            10.0,
            serial=True,
        ),
        {
            "efficiency_true": 0.3,  # (2 + 4) / (2 * 10)
            "work_imbalance": 0.0,
            "sequencing_loss": 0.5,
            "contention": 0.15,  # (9 - 6) / 20
            "queueing": 0.0,
            "orchestration_true": 0.05,  # 1 / 20
        },
    ),
    "deltas have the signs of TR114": (
        row_of([an_execution(3.0, 2.0, tokens=5), an_execution(1.0, 1.0, tokens=6)], 9.0),
        {"ttft_delta_s": 2.0, "throughput_delta_tokens_per_s": 3.0},
    ),
    "no tokens at all": (
        row_of([an_execution(tokens=0)] * 2, 4.0),
        {
            "aggregate_tokens_per_s": 0.0,
            "makespan_per_token_s": None,
            "throughput_delta_tokens_per_s": None,
        },
    ),
}


@pytest.mark.parametrize(("row", "expected"), BY_HAND.values(), ids=BY_HAND)
def test_known_answers(row: Row, expected: Row) -> None:
    assert {name: row[name] for name in expected} == pytest.approx(expected)


# Splits


@unhurried
@given(runs(), st.data())
def test_losses_close_exactly(run: Measured, data: st.DataObject) -> None:
    agents, solos, wall, serial = run
    waits = [data.draw(st.floats(0, 1)) * agent.duration_s for agent in agents]
    row = run_metrics(agents, solos, wall, serial, waits)
    loss = 1 - number(row, "efficiency_estimate")
    assert total(row, ESTIMATED_LOSSES) == pytest.approx(loss, abs=EXACT)
    assert all(-EXACT <= number(row, name) <= 1 for name in ESTIMATED_LOSSES)
    assert total(row, IMBALANCE_PARTS) == pytest.approx(number(row, "imbalance_loss"), abs=EXACT)
    if len(agents) == 1:
        return
    loss = 1 - number(row, "efficiency_true")
    # the terms grow like sum s / max d, where a run beats its solos by far
    served = max(a.duration_s - w for a, w in zip(agents, waits, strict=True))
    scale = max(1.0, number(row, "solo_sum_s") / (served or max(a.duration_s for a in agents)))
    assert total(row, TRUE_PARTS) == pytest.approx(loss, abs=EXACT * scale)
    assert number(row, "work_imbalance") >= 0
    assert number(row, "orchestration_true") >= -EXACT * scale
    assert number(row, "queueing") >= -EXACT * scale
    # waits move a share from contention to queueing, and nothing else
    unsplit = run_metrics(agents, solos, wall, serial)
    assert unsplit["queueing"] == 0.0
    both = number(row, "contention") + number(row, "queueing")
    assert number(unsplit, "contention") == pytest.approx(both, abs=EXACT * scale)
    assert all(row[name] == unsplit[name] for name in row if name not in ("contention", "queueing"))
    ratio = sum(e.duration_s for e in solos) / sum(e.duration_s for e in agents)
    product = number(row, "speedup_estimate") * ratio
    assert row["speedup_true"] == pytest.approx(product, rel=EXACT)
    assert 1 / len(agents) - EXACT <= number(row, "jain") <= 1 + EXACT
    # the harmonic mean is below the arithmetic one
    assert number(row, "stp") * number(row, "antt") >= len(agents) * (1 - EXACT)


def shapley(agents: Sequence[Timing], wall: float) -> list[Fraction]:
    """The split by its definition: swap t and u in both orders, average, in exact fractions."""
    facts = [
        (e.intervals, Fraction(e.duration_s), Fraction(e.first_token_s), Fraction(e.decode_s))
        for e in agents
    ]
    longest = max(fact[1] for fact in facts)
    tied = [fact for fact in facts if fact[1] == longest]
    sums = [Fraction(0)] * 4
    for t_m, d_m, x_m, c_m in tied:
        for t_j, d_j, x_j, c_j in facts:
            u_m = c_m / t_m if t_m else (c_j / t_j if t_j else Fraction(0))
            u_j = c_j / t_j if t_j else u_m
            sums[0] += (t_m * u_j - t_j * u_j + t_m * u_m - t_j * u_m) / 2
            sums[1] += (t_j * u_m - t_j * u_j + t_m * u_m - t_m * u_j) / 2
            sums[2] += x_m - x_j
            sums[3] += (d_m - x_m - t_m * u_m) - (d_j - x_j - t_j * u_j)
    return [part / (len(tied) * len(facts) * Fraction(wall)) for part in sums]


@unhurried
@given(st.lists(executions(), min_size=1, max_size=5), st.integers(0, 2), eighths)
def test_imbalance_split_is_the_shapley_value(
    agents: list[Timing], copies: int, gap: float
) -> None:
    # copies of the longest agent are ties
    longest = max(agents, key=lambda agent: agent.duration_s)
    agents = agents + [longest] * copies
    wall = longest.duration_s + gap
    row = row_of(agents, wall)
    expected = [float(part) for part in shapley(agents, wall)]
    assert [row[name] for name in IMBALANCE_PARTS] == pytest.approx(expected, abs=1e-11, rel=1e-11)


@pytest.mark.parametrize(
    ("agents", "wall", "parts"),
    [
        # d = 1 + 4 * 2.0 + 1 = 10 and 2 + 2 * 1.5 + 1 = 6; W = 10, N = 2
        (
            [an_execution(2.0, 3.0, 1.0, tokens=3), an_execution(1.0, 8.0, 1.0, tokens=5)],
            10.0,
            (2 * 1.75 / 20, 0.5 * 3 / 20, -1 / 20, 0.0),
        ),
        # two last 6 s, one by answer length, one by first token; the other is short and quick:
        # against the first token 0 + 3 + 4, first token 0 - 3 + 0; the second -3 + 0 + 1, 3 + 0 + 3
        (
            [
                an_execution(1.0, 1.0, 0.0, tokens=2),
                an_execution(4.0, 2.0, 0.0, tokens=3),
                an_execution(1.0, 5.0, 0.0, tokens=6),
            ],
            6.0,
            ((7 - 2) / 2 / 18, 0.0, (-3 + 6) / 2 / 18, 0.0),
        ),
        # an agent without intervals borrows the rate of the other
        *(
            (
                [an_execution(1.0, 8.0, 0.0, tokens=5), an_execution(1.0, 0.0, 0.0, tokens=n)],
                9.0,
                (8 / 18, 0.0, 0.0, 0.0),
            )
            for n in (0, 1)
        ),
        # one token that came in two chunks a second apart
        (
            [an_execution(1.0, 1.0, 0.0, tokens=1), an_execution(1.0, 0.0, 0.0, tokens=1)],
            2.0,
            (0.0, 0.0, 0.0, 1 / 4),
        ),
    ],
    ids=["by hand", "ties that differ", "no token", "one token", "one token in chunks"],
)
def test_imbalance_split_by_hand(
    agents: list[Timing], wall: float, parts: tuple[float, ...]
) -> None:
    row = row_of(agents, wall)
    assert [row[name] for name in IMBALANCE_PARTS] == pytest.approx(parts)


# Flags


@pytest.mark.parametrize(
    ("run", "solo", "flag"),
    [
        ([4.0, 1.0], [1.0, 1.0], False),  # exactly 3 s later is not more
        ([4.125, 1.0], [1.0, 1.0], True),
        ([1.0, 4.125], [1.0, 1.0], True),
        ([1.0, 1.0], [9.0, 9.0], False),
        ([9.0, 1.0], [1.0, None], True),
        ([1.0, 1.0], [1.0, None], None),
        ([None, 1.0], [1.0, 1.0], None),
    ],
)
def test_ttft_rule(run: list[float | None], solo: list[float | None], flag: bool | None) -> None:
    agents, solos = ([lasting(9.0, ttft=ttft) for ttft in side] for side in (run, solo))
    assert run_metrics(agents, solos, 9.0, serial=False)["contention_ttft_rule"] is flag


# Symmetries


@unhurried
@given(runs(), st.sampled_from([0.25, 2.0, 1024.0]), st.randoms(use_true_random=False))
def test_rows_scale_with_time_and_do_not_depend_on_the_order_of_agents(
    run: Measured, factor: float, random: Random
) -> None:
    agents, solos, wall, serial = run
    row = run_metrics(agents, solos, wall, serial)
    order = list(range(len(agents)))
    random.shuffle(order)
    changed = run_metrics(
        [stretch(agents[k], factor) for k in order],
        [stretch(solos[k], factor) for k in order],
        wall * factor,
        serial,
    )
    powers = {"s": factor, "s/token": factor, "tokens/s": 1 / factor}
    sign = 1 if order == sorted(order) else -1
    for name, (unit, _) in RUN_METRICS.items():
        value = row[name]
        if isinstance(value, float):  # a power of two changes no digit
            expected = value * powers.get(unit, 1.0) * (sign if name in DELTAS else 1)
            assert changed[name] == expected, name
        elif name != "contention_ttft_rule":  # 3 s stay 3 s
            assert changed[name] == value, name


@unhurried
@given(runs(sizes=(2, 5)), st.sampled_from([1.5, 2.0, 7.0]))
def test_a_machine_that_slows_all_alike_moves_the_truth_only(run: Measured, factor: float) -> None:
    solos = run[1]
    wall = max(solo.duration_s for solo in solos)
    slowed = [stretch(solo, factor) for solo in solos]
    free = run_metrics(solos, solos, wall, serial=False)
    held = run_metrics(slowed, solos, wall * factor, serial=False)
    assert held["efficiency_estimate"] == pytest.approx(number(free, "efficiency_estimate"))
    assert held["efficiency_true"] == pytest.approx(number(free, "efficiency_true") / factor)
    assert (free["antt"], free["contention"]) == (1.0, 0.0)
    assert held["antt"] == pytest.approx(factor)


# Nulls, types, refusals


@unhurried
@given(runs())
def test_rows_keep_to_their_schema_and_nothing_is_invented(run: Measured) -> None:
    agents, solos, wall, serial = run
    pairwise = set() if len(agents) == 2 else DELTAS | {"contention_speedup_rule"}
    may_be_null = {"makespan_per_token_s", *DELTAS}  # where there are no tokens
    for references in (solos, [None] * len(agents)):
        row = run_metrics(agents, references, wall, serial)
        assert list(row) == list(RUN_METRICS)
        null = {name for name in row if row[name] is None}
        true = set() if len(agents) > 1 and references is solos else NEEDS_SOLO
        assert null - may_be_null == (true | pairwise) - may_be_null
        assert null >= true | pairwise
        assert true == set() or row["solo_basis"] == "none"
        for name in row.keys() - null:
            kind = {"boolean": bool, "string": str}.get(RUN_METRICS[name][0], float)
            assert type(row[name]) is kind, name


def test_a_run_has_the_weakest_basis_and_no_truth_below_it() -> None:
    paired, odd = an_execution(), an_execution(tokens=6)
    agents = [an_execution()] * 3
    row = run_metrics(agents, [paired, odd, paired], 5.0, serial=False)
    assert row["solo_basis"] == "token_normalised"
    assert row["speedup_true"] == pytest.approx((3.5 + 3.1 + 3.5) / 5)
    for missing in (None, an_execution(tokens=40)):
        row = run_metrics(agents, [paired, odd, missing], 5.0, serial=False)
        assert row["solo_basis"] == "none"
        assert all(row[name] is None for name in NEEDS_SOLO - {"contention_ttft_rule"})
        assert row["speedup_estimate"] is not None


@pytest.mark.parametrize(
    ("agents", "solos", "wall"),
    [
        *(([lasting(1.0)], [None], wall) for wall in (0.0, -1.0, math.nan, math.inf)),
        ([], [], 1.0),
        ([lasting(1.0), lasting(1.0)], [None], 1.0),
    ],
)
def test_what_is_no_run_is_refused(
    agents: list[Timing], solos: list[Timing | None], wall: float
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - a wall time, no agent, no place for a solo
        run_metrics(agents, solos, wall, serial=False)


@pytest.mark.parametrize(
    ("first_s", "order"),
    [([0.4], [1]), ([0.9, 0.4], [2, 1]), ([3.0, 1.0, 2.0], [3, 1, 2]), ([1.0, 1.0], [1, 2])],
)
def test_who_is_served_when(first_s: list[float], order: list[int]) -> None:
    assert service_order(first_s) == order
