"""A study's YAML -> Study: axes become configs, configs comparisons, agents get their options."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NoReturn, get_args

from tandembench.study.check import Fault, fault_at, joined, read_keys
from tandembench.study.ids import MAX_LENGTH, OF_THE_LOAD, comparison_id, config_id
from tandembench.study.keys import AgentKeys, Entry, StudyKeys, Work
from tandembench.study.spec import AgentSpec, ConfigSpec, Engine, Placement, Topology
from tandembench.study.strict_yaml import Lines, Path

# What running servers may be asked in, by engine; the first is the default.
PROTOCOLS: Mapping[str, tuple[str, ...]] = {
    "ollama": ("generate", "chat"),
    "openai": ("chat", "completions"),
}
# The rendered steps of an agent.
Prompts = Callable[[AgentKeys], tuple[str, ...]]
# Options or axes by name, in the order in which the file has them.
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Configs that are to be told apart, measured side by side: a randomised complete block.

    A config that stands alone is a comparison of one, under its own id. ``rounds`` is how often a
    block measures each of its configs; ``line`` is where the file lists it.
    """

    id: str
    phase: str
    configs: tuple[ConfigSpec, ...]
    rounds: int
    line: int


class Study(StudyKeys):
    """A study as it is written, with the comparisons that it stands for."""

    comparisons: tuple[Comparison, ...]

    @property
    def configs(self) -> tuple[ConfigSpec, ...]:
        """All configs, in the order in which the study lists them."""
        return tuple(config for comparison in self.comparisons for config in comparison.configs)

    @property
    def placement(self) -> Placement:
        """Whether the servers of a comparison stay up together, or each run starts its own."""
        return self.servers if isinstance(self.servers, str) else "together"


def read_study(text: str, where: str, prompts: Prompts = lambda _: ()) -> Study:
    """The Study that ``text`` describes; ``where`` is its file's name, for errors.

    TandemError names file, line, key and fix of the first thing that cannot be measured as it is
    written.
    """
    keys, lines = read_keys(StudyKeys, text, where)
    fault = partial(fault_at, lines=lines, where=where)
    protocol = _protocol(keys, fault)
    _check_engine(keys, fault)
    comparisons: list[Comparison] = []
    known: dict[str, int] = {}
    for phase, body in keys.phases.items():
        for index, entry in enumerate(body.configs):
            path = ("phases", phase, "configs", index)
            for comparison in _Entry(keys, phase, entry, path, lines, fault, prompts).comparisons():
                for config in comparison.configs:
                    if config.id in known:
                        what = f"two configs have the id '{config.id}' (the other is in line "
                        what += f"{known[config.id]})"
                        fix = "give one of them an id of its own: key id, in an entry without axes"
                        raise fault(path, what, fix)
                    known[config.id] = comparison.line
                comparisons.append(comparison)
    _check_shared(keys, [config for one in comparisons for config in one.configs], fault)
    return Study.model_construct(
        **dict(keys) | {"title": keys.title or keys.name, "protocol": protocol},
        comparisons=_numbered(comparisons),
    )


def _check_engine(keys: StudyKeys, fault: Fault) -> None:
    """Embedded servers are started here, Ollama's if no URLs are named, and others run already."""
    if keys.engine == "embedded" and not isinstance(keys.servers, str):
        fix = "write together or in_turn, or set engine: ollama or openai"
        raise fault(("servers",), "engine embedded starts its own servers", fix)
    if keys.engine == "openai" and keys.servers == "in_turn":
        fix = "list the URLs of your servers there"
        raise fault(("servers",), "servers of engine openai are not started here", fix)
    if keys.engine == "openai" and keys.threads_total is not None:
        fix = "leave it out, and start the servers with their threads, such as: llama-server -t 4"
        raise fault(("threads_total",), "OpenAI's protocol has no word for threads", fix)
    embedded = keys.engine == "embedded"
    if keys.lock and (embedded or keys.lock in {*get_args(Engine)} - {keys.engine}):
        fix = "leave it out" if embedded else f"write a name such as {keys.engine}-2"
        raise fault(("lock",), f"'{keys.lock}' is no entry of engine {keys.engine}", fix)
    if keys.cpu_spill and keys.engine != "ollama":
        raise fault(("cpu_spill",), "only Ollama says where its model lies", "leave it out")


def _check_shared(keys: StudyKeys, configs: Sequence[ConfigSpec], fault: Fault) -> None:
    """One server has one number of threads and of slots: it cannot stand for two topologies."""
    alike: dict[str, dict[tuple[str, int], ConfigSpec]] = {}
    for config in sorted(configs, key=lambda one: -len(one.servers)):
        for url in config.servers:
            place = alike.setdefault(url.replace("//localhost", "//127.0.0.1"), {})
            place.setdefault((config.topology, len(config.servers)), config)
    pairs = [
        (url, *two) for url, of in alike.items() for two in itertools.combinations(of.values(), 2)
    ]
    for url, kept, config in pairs:
        # Servers of OpenAI's protocol may lie on a GPU, where threads do not matter.
        shares = keys.engine == "ollama" and len(kept.servers) != len(config.servers)
        if kept.topology == config.topology:
            if shares and keys.threads_total:
                what = f"{url} serves configs of {len(kept.servers)} agents and of "
                what += f"{len(config.servers)}, whose shares of it differ"
                fix = "measure them as two studies, each on servers of its own"
                raise fault(("threads_total",), what, fix)
            continue
        # A server of dual may have as many slots as it likes: it has one agent.
        two = {kept.topology, config.topology}
        if not shares and ("single_parallel" not in two or "dual" in two):
            continue
        what = f"{url} serves {kept.topology} too, and one server has one number of "
        what += "threads" if shares else "slots"
        fix = f"start another server for {config.topology} and list its URL"
        if keys.engine == "ollama":
            wide = config.topology == "single_parallel"
            slots = f" OLLAMA_NUM_PARALLEL={len(config.agents)}" if wide else ""
            fix += f": OLLAMA_HOST={_beside(url, alike)}{slots} ollama serve"
        key = "single" if config.topology == "serial" else config.topology
        raise fault(("servers", key), what, fix)


def _beside(url: str, urls: Iterable[str]) -> str:
    """Host and port for one more server on the host of ``url``; none of ``urls`` has that port."""
    ports = [int(port) for one in urls for port in re.findall(":([0-9]+)$", one)]
    return f"{re.sub('^[a-z]+://|:[0-9]+$', '', url)}:{1 + max(ports, default=11434)}"


def _protocol(keys: StudyKeys, fault: Fault) -> str | None:
    known = PROTOCOLS.get(keys.engine, ())
    if keys.protocol is not None and keys.protocol not in known:
        fix = f"write {joined(known)}" if known else "leave it out"
        what = f"engine {keys.engine} does not speak '{keys.protocol}'"
        raise fault(("protocol",), what, fix)
    return keys.protocol or next(iter(known), None)


def _numbered(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The same, under ids of their own: of two alike the second gets a 2 at its end.

    Two entries may compare parts of one workload, such as two topologies each. A comparison of one
    keeps the id of its config.
    """
    taken = {one.id for one in comparisons if len(one.configs) == 1}
    named = []
    for one in comparisons:
        identifier, number = one.id, 1
        while len(one.configs) > 1 and identifier in taken:
            number += 1
            identifier = f"{one.id}-{number}"
        taken.add(identifier)
        named.append(replace(one, id=identifier))
    return tuple(named)


def _cells(axes: Values) -> Iterator[Values]:
    """Every combination of the axes' values, the last axis changing fastest."""
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


@dataclass(frozen=True)
class _Entry:
    """One entry of a phase, which stands at ``path``, and what its expansion needs."""

    study: StudyKeys
    phase: str
    keys: Entry
    path: Path
    lines: Lines
    fault: Fault
    prompts: Prompts

    def comparisons(self) -> Iterator[Comparison]:
        """A comparison for each combination of the axes that are not compared."""
        keys, axes, line = self.keys, self.axes, self.lines[self.path]
        if axes and keys.id:
            self.refuse("an entry with axes gets generated ids", "leave id out", "id")
        for name in axes:
            if name in keys.options.model_fields_set | keys.model_fields_set:
                self.refuse("also set beside the axes", "keep one of the two", "axes", name)
        for name in keys.compare if "compare" in keys.model_fields_set else ():
            if name not in axes:
                fix = f"its axes: {', '.join(axes) or 'none'}"
                self.refuse(f"'{name}' is not an axis of this entry", fix, "compare")
        for name in OF_THE_LOAD:
            if self.study.engine == "openai" and (*self.path, *self._key(name)) in self.lines:
                fix = "leave it out, and start the server with it"
                self.refuse("OpenAI's protocol has no word for it", fix, *self._key(name))
        compared = {name: axes[name] for name in axes if name in keys.compare}
        for cell in _cells({name: axes[name] for name in axes if name not in compared}):
            configs = tuple(self.config({**cell, **values}) for values in _cells(compared))
            identifier = configs[0].id
            if len(configs) > 1:
                topology, options = self._chosen(cell)
                common = config_id(keys.scenario, topology, options, axes, compared)
                identifier = comparison_id(common, compared)
                # room for a number, which tells two of one id apart
                if len(identifier) > MAX_LENGTH - 3:
                    what = f"the comparison's generated id '{identifier}' is too long"
                    self.refuse(what, "compare fewer axes in one entry")
            yield Comparison(
                identifier, self.phase, configs, keys.rounds or self.study.rounds, line
            )

    def config(self, cell: Values) -> ConfigSpec:
        """The config with one value for each axis in ``cell``."""
        topology, options = self._chosen(cell)
        agents = tuple(map(self._agent, self.names, self._options_by_agent(options)))
        scenario = self.keys.scenario
        identifier = self.keys.id or config_id(scenario, topology, options, self.axes)
        if len(identifier) > MAX_LENGTH:
            what = f"the generated id '{identifier}' is over {MAX_LENGTH} characters"
            self.refuse(what, "write it as an entry without axes and with an id of its own")
        return ConfigSpec(
            id=identifier,
            scenario=scenario,
            topology=topology,
            agents=agents,
            work_policy=self.work.policy,
            servers=self._servers(topology, tuple(dict.fromkeys(one.model for one in agents))),
        )

    @cached_property
    def axes(self) -> Values:
        """The values of each axis."""
        names = [path[-1] for path in self.lines if path[:-1] == (*self.path, "axes")]
        return {str(name): getattr(self.keys.axes, str(name)) for name in names}

    def _chosen(self, cell: Values) -> tuple[Topology, Values]:
        """The topology and the options with the values of ``cell``."""
        options = self.keys.options.model_dump(exclude_none=True) | dict(cell)
        topology: Topology = options.pop("topology", self.keys.topology)
        return topology, options

    def _key(self, option: str) -> tuple[str, str]:
        return "axes" if option in self.axes else "options", option

    def refuse(self, what: str, fix: str, *key: str) -> NoReturn:
        """Raise the fault of ``key`` in the entry, or of the entry itself."""
        raise self.fault((*self.path, *key), what, fix)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The agents of the entry."""
        names = self.keys.agents or tuple(self.study.agents)[:2]
        for name in names:
            self._check_agent(name, (*self.path, "agents"))
        return names

    def _check_agent(self, name: str, path: Path) -> None:
        if name not in self.study.agents:
            fix = f"known agents: {', '.join(self.study.agents)}"
            raise self.fault(path, f"'{name}' is not an agent of this study", fix)

    @cached_property
    def work(self) -> Work:
        """The nearest work policy: the entry's own, else its phase's, else the study's."""
        phase = self.study.phases[self.phase]
        levels = ((self.path, self.keys), (self.path[:2], phase), ((), self.study))
        for level, holder in levels:
            if holder.work:
                self._check_tokens(holder.work, (*level, "work", "tokens"))
                return holder.work
        fix = "add work: {policy: fixed, tokens: 64} to the study, its phase or the config"
        self.refuse("no work policy", fix, "work")

    def _check_tokens(self, work: Work, path: Path) -> None:
        if isinstance(work.tokens, int):
            return
        for name in work.tokens:
            self._check_agent(name, (*path, name))
        for name in self.names:
            if name not in work.tokens:
                what = f"no number for agent '{name}' of the config in line "
                raise self.fault(path, f"{what}{self.lines[self.path]}", "add one")

    def _agent(self, name: str, options: Values) -> AgentSpec:
        declared, tokens = self.study.agents[name], self.work.tokens
        agent = AgentSpec(
            name=name,
            task=declared.task,
            model=options.get("model", self.study.model),
            options={option: value for option, value in options.items() if option != "model"},
            max_tokens=tokens if isinstance(tokens, int) else tokens[name],
            prompts=self.prompts(declared),
        )
        # Ollama shifts the context of an answer that is longer; equal work would not be equal then.
        moves = self.study.engine == "ollama" and self.work.policy == "natural"
        num_ctx = agent.options.get("num_ctx")
        if num_ctx and (lack := agent.lacks_room(num_ctx, moves)):
            fix = f"write {lack[1]} or more, or lower work.tokens"
            self.refuse(lack[0], fix, *self._key("num_ctx"))
        return agent

    def _options_by_agent(self, options: Values) -> list[Values]:
        scenario, n = self.keys.scenario, len(self.names)
        lists = {name: value for name, value in options.items() if isinstance(value, tuple)}
        if scenario != "chimera_homo" and n < 2:
            self.refuse(f"{scenario} with one agent", "name two agents or more", "agents")
        if scenario != "chimera_hetero":
            for name in lists:
                what = f"one value per agent, but {scenario} has one for all"
                fix = "write one value, or scenario: chimera_hetero"
                self.refuse(what, fix, *self._key(name))
            return [options if i or scenario == "chimera_homo" else {} for i in range(n)]
        for name, value in lists.items():
            if len(value) != n:
                what = f"a list of {len(value)} for {n} agents"
                self.refuse(what, "write one value per agent", *self._key(name))
        if all(len(set(value)) == 1 for value in lists.values()):
            what = "chimera_hetero, but all agents have equal options"
            fix = "give an option one value per agent, not all equal, or write chimera_homo"
            self.refuse(what, fix, "scenario")
        return [
            {name: lists[name][i] if name in lists else options[name] for name in options}
            for i in range(n)
        ]

    def _servers(self, topology: Topology, models: Sequence[str]) -> tuple[str, ...]:
        """The URLs of a config's servers; none if they are started here."""
        wanted = len(self.names) if topology == "dual" else 1
        started = self.study.engine != "openai" and isinstance(self.study.servers, str)
        if started or self.study.threads_total is not None:
            self._check_threads(wanted)
        if started:
            if self.study.engine == "embedded" and topology != "dual" and len(models) > 1:
                what = f"{topology} has one server, which holds one model, not "
                fix = "use topology: dual, or one model"
                self.refuse(what + " and ".join(models), fix, "topology")
            return ()
        key = "single" if topology == "serial" else topology
        urls: tuple[str, ...] = getattr(self.study.servers, key, ())
        if len(urls) < wanted or (topology != "dual" and len(urls) > 1):
            needs = "one URL" if wanted == 1 else f"{wanted} URLs"
            what = f"{topology} needs {needs} here, but servers.{key} has {len(urls)}"
            fix = f"list {wanted} under servers.{key}, such as http://127.0.0.1:11434"
            self.refuse(what, fix, "topology")
        return urls[:wanted]

    def _check_threads(self, servers: int) -> None:
        """Threads that do not split evenly would be hardware that only a shared server gets."""
        total = self.study.threads_total or servers
        if total % servers:
            what = f"{total} threads do not split evenly over the {servers} servers of the dual "
            what += f"config in line {self.lines[self.path]}"
            raise self.fault(("threads_total",), what, f"write a multiple of {servers}")
