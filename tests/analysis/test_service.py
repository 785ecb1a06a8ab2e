"""Who is served when, and where the time goes."""

import numpy as np
import pandas as pd
import pytest
from runs_tables import some_rounds, tables

from tandembench.analysis.service import PARTS, Losses, losses, services


def measured(rounds: int = 24) -> tuple[pd.DataFrame, pd.DataFrame]:
    """single: the second agent waits for the first; dual: both are slowed down by a fifth."""
    random = np.random.default_rng(1)
    logs = {name: random.normal(0, 0.01, rounds) for name in ("single", "dual")}
    runs, agents = tables(some_rounds(logs))
    dual = agents["config_id"] == "dual"
    waits = np.where(agents["service_order"] == 2, 2.0, 1.0)
    agents["slowdown"] = np.where(dual, 1.2, waits) * random.lognormal(0, 0.01, len(agents))
    agents["solo_s"] = np.where(dual, 0.8, 0.5)
    agents = agents.merge(runs[["config_id", "repetition", "round", "started_at"]])
    parts = {"queueing": [0.3, 0.0], "contention": [0.1, 0.2], "orchestration_true": [0.01, 0.01]}
    runs = runs.assign(work_imbalance=0.0, sequencing_loss=None, reloading=0.0)
    for name, (single, of_dual) in parts.items():
        runs[name] = np.where(runs["config_id"] == "dual", of_dual, single)
    lost = runs[["work_imbalance", *parts]].sum(axis=1)
    return runs.assign(efficiency_true=1 - lost, jain=0.9), agents


def test_slowdowns_are_by_the_order_of_service() -> None:
    found = services(*measured())
    assert [(one.config_id, one.order) for one in found] == [
        ("single", 1),
        ("single", 2),
        ("dual", 1),
        ("dual", 2),
    ]
    values = [one.slowdown.value for one in found if one.slowdown]
    assert values == pytest.approx([1.0, 2.0, 1.2, 1.2], rel=0.01)
    assert [one.first_token_s for one in found] == pytest.approx([0.4, 0.7] * 2)
    runs, agents = measured()
    found = services(runs, agents.assign(slowdown=np.nan))
    assert [one.slowdown for one in found] == [None] * 4
    assert found[0].first_token_s == pytest.approx(0.4)


def test_the_parts_and_what_is_left_make_one() -> None:
    assert [one.threads_alone for one in losses(*measured())] == [2, 1]
    for one in losses(*measured()):
        assert one.efficiency + sum(one.parts) == pytest.approx(1)
        assert len(one.parts) == len(PARTS)
        assert one.jain == 0.9


def test_where_the_time_goes_is_told_of_quiet_runs_where_there_are_some() -> None:
    runs, agents = measured()
    loud = runs["round"] == 1
    runs = runs.assign(disturbed=loud, contention=runs["contention"] + 0.5 * loud)
    single, dual = losses(runs, agents)
    assert (single.alone_s, dual.alone_s) == (0.5, 0.8)
    assert dict(zip(PARTS, dual.parts, strict=True))["contention"] == pytest.approx(0.2)
    everywhere = losses(runs.assign(disturbed=True), agents)[1]
    assert dict(zip(PARTS, everywhere.parts, strict=True))["contention"] > 0.2


def test_configs_without_solos_have_no_losses() -> None:
    runs, agents = measured()
    found: tuple[Losses, ...] = losses(runs.assign(efficiency_true=None), agents)
    assert found == ()
