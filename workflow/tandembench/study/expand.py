"""Checked YAML -> Study: axes become configs, configs stand in comparisons, agents get options."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tandembench.errors import TandemError
from tandembench.study.check import Fault, fault_at
from tandembench.study.ids import MAX_LENGTH, OF_THE_LOAD, comparison_id, config_id
from tandembench.study.model import (
    PROTOCOLS,
    SHARED,
    Agent,
    Comparison,
    Config,
    Placement,
    Study,
    Topology,
)
from tandembench.study.strict_yaml import Lines, Path

_FRACTIONS = ("temperature", "top_p", "min_p", "repeat_penalty")
# What an entry compares that says nothing of it.
_COMPARED = ("topology",)
Values = Mapping[str, Any]


def expand(values: Values, lines: Lines, where: str) -> Study:
    """Turn a study's checked ``values`` into a Study.

    ``where`` is the file's name and ``lines`` its key lines, for errors. TandemError names file,
    line, key and fix of the first thing that cannot be measured as it is written.
    """

    def fault(path: Path, what: str, fix: str) -> TandemError:
        return fault_at(path, what, fix, lines, where)

    if values["engine"] != "embedded" and "threads_total" in values:
        raise fault(("threads_total",), "running servers set their own threads", "leave it out")
    placement = _placement(values, fault)
    protocol = _protocol(values, fault)
    comparisons: list[Comparison] = []
    known: dict[str, Config] = {}
    for phase, body in values["phases"].items():
        for index, entry in enumerate(body["configs"]):
            path = ("phases", phase, "configs", index)
            for comparison in _entry_comparisons(values, phase, entry, path, lines[path], fault):
                for config in comparison.configs:
                    if config.id in known:
                        what = f"two configs have the id '{config.id}' (the other is in line "
                        what += f"{known[config.id].line})"
                        fix = "give one of them an id of its own: key id, in an entry without axes"
                        raise fault(path, what, fix)
                    known[config.id] = config
                comparisons.append(comparison)
    _check_threads(values, known.values(), fault)
    return Study(
        name=values["name"],
        title=values.get("title", values["name"]),
        seed=values["seed"],
        repetitions=values["repetitions"],
        retries=values["retries"],
        order=values["order"],
        margin=values["margin"],
        reference=values["reference"],
        baselines=tuple(values["baselines"]),
        hypotheses=values.get("hypotheses"),
        engine=values["engine"],
        protocol=protocol,
        threads_total=values.get("threads_total"),
        placement=placement,
        criteria=tuple(values["criteria"]),
        telemetry=values["telemetry"],
        deadline_s=values["deadline_s"],
        idle_s=values["idle_s"],
        phases={name: body.get("title", name) for name, body in values["phases"].items()},
        comparisons=_numbered(comparisons),
    )


def _placement(values: Values, fault: Fault) -> Placement:
    """Whether embedded servers stay up together; those of other engines do, and have URLs."""
    servers: Placement | Values = values["servers"]
    if values["engine"] != "embedded":
        if servers == "in_turn":
            fix = "list the URLs of your servers there"
            raise fault(("servers",), "running servers are not started here", fix)
        return "together"
    if isinstance(servers, Mapping):
        fix = "write together or in_turn, or set engine: ollama or openai"
        raise fault(("servers",), "engine embedded starts its own servers", fix)
    return servers


def _protocol(values: Values, fault: Fault) -> str | None:
    known = PROTOCOLS.get(values["engine"], ())
    protocol: str | None = values.get("protocol", known[0] if known else None)
    if protocol is not None and protocol not in known:
        fix = f"write {' or '.join(known)}" if known else "leave it out"
        what = f"engine {values['engine']} does not speak '{protocol}'"
        raise fault(("protocol",), what, fix)
    return protocol


def _check_threads(values: Values, configs: Iterable[Config], fault: Fault) -> None:
    """Threads that do not split evenly would be hardware that only a shared server gets."""
    total = values.get("threads_total")
    for config in configs:
        n = len(config.agents)
        if total is not None and config.topology == "dual" and total % n:
            what = f"{total} threads do not split evenly over the {n} servers of the dual config "
            what += f"in line {config.line}"
            below = total - total % n
            fix = f"write {below} or {below + n}" if below else f"write {n}"
            raise fault(("threads_total",), what, fix)


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


def _entry_comparisons(
    study: Values, phase: str, entry: Values, path: Path, line: int, fault: Fault
) -> Iterator[Comparison]:
    """What one entry stands for: a comparison for each combination of the axes not compared."""
    axes = entry.get("axes", {})
    if axes and "id" in entry:
        raise fault((*path, "id"), "an entry with axes gets generated ids", "leave id out")
    for name in axes:
        if name in entry.get("options", {}) or name in entry:
            raise fault((*path, "axes", name), "also set beside the axes", "keep one of the two")
    for name in entry.get("compare", ()):
        if name not in axes:
            fix = f"its axes: {', '.join(axes)}" if axes else "give the entry axes, or leave it out"
            raise fault((*path, "compare"), f"'{name}' is not an axis of this entry", fix)
    _check_sendable(study, entry, path, fault)
    work = _work(study, phase, entry, path, line, fault)

    def config(cell: Values) -> Config:
        return _config(study, entry, cell, work, (phase, line), path, fault)

    compared = {name: axes[name] for name in axes if name in entry.get("compare", _COMPARED)}
    others = {name: axes[name] for name in axes if name not in compared}
    for cell in _cells(others):
        configs = tuple(config(cell | values) for values in _cells(compared))
        identifier = configs[0].id
        if len(configs) > 1:
            topology, options = _chosen(entry, cell)
            common = config_id(entry["scenario"], topology, options, axes, compared)
            identifier = comparison_id(common, compared)
            # room for a number, which tells two of one id apart
            if len(identifier) > MAX_LENGTH - 3:
                what = f"the comparison's generated id '{identifier}' is too long"
                raise fault(path, what, "compare fewer axes in one entry")
        rounds = entry.get("rounds", study["rounds"])
        yield Comparison(identifier, phase, configs, rounds, line)


def _cells(axes: Values) -> Iterator[dict[str, Any]]:
    """Every combination of the axes' values, the last axis changing fastest."""
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _chosen(entry: Values, cell: Values) -> tuple[Topology, dict[str, Any]]:
    """The topology and the options of an entry with one value for each axis in ``cell``."""
    options = dict(entry.get("options", {})) | dict(cell)
    topology: Topology = options.pop("topology", entry.get("topology", "dual"))
    return topology, {name: _one_spelling(name, value) for name, value in options.items()}


def _config(
    study: Values,
    entry: Values,
    cell: Values,
    work: Values,
    place: tuple[str, int],
    path: Path,
    fault: Fault,
) -> Config:
    """One config of an entry; ``place`` is the phase and the line that list it."""
    topology, options = _chosen(entry, cell)
    names = _names(study, entry, path, fault)
    agents = tuple(
        _agent(study, work["tokens"], name, own)
        for name, own in zip(
            names, _options_by_agent(entry, options, len(names), path, fault), strict=True
        )
    )
    scenario = entry["scenario"]
    identifier = entry.get("id") or config_id(scenario, topology, options, entry.get("axes", {}))
    if len(identifier) > MAX_LENGTH:
        what = f"the generated id '{identifier}' is over {MAX_LENGTH} characters"
        raise fault(path, what, "write it as an entry without axes and with an id of its own")
    models = dict.fromkeys(agent.model for agent in agents)
    if topology in SHARED and study["engine"] == "embedded" and len(models) > 1:
        what = f"{topology} has one server, which holds one model, not {' and '.join(models)}"
        raise fault((*path, "topology"), what, "use topology: dual, or one model")
    phase, line = place
    return Config(
        id=identifier,
        phase=phase,
        scenario=scenario,
        topology=topology,
        agents=agents,
        work_policy=work["policy"],
        servers=_servers(study, topology, len(agents), path, fault),
        line=line,
    )


def _check_sendable(study: Values, entry: Values, path: Path, fault: Fault) -> None:
    for key in ("options", "axes"):
        for name in OF_THE_LOAD:
            if study["engine"] == "openai" and name in entry.get(key, {}):
                fix = "leave it out, and start the server with it"
                raise fault((*path, key, name), "OpenAI's protocol has no word for it", fix)


def _one_spelling(name: str, value: Any) -> Any:  # noqa: ANN401 - an option's, of any type
    """1 and 1.0 as 1.0, -0.0 as 0.0: equal temperatures get one id and one digest."""
    if name not in _FRACTIONS:
        return value
    return [abs(float(one)) for one in value] if isinstance(value, list) else abs(float(value))


def _names(study: Values, entry: Values, path: Path, fault: Fault) -> list[str]:
    names: list[str] = entry.get("agents", list(study["agents"])[:2])
    for name in names:
        if name not in study["agents"]:
            raise fault((*path, "agents"), *_no_agent(name, study))
    if len(set(names)) < len(names):
        fix = "list different agents; two alike are declared under two names"
        raise fault((*path, "agents"), "one name twice", fix)
    return names


def _no_agent(name: str, study: Values) -> tuple[str, str]:
    known = ", ".join(study["agents"])
    return f"'{name}' is not an agent of this study", f"known agents: {known}"


def _work(study: Values, phase: str, entry: Values, path: Path, line: int, fault: Fault) -> Values:
    """The nearest work policy: the entry's own, else its phase's, else the study's."""
    levels: list[tuple[Path, Values]] = [
        (path, entry),
        (path[:2], study["phases"][phase]),
        ((), study),
    ]
    level, work = next(
        ((level, holder["work"]) for level, holder in levels if "work" in holder), ((), None)
    )
    if work is None:
        fix = "add work: {policy: fixed, tokens: 64} to the study, its phase or the config"
        raise fault((*path, "work"), "no work policy", fix)
    tokens = (*level, "work", "tokens")
    names = _names(study, entry, path, fault)
    if isinstance(work["tokens"], dict):
        for name in work["tokens"]:
            if name not in study["agents"]:
                raise fault((*tokens, name), *_no_agent(name, study))
        for name in names:
            if name not in work["tokens"]:
                what = f"no number for agent '{name}' of the config in line {line}"
                raise fault(tokens, what, "add one")
    return dict(work)


def _agent(study: Values, tokens: int | Values, name: str, own: Values) -> Agent:
    declared = study["agents"][name]
    return Agent(
        name=name,
        task=declared["task"],
        steps=tuple(declared["steps"]),
        data=declared.get("data"),
        model=own.get("model", study["model"]),
        options={option: value for option, value in own.items() if option != "model"},
        max_tokens=tokens if isinstance(tokens, int) else tokens[name],
    )


def _options_by_agent(
    entry: Values, options: Values, n: int, path: Path, fault: Fault
) -> list[Values]:
    scenario = entry["scenario"]
    lists = {name: value for name, value in options.items() if isinstance(value, list)}

    def key(name: str) -> Path:
        return (*path, "axes" if name in entry.get("axes", {}) else "options", name)

    if scenario != "chimera_homo" and n < 2:
        raise fault((*path, "agents"), f"{scenario} with one agent", "name two agents or more")
    if scenario != "chimera_hetero":
        for name in lists:
            what = f"one value per agent, but {scenario} has one for all"
            raise fault(key(name), what, "write one value, or scenario: chimera_hetero")
        return [options if i or scenario == "chimera_homo" else {} for i in range(n)]
    for name, value in lists.items():
        if len(value) != n:
            what = f"a list of {len(value)} for {n} agents"
            raise fault(key(name), what, "write one value per agent")
    if all(len(set(value)) == 1 for value in lists.values()):
        what = "chimera_hetero, but all agents have equal options"
        fix = "give an option one value per agent, not all equal, or write chimera_homo"
        raise fault((*path, "scenario"), what, fix)
    return [
        {name: value[i] if name in lists else value for name, value in options.items()}
        for i in range(n)
    ]


def _servers(
    study: Values, topology: Topology, n: int, path: Path, fault: Fault
) -> tuple[str, ...]:
    if study["engine"] == "embedded":
        return ()
    key = "single" if topology == "serial" else topology
    listed = study["servers"]
    urls = listed.get(key, []) if isinstance(listed, Mapping) else []
    wanted = n if topology == "dual" else 1
    if len(urls) < wanted or (topology != "dual" and len(urls) > 1):
        needs = "one URL" if wanted == 1 else f"{wanted} URLs"
        what = f"{topology} needs {needs} here, but servers.{key} has {len(urls)}"
        fix = f"list {wanted} under servers.{key}, such as http://127.0.0.1:11434"
        raise fault((*path, "topology"), what, fix)
    if len(set(urls[:wanted])) < wanted:
        fix = "list the URLs of different servers"
        raise fault(("servers", "dual"), "one URL twice is one server, not two", fix)
    return tuple(urls[:wanted])
