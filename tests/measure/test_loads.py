"""Loads of a model inside of executions: cold by the server's own loads, or for another agent."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from measured_blocks import Row, codes, measured, spec_on
from raw_servers import QUICK, faked_thread
from run_specs import an_agent

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.fake_server.server import FakeServer
from tandembench.measure.loads import limit_s

Patch = pytest.MonkeyPatch
LOAD_S = 0.3
LOADING = replace(QUICK, load_s=LOAD_S, slots=1)


@pytest.mark.parametrize(
    ("times_s", "loads_s"),
    [
        ([0.54, 0.001, 0.42], [0.54, 0.42]),  # Ollama 0.32 on two cores
        ([0.42, 0.16, 0.03, 0.47], [0.42, 0.47]),  # 0.12
        ([0.35, 0.18, 4.8], [4.8]),  # on a GPU, as TR113's authors measured it
        ([60.0, 0.1, 1.5], [60.0, 1.5]),  # from the disk, then from memory
        ([0.002, 0.09], []),
        ([0.9, 1.1], []),
        ([], []),
    ],
)
def test_a_load_is_one_by_the_servers_own_warm_ones(
    times_s: list[float], loads_s: list[float]
) -> None:
    assert [time for time in times_s if time > limit_s(times_s)] == loads_s


def unloads(monkeypatch: Patch, name: str, when: Callable[[int], bool], hides: bool) -> None:
    """Fake servers unload their model at calls of ``name`` (from 1); ``hides``: and say so late."""
    real = getattr(FakeServer, name)
    calls = 0

    def asked(server: FakeServer, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        before = real(server, *arguments)
        if when(calls):
            server._loaded = None
        return before if hides else real(server, *arguments)

    monkeypatch.setattr(FakeServer, name, asked)


@pytest.mark.parametrize(
    ("hides", "reasons"), [(False, [None]), (True, ["cold", None])], ids=["between", "inside"]
)
def test_a_model_that_was_unloaded_is_loaded_before_the_clock_runs_or_the_run_is_cold(
    hides: bool, reasons: list[str | None], monkeypatch: Patch, tmp_path: Path
) -> None:
    # what it has loaded is asked after the warm-up, and before a run
    unloads(monkeypatch, "_ps", lambda call: call == 2, hides)
    with faked_thread(behaviour=LOADING) as url:
        runs, rows = measured(spec_on(url), tmp_path)
    assert codes(runs) == reasons
    assert [row["cold"] for row in rows] == [reason == "cold" for reason in reasons]


def test_a_server_that_keeps_no_model_stops_the_study_with_what_to_set(
    monkeypatch: Patch, tmp_path: Path
) -> None:
    unloads(monkeypatch, "_ps", lambda _: True, hides=False)
    with faked_thread(behaviour=LOADING) as url, pytest.raises(TandemError) as caught:
        measured(spec_on(url), tmp_path)
    assert caught.value.exit_code == EXIT_ENVIRONMENT
    assert url in str(caught.value)
    assert "OLLAMA_KEEP_ALIVE" in str(caught.value)


@pytest.fixture
def hetero(tmp_path: Path) -> tuple[dict[str, Row], list[Row]]:
    """(runs by topology, raw rows) of two agents that want different contexts of one server."""
    agents = [an_agent(name, model="fake", num_ctx=ctx) for name, ctx in (("a", 4096), ("b", 8192))]
    with faked_thread(behaviour=LOADING) as url:
        spec = spec_on(url, topologies=("serial", "single"), agents=agents)
        runs, rows = measured(spec, tmp_path)
    assert codes(runs) == [None] * 3  # with the twin
    return {run["topology"]: run for run in runs}, rows


def test_reloads_for_other_options_are_counted_timed_and_no_contention(
    hetero: tuple[dict[str, Row], list[Row]],
) -> None:
    runs, rows = hetero
    for run in runs.values():
        assert (run["cold"], run["flags"]) == (False, "reload")
        assert 1 <= run["reloads"] <= 2  # two, if the agent came first whose is not loaded
        assert run["reload_s"] / run["reloads"] == pytest.approx(LOAD_S, abs=0.1)
        assert run["reloading"] > 0.1
        # an agent alone takes some milliseconds, as long as beside another in this server
        assert abs(run["contention"]) < run["reloading"] / 2
        parts = ("contention", "reloading", "queueing", "work_imbalance", "sequencing_loss")
        loss = sum(run[part] for part in (*parts, "orchestration_true"))
        assert loss == pytest.approx(1 - run["efficiency_true"], abs=1e-9)
    assert runs["serial"]["reloads"] == 1
    # both have their own, whoever was loaded last
    assert {(row["agent"], row["num_ctx_effective"]) for row in rows} == {("a", 4096), ("b", 8192)}


def test_agents_that_are_measured_alone_find_their_own_model_loaded(
    hetero: tuple[dict[str, Row], list[Row]],
) -> None:
    solos = [row for row in hetero[1] if row["mode"] == "solo"]
    assert {(row["topology"], row["agent"]) for row in solos} == {
        (topology, agent) for topology in ("serial", "single") for agent in "ab"
    }
    assert max(step["load_s"] for row in solos for step in row["steps"]) < LOAD_S / 2
    assert {row["flags"] for row in solos} == {None}
