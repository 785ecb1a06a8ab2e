"""Secondary questions, only those that were declared."""

import numpy as np
import pandas as pd
import pytest
from runs_tables import SIDES, executions, some_rounds, tables

from tandembench.analysis.criteria import criteria

MARGIN = 0.05


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
