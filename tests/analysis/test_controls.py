"""Controls pass by showing that there is nothing; secondary questions, only those declared."""

import numpy as np
import pandas as pd
import pytest
from runs_tables import SIDES, executions, some_rounds, tables

from tandembench.analysis.answer import answers
from tandembench.analysis.controls import Control, controls
from tandembench.analysis.criteria import criteria

MARGIN = 0.05


def checked(runs: pd.DataFrame, executions: pd.DataFrame) -> tuple[Control, ...]:
    return controls(runs, answers(runs, executions, MARGIN, "serial"), MARGIN)


def twins(blocks: int, sd: float, shift: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(1)
    n = 4 * blocks
    serial = random.normal(0, 0.01, n)
    table = some_rounds({"serial": serial, "dual": 0.2 + random.normal(0, 0.01, n)})
    return tables(table, twins={"serial": serial + shift + random.normal(0, sd, n)})


@pytest.mark.parametrize(
    ("blocks", "sd", "shift", "result"),
    [
        (8, 0.01, 0.0, "passed"),
        (8, 0.01, 0.2, "failed"),
        (8, 0.3, 0.0, "too_few"),
        (1, 0.01, 0.0, "too_few"),
    ],
)
def test_a_twin(blocks: int, sd: float, shift: float, result: str) -> None:
    (one,) = checked(*twins(blocks, sd, shift))
    assert (one.kind, one.result) == ("twin", result)


def test_one_config_under_two_ids_is_a_control() -> None:
    random = np.random.default_rng(2)
    logs = {name: random.normal(0, 0.01, 24) for name in ("dual", "dual-again")}
    sides = dict.fromkeys(logs, SIDES["dual"])
    (one,) = checked(*tables(some_rounds(logs), sides, content="the same"))
    assert (one.kind, one.result) == ("same_config", "passed")
    assert (one.versus.subject, one.versus.other) == ("dual-again", "dual")


@pytest.mark.parametrize(
    ("gain", "result"), [(1.0, "passed"), (1.2, "failed"), (None, "no control")]
)
def test_agents_in_turn_gain_nothing(gain: float | None, result: str) -> None:
    random = np.random.default_rng(3)
    runs, agents = tables(some_rounds({"serial": random.normal(0, 0.01, 24)}))
    noise = random.normal(0, 0.01, 24)
    runs["speedup_true"] = np.nan if gain is None else gain * np.exp(noise)
    found = checked(runs, agents)
    assert [(one.kind, one.result) for one in found] == (
        [] if gain is None else [("serial_gain", result)]
    )


def measured() -> tuple[pd.DataFrame, pd.DataFrame]:
    """dual: sooner, twice the memory, sooner first tokens, as fair."""
    random = np.random.default_rng(1)
    logs = {"serial": random.normal(0, 0.01, 24), "dual": 0.2 + random.normal(0, 0.01, 24)}
    runs, agents = tables(some_rounds(logs))
    dual = runs["config_id"] == "dual"
    runs.loc[dual, "server_memory_bytes"] *= 2
    agents.loc[agents["config_id"] == "dual", "first_token_start_s"] *= 0.5
    runs["jain"] = 0.9 * np.exp(random.normal(0, 0.001, len(runs)))
    return runs, agents


def test_what_is_not_declared_is_not_asked() -> None:
    assert criteria(*measured(), [], MARGIN, "serial") == ()


def test_each_declared_criterion_is_judged() -> None:
    found = criteria(*measured(), ["first_token", "memory", "fairness"], MARGIN, "serial")
    said = {one.criterion: (one.compared.outcome, one.compared.best) for one in found}
    assert said["first_token"] == ("fastest", "dual")
    assert said["memory"] == ("fastest", "serial")
    assert said["fairness"][1] is None


def test_criteria_pay_for_each_other() -> None:
    alone = criteria(*measured(), ["first_token"], MARGIN, "serial")[0].adjusted_p
    beside = criteria(*measured(), ["first_token", "fairness"], MARGIN, "serial")[0].adjusted_p
    assert beside == pytest.approx(2 * alone)


def test_memory_that_nobody_knows_is_not_measured() -> None:
    runs, _ = measured()
    runs["server_memory_bytes"] = np.nan
    (one,) = criteria(runs, executions(runs, SIDES), ["memory"], MARGIN, "serial")
    assert (one.compared.outcome, one.adjusted_p) == ("not_measured", None)
