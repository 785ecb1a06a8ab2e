"""Runs become rounds: what was measured side by side, seconds apart."""

import numpy as np
import pandas as pd
import pytest
from runs_tables import some_rounds, tables

from tandembench.analysis.rounds import Rounds, rounds, twin_rounds

LOGS = {"serial": np.linspace(-0.4, -0.3, 12), "dual": np.linspace(-0.2, -0.1, 12)}


def runs(**changes: object) -> pd.DataFrame:
    return tables(some_rounds(LOGS), **changes)[0]


def wall_rounds(table: pd.DataFrame) -> Rounds:
    return rounds(table, "wall_s", more_is_better=False)


def test_tables_are_read_as_they_were_made() -> None:
    read, made = wall_rounds(runs()), some_rounds(LOGS)
    assert read.logs.to_numpy() == pytest.approx(made.logs.to_numpy())
    assert [*read.logs.columns] == ["serial", "dual"]
    assert read.seconds == pytest.approx(made.seconds)
    assert len(set(read.blocks)) == 3
    assert not read.disturbed.any()


def test_more_is_better_or_less_is() -> None:
    rates = rounds(runs(), "aggregate_tokens_per_s", more_is_better=True)
    assert (rates.logs - wall_rounds(runs()).logs).to_numpy() == pytest.approx(np.log(64))


def test_configs_pair_only_within_a_round() -> None:
    """A run of which the other side's is missing stands alone, however near the next one is."""
    table = runs()
    lost = (table["config_id"] == "dual") & (table["repetition"] == 1) & (table["round"] == 2)
    read = wall_rounds(table[~lost])
    assert read.logs["dual"].isna().tolist() == [place == 1 for place in range(12)]
    assert read.logs["serial"].notna().all()


@pytest.mark.parametrize("key", ["session", "invocation", "repetition", "round", "attempt"])
def test_each_key_of_a_round_keeps_runs_apart(key: str) -> None:
    table = runs()
    other = table[key] + ("2" if key in ("session", "invocation") else 100)
    read = wall_rounds(table.assign(**{key: table[key].where(table["config_id"] == "dual", other)}))
    assert read.logs.notna().sum(axis=1).tolist() == [1] * 24


def test_twins_and_invalid_runs_and_unknown_values_are_left_out() -> None:
    twins = {"dual": np.full(12, -3.0)}
    table, _ = tables(some_rounds(LOGS), twins=twins)
    assert wall_rounds(table).logs.to_numpy() == pytest.approx(some_rounds(LOGS).logs.to_numpy())
    first_dual = table.index[(table["config_id"] == "dual") & ~table["twin"]][0]
    for name, value in (("valid", False), ("wall_s", None), ("wall_s", 0.0)):
        broken = table.copy()
        broken.loc[first_dual, name] = value
        assert wall_rounds(broken).logs["dual"].isna().sum() == 1


def test_one_disturbed_run_disturbs_its_round() -> None:
    table = runs()
    table.loc[(table["config_id"] == "dual") & (table["round"] == 3), "disturbed"] = True
    assert wall_rounds(table).disturbed.tolist() == [place % 4 == 2 for place in range(12)]


def marked(*places: int) -> Rounds:
    return some_rounds(LOGS, disturbed=[place in places for place in range(12)])


def test_undisturbed_rounds_stand_for_all_where_they_are_enough() -> None:
    table = marked(1, 5)
    quiet = table.undisturbed()
    assert len(quiet.logs) == len(quiet.blocks) == len(quiet.sessions) == len(quiet.seconds) == 10
    assert not quiet.disturbed.any()
    assert len(marked(*range(0, 8)).undisturbed().logs) == 12  # a third, but of one block
    assert len(marked(*range(2, 10)).undisturbed().logs) == 4  # a third, of two blocks
    assert len(marked(*range(2, 11)).undisturbed().logs) == 12  # less than a third


def test_which_rounds_count_never_depends_on_their_outcome() -> None:
    calm, wild = marked(1, 5), marked(1, 5)
    wild.logs.iloc[[1, 3]] = -9.0
    assert [*calm.undisturbed().logs.index] == [*wild.undisturbed().logs.index]


def test_twins_pair_with_the_first_run_of_the_same_config_and_round() -> None:
    """Serial was the twin in the first block, dual in the second, none in the third."""
    nothing = [np.nan] * 4
    twins = {
        "serial": [*(LOGS["serial"][:4] + 0.1), *nothing, *nothing],
        "dual": [*nothing, *(LOGS["dual"][4:8] + 0.2), *nothing],
    }
    table, _ = tables(some_rounds(LOGS), twins=twins)
    read = twin_rounds(table, "wall_s")
    assert {*read.logs.columns} == {"first", "twin"}
    assert (read.logs["twin"] - read.logs["first"]).tolist() == pytest.approx([0.1] * 4 + [0.2] * 4)
    assert len(set(read.blocks)) == 2
    assert len(twin_rounds(runs(), "wall_s").logs) == 0


def test_what_is_not_known_of_runs() -> None:
    assert wall_rounds(runs(invocation=None)).logs.notna().all(axis=None)
    assert wall_rounds(runs(started_at=pd.NaT)).seconds.tolist() == [0.0] * 12
    nothing = wall_rounds(runs(valid=False))
    assert len(nothing.logs) == 0
    assert nothing.undisturbed() is nothing
