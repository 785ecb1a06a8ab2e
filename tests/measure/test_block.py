"""The block protocol: on fake servers, on the real engine, and on the Ollama stand-in."""

import asyncio
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ollama_standin import TOKENS_BEFORE_FAULT, Standin, listening
from run_specs import (
    QUICK,
    TOPOLOGIES,
    House,
    a_bench,
    an_agent,
    rounds_of,
    run_spec,
    two_agents,
)

from tandembench.fake_server import Behaviour, serving
from tandembench.measure import bench as bench_module
from tandembench.measure import machine
from tandembench.measure.bench import Bench, Done
from tandembench.measure.block import Attempt, measure_block
from tandembench.measure.execution import Execution
from tandembench.measure.plan import Turn
from tandembench.servers.deployment import deployments
from tandembench.servers.lock import lock_entry
from tandembench.servers.open import open_servers
from tandembench.study.spec import RunSpec
from tandembench.wire import DRIVERS, open_client


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others do on this machine is no matter here."""
    monkeypatch.setattr(machine, "PATIENCE_S", 0.0)


def measured(
    spec: RunSpec, house: House, repetition: int = 1, spare: Sequence[int] = (), **changes: Any
) -> Attempt:
    """One attempt at all rounds of ``spec`` on the servers of ``house``."""

    async def measure() -> Attempt:
        async with open_client() as client:
            bench = a_bench(spec, client, house, repetition=repetition, **changes)
            return await measure_block(bench, rounds_of(spec, repetition), iter(spare))

    return asyncio.run(asyncio.wait_for(measure(), 60))


def runs(attempt: Attempt) -> list[Done]:
    return [one for one in attempt.done if one.turn.solo is None]


def solos(attempt: Attempt) -> list[Done]:
    return [one for one in attempt.done if one.turn.solo is not None]


def executions(attempt: Attempt) -> list[Execution]:
    return [one for done in attempt.done for one in done.executions]


def config_of(spec: RunSpec, done: Done) -> str:
    return spec.configs[done.turn.config].id + (" twin" if done.turn.twin else "")


def test_a_block_measures_every_config_in_every_round_on_servers_that_stay_up() -> None:
    spec, house = run_spec(*TOPOLOGIES, rounds=3), House()
    attempt = measured(spec, house)
    assert not any(one.failed for one in attempt.done)
    assert attempt.again == ()
    assert [one.position for one in attempt.done] == list(range(len(attempt.done)))
    stamps = [one.started_at for one in attempt.done]
    assert stamps == sorted(stamps)
    counts = Counter((one.round, config_of(spec, one)) for one in runs(attempt))
    assert set(counts.values()) == {1}
    assert len(counts) == 3 * 5
    assert sum(name.endswith("twin") for _, name in counts) == 3
    # every server once, the twin's besides
    opened = [event for event in house.events if event.startswith("open")]
    assert len(opened) == len(set(opened)) == 4
    assert house.events[4:] == [event.replace("open", "close") for event in opened]
    spans = [
        (one.executions[0].t0_ns, max(step.end_ns for e in one.executions for step in e.steps))
        for one in attempt.done
    ]
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    assert attempt.duration_s is not None
    assert 0 < attempt.duration_s - (spans[-1][1] - spans[0][0]) / 1e9 < 5


def test_serial_and_single_share_a_server_and_the_twin_has_its_own() -> None:
    spec = run_spec(*TOPOLOGIES)
    twins = set()
    for repetition in range(1, 5):
        attempt = measured(spec, House(), repetition)
        urls: dict[str, set[str]] = defaultdict(set)
        keys = {}
        for done in attempt.done:
            urls[config_of(spec, done)] |= {server.url for server in done.servers}
            keys[config_of(spec, done)] = done.deployment
        assert urls["serial"] == urls["single"]
        assert keys["serial"] == keys["single"]
        (twin,) = (name for name in urls if name.endswith("twin"))
        others = {url for name, of_name in urls.items() if name != twin for url in of_name}
        assert not urls[twin] & others
        assert keys[twin] not in {key for name, key in keys.items() if name != twin}
        assert len(urls["dual"]) == 2
        twins.add(twin)
        # nobody is alone twice: serial is the solo of both
        assert {config_of(spec, done) for done in solos(attempt)} == {"single_parallel", "dual"}
    assert len(twins) == 4


def test_all_of_a_round_ask_the_same_and_every_round_asks_anew() -> None:
    spec = run_spec(*TOPOLOGIES, rounds=2)
    asked: dict[tuple[int, str], set[tuple[str, int]]] = defaultdict(set)
    for done in measured(spec, House()).done:
        for one in done.executions:
            assert len(one.nonce) == 12
            assert one.nonce.isdigit()
            asked[done.round, one.agent].add((one.nonce, one.seed))
    assert {len(values) for values in asked.values()} == {1}
    assert len({value for values in asked.values() for value in values}) == 4


def test_prompts_begin_with_the_nonce_inside_the_template() -> None:
    spec, house = run_spec("single", agents=[an_agent("a", 3, "Say [[nonce]].")]), House()
    (done,) = measured(spec, house).done
    (servers,) = house.servers.values()
    prompts = [stream.prompt for stream in servers[0].streams]
    nonce = done.executions[0].nonce
    assert any(f"{nonce}\nSay [[nonce]]." in prompt for prompt in prompts), prompts
    # and so says the manual of prompts
    manual = Path(__file__).parents[2] / "config/agents/README.md"
    (example,) = re.findall(r"a line of 12 digits in\s+front, such as `(.*)`", manual.read_text())
    assert len(example) == len(nonce)
    assert example.isdigit()


def test_serial_takes_turns_and_the_others_run_at_once() -> None:
    for done in runs(measured(run_spec(*TOPOLOGIES), House())):
        first, second = done.executions
        assert first.t0_ns == second.t0_ns
        if done.turn.config == 0:
            assert first.steps[-1].end_ns <= second.steps[0].request_ns
        else:
            assert second.steps[0].request_ns < first.steps[-1].end_ns


def test_a_comparison_of_one_measures_solos_around_its_run() -> None:
    attempt = measured(run_spec("dual", rounds=2), House())
    assert len(runs(attempt)) == 2
    assert len(solos(attempt)) == 2
    assert {one.executions[0].mode for one in solos(attempt)} == {"solo"}
    by_agent = {one.agent: done.servers for done in solos(attempt) for one in done.executions}
    assert sorted(by_agent) == ["collector", "insight"]


def failing_at(*requests: int) -> Behaviour:
    """A server that breaks the answer of one request, counted from 0 with the warm-up."""
    (request,) = requests
    return replace(QUICK, fault="reset", faulty_request=request)


def test_a_failed_stream_voids_its_run_alone_and_keeps_what_came() -> None:
    spec = run_spec(*TOPOLOGIES, rounds=3)
    keys = [place.key for place in deployments(spec, cores=2)]
    parallel = keys[2]
    house = House(lambda key: failing_at(4) if key == parallel else QUICK)
    attempt = measured(spec, house)
    failed = [one for one in attempt.done if one.failed]
    assert [config_of(spec, one) for one in failed] == ["single_parallel"]
    (broken,) = (one for one in failed[0].executions if one.error)
    assert broken.error == "reset"
    assert len(broken.steps[-1].chunk_ns) > 0
    # everything else was measured, and that round is for another attempt, as a whole
    assert len(runs(attempt)) == 3 * 5
    (again,) = attempt.again
    assert again.number == failed[0].round
    assert again.blamed == (failed[0].turn,)
    assert len([turn for turn in again.turns if turn.solo is None]) == 5


def test_a_run_that_fails_twice_in_a_row_is_not_tried_again_in_its_attempt() -> None:
    spec = run_spec("serial", "dual", rounds=4)
    lost = deployments(spec, cores=2)[1].key
    # what it was asked in vain
    house = House(lambda key: replace(QUICK, fault="no_headers") if key == lost else QUICK)
    attempt = measured(replace(spec, idle_s=0.05), house)
    reasons = [
        done.fault.reason if done.fault else done.executions[0].error
        for done in runs(attempt)
        if done.turn == Turn(1)
    ]
    assert reasons == ["no_first_byte", "no_first_byte", "given_up", "given_up"]
    assert not any(done.failed for done in attempt.done if done.turn == Turn(0))
    assert [one.number for one in attempt.again] == [1, 2, 3, 4]


def test_servers_that_do_not_start_void_their_own_configs_and_no_other() -> None:
    spec = run_spec(*TOPOLOGIES, rounds=2)
    lost = deployments(spec, cores=2)[3].key
    house = House(lost={lost})
    attempt = measured(spec, house)
    void = Counter(config_of(spec, one) for one in attempt.done if one.failed)
    assert void["dual"] == 2
    assert void.keys() <= {"dual", "dual twin"}
    assert all(one.position is None for one in attempt.done if one.failed)
    assert {config_of(spec, one) for one in attempt.done if not one.failed} >= set(TOPOLOGIES[:3])

    async def once_more() -> Attempt:
        async with open_client() as client:
            return await measure_block(a_bench(spec, client, house), attempt.again, iter(()))

    # they are still lost: the others have their runs already
    assert {one.turn.config for one in asyncio.run(once_more()).done} == {3}


def test_each_run_starts_and_stops_its_own_servers_where_they_do_not_fit_together() -> None:
    spec, house = run_spec(*TOPOLOGIES, rounds=2, placement="in_turn"), House()
    attempt = measured(spec, house)
    assert not any(one.failed for one in attempt.done)
    assert len(runs(attempt)) == 2 * 5
    pairs = list(zip(house.events[::2], house.events[1::2], strict=True))
    assert all(begin.split()[1:] == end.split()[1:] for begin, end in pairs)
    assert [(begin.split()[0], end.split()[0]) for begin, end in pairs] == [("open", "close")] * 10
    # solos run while the servers of their config are up
    assert len(solos(attempt)) == 4


class Scripted:
    """Others that use what a script says during each run, and what the last word says after it."""

    def __init__(self, script: Iterator[float]) -> None:
        self.script = script
        self.before = True
        self.waits = 0

    def look(self) -> float:
        self.before = not self.before
        return 0.0 if not self.before else next(self.script)

    async def wait_until_quiet(self) -> float:
        self.waits += 1
        return 0.0


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterator[float]], Scripted]:
    """Have blocks see others as scripted, one figure a turn."""

    def script(cores: Iterator[float]) -> Scripted:
        watcher = Scripted(cores)
        monkeypatch.setattr(bench_module, "Others", lambda _: watcher)
        return watcher

    return script


def test_a_disturbed_round_is_repeated_at_the_end_and_stays(
    scripted: Callable[[Iterator[float]], Scripted],
) -> None:
    spec = run_spec("serial", "single", rounds=2)  # three runs a round, no solos
    watcher = scripted(iter([0.0, 0.3, 0.0, *[0.0] * 6]))
    attempt = measured(spec, House(pid=1), spare=(3, 4))
    assert [one.round for one in attempt.done] == [1] * 3 + [2] * 3 + [3] * 3
    assert attempt.again == ()
    # the same places, another nonce
    turns = [one.turn for one in attempt.done]
    assert turns[6:] == turns[:3]
    assert attempt.done[0].executions[0].nonce != attempt.done[6].executions[0].nonce
    assert watcher.waits == 3


def test_no_more_rounds_are_repeated_than_were_planned(
    scripted: Callable[[Iterator[float]], Scripted],
) -> None:
    spec = run_spec("serial", "single", rounds=2)
    scripted(iter(lambda: 0.5, None))
    attempt = measured(spec, House(pid=1), spare=(3, 4))
    assert [one.round for one in attempt.done] == [r for r in (1, 2, 3, 4) for _ in range(3)]
    assert all(one.disturbed for one in attempt.done)


def test_others_are_not_known_where_a_servers_process_is_not() -> None:
    attempt = measured(run_spec("serial", "single"), House())
    assert {one.foreign_cores for one in executions(attempt)} == {None}


def on_embedded(spec: RunSpec, models: Path, log: Path) -> Attempt:
    async def measure() -> Attempt:
        async with open_client() as client:
            with log.open("w") as file:

                def servers(wanted: Any) -> Any:
                    return open_servers(spec, models, client, file, wanted)

                bench = a_bench(spec, client, House())
                bench.open_servers = servers
                return await measure_block(bench, rounds_of(spec), iter(()))

    return asyncio.run(measure())


def test_on_the_real_engine_all_topologies_answer_alike(model_file: Path, tmp_path: Path) -> None:
    spec = run_spec(*TOPOLOGIES)
    attempt = on_embedded(spec, model_file.parent, tmp_path / "log")
    assert not any(one.failed for one in attempt.done)
    answers: dict[str, set[str]] = defaultdict(set)
    for done in attempt.done:
        for one in done.executions:
            (step,) = one.steps
            answers[one.agent].add(step.text)
            assert step.final.answer_tokens == 6
            assert step.final.cached_tokens == 0
            assert step.request_ns < step.chunk_ns[0] <= step.chunk_ns[-1] <= step.end_ns
            assert one.foreign_cores is not None
            assert one.foreign_cores >= 0
        assert done.memory_bytes is not None
        assert done.memory_bytes > 50_000_000 * len(done.servers)
    # the very same work everywhere but in slots that are batched, where sums round differently
    assert all(1 <= len(texts) <= 2 for texts in answers.values())


def test_a_second_step_reads_the_answer_of_the_first(model_file: Path, tmp_path: Path) -> None:
    agents = [an_agent(name, 6, "Name a colour.", 'Repeat: "[[answer]]"') for name in ("a", "b")]
    attempt = on_embedded(run_spec("serial", agents=agents), model_file.parent, tmp_path / "log")
    for execution in executions(attempt):
        first, second = execution.steps
        assert first.end_ns <= second.request_ns
        assert second.final.prompt_tokens is not None
        # six tokens of answer came in, whatever they are; the placeholder is gone
        assert "[[" not in second.text


def on_ollama(spec: RunSpec, standin: Standin) -> Attempt:
    """A block of ``spec`` on one stand-in, which serves all of its configs."""

    async def measure() -> Attempt:
        async with listening(standin.handle) as url, open_client() as client:
            asked = replace(
                spec,
                engine="ollama",
                protocol="generate",
                lock=await lock_entry("ollama", client, [url], ["tiny"]),
                configs=tuple(replace(one, servers=(url,)) for one in spec.configs),
            )
            places = deployments(asked, cores=2)

            def servers(wanted: Any) -> Any:
                return open_servers(asked, Path(), client, sys.stderr, wanted)

            bench = Bench(
                spec=asked,
                repetition=1,
                attempt=1,
                places=places,
                client=client,
                open_servers=servers,
            )
            return await measure_block(bench, rounds_of(asked), iter(()))

    return asyncio.run(asyncio.wait_for(measure(), 60))


def test_where_a_prompt_cache_cannot_be_off_nobody_asks_the_same() -> None:
    spec = run_spec("serial", "single", "single_parallel", agents=two_agents(model="tiny"))
    attempt = on_ollama(spec, Standin(parallel=2))
    assert not any(one.failed for one in attempt.done)
    nonces = [one.nonce for one in executions(attempt)]
    assert len(set(nonces)) == len(nonces)
    # running servers are lent: the twin is on the same one
    assert len({server.url for done in attempt.done for server in done.servers}) == 1
    assert {done.effective["collector"].num_ctx for done in attempt.done} == {2048}
    assert all(done.memory_bytes for done in attempt.done)
    assert all(one.foreign_cores is None for one in executions(attempt))


def test_what_another_config_had_loaded_is_loaded_anew_before_the_clock_runs() -> None:
    small, large = (two_agents(model="tiny", num_ctx=ctx) for ctx in (4096, 8192))
    spec = run_spec("serial", "single", agents=small, rounds=2)
    larger = replace(spec.configs[1], id="larger", agents=large)
    attempt = on_ollama(
        replace(spec, configs=(spec.configs[0], larger)), Standin(load_s=0.3, token_s=0.0)
    )
    assert not any(one.failed for one in attempt.done)
    loads = [step.final.load_s for one in executions(attempt) for step in one.steps]
    assert max(load or 0.0 for load in loads) < 0.3
    heard = {config_of(spec, one): one.effective["insight"].num_ctx for one in attempt.done}
    assert (heard["serial"], heard["single"]) == (4096, 8192)


@pytest.mark.parametrize(
    ("engine", "protocol"), [one for one in DRIVERS if one[1]], ids=lambda name: name
)
def test_a_block_is_asked_for_in_the_protocol_of_its_spec(engine: str, protocol: str) -> None:
    async def measure() -> tuple[Attempt, set[str]]:
        async with serving(QUICK) as server, open_client() as client:
            spec = run_spec(
                "single",
                agents=two_agents(model="fake"),
                servers=[server.url],
                engine=engine,
                protocol=protocol,
                lock=await lock_entry(engine, client, [server.url], ["fake"]),
            )
            bench = a_bench(spec, client, House())
            bench.open_servers = lambda wanted: open_servers(
                spec, Path(), client, sys.stderr, wanted
            )
            attempt = await measure_block(bench, rounds_of(spec), iter(()))
            return attempt, {one.path for one in server.streams}

    attempt, paths = asyncio.run(measure())

    assert paths == {DRIVERS[engine, protocol].PATH}
    assert [one.error for one in executions(attempt)] == [None] * 4
    assert all(s.final.answer_tokens == 6 for one in executions(attempt) for s in one.steps)
    assert attempt.done[0].effective["insight"].num_ctx


def test_a_stream_that_breaks_on_ollama_keeps_its_tokens() -> None:
    spec = run_spec("single", agents=two_agents(model="tiny"))
    # the first two requests are the warm-up
    standin = Standin(fault=lambda n: "error_line" if n == 3 else None)
    attempt = on_ollama(spec, standin)
    (failed,) = [one for one in executions(attempt) if one.error]
    assert failed.error == "server_error"
    assert len(failed.steps[-1].chunk_ns) == TOKENS_BEFORE_FAULT
    assert len(attempt.again) == 1


def test_measuring_imports_nothing_that_it_does_not_need() -> None:
    program = (
        "import sys, tandembench.cli.measuring\n"
        "print(*(name for name in ('pandas', 'pyarrow', 'jinja2', 'scipy', 'jsonschema',"
        " 'ruamel', 'numpy', 'snakemake') if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
