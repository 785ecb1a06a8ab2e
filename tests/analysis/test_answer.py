"""The answer of a comparison, from the tables of a dataset."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs_tables import SIDES, executions, some_rounds, tables

from tandembench.analysis.answer import answer, answers
from tandembench.analysis.findings import Answer, Early
from tandembench.analysis.levels import Side
from tandembench.analysis.rounds import Rounds

MARGIN = 0.05
FOUR = {"serial": 1.0, "single": 1.0, "single_parallel": 1.02, "dual": 1.2}


def measured(
    ratios: Mapping[str, float] = FOUR,
    blocks: int = 6,
    *,
    sd: float = 0.01,
    seed: int = 1,
    usual_s: float = 1.4,
    **changes: Any,
) -> Rounds:
    random = np.random.default_rng(seed)
    n = 4 * blocks
    logs = {
        name: math.log(ratio / usual_s) + random.normal(0, sd, n) for name, ratio in ratios.items()
    }
    return some_rounds(logs, **changes)


def answered(table: Rounds, sides: Mapping[str, Side] = SIDES, **changes: Any) -> Answer:
    return answer(*tables(table, sides, **changes), MARGIN, "serial")


def test_the_fastest_topology_is_named() -> None:
    one = answered(measured({"serial": 1.0, "single": 0.99, "dual": 1.3}))
    assert (one.outcome, one.best, one.rivals, one.reference) == ("fastest", "dual", (), "serial")
    assert one.basis == "makespan"
    assert one.adjusted_p < 0.05
    assert one.row("dual").against is not None
    assert one.row("serial").against is None
    assert one.row("serial").is_reference
    assert one.next is None or one.next.config_id != "dual"
    same = answered(measured({"serial": 1.0, "single": 1.0}))
    assert (same.outcome, same.best, same.next) == ("equivalent", None, None)


def test_nothing_valid_is_not_measured() -> None:
    one = answered(measured(), valid=False)
    assert (one.outcome, one.best, one.twin, one.next) == ("not_measured", None, None, None)
    assert [row.makespan_s for row in one.rows] == [None] * 4
    assert (one.failed, one.rounds) == (4 * 24, 0)
    # nor is there anything to compare where the reference always failed
    runs, agents = tables(measured())
    broken, theirs = (each.assign(valid=each["config_id"] != "serial") for each in (runs, agents))
    one = answer(broken, theirs, MARGIN, "serial")
    assert (one.outcome, one.reference) == ("not_measured", "serial")
    assert (one.row("serial").failed, one.row("dual").makespan_s) == (24, pytest.approx(1.17, 0.02))


@pytest.mark.parametrize(
    ("ratios", "asked", "reference"),
    [
        (FOUR, "single_parallel", "single_parallel"),
        ({"single": 1, "dual": 1.2}, "serial", "single"),
    ],
)
def test_another_reference_may_be_asked_for(ratios: Any, asked: str, reference: str) -> None:
    assert answer(*tables(measured(ratios)), MARGIN, asked).reference == reference


def test_unlike_answers_are_compared_by_their_rates() -> None:
    """dual takes longer for twice the tokens: a wall time would call it slower."""
    runs, agents = tables(measured({"serial": 1.0, "dual": 0.8}), work_effective="natural")
    twice = runs["config_id"] == "dual"
    runs.loc[twice, "aggregate_tokens_per_s"] *= 2
    one = answer(runs, agents, MARGIN, "serial")
    assert (one.basis, one.best) == ("rate", "dual")
    against = one.row("dual").against
    assert against.ratio.value == pytest.approx(1.6, rel=0.02)


@pytest.mark.parametrize("known", [True, False])
def test_answers_that_ended_early_are_compared_by_what_all_have(known: bool) -> None:
    """dual is as much sooner with that, but made longer answers in all."""
    runs, agents = tables(measured({"serial": 1.0, "dual": 0.8}), work_effective="fixed")
    dual = runs["config_id"] == "dual"
    runs = runs.assign(equal_work_s=runs["wall_s"].where(~dual, runs["wall_s"] / 2))
    runs = runs.assign(equal_work_share=0.75)
    runs.loc[~dual, "work_effective"] = "capped"
    runs.loc[runs.index[0], "equal_work_share"] = 0.5
    if not known:  # as of the first version, or where the arrival of a token is not
        runs.loc[runs.index[-1], "equal_work_s"] = None
    one = answer(runs, agents, MARGIN, "serial")
    assert one.basis == ("capped" if known else "rate")
    assert one.early == (Early(24, 48, 0.75, 0.5) if known else None)
    ratio = one.row("dual").against.ratio.value
    assert ratio == pytest.approx(1.6 if known else 0.8, rel=0.02)
    if known:
        assert one.row("dual").makespan_s == pytest.approx(1.4 / 1.6, rel=0.02)


def test_rows_say_what_each_config_costs() -> None:
    table = measured()
    table.logs.loc[[3, 9, 15], "dual"] -= 1.0
    runs, agents = tables(table)
    runs.loc[runs["config_id"] == "dual", "server_memory_bytes"] = 2**29
    one = answer(runs, agents, MARGIN, "serial")
    row = one.row("dual")
    assert row.makespan_s == pytest.approx(1.4 / 1.2, rel=0.02)
    assert row.stalled == pytest.approx(3 / 24)
    assert one.row("serial").stalled == 0
    assert row.memory_gib == pytest.approx(0.5)
    assert row.tokens_per_s == pytest.approx(64 * 1.2 / 1.4, rel=0.02)
    assert row.first_token_s == pytest.approx((0.4, 0.7))
    assert (row.runs, row.failed, row.topology) == (24, 0, "dual")
    with pytest.raises(KeyError):
        one.row("no-such")


def test_solos_and_twins_are_no_first_tokens_of_a_run() -> None:
    runs, agents = tables(measured())
    solo = agents.assign(mode="solo", first_token_start_s=0.01)
    others = [solo.assign(service_order=None), solo, agents.assign(twin=True)]
    others[-1]["first_token_start_s"] = 0.02
    row = answer(runs, pd.concat([agents, *others]), MARGIN, "serial").row("dual")
    assert row.first_token_s == pytest.approx((0.4, 0.7))


def test_options_that_tell_configs_apart_are_named() -> None:
    runs, agents = tables(
        measured({"serial-a": 1.0, "serial-b": 1.0}),
        {"serial-a": SIDES["serial"], "serial-b": SIDES["serial"]},
    )
    wide = agents["config_id"] == "serial-b"
    agents.loc[wide, "options_asked"] = '{"num_ctx": 2048}'
    one = answer(runs, agents, MARGIN, "serial")
    assert [row.options for row in one.rows] == ["num_ctx 512", "num_ctx 2048"]
    assert [row.options for row in answered(measured()).rows] == [""] * 4


def test_twins_say_what_no_difference_looks_like() -> None:
    table = measured()
    twins = {name: np.full(24, np.nan) for name in FOUR}
    for block, name in enumerate([*FOUR, "serial", "dual"]):
        own = slice(4 * block, 4 * block + 4)
        twins[name][own] = table.logs[name].to_numpy()[own] + 0.005
    one = answered(table, twins=twins)
    assert one.twin.ratio.value == pytest.approx(1.005, abs=0.001)
    assert one.twin.verdict == "equivalent"
    assert (one.twin.rounds, one.twin.blocks) == (24, 6)
    plain = answered(table)
    assert plain.twin is None
    assert [row.makespan_s for row in one.rows] == [row.makespan_s for row in plain.rows]
    assert one.best == plain.best


def test_counts_of_what_was_measured() -> None:
    disturbed = np.zeros(48, dtype=bool)
    disturbed[[1, 30]] = True
    table = measured(blocks=12, blocks_a_session=6, disturbed=disturbed)
    one = answered(table)
    assert (one.rounds, one.used, one.disturbed) == (48, 46, 2)
    assert (one.blocks, one.sessions) == (12, 2)
    assert one.measuring_s == pytest.approx(12 * 30.0)


@pytest.mark.parametrize("changes", [{"placement": "in_turn"}, {"engine": "ollama"}])
def test_servers_that_turn_up_anew_or_never_start_have_less_to_allow_for(changes: Any) -> None:
    runs, agents = tables(measured({"serial": 1.0, "single_parallel": 1.0}, sd=0.005))
    usual, less = (
        answer(runs, each, MARGIN, "serial").row("single_parallel").against.spread
        for each in (agents, agents.assign(**changes))
    )
    assert less < usual


def test_each_comparison_answers_for_itself_in_the_order_of_the_study() -> None:
    one = tables(measured(), comparison="later")
    other = tables(measured({"serial": 1.0, "dual": 1.0}, seed=2), comparison="first")
    alone = tables(measured({"single": 1.0}, seed=3), comparison="alone")
    runs, agents = (pd.concat([a, b, c]) for a, b, c in zip(other, alone, one, strict=True))
    first, later = answers(runs, agents, MARGIN, "serial")
    assert (first.comparison, later.comparison) == ("first", "later")
    assert first == answer(*other, MARGIN, "serial")
    assert later == answer(*one, MARGIN, "serial")


def test_of_the_first_version_each_repetition_is_a_block_of_one_round() -> None:
    """Its datasets have no deployments, threads or twins, and often no clock."""
    runs, _ = tables(measured({"serial": 1.0, "dual": 1.3}, sd=0.02))
    runs = runs.assign(repetition=4 * (runs["repetition"] - 1) + runs["round"], started_at=pd.NaT)
    runs["round"] = runs["repetition"]
    agents = executions(runs, SIDES).assign(deployment=None, placement=None, threads=None)
    one = answer(runs, agents, MARGIN, "serial")
    assert (one.outcome, one.best, one.blocks, one.rounds) == ("fastest", "dual", 24, 24)
