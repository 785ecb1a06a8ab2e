"""Flags, deltas and whole rows of runs: units, symmetries, nulls, refusals."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timings import (
    EXACT,
    NEEDS_SOLO,
    PARTS,
    SIGNED,
    Measured,
    an_execution,
    eighths,
    executions,
    lasting,
    number,
    runs,
    stretch,
    unhurried,
)

from tandembench import metrics
from tandembench.metrics import RUN_METRICS, Timing, run_metrics


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
    assert metrics.contention_ttft_rule(agents, solos) is flag
    assert run_metrics(agents, solos, 9.0, serial=False)["contention_ttft_rule"] is flag


def test_ttft_rule_is_undecided_without_a_solo() -> None:
    assert metrics.contention_ttft_rule([lasting(1.0)], [None]) is None


def test_speedup_rule_is_for_two_agents() -> None:
    assert metrics.contention_speedup_rule(1.4999, 2) is True
    assert metrics.contention_speedup_rule(1.5, 2) is False
    assert metrics.contention_speedup_rule(1.0, 1) is None
    assert metrics.contention_speedup_rule(1.0, 3) is None


def test_deltas_have_the_signs_of_tr114() -> None:
    collector, insight = an_execution(3.0, 2.0, tokens=5), an_execution(1.0, 1.0, tokens=6)
    row = run_metrics([collector, insight], [None, None], 9.0, serial=False)
    assert (row["ttft_delta_s"], row["throughput_delta_tokens_per_s"]) == (2.0, 3.0)
    row = run_metrics([lasting(1.0, ttft=None), insight], [None, None], 9.0, serial=False)
    assert row["ttft_delta_s"] is None
    row = run_metrics([lasting(1.0, tokens=1), insight], [None, None], 9.0, serial=False)
    assert row["throughput_delta_tokens_per_s"] is None


@unhurried
@given(runs(), st.sampled_from([0.25, 2.0, 1024.0]))
def test_rows_scale_with_time(run: Measured, factor: float) -> None:
    agents, solos, wall, serial = run
    row = run_metrics(agents, solos, wall, serial)
    grown = run_metrics(
        [stretch(e, factor) for e in agents],
        [stretch(e, factor) for e in solos],
        wall * factor,
        serial,
    )
    powers = {"s": factor, "s/token": factor, "tokens/s": 1 / factor}
    for name, (unit, _) in RUN_METRICS.items():
        value = row[name]
        if isinstance(value, float):  # a power of two changes no digit
            assert grown[name] == value * powers.get(unit, 1.0), name
        elif name != "contention_ttft_rule":  # 3 s stay 3 s
            assert grown[name] == value, name


@unhurried
@given(runs(), st.randoms(use_true_random=False))
def test_rows_do_not_depend_on_the_order_of_agents(run: Measured, random: Random) -> None:
    agents, solos, wall, serial = run
    order = list(range(len(agents)))
    random.shuffle(order)
    row = run_metrics(agents, solos, wall, serial)
    shuffled = run_metrics([agents[k] for k in order], [solos[k] for k in order], wall, serial)
    sign = 1 if order == sorted(order) else -1
    for name, value in row.items():
        if name in SIGNED and value is not None:
            assert shuffled[name] == sign * number(row, name)
        else:
            assert shuffled[name] == value, name


@unhurried
@given(executions(), eighths, st.booleans())
def test_one_agent_has_no_true_or_pairwise_metric(agent: Timing, gap: float, serial: bool) -> None:
    wall = agent.duration_s + gap
    row = run_metrics([agent], [agent], wall, serial)
    null = NEEDS_SOLO | SIGNED | {"contention_speedup_rule"}
    assert {name for name in row if row[name] is None} - {"makespan_per_token_s"} == null
    assert row["efficiency_estimate"] == row["speedup_estimate"] == agent.duration_s / wall
    assert row["orchestration_loss"] == pytest.approx(gap / wall, abs=EXACT)
    assert [row[name] for name in ("imbalance_loss", "sequencing_loss", *PARTS)] == [0.0] * 6
    assert row["solo_basis"] == "none"


def test_five_agents_have_no_pairwise_metric() -> None:
    row = run_metrics([an_execution()] * 5, [an_execution()] * 5, 4.0, serial=False)
    assert {name for name in row if row[name] is None} == SIGNED | {"contention_speedup_rule"}
    assert row["efficiency_true"] == pytest.approx(3.5 / 4)


def test_no_tokens_at_all() -> None:
    agents = [an_execution(tokens=0)] * 2
    row = run_metrics(agents, [None, None], 4.0, serial=False)
    assert (row["aggregate_tokens_per_s"], row["makespan_per_token_s"]) == (0.0, None)
    assert row["throughput_delta_tokens_per_s"] is None


@unhurried
@given(runs())
def test_rows_keep_to_their_schema(run: Measured) -> None:
    agents, solos, wall, serial = run
    for references in (solos, [None] * len(agents)):
        row = run_metrics(agents, references, wall, serial)
        assert list(row) == list(RUN_METRICS)
        for name, value in row.items():
            kind = {"boolean": bool, "string": str}.get(RUN_METRICS[name][0], float)
            assert value is None or type(value) is kind, name


def test_schema_names_carry_their_units() -> None:
    suffixes = {"s": "_s", "tokens/s": "_tokens_per_s", "s/token": "_per_token_s"}
    assert {unit for unit, _ in RUN_METRICS.values()} == {*suffixes, "1", "boolean", "string"}
    for name, (unit, description) in RUN_METRICS.items():
        assert name.endswith(suffixes.get(unit, "")), name
        assert description
        assert "\n" not in description


@pytest.mark.parametrize("wall", [0.0, -1.0, math.nan, math.inf])
def test_runs_without_a_wall_time_are_refused(wall: float) -> None:
    with pytest.raises(ValueError, match="positive wall"):
        run_metrics([lasting(1.0)], [None], wall, serial=False)


def test_runs_need_an_agent_and_a_solo_slot_for_each() -> None:
    with pytest.raises(ValueError, match="needs an agent"):
        run_metrics([], [], 1.0, serial=False)
    with pytest.raises(ValueError, match="zip"):
        run_metrics([lasting(1.0), lasting(1.0)], [None], 1.0, serial=False)
