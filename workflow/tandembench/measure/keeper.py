"""The servers of a block between its runs: warm, loaded with what comes next, still the same."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tandembench.measure.execution import Execution
from tandembench.measure.loads import FLOOR_S, limit_s
from tandembench.measure.validity import Load
from tandembench.servers.attach import life, unusable
from tandembench.servers.deployment import Effective, Server, ServerFault, load_key, server_index
from tandembench.servers.open import effective
from tandembench.study.spec import AgentSpec, ConfigSpec, RunSpec
from tandembench.wire import (
    DRIVERS,
    Ask,
    Call,
    Client,
    Driver,
    NoAnswer,
    encode,
    stream,
    unauthorised,
    worded,
)

_WARM_UP_TOKENS = 4
# Stands in a prompt for the nonce, so that a template is applied once and not in every round.
_NONCE = "[[nonce]]"

LoadKey = tuple[object, ...]


@dataclass(slots=True)
class Keeper:
    """Keeps servers fit to be measured; ``begun_ns`` is when the first warm-up was sent.

    By URL it knows what a server has loaded, what it says of that, how long its loads of each model
    took, prompts in its template, whom it was warmed up for, and which life of the server that was.
    """

    spec: RunSpec
    client: Client
    begun_ns: int | None = None
    _loaded: dict[str, LoadKey | None] = field(default_factory=dict)
    _heard: dict[tuple[str, LoadKey], Effective] = field(default_factory=dict)
    _templated: dict[tuple[str, str], str] = field(default_factory=dict)
    _agents: dict[str, list[AgentSpec]] = field(default_factory=dict)
    _lives: dict[str, str | None] = field(default_factory=dict)
    _on_gpu: set[tuple[str, LoadKey]] = field(default_factory=set)
    _loads_s: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    @property
    def driver(self) -> Driver:
        """The protocol of the block."""
        driver = DRIVERS[self.spec.engine, self.spec.protocol]
        wanted = self.spec.lock.get("request")
        return worded(driver, wanted) if wanted else driver

    def said(self, server: Server, agent: AgentSpec) -> Effective:
        """What ``server`` said last of what it applies to ``agent``."""
        return self._heard[server.url, self._key(agent)]

    def on_gpu(self, server: Server, agent: AgentSpec) -> bool:
        """Whether ``server`` has had what ``agent`` asks for on a GPU, in whole or in part."""
        return (server.url, self._key(agent)) in self._on_gpu

    def life(self, server: Server) -> str | None:
        """Which life of ``server`` was warmed up; None where that cannot be known."""
        return self._lives[server.url]

    def prompt(self, server: Server, prompt: str, nonce: str) -> str:
        """``prompt`` as ``server`` wants it, with this nonce at its start."""
        return self._templated[server.url, prompt].replace(_NONCE, nonce, 1)

    def restarted(self, server: Server) -> bool:
        """Whether another server listens in place of the one that was warmed up."""
        now, then = self._now(server), self._lives.get(server.url)
        return None not in (now, then) and now != then

    def _now(self, server: Server) -> str | None:
        return None if self.spec.engine == "embedded" else life(server.url)

    def _key(self, agent: AgentSpec) -> LoadKey:
        return load_key(self.spec.engine, agent)

    async def warm(self, server: Server, agents: Sequence[AgentSpec]) -> None:
        """Ask for a few tokens in every slot, by each way of loading the model; hear what holds."""
        self._lives[server.url] = self._now(server)
        known = self._agents.setdefault(server.url, [])
        known += [agent for agent in agents if agent not in known]
        for key in dict.fromkeys(map(self._key, agents)):
            alike = [agent for agent in agents if self._key(agent) == key]
            self.begun_ns = self.begun_ns or time.monotonic_ns()
            await asyncio.gather(*(self._ask(server, one) for one in alike[: server.slots]))
            self._loaded[server.url] = key
            await self.hear(server, alike[0])
            if self._loads_s.get((server.url, alike[0].model)):
                await self._measure_warm(server, alike[0])
        for agent in agents:
            for prompt in agent.prompts:
                self._templated[server.url, prompt] = await self.driver.templated(
                    self.client, server.url, f"{_NONCE}\n{prompt}"
                )

    async def _ask(self, server: Server, agent: AgentSpec) -> None:
        """A short request. If it fails, so will the ones that count."""
        threads = server.num_thread
        ask = Ask(agent.model, "Warm up.", agent.options, 1, _WARM_UP_TOKENS, True, threads)
        url = server.url + self.driver.path
        body = encode(self.driver, ask)
        call = Call(self.client, url, body, self.spec.idle_s, ask.max_tokens)
        record = await stream(call, self.driver, self.spec.deadline_s)
        if record.error == "unauthorised":
            raise unauthorised(url)
        self._note(server, agent, record.final.load_s)

    def _note(self, server: Server, agent: AgentSpec, load_s: float | None) -> None:
        if load_s is not None:
            self._loads_s.setdefault((server.url, agent.model), []).append(load_s)

    async def _measure_warm(self, server: Server, agent: AgentSpec) -> None:
        """Hear how long ``server`` says that it loads a model that it has.

        TandemError (exit 4) if it has none, since it unloads it as soon as it has answered.
        """
        await self._ask(server, agent)
        took_s = self._loads_s[server.url, agent.model][-1]
        if took_s > FLOOR_S and await effective(self.client, server, agent.model) == Effective():
            raise unusable(
                f"this server unloads {agent.model} as soon as it has answered "
                "(OLLAMA_KEEP_ALIVE=0), so that every run would wait until it is loaded again",
                server.url,
                "start it with OLLAMA_KEEP_ALIVE=5m or longer",
            )

    def loads(
        self, servers: Sequence[Server], config: ConfigSpec, taken: Mapping[int, Execution]
    ) -> dict[str, Load]:
        """By agent, what a model was loaded for inside of an execution, by all loads until now."""
        loads: dict[str, Load] = {}
        for i, one in taken.items():
            server, agent = servers[server_index(config, i)], config.agents[i]
            for step in one.steps:
                self._note(server, agent, step.final.load_s)
            if one.load_s > limit_s(self._loads_s.get((server.url, agent.model), ())):
                keys = {self._key(other) for other in _at(server, config, [*taken])}
                loads[agent.name] = "reload" if len(keys) > 1 else "cold"
        return loads

    async def ready(
        self, servers: Sequence[Server], config: ConfigSpec, chosen: Sequence[int]
    ) -> None:
        """Warm up anew what was restarted, and have each server load what its first agent wants."""
        for server in servers:
            if self.restarted(server):
                with suppress(NoAnswer):  # the run will tell
                    await self.warm(server, self._agents[server.url])
            agents = _at(server, config, chosen)
            if not agents:
                continue
            key = self._key(agents[0])
            if self._loaded[server.url] == key:
                await self._hear_again(server, agents[0])
            if self._loaded[server.url] != key:
                await self._ask(server, agents[0])
            self._loaded[server.url] = key

    async def listen(
        self, servers: Sequence[Server], config: ConfigSpec, taken: Mapping[int, Execution]
    ) -> None:
        """Hear what ``servers`` say after a turn in which agents were ``taken``, by their place.

        TandemError as in ``hear``. Of agents that want different things, the last one's is loaded.
        """
        for server in servers:
            here = [i for i in taken if server_index(config, i) == server.index]
            if any(taken[i].error for i in here):
                self._loaded[server.url] = None  # nobody knows: to be loaded before the clock runs
            elif here:
                last = max(here, key=lambda i: taken[i].steps[-1].end_ns)
                self._loaded[server.url] = self._key(config.agents[last])
                await self._hear_again(server, config.agents[last])

    async def _hear_again(self, server: Server, agent: AgentSpec) -> None:
        if self.spec.engine != "embedded":  # which was started for this block, and says the same
            with suppress(NoAnswer):  # what it said before holds
                await self.hear(server, agent)

    async def hear(self, server: Server, agent: AgentSpec) -> None:
        """Hear what ``server`` applies to ``agent``, whose model is loaded.

        TandemError (exit 4) if its context is another one than it was: what it did before and
        after cannot be compared.
        """
        now = await effective(self.client, server, agent.model)
        place = server.url, self._key(agent)
        then = self._heard.get(place, Effective()).num_ctx
        if then and now.num_ctx and now.num_ctx != then:
            raise changed(server.url, agent.model, now.num_ctx, str(then))
        if now == Effective() and place in self._heard:
            self._loaded[server.url] = None  # unloaded since: to be loaded before the clock runs
        else:
            self._heard[place] = now
            self._on_gpu |= {place} if now.size_vram_bytes else set()

    async def one_server(self, servers: Sequence[Server]) -> ServerFault | None:
        """The fault of servers that are one behind several addresses; None of different ones.

        No two of them unload a model at the same nanosecond.
        """
        stamps: dict[str, str] = {}
        for server in servers if len(servers) > 1 else ():
            agent = self._agents[server.url][0]
            stamp = (await effective(self.client, server, agent.model)).expires_at
            if stamp and stamp in stamps:
                what = f"shared server: {stamps[stamp]} and {server.url} are one"
                return ServerFault("shared_server", what)
            stamps |= {stamp: server.url} if stamp else {}
        return None


def changed(where: str, model: str, now: int, then: str) -> Exception:
    """The error (exit 4) of a context that is not what it was when other runs were measured."""
    return unusable(
        f"the context of {model} is {now} tokens now, but was {then}: the runs cannot be compared",
        where,
        "set it back and run snakemake again, or measure it as a study of another name",
    )


def _at(server: Server, config: ConfigSpec, chosen: Sequence[int]) -> list[AgentSpec]:
    """The agents of ``chosen`` that ``server`` serves."""
    return [config.agents[i] for i in chosen if server_index(config, i) == server.index]
