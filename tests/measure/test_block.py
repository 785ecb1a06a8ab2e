"""The block protocol: on fake servers of every protocol, and on the real engine."""

import asyncio
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise, repeat
from pathlib import Path

import pytest
from raw_servers import WAIT, Request, Script, faked
from run_specs import QUICK, TOPOLOGIES, House, a_bench, an_agent, rounds_of, run_spec, two_agents

from tandembench.fake_server import Behaviour
from tandembench.measure import block as block_module
from tandembench.measure import machine
from tandembench.measure.block import Attempt, Done, measure_block
from tandembench.measure.execution import Execution
from tandembench.measure.plan import Round, Turn
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
    spec: RunSpec,
    house: House,
    repetition: int = 1,
    spare: Sequence[int] = (),
    rounds: Sequence[Round] = (),
) -> Attempt:
    """One attempt at ``rounds`` (all those of ``spec``) on the servers of ``house``."""

    async def measure() -> Attempt:
        async with open_client() as client:
            bench = a_bench(spec, client, house, repetition=repetition)
            wanted = rounds or rounds_of(spec, repetition)
            return await measure_block(bench, wanted, iter(spare))

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
    # where a server's process is not known, others' cannot be told from it
    assert {one.foreign_cores for one in executions(attempt)} == {None}
    for done in runs(attempt):
        first, second = done.executions
        assert first.t0_ns == second.t0_ns
        in_turn = first.steps[-1].end_ns <= second.steps[0].request_ns
        assert in_turn == (spec.configs[done.turn.config].topology == "serial")


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
        assert len(urls["dual"]) == 2
        (twin,) = (name for name in urls if name.endswith("twin"))
        assert not urls[twin] & {url for name in urls.keys() - {twin} for url in urls[name]}
        assert keys[twin] not in {keys[name] for name in keys.keys() - {twin}}
        twins.add(twin)
        # nobody is alone twice: serial is the solo of both
        assert {config_of(spec, done) for done in solos(attempt)} == {"single_parallel", "dual"}
    assert len(twins) == 4


def test_all_of_a_round_ask_the_same_and_every_round_asks_anew() -> None:
    spec, house = run_spec(*TOPOLOGIES, rounds=2), House()
    asked: dict[tuple[int, str], set[tuple[str, int]]] = defaultdict(set)
    for done in measured(spec, house).done:
        for one in done.executions:
            assert len(one.nonce) == 12
            assert one.nonce.isdigit()
            asked[done.round, one.agent].add((one.nonce, one.seed))
    assert {len(values) for values in asked.values()} == {1}
    nonces = {nonce for values in asked.values() for nonce, _ in values}
    assert len(nonces) == 4


def test_prompts_begin_with_the_nonce_inside_the_template() -> None:
    spec, house = run_spec("single", agents=[an_agent("a", 3, "Say [[nonce]].")]), House()
    (done,) = measured(spec, house).done
    (servers,) = house.servers.values()
    prompts = [stream.prompt for stream in servers[0].streams]
    nonce = done.executions[0].nonce
    assert any(f"{nonce}\nSay [[nonce]]." in prompt for prompt in prompts), prompts


# Faults


def test_a_run_that_fails_twice_in_a_row_is_not_tried_again_in_its_attempt() -> None:
    spec = run_spec("serial", "dual", rounds=4, idle_s=0.5)
    lost = deployments(spec, cores=2)[1].key
    house = House(script=lambda key: (lambda *_: [WAIT]) if key == lost else None)
    attempt = measured(spec, house)
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
    house = House(lost={deployments(spec, cores=2)[3].key})
    attempt = measured(spec, house)
    void = Counter(config_of(spec, one) for one in attempt.done if one.failed)
    assert void["dual"] == 2
    assert void.keys() <= {"dual", "dual twin"}
    assert all(one.position is None for one in attempt.done if one.failed)
    assert {config_of(spec, one) for one in attempt.done if not one.failed} >= set(TOPOLOGIES[:3])
    # they are still lost: the others have their runs already
    again = measured(spec, house, rounds=attempt.again)
    assert {one.turn.config for one in again.done} == {3}


def test_each_run_starts_and_stops_its_own_servers_where_they_do_not_fit_together() -> None:
    spec, house = run_spec(*TOPOLOGIES, rounds=2, placement="in_turn"), House()
    attempt = measured(spec, house)
    assert not any(one.failed for one in attempt.done)
    assert len(runs(attempt)) == 2 * 5
    # solos run while the servers of their config are up
    assert len(solos(attempt)) == 4
    words = [event.split() for event in house.events]
    assert [word for word, _ in words] == ["open", "close"] * 10
    assert [key for _, key in words[::2]] == [key for _, key in words[1::2]]


# Others


class Scripted:
    """Others that use what a script says during each run."""

    def __init__(self, script: Iterator[float]) -> None:
        self.script = script
        self.running = False
        self.waits = 0

    def look(self) -> float:
        self.running = not self.running
        return 0.0 if self.running else next(self.script)

    async def wait_until_quiet(self) -> None:
        self.waits += 1


@pytest.mark.parametrize(
    ("cores", "rounds"),
    [
        # a disturbed round is repeated at the end, and stays
        (chain([0.0, 0.3], repeat(0.0)), [1, 2, 3]),
        # no more are repeated than were planned
        (repeat(0.5), [1, 2, 3, 4]),
    ],
)
def test_disturbed_rounds_are_repeated(
    monkeypatch: pytest.MonkeyPatch, cores: Iterator[float], rounds: list[int]
) -> None:
    spec = run_spec("serial", "single", rounds=2)  # three runs a round, no solos
    watcher = Scripted(cores)
    monkeypatch.setattr(block_module, "Others", lambda _: watcher)
    attempt = measured(spec, House(pid=1), spare=(3, 4))
    assert [one.round for one in attempt.done] == [number for number in rounds for _ in range(3)]
    assert attempt.again == ()
    assert watcher.waits == len(rounds)
    # the same places, another nonce
    turns = [one.turn for one in attempt.done]
    assert turns[6:9] == turns[:3]
    assert attempt.done[0].executions[0].nonce != attempt.done[6].executions[0].nonce


# The real engine


def on_embedded(spec: RunSpec, models: Path, log: Path) -> Attempt:
    async def measure() -> Attempt:
        async with open_client() as client:
            with log.open("w") as file:
                bench = a_bench(spec, client, House())
                bench.open_servers = lambda wanted: open_servers(spec, models, client, file, wanted)
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
        # six tokens of answer came in, whatever they are; the placeholder is gone
        assert "[[" not in second.text


# Running servers, by protocol


def on_fake(
    spec: RunSpec,
    engine: str,
    protocol: str | None,
    behaviour: Behaviour = QUICK,
    script: Script | None = None,
) -> tuple[Attempt, set[str]]:
    """A block of ``spec`` on one running server for all configs, and the paths that it saw."""

    async def measure() -> tuple[Attempt, set[str]]:
        requests: list[Request] = []
        async with faked(behaviour, script, requests) as url, open_client() as client:
            asked = replace(
                spec,
                engine=engine,
                protocol=protocol,
                lock=await lock_entry(engine, client, {url: {"fake": {}}}),
                configs=tuple(replace(one, servers=(url,)) for one in spec.configs),
            )
            bench = a_bench(asked, client, House())
            bench.open_servers = lambda wanted: open_servers(
                asked, Path(), client, sys.stderr, wanted
            )
            attempt = await measure_block(bench, rounds_of(asked), iter(()))
            return attempt, {one.path for one in requests}

    return asyncio.run(asyncio.wait_for(measure(), 60))


@pytest.mark.parametrize(
    ("engine", "protocol"), [one for one in DRIVERS if one[1]], ids=lambda name: name
)
def test_a_block_is_asked_for_in_the_protocol_of_its_spec(engine: str, protocol: str) -> None:
    spec = run_spec("serial", "single", agents=two_agents(model="fake"))
    attempt, paths = on_fake(spec, engine, protocol)
    assert paths == {DRIVERS[engine, protocol].path}
    assert {one.error for one in executions(attempt)} == {None}
    assert all(s.final.answer_tokens == 6 for one in executions(attempt) for s in one.steps)
    assert attempt.done[0].effective["insight"].num_ctx
    assert {one.foreign_cores for one in executions(attempt)} == {None}
    # running servers are lent: the twin is on the same one
    assert len({server.url for done in attempt.done for server in done.servers}) == 1
    # where a prompt cache cannot be off, nobody asks the same
    nonces = [one.nonce for one in executions(attempt)]
    if not DRIVERS[engine, protocol].prompt_cache_can_be_off:
        assert len(set(nonces)) == len(nonces)


def test_what_another_config_had_loaded_is_loaded_anew_before_the_clock_runs() -> None:
    small, large = (two_agents(model="fake", num_ctx=ctx) for ctx in (4096, 8192))
    spec = run_spec("serial", "single", agents=small, rounds=2)
    larger = replace(spec.configs[1], id="larger", agents=large)
    spec = replace(spec, configs=(spec.configs[0], larger))
    attempt, _ = on_fake(spec, "ollama", "generate", replace(QUICK, load_s=0.3))
    assert not any(one.failed for one in attempt.done)
    loads = [step.final.load_s for one in executions(attempt) for step in one.steps]
    assert max(load or 0.0 for load in loads) < 0.3
    heard = {config_of(spec, one): one.effective["insight"].num_ctx for one in attempt.done}
    assert (heard["serial"], heard["larger"]) == (4096, 8192)
    assert all(done.memory_bytes for done in attempt.done)


def test_measuring_imports_nothing_that_it_does_not_need() -> None:
    program = (
        "import sys, tandembench.cli.measuring\n"
        "print(*(name for name in ('pandas', 'pyarrow', 'jinja2', 'scipy', 'jsonschema', 'numpy',"
        " 'pydantic', 'pynvml', 'ruamel', 'snakemake') if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
