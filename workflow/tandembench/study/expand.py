"""Checked YAML -> Study: axes become configs, configs get their ids, agents their options."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from tandembench.errors import TandemError
from tandembench.study.check import Fault, fault_at
from tandembench.study.model import PROTOCOLS, SHARED, Agent, Config, Study, Topology
from tandembench.study.strict_yaml import Lines, Path

SCENARIO_SHORT = {
    "baseline_vs_chimera": "bvc",
    "chimera_hetero": "hetero",
    "chimera_homo": "homo",
}
# Options in the order in which an id names them, each with its letter.
LETTERS = {
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
OPTIONS = tuple(LETTERS)
# Options that say how a model is loaded, not how it answers.
_OF_THE_LOAD = ("num_gpu", "num_ctx")
_FRACTIONS = ("temperature", "top_p", "min_p", "repeat_penalty")
_MAX_ID = 64
# A phase's files are called x.parquet, x.executions.parquet and so on.
_TABLES = (".executions", ".telemetry", ".tokens", ".manifest")
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
    if values["engine"] == "embedded" and "servers" in values:
        fix = "leave it out, or set engine: ollama or openai"
        raise fault(("servers",), "engine embedded starts its own servers", fix)
    protocol = _protocol(values, fault)
    configs: dict[str, Config] = {}
    for phase, body in values["phases"].items():
        if phase.endswith(_TABLES):
            what = "a phase's name may not end like one of its tables"
            raise fault(("phases", phase), what, f"no {', '.join(_TABLES)} at the end")
        for index, entry in enumerate(body["configs"]):
            path = ("phases", phase, "configs", index)
            for config in _entry_configs(values, phase, entry, path, lines[path], fault):
                if config.id in configs:
                    what = f"two configs have the id '{config.id}' (the other is in line "
                    what += f"{configs[config.id].line})"
                    fix = "give one of them an id of its own: key id, in an entry without axes"
                    raise fault(path, what, fix)
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
        baselines=tuple(values["baselines"]),
        engine=values["engine"],
        protocol=protocol,
        threads_total=values.get("threads_total"),
        telemetry=values["telemetry"],
        deadline_s=values["deadline_s"],
        idle_s=values["idle_s"],
        phases={name: body.get("title", name) for name, body in values["phases"].items()},
        configs=tuple(configs.values()),
    )


def _protocol(values: Values, fault: Fault) -> str | None:
    known = PROTOCOLS.get(values["engine"], ())
    protocol: str | None = values.get("protocol", known[0] if known else None)
    if protocol is not None and protocol not in known:
        fix = f"write {' or '.join(known)}" if known else "leave it out"
        what = f"engine {values['engine']} does not speak '{protocol}'"
        raise fault(("protocol",), what, fix)
    return protocol


def _entry_configs(
    study: Values, phase: str, entry: Values, path: Path, line: int, fault: Fault
) -> Iterator[Config]:
    axes = entry.get("axes", {})
    if axes and "id" in entry:
        raise fault((*path, "id"), "an entry with axes gets generated ids", "leave id out")
    for name in axes:
        if name in entry.get("options", {}) or name in entry:
            raise fault((*path, "axes", name), "also set beside the axes", "keep one of the two")
    _check_sendable(study, entry, path, fault)
    names = _names(study, entry, path, fault)
    work = _work(study, phase, entry, names, path, line, fault)
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        topology: Topology = chosen.pop("topology", entry.get("topology", "dual"))
        options = {
            name: _one_spelling(name, value)
            for name, value in (dict(entry.get("options", {})) | chosen).items()
        }
        by_agent = _options_by_agent(entry, options, len(names), path, fault)
        agents = tuple(map(partial(_agent, study, work["tokens"]), names, by_agent))
        identifier = entry.get("id") or _generated_id(entry, topology, options, axes)
        if len(identifier) > _MAX_ID:
            what = f"the generated id '{identifier}' is over {_MAX_ID} characters"
            raise fault(path, what, "write it as an entry without axes and with an id of its own")
        models = dict.fromkeys(agent.model for agent in agents)
        if topology in SHARED and study["engine"] == "embedded" and len(models) > 1:
            what = f"{topology} has one server, which holds one model, not {' and '.join(models)}"
            raise fault((*path, "topology"), what, "use topology: dual, or one model")
        yield Config(
            id=identifier,
            phase=phase,
            scenario=entry["scenario"],
            topology=topology,
            agents=agents,
            work_policy=work["policy"],
            servers=_servers(study, topology, len(agents), path, fault),
            line=line,
        )


def _check_sendable(study: Values, entry: Values, path: Path, fault: Fault) -> None:
    for key in ("options", "axes"):
        for name in _OF_THE_LOAD:
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


def _work(
    study: Values,
    phase: str,
    entry: Values,
    names: Sequence[str],
    path: Path,
    line: int,
    fault: Fault,
) -> Values:
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
    urls = study.get("servers", {}).get(key, [])
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


def _generated_id(entry: Values, topology: Topology, options: Values, axes: Values) -> str:
    """Scenario, num_gpu and num_ctx, other options that are axes, and a topology but plain dual."""
    parts = [SCENARIO_SHORT[entry["scenario"]]]
    for name, letter in LETTERS.items():
        if name in options and (name in _OF_THE_LOAD or name in axes):
            value = options[name]
            both = value if isinstance(value, list) else [value]
            parts.append(letter + "x".join(_slug(one) for one in both))
    if "topology" in axes or topology != "dual":
        parts.append(topology)
    return "-".join(parts)


def _slug(value: object) -> str:
    return re.sub(r"[^a-z0-9]+", ".", f"{value}".lower()).strip(".")
