"""What is recorded is judged: each circumstance is injected, and comes out as its reason code.

Blocks go through the run command and become runs, on simulated servers of a thread of their own.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from measured_blocks import Row, codes, measured, spec_on
from raw_servers import (
    CLOSING,
    OOM,
    QUICK,
    TOKEN,
    Parts,
    Request,
    digest_of,
    faked_thread,
    free_port,
    nth,
    whole,
)
from run_specs import House, run_spec

from tandembench.errors import EXIT_ENVIRONMENT, TandemError
from tandembench.fake_server import server as server_module
from tandembench.fake_server.server import FakeServer
from tandembench.measure import execution, machine
from tandembench.measure import run as run_module
from tandembench.measure.telemetry import throttled
from tandembench.servers.deployment import deployments
from tandembench.study.spec import RunSpec
from tandembench.wire import client as client_module

Patch = pytest.MonkeyPatch
# After the warm-up of one server for one agent, in which Ollama is asked twice.
FIRST = 2


@pytest.fixture(autouse=True)
def _alone(monkeypatch: Patch, tmp_path: Path) -> None:
    """The studies here are started one by one, whatever this process was started by."""
    monkeypatch.delenv("TANDEMBENCH_INVOCATION", raising=False)
    monkeypatch.setattr(machine, "PATIENCE_S", 0.0)


def by_topology(runs: list[Row]) -> set[tuple[str, str | None]]:
    return {(run["topology"], code) for run, code in zip(runs, codes(runs), strict=True)}


def stops(spec: RunSpec, folder: Path, repetition: int = 1) -> str:
    """The line that ends the study; nothing is written."""
    with pytest.raises(TandemError) as caught:
        measured(spec, folder, repetition)
    assert caught.value.exit_code == EXIT_ENVIRONMENT
    assert not list(folder.glob(f"s1/*.r{repetition}.*"))
    return str(caught.value)


def answer(**numbers: int) -> Parts:
    """An answer of Ollama's, six tokens unless it says otherwise at its end."""
    said = {"total_duration": 1, "eval_count": 6, "prompt_eval_count": 31} | numbers
    body = ",".join(f'"{name}":{number}' for name, number in said.items())
    end = f'{{"done":true,"done_reason":"length",{body}}}\n'.encode()
    return [CLOSING, TOKEN, 0.002, TOKEN * (said["eval_count"] - 1) + end]


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({}, None),
        ({"load_duration": 420_000_000}, "cold"),
        ({"load_duration": 160_000_000}, None),
        ({"prompt_eval_count": 16}, "context_truncated"),
        ({"prompt_eval_count": 4092}, "context_truncated"),
        ({"prompt_eval_count": 4090}, None),
        ({"prompt_eval_count": 4091, "eval_count": 5}, "context_truncated"),
        # some limit that is not the study's
        ({"eval_count": 3}, "context_truncated"),
    ],
    ids=str,
)
def test_what_a_server_says_of_its_answer(
    numbers: dict[str, int], reason: str | None, tmp_path: Path
) -> None:
    with faked_thread(script=nth(FIRST, answer(**numbers))) as url:
        runs, rows = measured(spec_on(url), tmp_path)
    # what may be otherwise next time is measured once more
    again = [None] if reason == "cold" else []
    assert codes(runs) == [reason, *again]
    assert rows[0]["invalid"] == reason
    assert all(row["detail"] for row in rows if row["invalid"])
    assert {(row["nonce_policy"], row["prompt_words"]) for row in rows} == {("own", 31)}


GPU = {"size": 1000, "context_length": 4096}


@pytest.mark.parametrize(
    ("said", "changes", "reasons"),
    [
        ([200], {}, ["cpu_spill"]),
        ([200], {"cpu_spill": True}, [None]),
        ([1000], {}, [None]),
        ([0], {}, [None]),
        ([1000, 0], {}, ["cpu_spill"]),
    ],
    ids=str,
)
def test_where_the_model_lies(
    said: list[int], changes: Row, reasons: list[str | None], monkeypatch: Patch, tmp_path: Path
) -> None:
    values = iter(said)
    last = [0]

    def ps(server: FakeServer) -> list[Row]:
        last[0] = next(values, last[0])
        return [{"model": "fake:latest", **GPU, "size_vram": last[0]}]

    monkeypatch.setattr(FakeServer, "_ps", ps)
    with faked_thread() as url:
        runs, rows = measured(spec_on(url, **changes), tmp_path)
    assert codes(runs) == reasons
    assert {(row["model_bytes"], row["model_gpu_bytes"]) for row in rows} == {(1000, said[-1])}


@pytest.fixture
def releases(monkeypatch: Patch) -> Callable[[int, Callable[[], object]], None]:
    """Have something happen at the end of the n-th turn (from 1), when its answers are there."""
    calls = itertools.count(1)
    planned: dict[int, Callable[[], object]] = {}
    real = execution.Clocks.now

    def now() -> execution.Clocks:
        # A turn reads the clocks when it begins and when it has ended.
        turn, ended = divmod(next(calls) - 1, 2)
        if ended and turn + 1 in planned:
            planned[turn + 1]()
        return real()

    monkeypatch.setattr(execution.Clocks, "now", now)
    return planned.__setitem__


def jumps(monkeypatch: Patch, name: str, seconds: float) -> None:
    """A clock of the module ``time`` is ahead by so much from now on."""
    real = getattr(time, name)
    monkeypatch.setattr(time, name, lambda *which: real(*which) + round(seconds * 1e9))


def test_a_machine_that_slept_has_measured_nothing_meanwhile(
    releases: Any, monkeypatch: Patch, tmp_path: Path
) -> None:
    releases(1, lambda: jumps(monkeypatch, "clock_gettime_ns", 60.0))
    with faked_thread() as url:
        runs, rows = measured(spec_on(url), tmp_path)
    assert codes(runs) == ["suspended", None]
    assert [round(row["slept_s"]) for row in rows] == [60, 0]
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")  # as on macOS
    with faked_thread() as url:
        runs, rows = measured(spec_on(url), tmp_path, 2)
    assert codes(runs) == [None]
    assert {row["slept_s"] for row in rows} == {None}


def test_a_wall_clock_that_is_set_changes_no_duration(
    releases: Any, monkeypatch: Patch, tmp_path: Path
) -> None:
    releases(1, lambda: jumps(monkeypatch, "time_ns", -3600.0))
    with faked_thread() as url:
        runs, rows = measured(spec_on(url), tmp_path)
    assert codes(runs) == [None]
    assert runs[0]["flags"] == "clock_set"
    assert [round(row["clock_set_s"]) for row in rows] == [-3600]
    assert 0 < runs[0]["wall_s"] < 10


@pytest.mark.parametrize(("stamped", "reason"), [(True, None), (False, "loop_lag")])
def test_a_client_that_was_held_up_says_so(
    stamped: bool, reason: str | None, monkeypatch: Patch, tmp_path: Path
) -> None:
    real, calls = execution.stream, itertools.count()

    async def held_up(*arguments: Any) -> Any:
        if next(calls) == 0:
            asyncio.get_running_loop().call_later(0.02, time.sleep, 0.2)
        return await real(*arguments)

    monkeypatch.setattr(execution, "stream", held_up)
    if not stamped:
        monkeypatch.setattr(client_module, "keep_stamping", lambda: None)
    with faked_thread(behaviour=replace(QUICK, first_token_s=0.1)) as url:
        runs, rows = measured(spec_on(url, retries=0), tmp_path)
    assert codes(runs) == [reason]
    assert {row["flags"] for row in rows} == {"loop_lag"}
    assert min(row["loop_lag_s"] for row in rows) > 0.1
    if stamped:
        assert runs[0]["loop_lag_s"] > 0.1
        # it was held up while the first token came, and knows when that was all the same
        assert max(row["steps"][0]["chunk_ns"][0] for row in rows) < 0.19e9


def test_an_answer_from_the_prefix_cache_is_flagged(tmp_path: Path) -> None:
    usage = '"usage":{"prompt_tokens":31,"completion_tokens":6,'
    usage += '"prompt_tokens_details":{"cached_tokens":24}}'
    told = 'data: {"choices":[{"delta":{"content":"w "}}]}\n\n' * 6
    told += f'data: {{"choices":[{{"delta":{{}},"finish_reason":"length"}}],{usage}}}\n\n'
    parts: Parts = [
        CLOSING.replace(b"text/plain", b"text/event-stream"),
        told.encode(),
        b"data: [DONE]\n\n",
    ]
    with faked_thread(script=lambda n, _: parts if n else None) as url:
        runs, rows = measured(spec_on(url, engine="openai"), tmp_path)
    assert codes(runs) == [None]
    assert (runs[0]["flags"], runs[0]["cached_tokens"]) == ("prefix_cache", 24)
    assert {row["nonce_policy"] for row in rows} == {"own"}


def test_a_restarted_server_is_warmed_up_again(releases: Any, tmp_path: Path) -> None:
    port = free_port()
    requests: list[Request] = []
    with ExitStack() as stack:
        stack.enter_context(faked_thread(port=port, requests=requests))

        def restart() -> None:
            stack.close()
            requests.append(Request("", "restart", "", b'{"prompt": ""}'))
            stack.enter_context(faked_thread(port=port, requests=requests))

        releases(1, restart)
        url = f"http://127.0.0.1:{port}"
        runs, rows = measured(spec_on(url, rounds=2), tmp_path)
    assert codes(runs) == ["server_restarted", None, None]
    # one life before, which the void run had begun in, and one after
    lives = [row["server_life"] for row in rows]
    assert lives[0] != lives[1] == lives[2]
    assert None not in lives
    warmed = [one.path == "restart" or "Warm up" in one.json["prompt"] for one in requests]
    # a warm-up, a run, the restart, both anew; and, in the second attempt, once more
    assert warmed == [True, True, False, True, True, True, False, True, True, False]


def test_what_slowed_itself_down_against_heat_is_void(monkeypatch: Patch, tmp_path: Path) -> None:
    hot = [{"t_ns": 1, "subject": "gpu 0", "throttle": "GpuIdle, HwThermalSlowdown"}]
    monkeypatch.setattr(run_module, "by_position", lambda *_: {0: hot, 1: []})
    with faked_thread() as url:
        runs, rows = measured(spec_on(url, rounds=2), tmp_path)
    assert codes(runs) == ["throttled", None]
    assert rows[0]["detail"] == "HwThermalSlowdown"
    assert (
        throttled([{"subject": "gpu 0", "throttle": "SwPowerCap"}, {"subject": "machine"}]) is None
    )


# What ends the study, since nothing measured after it compares with what was before


def changing(name: str, values: Mapping[int, Any], monkeypatch: Patch) -> None:
    """Every answer of the fake server at ``name`` changes from its n-th call (from 0) on."""
    calls = itertools.count()

    def said(*_: Any) -> Any:
        n = next(calls)
        return values[max(first for first in values if first <= n)]

    monkeypatch.setattr(server_module if name == "_tag" else FakeServer, name, said)


def loaded(context: int) -> list[Row]:
    return [{"model": "fake:latest", "size": 1000, "size_vram": 0, "context_length": context}]


def test_a_context_that_changes_stops_the_study(monkeypatch: Patch, tmp_path: Path) -> None:
    changing("_ps", {0: loaded(4096), 3: loaded(2048)}, monkeypatch)
    with faked_thread() as url:
        line = stops(spec_on(url, rounds=4), tmp_path)
        assert url in line
        assert "2048" in line
        assert "4096" in line
    # and so it does if that was in an earlier block
    changing("_ps", {0: loaded(4096)}, monkeypatch)
    with faked_thread() as url:
        spec = spec_on(url)
        measured(spec, tmp_path, 2)
        changing("_ps", {0: loaded(2048)}, monkeypatch)
        line = stops(spec, tmp_path, 3)
    assert ".r2." in line


def test_a_digest_that_changes_stops_the_study(monkeypatch: Patch, tmp_path: Path) -> None:
    tag = {"name": "fake:latest", "digest": digest_of("fake:latest")}
    changing("_tag", {0: tag, 20: tag | {"digest": "f" * 64}}, monkeypatch)
    with faked_thread() as url:
        line = stops(spec_on(url, rounds=40), tmp_path)
    assert "f" * 12 in line


@pytest.mark.parametrize("at", [0, 1], ids=["warm-up", "run"])
def test_a_server_that_wants_a_key_stops_the_study(at: int, tmp_path: Path) -> None:
    refuses = [whole({"error": "no key sk-1234"}, "401 Unauthorized")]
    with faked_thread(script=nth(at, refuses)) as url:
        line = stops(spec_on(url, engine="openai"), tmp_path)
    assert url in line
    assert "TANDEMBENCH_API_KEY" in line
    assert "sk-1234" not in line


# What voids a config, and lets the others go on


def test_a_limit_of_the_rate_is_a_failure_and_no_end(tmp_path: Path) -> None:
    late = [whole({"error": "slow down"}, "429 Too Many Requests")]
    with faked_thread(script=nth(FIRST, late)) as url:
        runs, _ = measured(spec_on(url), tmp_path)
    assert codes(runs) == ["rate_limited", None]


@pytest.mark.parametrize("placement", ["together", "in_turn"])
def test_after_two_runs_without_memory_a_config_is_left_alone(
    placement: str, monkeypatch: Patch, tmp_path: Path
) -> None:
    spec = run_spec("serial", "dual", rounds=2, placement=placement)
    lost = deployments(spec, 2)[1]
    opened: list[str] = []
    house = House(script=lambda key: (lambda *_: [OOM]) if key.startswith(lost.key) else None)

    @asynccontextmanager
    async def opens(*arguments: Any) -> AsyncIterator[Any]:
        opened.extend(place.key for place in arguments[-1])
        async with house.open(arguments[-1]) as standing:
            yield standing

    monkeypatch.setattr(run_module, "open_servers", opens)
    monkeypatch.setattr(run_module, "deployments", lambda spec, _: deployments(spec, 2))
    first, rows = measured(spec, tmp_path)
    assert by_topology(first) == {("serial", None), ("dual", "oom"), ("dual", "unsafe")}
    assert len({row["position"] for row in rows if row["error"] == "oom"}) == 2
    opened.clear()
    second, rows = measured(spec, tmp_path, 2)
    assert by_topology(second) == {("serial", None), ("dual", "unsafe")}
    assert not any(key.startswith(lost.key) for key in opened)
    assert {row["attempt"] for row in rows} == {1}


def test_a_server_that_is_gone_in_mid_study_voids_its_own_configs(
    monkeypatch: Patch, tmp_path: Path
) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    with faked_thread() as url:
        spec = spec_on(url, gone, topologies=("single", "dual"))
        # at the start nothing is measured
        assert gone in stops(spec, tmp_path)
        monkeypatch.setenv("TANDEMBENCH_INVOCATION", "i1")
        measured(spec_on(url), tmp_path, 2)
        runs, _ = measured(spec, tmp_path, 3)
    assert by_topology(runs) == {("single", None), ("dual", "conn_refused")}


def test_a_server_that_comes_back_is_measured_in_the_next_attempt(
    releases: Any, monkeypatch: Patch, tmp_path: Path
) -> None:
    port = free_port()
    with ExitStack() as stack:
        stack.enter_context(faked_thread(port=port))
        real, asked = run_module.confirm, itertools.count()

        async def confirm(*arguments: Any) -> None:
            if next(asked) == 1:  # it was asked once for nothing
                stack.enter_context(faked_thread(port=port))
            await real(*arguments)

        monkeypatch.setattr(run_module, "confirm", confirm)
        releases(1, stack.close)
        runs, rows = measured(spec_on(f"http://127.0.0.1:{port}", rounds=3), tmp_path)
    assert codes(runs) == [None, "conn_refused", "conn_refused", None, None]
    assert len({row["server_life"] for row in rows if not row["error"]}) == 2


def test_a_server_that_stays_away_is_waited_for_as_long_as_is_said(
    releases: Any, monkeypatch: Patch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run_module, "_RESTART_S", 0.5)
    with ExitStack() as stack, faked_thread() as url:
        lost = stack.enter_context(faked_thread())
        releases(1, stack.close)
        spec = spec_on(url, lost, topologies=("single", "dual"))
        begun = time.monotonic()
        runs, _ = measured(spec, tmp_path)
    assert time.monotonic() - begun > 0.5
    assert by_topology(runs) >= {("single", None), ("dual", "conn_refused")}


def test_one_server_behind_two_addresses_is_no_dual(monkeypatch: Patch, tmp_path: Path) -> None:
    until = {"expires_at": "2026-11-28T03:00:00.123456789Z"}
    changing("_ps", {0: [loaded(4096)[0] | until]}, monkeypatch)
    with faked_thread() as one, faked_thread() as other:
        runs, _ = measured(spec_on(one, other, topologies=("single", "dual")), tmp_path)
    assert by_topology(runs) == {("single", None), ("dual", "shared_server")}
