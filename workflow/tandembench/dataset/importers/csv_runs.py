"""Anyone's runs from a CSV file, by a mapping file: a row is a run, or one agent in a run."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import cast, get_args

from tandembench.dataset.importers.csv_cells import Line, read_lines
from tandembench.dataset.importers.csv_mapping import Agent, CsvMapping, Text, read_mapping
from tandembench.dataset.importers.source import (
    ENOUGH_TOKENS,
    MOST,
    Imported,
    SourceAgent,
    SourceRun,
    as_name,
    bad,
    utc,
)
from tandembench.study.spec import Scenario, Topology
from tandembench.text import sanitise

_WHOLE = ("num_gpu", "num_ctx", "top_k", "num_predict")
# What one config has only one of, in words.
_CONTENT = {"place": "name"}
_CONTENT |= {
    name: name for name in ("phase", "scenario", "topology", "engine", "runner", "same_as")
}
# Two clocks and rounding make a part longer than its whole, but not by more than this.
_SLACK, _SLACK_S = 1.05, 0.05
# Nobody waits so much longer than the agents took.
_LONGEST_WAIT = 100
# A mixture of experts read from a disk makes more tokens; nobody runs so many studies at once.
_SLOWEST_TOKENS_PER_S, _MOST_AT_ONCE = 0.1, 20
# Reading a request and one pass through a model take longer.
_FIRST_TOKEN_S = 0.0005
_FIX_UNITS = "check the units, decimals and thousands in the mapping"
# (session, config, repetition)
_Key = tuple[str, str, int]


def read(path: Path, mapping_file: Path) -> Imported:
    """All runs in the file at ``path``; TandemError names the line that cannot be one."""
    mapping = read_mapping(mapping_file)
    lines, header = read_lines(path, mapping)
    runs: list[SourceRun] = []
    first: dict[str, tuple[int, SourceRun]] = {}
    n = 0
    for key, of_run in _by_run(lines, mapping):
        n += len(of_run)
        agents = _agents(of_run, mapping)
        parts = [(line, _run(line, mapping, key, agents)) for line in of_run]
        _check_times(*parts[0])
        for line, run in parts:
            if run.wall_s != parts[0][1].wall_s:
                raise line.bad(f"another wall than in line {of_run[0].number}, of one run")
            _check_same(line, run, *first.setdefault(key[1], (line.number, run)))
        # A run of several lines began when the first of them did.
        runs.append(min((run for _, run in parts), key=lambda run: run.started_at))
    _check_scale(path, runs)
    skipped = {
        f"column '{sanitise(name, 40)}' (not in the mapping)": n
        for name in header
        if name not in mapping.columns()
    }
    return Imported(tuple(runs), skipped, _notes(runs, mapping))


def _by_run(lines: Iterable[Line], mapping: CsvMapping) -> Iterator[tuple[_Key, list[Line]]]:
    """The lines of each run, as soon as it is whole: one of its own, or one for each agent.

    Without a column of repetitions, the lines of a config are counted.
    """
    counted: Counter[tuple[str, str]] = Counter()
    whole: dict[_Key, int] = {}
    parts: dict[_Key, list[Line]] = {}
    for line in lines:
        session, config = (
            _name(line, line.text(source)) for source in (mapping.run.session, mapping.run.config)
        )
        counted[session, config] += 1
        repetition = counted[session, config]
        if source := mapping.run.repetition:
            number = line.whole(source)
            if number is None or number < source.first:
                what = f"repetition {'missing' if number is None else number}"
                fix = "correct it, or write first: 0 into the mapping"
                raise line.bad(f"{what}; they count from {source.first}", fix)
            repetition = number - source.first + 1
        key = session, config, repetition
        if key in whole:
            what = f"repetition {repetition} of {config} is there already, in line {whole[key]}"
            raise line.bad(what)
        of_run = parts.setdefault(key, [])
        of_run.append(line)
        if mapping.rows == "run" or len(of_run) == len(mapping.agents):
            whole[key] = line.number
            yield key, parts.pop(key)
    # Configs may have fewer agents than the mapping knows.
    yield from parts.items()


def _agents(lines: Sequence[Line], mapping: CsvMapping) -> tuple[SourceAgent, ...]:
    """The agents of a run, each of its own line or all of one, in the mapping's order."""
    by_agent = {} if mapping.run.agent else dict.fromkeys(mapping.agents, lines[0])
    for line in lines if mapping.run.agent else ():
        name = line.text(cast(Text, mapping.run.agent))
        if name not in mapping.agents:
            fix = f"agents of the mapping: {', '.join(mapping.agents)}"
            raise line.bad(f"agent '{name}' is not in the mapping", fix)
        if other := by_agent.get(name):
            raise line.bad(f"agent '{name}' of this run stands in line {other.number} already")
        by_agent[name] = line
    return tuple(
        _agent(by_agent[name], name, source)
        for name, source in mapping.agents.items()
        if name in by_agent
    )


def _agent(line: Line, name: str, source: Agent) -> SourceAgent:
    # Every agent of a mapping that was read has both.
    duration_s, model = line.time(source.duration), line.text(source.model)  # type: ignore[arg-type]
    first_token_s = line.seconds(source.first_token)
    calls = line.whole(source.calls)
    if not calls:
        raise line.bad(f"no LLM call of {name}")
    started_ns = line.moment(source.started_at)
    options = {
        option: line.whole(of, -MOST) if option in _WHOLE else line.real(of)
        for option, of in source.options
        if of is not None
    }
    agent = SourceAgent(
        name=name,
        model=model,
        options={option: value for option, value in options.items() if value is not None},
        duration_s=duration_s,
        first_token_s=first_token_s,
        ttft_s=first_token_s if calls == 1 else None,
        decode_s=line.seconds(source.decode),
        prompt_s=line.seconds(source.prompt),
        load_s=line.seconds(source.load),
        answer_tokens=line.whole(source.tokens, 1),
        calls=calls,
        ended_ns=None if started_ns is None else started_ns + round(duration_s * 1e9),
    )
    if fault := agent.beyond_reason():
        raise line.bad(fault, _FIX_UNITS)
    return agent


def _run(line: Line, mapping: CsvMapping, key: _Key, agents: tuple[SourceAgent, ...]) -> SourceRun:
    """What a line says of its run."""
    source = mapping.run
    began_ns = line.moment(source.started_at)
    started_at = None if began_ns is None else utc(began_ns)
    if started_at is None:
        raise line.bad("no time at which the run began")
    scenario, topology = _scenario(agents), "single"
    if source.scenario is not None:
        scenario = _known(line, "scenario", source.scenario, get_args(Scenario))
    if source.topology is not None:
        topology = _known(line, "topology", source.topology, get_args(Topology))
    return SourceRun(
        place=line.text(source.config),
        phase=_name(line, line.text(source.phase)),
        scenario=scenario,
        repetition=key[2],
        wall_s=line.time(source.wall),
        started_at=started_at,
        agents=agents,
        session=key[0],
        engine=line.text(source.engine),
        config_id=key[1],
        topology=cast(Topology, topology),
        same_as=None if source.same_as is None else line.text(source.same_as),
        runner=None if source.runner is None else line.text(source.runner),
    )


def _scenario(agents: Sequence[SourceAgent]) -> str:
    """What the agents' models and options come to."""
    first, *others = [(agent.model, agent.options) for agent in agents]
    if all(other == first for other in others):
        return "chimera_homo"
    tuned = not first[1] and all(options for _, options in others)
    return "baseline_vs_chimera" if tuned else "chimera_hetero"


def _known(line: Line, key: str, source: Text, words: Sequence[str]) -> str:
    """A word of the study's vocabulary."""
    text = line.text(source)
    if text not in words:
        fix = f"translate it in the mapping, values: {{...}}, to one of {', '.join(words)}"
        raise line.bad(f"'{text}' is no {key}", fix)
    return text


def _name(line: Line, text: str) -> str:
    """A text as a name: what a name cannot hold becomes "-"."""
    name = as_name(text)
    if name is None:
        raise line.bad(f"'{text[:80]}' makes no name", "shorten it, to letters and digits")
    return name


def _check_times(line: Line, run: SourceRun) -> None:
    """Parts that are longer than their whole, and waits beyond reason, are in wrong units."""
    for agent in run.agents:
        parts = {
            "first token and decoding take": (agent.first_token_s or 0.0) + (agent.decode_s or 0.0),
            "the prompt takes": agent.prompt_s or 0.0,
            "the load takes": agent.load_s or 0.0,
        }
        for part, seconds in parts.items():
            if seconds > _SLACK * agent.duration_s + _SLACK_S:
                what = f"of {agent.duration_s:g} s of {agent.name} {part} {seconds:g} s"
                raise line.bad(what, _FIX_UNITS)
    durations = [agent.duration_s for agent in run.agents]
    least = sum(durations) if run.topology == "serial" else max(durations)
    most = _LONGEST_WAIT * sum(durations)
    if least > _SLACK * run.wall_s + _SLACK_S or run.wall_s > most + _SLACK_S:
        took = " and ".join(f"{duration:g}" for duration in durations)
        raise line.bad(f"a wall time of {run.wall_s:g} s for agents that take {took} s", _FIX_UNITS)


def _check_same(line: Line, run: SourceRun, number: int, first: SourceRun) -> None:
    """What has one config's name is one config, as in the line ``number`` that named it first."""
    changed = [
        word for name, word in _CONTENT.items() if getattr(run, name) != getattr(first, name)
    ]
    if run.asked != first.asked:
        changed.append("list of agents, models and options")
    if changed:
        raise line.bad(f"another {changed[0]} of {run.config_id} than in line {number}")


def _check_scale(path: Path, runs: Sequence[SourceRun]) -> None:
    """What no machine does, and runs far longer than the time to the next one."""
    agents = [agent for run in runs for agent in run.agents]
    rates = [
        agent.answer_tokens / agent.duration_s
        for agent in agents
        if (agent.answer_tokens or 0) >= ENOUGH_TOKENS and agent.answer_tokens
    ]
    if rates and median(rates) < _SLOWEST_TOKENS_PER_S:
        what = f"half of the executions make {median(rates):.2g} tokens/s or less"
        raise bad(path, what, _FIX_UNITS)
    first_s = [agent.first_token_s for agent in agents if agent.first_token_s is not None]
    if first_s and median(first_s) < _FIRST_TOKEN_S:
        what = f"half of the first tokens come within {median(first_s):.2g} s"
        raise bad(path, what, _FIX_UNITS)
    starts: dict[str, set[datetime]] = {}
    for run in runs:
        starts.setdefault(run.session, set()).add(run.started_at)
    gaps = [(b - a).total_seconds() for of in starts.values() for a, b in pairwise(sorted(of))]
    wall_s = median(run.wall_s for run in runs)
    if gaps and wall_s > _MOST_AT_ONCE * median(gaps):
        what = f"runs take {wall_s:.4g} s, but begin {median(gaps):.4g} s after each other"
        raise bad(path, what, f"{_FIX_UNITS}, or give each machine a session of its own")


def _notes(runs: Sequence[SourceRun], mapping: CsvMapping) -> tuple[str, ...]:
    """How what was kept is to be read."""
    agents = [agent for run in runs for agent in run.agents]
    notes = [
        "Durations, wall times and counts are those of the file; times were converted to seconds"
        " without loss. Nothing was measured here."
    ]
    lacking = {
        "answer_tokens": ("tokens", "There are no tokens per second"),
        "first_token_s": ("first_token", "There is no split of imbalance_loss"),
        "decode_s": ("decode", "There are no split of imbalance_loss and no throughput_delta"),
        "load_s": ("load", "Whether a run was cold is not known"),
        "ended_ns": ("started_at", "There are no rates from overlap"),
    }
    for field, (key, without) in lacking.items():
        n = sum(getattr(agent, field) is None for agent in agents)
        if n:
            notes.append(f"{key} is missing in {n} of {len(agents)} executions. {without} there.")
    starts = Counter((run.session, run.started_at) for run in runs)
    if n := sum(count for count in starts.values() if count > 1):
        notes.append(
            f"{n} of {len(runs)} runs begin at the same moment as another of their session. Their"
            " order is not known."
        )
    if mapping.run.scenario is None:
        notes.append("The mapping names no scenario: it follows from the agents' options.")
    if mapping.run.same_as is None:
        notes.append("Configs of two names are different: the mapping has no same_as.")
    renamed = {run.place: run.config_id for run in runs if run.place != run.config_id}
    if renamed:
        place = min(renamed)
        notes.append(
            f"{len(renamed)} names of configs cannot be ids and were changed:"
            f" '{place[:60]}' is {renamed[place]}."
        )
    return tuple(notes)
