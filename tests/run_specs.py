"""Small RunSpecs, made by hand, and servers in the test's own event loop to measure them on."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from raw_servers import QUICK, Script, listening, relays
from ruamel.yaml import YAML

from tandembench.fake_server import Behaviour, serving
from tandembench.fake_server.server import FakeServer
from tandembench.measure.block import Bench
from tandembench.measure.plan import Round, planned_rounds
from tandembench.servers.deployment import Deployment, Server, ServerFault, Standing, deployments
from tandembench.study.spec import AgentSpec, ConfigSpec, RunSpec
from tandembench.wire import Client

MODEL = "smollm2-135m-instruct-q4_1"
TOPOLOGIES = ("serial", "single", "single_parallel", "dual")
_LOCK = YAML(typ="safe").load(Path(__file__).parents[1] / "config/servers.lock.yaml")["embedded"]
EMBEDDED = {
    "version": str(_LOCK["version"]),
    "default_num_ctx": _LOCK["default_num_ctx"],
    "models": {MODEL: _LOCK["models"][MODEL]["sha256"]},
}


def an_agent(
    name: str, tokens: int = 6, *prompts: str, model: str = MODEL, **options: Any
) -> AgentSpec:
    """An agent with one step, unless ``prompts`` say more."""
    asked = {"num_gpu": 80, "num_ctx": 512, "temperature": 0.8} | options
    return AgentSpec(name, "inventory", model, asked, tokens, prompts or ("Name a colour.",))


def two_agents(tokens: int = 6, **changes: Any) -> tuple[AgentSpec, ...]:
    """The two agents of every config here."""
    return an_agent("collector", tokens, **changes), an_agent("insight", tokens, **changes)


def run_spec(
    *topologies: str, agents: Sequence[AgentSpec] = (), servers: Sequence[str] = (), **changes: Any
) -> RunSpec:
    """The RunSpec of one config for each of ``topologies``, whose ids are the topologies.

    Running ``servers`` are one or two URLs: the first, and for ``dual`` as many as agents.
    """
    crew = tuple(agents or two_agents())
    configs = tuple(
        ConfigSpec(
            id=topology,
            scenario="chimera_homo",
            topology=topology,
            agents=crew,
            work_policy="fixed",
            servers=tuple(servers[: len(crew) if topology == "dual" else 1]),
        )
        for topology in topologies
    )
    values: dict[str, Any] = {
        "comparison": "by-topology",
        "configs": configs,
        "rounds": 1,
        "placement": "together",
        "engine": "embedded",
        "protocol": None,
        "threads_total": None,
        "deadline_s": 60.0,
        "idle_s": 60.0,
        "retries": 1,
        "telemetry": False,
        "cpu_spill": False,
        "seed": 7,
        "lock": EMBEDDED,
        "code": "c0de",
    }
    return RunSpec(**(values | changes))


@dataclass
class House:
    """Fake servers for deployments, in this event loop; ``events`` tells what opened and closed.

    ``lost`` are keys that cannot be had. ``pid`` is every server's; None: it is not known.
    ``behaviour`` is that of all servers of a key; ``script`` (see ``relays``) says what they answer
    instead.
    """

    behaviour: Callable[[str], Behaviour] = lambda _: QUICK
    lost: set[str] = field(default_factory=set)
    pid: int | None = None
    events: list[str] = field(default_factory=list)
    servers: dict[str, list[FakeServer]] = field(default_factory=dict)
    script: Callable[[str], Script | None] = lambda _: None

    @asynccontextmanager
    async def open(self, wanted: Sequence[Deployment]) -> AsyncIterator[Mapping[str, Standing]]:
        async with AsyncExitStack() as stack:
            standing: dict[str, Standing] = {}
            for place in wanted:
                self.events.append(f"open {place.key}")
                if place.key in self.lost:
                    standing[place.key] = ServerFault("server_start", "it did not start")
                    continue
                servers = self.servers[place.key] = [
                    await stack.enter_async_context(
                        serving(replace(self.behaviour(place.key), slots=one.slots))
                    )
                    for one in place.settings
                ]
                urls = [one.url for one in servers]
                if script := self.script(place.key):
                    relayed = [listening(relays(url, script, [])) for url in urls]
                    urls = [await stack.enter_async_context(one) for one in relayed]
                standing[place.key] = [
                    Server(i, "embedded", url, "fake", {MODEL: "d"}, slots=s.slots, pid=self.pid)
                    for i, (url, s) in enumerate(zip(urls, place.settings, strict=True))
                ]
            yield standing
            self.events += [f"close {place.key}" for place in wanted]


def a_bench(spec: RunSpec, client: Client, house: House, **changes: Any) -> Bench:
    """A bench for the first attempt at the first repetition, on two cores."""
    values: dict[str, Any] = {"repetition": 1, "attempt": 1, "places": deployments(spec, cores=2)}
    return Bench(spec=spec, client=client, open_servers=house.open, **(values | changes))


def rounds_of(spec: RunSpec, repetition: int = 1) -> tuple[Round, ...]:
    """The rounds of a repetition, as the run command plans them."""
    keys = [place.key for place in deployments(spec, cores=2)]
    return planned_rounds(spec, repetition, keys)
