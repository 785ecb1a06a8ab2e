"""The protocol of a block: servers up and warm, one turn after the other, rounds, an attempt.

A failed execution voids its run and nothing else; rounds with such a run are for the next attempt.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice

from tandembench.measure.execution import Execution, Prepared, release
from tandembench.measure.keeper import Keeper, changed
from tandembench.measure.machine import Others, no_collection
from tandembench.measure.plan import Round, Turn, ask_number
from tandembench.measure.siblings import UNSAFE
from tandembench.measure.validity import LASTING, Circumstances, Load
from tandembench.measure.validity import invalid as invalid_because
from tandembench.servers.deployment import (
    Deployment,
    Effective,
    Server,
    ServerFault,
    Standing,
    load_key,
    server_index,
)
from tandembench.servers.open import confirm, memory_bytes
from tandembench.study.spec import DISTURBED_CORES, AgentSpec, ConfigSpec, RunSpec
from tandembench.system import Family
from tandembench.wire import Ask, Call, Client, NoAnswer, encode, unauthorised

# A run that failed so often in a row meets servers that are gone or hang: no round waits for it.
_GIVE_UP = 2

OpenServers = Callable[[Sequence[Deployment]], AbstractAsyncContextManager[Mapping[str, Standing]]]


@dataclass(frozen=True, slots=True)
class Done:
    """A turn that was taken, or (``fault``) could not be; ``position`` counts those taken.

    ``started_at`` is the wall clock at its release, ``effective`` by agent, ``lives`` of servers by
    URL, ``memory_bytes`` what the servers of its config held when it had ended; ``loads`` by agent,
    where the server loaded the model inside of its execution; ``invalid`` has a reason code and a
    detail for each agent whose execution is whole and gives no number.
    """

    round: int
    turn: Turn
    deployment: str
    started_at: datetime
    position: int | None = None
    servers: Sequence[Server] = ()
    effective: Mapping[str, Effective] = field(default_factory=dict)
    lives: Mapping[str, str | None] = field(default_factory=dict)
    memory_bytes: int | None = None
    executions: tuple[Execution, ...] = ()
    loads: Mapping[str, Load] = field(default_factory=dict)
    invalid: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    fault: ServerFault | None = None

    @property
    def reasons(self) -> set[str]:
        """The codes why it gives no number; empty if it does."""
        codes = {one.error for one in self.executions if one.error}
        return (
            codes
            | {code for code, _ in self.invalid.values()}
            | ({self.fault.reason} if self.fault else set())
        )

    @property
    def failed(self) -> bool:
        """Whether it gives no number."""
        return bool(self.reasons)

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
    that of the next turn; ``ooms`` counts by config id the runs that ran out of memory, in earlier
    blocks too; ``contexts`` are what earlier blocks had, as `Siblings` says.
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
    ooms: Counter[str] = field(default_factory=Counter)
    contexts: Mapping[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    keeper: Keeper = field(init=False)
    _standing: dict[str, Standing] = field(init=False, default_factory=dict)
    _others: Others | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.keeper = Keeper(self.spec, self.client)

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

    def unsafe(self, config: int) -> ServerFault | None:
        """The fault of a config that ran out of memory too often to be measured on."""
        if self.ooms[self.spec.configs[config].id] < UNSAFE:
            return None
        return ServerFault("unsafe", f"not measured: it ran out of memory {UNSAFE} times before")

    async def confirm(self) -> None:
        """TandemError (exit 4) if running servers are no longer those that the lock pins."""
        if self.spec.engine == "embedded":
            return
        for place in dict.fromkeys(self.places):
            if not isinstance(self._standing.get(place.key, ()), ServerFault):
                with suppress(NoAnswer):  # the runs will tell
                    await confirm(self.spec, self.client, place)

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
        await self.keeper.ready(standing, config, chosen)
        self._check_contexts(config, self._effective(standing, config))
        mode = "concurrent" if turn.solo is None else "solo"
        started_at, executions = await release(
            [self._prepared(number, turn, standing, index) for index in chosen],
            mode=mode,
            serial=config.topology == "serial",
            driver=self.keeper.driver,
            client=self.client,
            deadline_s=self.spec.deadline_s,
            idle_s=self.spec.idle_s,
            others=self._others,
        )
        self.position += 1
        refused = next((one for one in executions if one.error == "unauthorised"), None)
        if refused:
            raise unauthorised(standing[0].url)
        taken = dict(zip(chosen, executions, strict=True))
        await self.keeper.listen(standing, config, taken)
        after = self._effective(standing, config)
        invalid: dict[str, tuple[str, str]] = {}
        loads = self.keeper.loads(standing, config, taken)
        for index, one in taken.items():
            server = standing[server_index(config, index)]
            around = Circumstances(
                said=after[one.agent],
                load=loads.get(one.agent),
                restarted=self.keeper.restarted(server),
                on_gpu=self.keeper.on_gpu(server, config.agents[index]),
                may_spill=self.spec.cpu_spill,
            )
            fault = None if one.error else invalid_because(one, around)
            invalid |= {one.agent: fault} if fault else {}
        return Done(
            round=number,
            turn=turn,
            deployment=place.key,
            started_at=started_at,
            position=self.position - 1,
            servers=standing,
            effective=after,
            lives={server.url: self.keeper.life(server) for server in standing},
            memory_bytes=await memory_bytes(self.client, standing),
            executions=tuple(executions),
            loads=loads,
            invalid=invalid,
        )

    def _effective(self, standing: Sequence[Server], config: ConfigSpec) -> dict[str, Effective]:
        """What servers said last that they apply to each agent."""
        return {
            agent.name: self.keeper.said(standing[server_index(config, i)], agent)
            for i, agent in enumerate(config.agents)
        }

    def _check_contexts(self, config: ConfigSpec, said: Mapping[str, Effective]) -> None:
        """TandemError (exit 4) if an earlier block had another context."""
        for agent in config.agents:
            then, file = self.contexts.get((config.id, agent.name), (None, ""))
            now = said[agent.name].num_ctx
            if then and now and then != now:
                raise changed(file, f"{agent.model} for {config.id}", now, f"{then} there")

    def not_taken(self, number: int, turn: Turn, fault: ServerFault) -> Done:
        """What becomes of a turn that ``fault`` keeps from being taken."""
        return Done(number, turn, self.place(turn).key, datetime.now(UTC), fault=fault)

    def _watched(self) -> Others | None:
        """Who watches what others do: nobody where the servers' processes are not known."""
        servers = [server for one in self._standing.values() for server in _servers(one)]
        known = [Family(one.pid, one.port) for one in servers if one.pid is not None]
        if len(known) < len(servers):
            return None
        return Others([*known, *map(Family, self.helpers)])

    async def _warm_up(self, key: str) -> None:
        """Warm the servers under ``key``; one that does not answer is lost with its partners."""
        servers = _servers(self._standing[key])
        outcomes = await asyncio.gather(
            *(self.keeper.warm(server, self._agents_at(key, server)) for server in servers),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, NoAnswer):
                self._standing[key] = ServerFault(outcome.reason, str(outcome))
            elif outcome is not None:
                raise outcome
        with suppress(NoAnswer):
            shared = await self.keeper.one_server(servers)
            self._standing[key] = shared or self._standing[key]

    def _agents_at(self, key: str, server: Server) -> list[AgentSpec]:
        """All that the configs under ``key`` ask of this server, agents of one name once."""
        agents = {
            (agent.name, load_key(self.spec.engine, agent), agent.prompts): agent
            for number, (config, place) in enumerate(
                zip(self.spec.configs, self.places, strict=True)
            )
            if key in (place.key, place.twin().key) and not self.unsafe(number)
            for index, agent in enumerate(config.agents)
            if server_index(config, index) == server.index
        }
        return list(agents.values())

    def _prepared(self, number: int, turn: Turn, servers: Sequence[Server], index: int) -> Prepared:
        """What the agent at ``index`` asks in this turn, ready to go."""
        config = self.spec.configs[turn.config]
        agent = config.agents[index]
        # All configs of a round, and their solos, ask the very same, unless a prompt cache would
        # answer the second.
        apart = (config.id, turn.twin, turn.solo is None, self.attempt)
        salt = () if self.keeper.driver.prompt_cache_can_be_off else apart
        drawn = ask_number(self.spec, self.repetition, number, agent.name, salt)
        nonce = f"{drawn % 10**12:012d}"
        server = servers[server_index(config, index)]
        asks = tuple(
            Ask(
                model=agent.model,
                prompt=self.keeper.prompt(server, prompt, nonce),
                options=agent.options,
                seed=agent.options.get("seed", drawn % 2**31),
                max_tokens=agent.max_tokens,
                fixed=config.work_policy == "fixed",
                threads=server.num_thread,
            )
            for prompt in agent.prompts
        )
        url = server.url + self.keeper.driver.path
        body = encode(self.keeper.driver, asks[0])
        first = Call(self.client, url, body, self.spec.idle_s, agent.max_tokens)
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
    everything = {
        place.key: place
        for one in rounds
        for place in (bench.place(turn) for turn in one.turns if not bench.unsafe(turn.config))
    }
    queue = list(rounds)
    done: list[Done] = []
    again: list[Round] = []
    failures: Counter[tuple[int, bool]] = Counter()
    with no_collection():
        async with bench.up(list(everything.values()) if together else []):
            for one in queue:  # which grows meanwhile
                of_round = await _measure_round(bench, one, failures, tell)
                done += of_round
                failed = tuple(each.turn for each in of_round if each.reasons - LASTING)
                if failed:
                    again.append(replace(one, blamed=failed))
                elif any(each.disturbed for each in of_round):
                    # in the same places, where a spare number is left
                    queue += [Round(number, one.turns) for number in islice(spare, 1)]
    # A config that is unsafe by now is no reason to measure a round again.
    again = [one for one in again if not all(bench.unsafe(turn.config) for turn in one.blamed)]
    return Attempt(tuple(done), tuple(again), _duration_s(bench, done))


async def _measure_round(
    bench: Bench, one: Round, failures: Counter[tuple[int, bool]], tell: Callable[[Done], None]
) -> list[Done]:
    """Take the turns of a round once the machine is quiet; ``failures`` counts those in a row.

    Where the servers of all that is to blame are lost once more, the others have their runs
    already, and are not measured for nothing.
    """
    await bench.confirm()
    await bench.wait_until_quiet()
    only_blamed = bool(one.blamed) and all(map(bench.lost, one.blamed))
    turns = replace(one, turns=one.blamed) if only_blamed else one
    done: list[Done] = []
    for visit in turns.visits():
        run = visit[0].config, visit[0].twin
        kept_off = bench.unsafe(run[0])
        if failures[run] >= _GIVE_UP:
            fault = ServerFault("given_up", f"it failed {_GIVE_UP} times in a row before")
            kept_off = kept_off or fault
        async with bench.up([] if kept_off else [bench.place(visit[0])]):
            for turn in visit:
                kept_off = kept_off or bench.unsafe(run[0])
                if kept_off:
                    each = bench.not_taken(one.number, turn, kept_off)
                else:
                    each = await bench.take(one.number, turn)
                if each.fault and turn.solo is not None:
                    continue  # that its servers are not there is told once, by the run
                done.append(each)
                tell(each)
                bench.ooms[bench.spec.configs[run[0]].id] += "oom" in each.reasons
                if turn.solo is None:
                    lasts = each.fault is not None and each.fault.reason in LASTING
                    failures[run] = failures[run] + 1 if each.failed and not lasts else 0
    return done


def _duration_s(bench: Bench, done: Sequence[Done]) -> float | None:
    executions = [one for each in done for one in each.executions]
    ends = [step.end_ns for one in executions for step in one.steps]
    begun_ns = bench.keeper.begun_ns
    return (max(ends) - begun_ns) / 1e9 if begun_ns and ends else None
