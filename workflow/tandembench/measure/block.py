"""The protocol of a block: servers up and warm, one turn after the other, rounds, an attempt.

A failed execution voids its run and nothing else; rounds with such a run are for the next attempt.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice

from tandembench.errors import TandemError
from tandembench.measure.execution import Execution, Prepared, encode, release
from tandembench.measure.machine import Others, no_collection
from tandembench.measure.plan import Round, Turn, ask_number
from tandembench.servers.deployment import (
    Deployment,
    Effective,
    Server,
    ServerFault,
    Standing,
    load_key,
    server_index,
)
from tandembench.servers.open import effective, memory_bytes
from tandembench.study.spec import DISTURBED_CORES, AgentSpec, ConfigSpec, RunSpec
from tandembench.wire import DRIVERS, Ask, Call, Client, Driver, stream

_WARM_UP_TOKENS = 4
# Stands in a prompt for the nonce, so that a template is applied once and not in every round.
_NONCE = "[[nonce]]"
# A run that failed so often in a row meets servers that are gone or hang: no round waits for it.
_GIVE_UP = 2

OpenServers = Callable[[Sequence[Deployment]], AbstractAsyncContextManager[Mapping[str, Standing]]]
LoadKey = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """A turn that was taken, or (``fault``) could not be; ``position`` counts those taken.

    ``started_at`` is the wall clock at its release, ``effective`` by agent, ``memory_bytes`` what
    the servers of its config held when it had ended.
    """

    round: int
    turn: Turn
    deployment: str
    started_at: datetime
    position: int | None = None
    servers: Sequence[Server] = ()
    effective: Mapping[str, Effective] = field(default_factory=dict)
    memory_bytes: int | None = None
    executions: tuple[Execution, ...] = ()
    fault: ServerFault | None = None

    @property
    def failed(self) -> bool:
        """Whether it gives no number."""
        return self.fault is not None or any(one.error for one in self.executions)

    @property
    def disturbed(self) -> bool:
        """Whether it is a run beside which others used the machine."""
        cores = [one.foreign_cores or 0.0 for one in self.executions]
        return self.turn.solo is None and max(cores, default=0.0) > DISTURBED_CORES


@dataclass(slots=True, kw_only=True)
class Bench:
    """What one attempt at a block needs: ``places`` are the deployments of its configs, in order.

    ``open_servers`` opens deployments; ``watch`` hears of the servers that are up, by key.
    ``helpers`` are processes (pids) besides the servers that work for this block; ``position`` is
    that of the next turn.
    """

    spec: RunSpec
    repetition: int
    attempt: int
    places: Sequence[Deployment]
    client: Client
    open_servers: OpenServers
    watch: Callable[[Mapping[str, Sequence[Server]]], None] = lambda _: None
    helpers: Sequence[int] = ()
    position: int = 0
    begun_ns: int | None = field(init=False, default=None)  # the first warm-up request
    _standing: dict[str, Standing] = field(init=False, default_factory=dict)
    _others: Others | None = field(init=False, default=None)
    # By URL: what the server has loaded, what it says of that, and prompts in its template.
    _loaded: dict[str, LoadKey | None] = field(init=False, default_factory=dict)
    _heard: dict[tuple[str, LoadKey], Effective] = field(init=False, default_factory=dict)
    _templated: dict[tuple[str, str], str] = field(init=False, default_factory=dict)

    def place(self, turn: Turn) -> Deployment:
        """The deployment on which ``turn`` is taken."""
        place = self.places[turn.config]
        return place.twin() if turn.twin else place

    @asynccontextmanager
    async def up(self, wanted: Sequence[Deployment]) -> AsyncIterator[None]:
        """Have the servers of ``wanted`` up and warm inside; those that are up stay as they are."""
        missing = [place for place in wanted if place.key not in self._standing]
        if not missing:
            yield
            return
        async with self.open_servers(missing) as standing:
            self._standing |= standing
            self.watch({key: _servers(one) for key, one in standing.items()})
            try:
                await asyncio.gather(*map(self._warm_up, standing))
                self._others = self._watched()
                yield
            finally:
                for key in standing:
                    del self._standing[key]
                self._others = self._watched()

    def lost(self, turn: Turn) -> bool:
        """Whether the servers for ``turn`` were to be up, and are not."""
        return isinstance(self._standing.get(self.place(turn).key), ServerFault)

    async def wait_until_quiet(self) -> None:
        """Wait until others leave the machine alone, for some seconds at most."""
        self._others = self._others or self._watched()
        if self._others:
            await self._others.wait_until_quiet()

    async def take(self, number: int, turn: Turn) -> Done:
        """Take ``turn`` in the round of this ``number`` on its servers, which are up."""
        place, config = self.place(turn), self.spec.configs[turn.config]
        standing = self._standing[place.key]
        if isinstance(standing, ServerFault):
            return self.not_taken(number, turn, standing)
        chosen = range(len(config.agents)) if turn.solo is None else [turn.solo]
        await self._load(standing, config, chosen)
        mode = "concurrent" if turn.solo is None else "solo"
        started_at, executions = await release(
            [self._prepared(number, turn, standing, index) for index in chosen],
            mode=mode,
            serial=config.topology == "serial",
            driver=self._driver,
            client=self.client,
            deadline_s=self.spec.deadline_s,
            idle_s=self.spec.idle_s,
            others=self._others,
        )
        self.position += 1
        return Done(
            round=number,
            turn=turn,
            deployment=place.key,
            started_at=started_at,
            position=self.position - 1,
            servers=standing,
            effective={
                agent.name: self._heard[standing[server_index(config, i)].url, self._key(agent)]
                for i, agent in enumerate(config.agents)
            },
            memory_bytes=await memory_bytes(self.client, standing),
            executions=tuple(executions),
        )

    def not_taken(self, number: int, turn: Turn, fault: ServerFault) -> Done:
        """What becomes of a turn that ``fault`` keeps from being taken."""
        return Done(number, turn, self.place(turn).key, datetime.now(UTC), fault=fault)

    @property
    def _driver(self) -> Driver:
        return DRIVERS[self.spec.engine, self.spec.protocol]

    def _key(self, agent: AgentSpec) -> LoadKey:
        return load_key(self.spec.engine, agent)

    def _watched(self) -> Others | None:
        """Who watches what others do: nobody where the servers' processes are not known."""
        pids = [server.pid for one in self._standing.values() for server in _servers(one)]
        known = [pid for pid in pids if pid is not None]
        if self.spec.engine != "embedded" or len(known) < len(pids):
            return None
        return Others([*known, *self.helpers])

    async def _warm_up(self, key: str) -> None:
        """Warm the servers under ``key``; one that does not answer is lost with its partners."""
        servers = _servers(self._standing[key])
        outcomes = await asyncio.gather(
            *(self._warm_server(server, self._agents_at(key, server)) for server in servers),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, TandemError):
                self._standing[key] = ServerFault("server_lost", str(outcome))
            elif outcome is not None:
                raise outcome

    def _agents_at(self, key: str, server: Server) -> list[AgentSpec]:
        """All that the configs under ``key`` ask of this server, agents of one name once."""
        agents = {
            (agent.name, self._key(agent), agent.prompts): agent
            for config, place in zip(self.spec.configs, self.places, strict=True)
            if key in (place.key, place.twin().key)
            for index, agent in enumerate(config.agents)
            if server_index(config, index) == server.index
        }
        return list(agents.values())

    async def _warm_server(self, server: Server, agents: Sequence[AgentSpec]) -> None:
        """Ask for a few tokens in every slot, by each way of loading the model; hear what holds."""
        for key in dict.fromkeys(map(self._key, agents)):
            alike = [agent for agent in agents if self._key(agent) == key]
            self.begun_ns = self.begun_ns or time.monotonic_ns()
            await asyncio.gather(*(self._ask(server, one) for one in alike[: server.slots]))
            self._heard[server.url, key] = await effective(self.client, server, alike[0].model)
            self._loaded[server.url] = key
        for agent in agents:
            for prompt in agent.prompts:
                self._templated[server.url, prompt] = await self._driver.templated(
                    self.client, server.url, f"{_NONCE}\n{prompt}"
                )

    async def _ask(self, server: Server, agent: AgentSpec) -> None:
        """A short request. If it fails, so will the ones that count."""
        ask = Ask(agent.model, "Warm up.", agent.options, 1, _WARM_UP_TOKENS, fixed=True)
        url = server.url + self._driver.path
        call = Call(self.client, url, encode(self._driver, ask), self.spec.idle_s)
        await stream(call, self._driver.event, self.spec.deadline_s)

    async def _load(
        self, servers: Sequence[Server], config: ConfigSpec, chosen: Sequence[int]
    ) -> None:
        """Have each server load what its first agent wants, if another config's is loaded."""
        for server in servers:
            agents = [config.agents[i] for i in chosen if server_index(config, i) == server.index]
            keys = [self._key(agent) for agent in agents]
            if keys and self._loaded[server.url] != keys[0]:
                await self._ask(server, agents[0])
            if keys:  # agents that want different things leave behind the one that came last
                self._loaded[server.url] = keys[0] if len(set(keys)) == 1 else None

    def _prepared(self, number: int, turn: Turn, servers: Sequence[Server], index: int) -> Prepared:
        """What the agent at ``index`` asks in this turn, ready to go."""
        config = self.spec.configs[turn.config]
        agent = config.agents[index]
        # All configs of a round, and their solos, ask the very same, unless a prompt cache would
        # answer the second.
        apart = (config.id, turn.twin, turn.solo is None, self.attempt)
        salt = () if self._driver.prompt_cache_can_be_off else apart
        drawn = ask_number(self.spec, self.repetition, number, agent.name, salt)
        nonce = f"{drawn % 10**12:012d}"
        server = servers[server_index(config, index)]
        asks = tuple(
            Ask(
                model=agent.model,
                prompt=self._templated[server.url, prompt].replace(_NONCE, nonce, 1),
                options=agent.options,
                seed=agent.options.get("seed", drawn % 2**31),
                max_tokens=agent.max_tokens,
                fixed=config.work_policy == "fixed",
            )
            for prompt in agent.prompts
        )
        url = server.url + self._driver.path
        first = Call(self.client, url, encode(self._driver, asks[0]), self.spec.idle_s)
        return Prepared(agent.name, url, nonce, asks, first)


def _servers(standing: Standing) -> Sequence[Server]:
    return () if isinstance(standing, ServerFault) else standing


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt measured, and the rounds ``again`` of which something failed.

    ``duration_s``: first warm-up request to last byte; None if nothing was asked.
    """

    done: tuple[Done, ...]
    again: tuple[Round, ...]
    duration_s: float | None


async def measure_block(
    bench: Bench,
    rounds: Sequence[Round],
    spare: Iterator[int],
    tell: Callable[[Done], None] = lambda _: None,
) -> Attempt:
    """Measure ``rounds`` on ``bench``; ``spare`` numbers the rounds that repeat disturbed ones.

    ``tell`` hears of each turn's end. TandemError (exit 4) if the servers are not those of the
    lock, or running ones cannot be reached.
    """
    together = bench.spec.placement == "together"
    everything = {place.key: place for one in rounds for place in map(bench.place, one.turns)}
    queue = list(rounds)
    done: list[Done] = []
    again: list[Round] = []
    failures: Counter[tuple[int, bool]] = Counter()
    with no_collection():
        async with bench.up(list(everything.values()) if together else []):
            for one in queue:  # which grows meanwhile
                of_round = await _measure_round(bench, one, failures, tell)
                done += of_round
                failed = tuple(each.turn for each in of_round if each.failed)
                if failed:
                    again.append(replace(one, blamed=failed))
                elif any(each.disturbed for each in of_round):
                    # in the same places, where a spare number is left
                    queue += [Round(number, one.turns) for number in islice(spare, 1)]
    return Attempt(tuple(done), tuple(again), _duration_s(bench, done))


async def _measure_round(
    bench: Bench, one: Round, failures: Counter[tuple[int, bool]], tell: Callable[[Done], None]
) -> list[Done]:
    """Take the turns of a round once the machine is quiet; ``failures`` counts those in a row.

    Where the servers of all that is to blame are lost once more, the others have their runs
    already, and are not measured for nothing.
    """
    await bench.wait_until_quiet()
    only_blamed = bool(one.blamed) and all(map(bench.lost, one.blamed))
    turns = replace(one, turns=one.blamed) if only_blamed else one
    done: list[Done] = []
    for visit in turns.visits():
        run = visit[0].config, visit[0].twin
        given_up = failures[run] >= _GIVE_UP
        async with bench.up([] if given_up else [bench.place(visit[0])]):
            for turn in visit:
                if given_up:
                    fault = ServerFault("given_up", f"it failed {_GIVE_UP} times in a row before")
                    each = bench.not_taken(one.number, turn, fault)
                else:
                    each = await bench.take(one.number, turn)
                if each.fault and turn.solo is not None:
                    continue  # that its servers are not there is told once, by the run
                done.append(each)
                tell(each)
                if turn.solo is None:
                    failures[run] = failures[run] + 1 if each.failed else 0
    return done


def _duration_s(bench: Bench, done: Sequence[Done]) -> float | None:
    executions = [one for each in done for one in each.executions]
    ends = [step.end_ns for one in executions for step in one.steps]
    return (max(ends) - bench.begun_ns) / 1e9 if bench.begun_ns and ends else None
