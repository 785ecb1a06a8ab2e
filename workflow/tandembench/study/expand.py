"""Checked YAML -> Study: axes become configs, configs get their ids, agents their options."""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tandembench.errors import TandemError
from tandembench.study.model import SHARED, Agent, Config, Study, Topology
from tandembench.study.strict_yaml import Lines

_SCENARIO_SHORT = {
    "baseline_vs_chimera": "bvc",
    "chimera_hetero": "hetero",
    "chimera_homo": "homo",
}
# Options in the order in which an id names them, each with its letter.
_LETTERS = {
    "num_gpu": "g",
    "num_ctx": "c",
    "temperature": "t",
    "top_p": "p",
    "top_k": "k",
    "min_p": "m",
    "repeat_penalty": "r",
    "seed": "s",
    "model": "",
}
_ALWAYS_NAMED = ("num_gpu", "num_ctx")
_MAX_ID = 64
Values = Mapping[str, Any]
Fault = Callable[[str, str], TandemError]


def expand(values: Values, lines: Lines, where: str) -> Study:
    """Turn a study's checked ``values`` into a Study.

    ``where`` is the file's name and ``lines`` its key lines, for errors. TandemError names file,
    line, key and fix of the first thing that cannot be measured as it is written.
    """
    if values["engine"] == "ollama":
        if "threads_total" in values:
            raise _fault(
                "threads_total: Ollama sets its own threads",
                ("threads_total",),
                lines,
                where,
                "leave it out",
            )
    elif "servers" in values:
        raise _fault(
            "servers: engine embedded starts its own",
            ("servers",),
            lines,
            where,
            "leave it out, or set engine: ollama",
        )
    configs: dict[str, Config] = {}
    for phase, body in values["phases"].items():
        for index, entry in enumerate(body["configs"]):
            path = ("phases", phase, "configs", index)
            for config in _entry_configs(values, phase, entry, path, lines, where):
                if config.id in configs:
                    raise _fault(
                        f"two configs with the id '{config.id}' (the other in line "
                        f"{configs[config.id].line})",
                        path,
                        lines,
                        where,
                        "give one of them an id of its own (key id)",
                    )
                configs[config.id] = config
    return Study(
        name=values["name"],
        title=values.get("title", values["name"]),
        seed=values["seed"],
        repetitions=values["repetitions"],
        retries=values["retries"],
        order=values["order"],
        margin=values["margin"],
        reference=values["reference"],
        engine=values["engine"],
        threads_total=values.get("threads_total"),
        deadline_s=values["deadline_s"],
        idle_s=values["idle_s"],
        phases={name: body.get("title", name) for name, body in values["phases"].items()},
        configs=tuple(configs.values()),
    )


def _fault(
    what: str, path: tuple[str | int, ...], lines: Lines, where: str, fix: str
) -> TandemError:
    line = next(lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines)
    return TandemError(what, where=f"{where}:{line}", fix=fix)


def _entry_configs(
    study: Values,
    phase: str,
    entry: Values,
    path: tuple[str | int, ...],
    lines: Lines,
    where: str,
) -> Iterator[Config]:
    axes = entry.get("axes", {})
    if axes and "id" in entry:
        raise _fault("id: this entry has axes", path, lines, where, "leave id out")
    for name in axes:
        if name in entry.get("options", {}) or name in entry:
            raise _fault(
                f"axes.{name}: also set beside the axes", path, lines, where, "keep one of the two"
            )
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        topology: Topology = chosen.pop("topology", entry.get("topology", "dual"))
        options = dict(entry.get("options", {})) | chosen

        def fault(what: str, fix: str) -> TandemError:
            return _fault(what, path, lines, where, fix)

        agents = _agents(study, phase, entry, options, fault)
        identifier = entry.get("id") or _generated_id(entry, topology, options, axes)
        if len(identifier) > _MAX_ID:
            raise fault(f"the id '{identifier}' is over {_MAX_ID} characters", "set fewer options")
        embedded = study["engine"] == "embedded"
        if topology in SHARED and embedded and len({agent.model for agent in agents}) > 1:
            raise fault(
                f"{topology} with two models: an embedded server holds one",
                "use topology: dual, or one model",
            )
        yield Config(
            id=identifier,
            phase=phase,
            scenario=entry["scenario"],
            topology=topology,
            agents=agents,
            work_policy=_work(study, phase, entry, fault)["policy"],
            servers=_servers(study, topology, len(agents), fault),
            line=lines[path],
        )


def _work(study: Values, phase: str, entry: Values, fault: Fault) -> Values:
    work: Values | None = (
        entry.get("work") or study["phases"][phase].get("work") or study.get("work")
    )
    if work is None:
        raise fault("no work policy", "add work: {policy: fixed, tokens: 64} to the study")
    return work


def _agents(
    study: Values, phase: str, entry: Values, options: Values, fault: Fault
) -> tuple[Agent, ...]:
    names = entry.get("agents", list(study["agents"])[:2])
    unknown = [name for name in names if name not in study["agents"]]
    if unknown:
        raise fault(
            f"agents: '{unknown[0]}' is not an agent of this study",
            f"known agents: {', '.join(study['agents'])}",
        )
    if len(set(names)) < len(names):
        raise fault("agents: one name twice", "declare a second agent under another name")
    tokens = _work(study, phase, entry, fault)["tokens"]
    if isinstance(tokens, dict):
        for name in names:
            if name not in tokens:
                raise fault(f"work.tokens: no number for agent '{name}'", "add it")
    agents = []
    for name, own in zip(names, _options_by_agent(entry, options, len(names), fault), strict=True):
        agents.append(
            Agent(
                name=name,
                task=study["agents"][name]["task"],
                steps=tuple(study["agents"][name]["steps"]),
                data=study["agents"][name].get("data"),
                model=own.pop("model", study["model"]),
                options=own,
                max_tokens=tokens[name] if isinstance(tokens, dict) else tokens,
            )
        )
    return tuple(agents)


def _options_by_agent(entry: Values, options: Values, n: int, fault: Fault) -> list[dict[str, Any]]:
    scenario = entry["scenario"]
    lists = {name: value for name, value in options.items() if isinstance(value, list)}
    if scenario != "chimera_homo" and n < 2:
        raise fault(f"{scenario} with one agent", "name two agents or more")
    if scenario != "chimera_hetero":
        if lists:
            raise fault(
                f"options.{next(iter(lists))}: a list, but {scenario} has one value for all",
                "write one value, or scenario: chimera_hetero",
            )
        first: dict[str, Any] = {} if scenario == "baseline_vs_chimera" else dict(options)
        return [first] + [dict(options) for _ in range(n - 1)]
    for name, value in lists.items():
        if len(value) != n:
            raise fault(
                f"options.{name}: {len(value)} values for {n} agents", "write one per agent"
            )
    if all(len(set(value)) == 1 for value in lists.values()):
        raise fault(
            "chimera_hetero with equal options for all agents",
            "give one option a list of different values, or write chimera_homo",
        )
    return [
        {name: value[i] if name in lists else value for name, value in options.items()}
        for i in range(n)
    ]


def _servers(study: Values, topology: Topology, n: int, fault: Fault) -> tuple[str, ...]:
    if study["engine"] == "embedded":
        return ()
    key = "single" if topology == "serial" else topology
    urls = study.get("servers", {}).get(key, [])
    wanted = n if topology == "dual" else 1
    if len(urls) < wanted or (topology != "dual" and len(urls) > 1):
        raise fault(
            f"servers.{key}: {len(urls)} URLs for topology {topology}",
            f"list {wanted} under servers.{key}",
        )
    if len(set(urls[:wanted])) < wanted:
        raise fault("servers.dual: one URL twice is one server", "list different servers")
    return tuple(urls[:wanted])


def _generated_id(entry: Values, topology: Topology, options: Values, axes: Values) -> str:
    """Scenario, num_gpu and num_ctx, other options that are axes, and a topology but plain dual."""
    parts = [_SCENARIO_SHORT[entry["scenario"]]]
    for name, letter in _LETTERS.items():
        if name in options and (name in _ALWAYS_NAMED or name in axes):
            value = options[name]
            both = value if isinstance(value, list) else [value]
            parts.append(letter + "x".join(_slug(one) for one in both))
    if "topology" in axes or topology != "dual":
        parts.append(topology)
    return "-".join(parts)


def _slug(value: object) -> str:
    return re.sub(r"[^a-z0-9.]+", ".", f"{value}".lower()).strip(".")
