"""Anyone's runs from a CSV file, by a mapping file: a row is a run, or one agent in a run."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tandembench.dataset.importers.csv_cells import Row, read_rows
from tandembench.dataset.importers.csv_mapping import KNOWN, CsvMapping, Source, read_mapping
from tandembench.dataset.importers.source import Imported, SourceAgent, SourceRun, utc
from tandembench.dataset.versions import is_name
from tandembench.study.spec import Topology
from tandembench.text import sanitise

_WHOLE = ("num_gpu", "num_ctx", "top_k", "num_predict")
# Two clocks and rounding make a part longer than its whole, but not by more than this.
_SLACK, _SLACK_S = 1.05, 0.05
# Nobody waits so much longer than the agents took.
_LONGEST_WAIT = 100


@dataclass(frozen=True, slots=True)
class _Listed:
    """A run with the line that it was first seen in."""

    row: Row
    run: SourceRun


def read(path: Path, mapping_file: Path) -> Imported:
    """All runs in the file at ``path``; TandemError names the line that cannot be one."""
    mapping = read_mapping(mapping_file)
    rows, header = read_rows(path, mapping)
    listed = _wide(rows, mapping) if mapping.by_run else _long(rows, mapping)
    for one in listed:
        _check_times(one)
    _check_keys(listed)
    _check_configs(listed)
    skipped = {
        f"column '{sanitise(name, 40)}' (not in the mapping)": len(rows)
        for name in header
        if name not in mapping.columns()
    }
    return Imported(tuple(one.run for one in listed), skipped, _notes(listed, mapping))


def _wide(rows: Iterable[Row], mapping: CsvMapping) -> list[_Listed]:
    """A run a row; without a column of repetitions, rows of a config are counted."""
    counted: dict[tuple[str, str], int] = {}
    listed = []
    for row in rows:
        agents = [_agent(row, name, source) for name, source in mapping.agents.items()]
        session, config = _identity(row, mapping.run)
        counted[session, config] = counted.get((session, config), 0) + 1
        listed.append(_Listed(row, _run(row, mapping.run, agents, counted[session, config])))
    return listed


def _long(rows: Iterable[Row], mapping: CsvMapping) -> list[_Listed]:
    """Rows of one session, config and repetition are the agents of one run."""
    together: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = (*_identity(row, mapping.run), _repetition(row, mapping.run["repetition"]))
        together.setdefault(key, []).append(row)
    return [_joined(these, mapping) for these in together.values()]


def _joined(rows: Sequence[Row], mapping: CsvMapping) -> _Listed:
    """One run of its rows, which must say the same of it; it began when the first one did."""
    by_agent: dict[str, Row] = {}
    for row in rows:
        name = row.text(mapping.run["agent"])
        if name not in mapping.agents:
            fix = f"agents of the mapping: {', '.join(mapping.agents)}"
            raise row.bad(f"agent '{name}' is not in the mapping", fix)
        if name in by_agent:
            line = by_agent[name].line
            raise row.bad(f"agent '{name}' of this run stands in line {line} already")
        by_agent[name] = row
    named = [(by_agent[name], name) for name in mapping.agents if name in by_agent]
    agents = [_agent(row, name, mapping.agents[name]) for row, name in named]
    runs = [_run(row, mapping.run, agents, None) for row in rows]
    first = min(runs, key=lambda run: run.started_at)
    for row, run in zip(rows, runs, strict=True):
        for key in ("wall_s", "phase", "scenario", "topology", "engine"):
            if getattr(run, key) != getattr(runs[0], key):
                what = f"another {key.removesuffix('_s')} than in line {rows[0].line}, of one run"
                raise row.bad(what)
    return _Listed(rows[0], first)


def _identity(row: Row, source: Mapping[str, Source]) -> tuple[str, str]:
    """(session, config), as the file calls them."""
    return row.text(source.get("session", "s1")), row.text(source["config"])


def _repetition(row: Row, source: Mapping[str, Any]) -> int:
    first = int(source.get("first", 1))
    number = row.count(source)
    if number is None or number < first:
        what = f"repetition {'missing' if number is None else number}; they count from {first}"
        raise row.bad(what, "mend it, or write first: 0 into the mapping")
    return number - first + 1


def _run(
    row: Row, source: Mapping[str, Source], agents: Sequence[SourceAgent], counted: int | None
) -> SourceRun:
    session, config = _identity(row, source)
    began_ns = row.moment(source["started_at"])
    started_at = None if began_ns is None else utc(began_ns)
    if started_at is None:
        raise row.bad("no time at which the run began")
    scenario, topology = (_known(row, key, source[key]) for key in KNOWN)
    repetition = source.get("repetition")
    return SourceRun(
        place=config,
        phase=_name(row, row.text(source.get("phase", "all"))),
        scenario=scenario,
        repetition=_repetition(row, repetition) if repetition else counted or 0,
        wall_s=cast(float, row.seconds(source["wall"], required=True)),
        started_at=started_at,
        agents=tuple(agents),
        session=_name(row, session),
        engine=row.text(source["engine"]),
        config_id=_name(row, config),
        topology=cast(Topology, topology),
    )


def _known(row: Row, key: str, source: Source) -> str:
    """A word of the study's vocabulary."""
    text = row.text(source)
    if text not in KNOWN[key]:
        fix = f"translate it in the mapping, values: {{...}}, to one of {', '.join(KNOWN[key])}"
        raise row.bad(f"'{text}' is no {key}", fix)
    return text


def _name(row: Row, text: str) -> str:
    """A text as a name: what a name cannot hold becomes "-"."""
    name = text if is_name(text) else re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not is_name(name):
        raise row.bad(f"'{text[:80]}' makes no name", "shorten it, to letters and digits")
    return name


def _agent(row: Row, name: str, source: Mapping[str, Source]) -> SourceAgent:
    duration_s = cast(float, row.seconds(source["duration"], required=True))
    first_token_s = row.seconds(source.get("first_token"))
    calls = row.count(source.get("calls", 1))
    if not calls:
        raise row.bad(f"no LLM call of {name}")
    started_ns = row.moment(source.get("started_at"))
    options = {option: row.option(of, option in _WHOLE) for option, of in source["options"].items()}
    return SourceAgent(
        name=name,
        model=row.text(source["model"]),
        options={option: value for option, value in options.items() if value is not None},
        endpoint=None,
        duration_s=duration_s,
        first_token_s=first_token_s,
        ttft_s=first_token_s if calls == 1 else None,
        decode_s=row.seconds(source.get("decode")),
        prompt_s=row.seconds(source.get("prompt")),
        load_s=row.seconds(source.get("load")),
        server_decode_s=None,
        answer_tokens=row.count(source.get("tokens")),
        calls=calls,
        ended_ns=None if started_ns is None else started_ns + round(duration_s * 1e9),
    )


def _check_times(listed: _Listed) -> None:
    """Parts that are longer than their whole, and waits beyond reason, are in wrong units."""
    row, run = listed.row, listed.run
    fix = "are the mapping's units right?"
    for agent in run.agents:
        parts = (agent.first_token_s or 0.0) + (agent.decode_s or 0.0)
        if parts > _SLACK * agent.duration_s + _SLACK_S:
            what = f"first token and decoding of {agent.name} take {parts:g} s of its"
            raise row.bad(f"{what} {agent.duration_s:g} s", fix)
    durations = [agent.duration_s for agent in run.agents]
    least = sum(durations) if run.topology == "serial" else max(durations)
    if least > _SLACK * run.wall_s + _SLACK_S:
        raise row.bad(f"a wall time of {run.wall_s:g} s for agents that take {least:g} s", fix)
    if run.wall_s > _LONGEST_WAIT * sum(durations) + _SLACK_S:
        what = f"a wall time of {run.wall_s:g} s for agents that take {sum(durations):g} s in all"
        raise row.bad(what, fix)


def _check_keys(listed: Sequence[_Listed]) -> None:
    """No two runs are the same repetition, and no two configs get one name."""
    seen: dict[tuple[Any, ...], _Listed] = {}
    called: dict[str | None, str] = {}
    for one in listed:
        run = one.run
        key = run.session, run.config_id, run.repetition
        other = called.setdefault(run.config_id, run.place)
        if other != run.place:
            what = f"configs '{other[:60]}' and '{run.place[:60]}' would both be {run.config_id}"
            raise one.row.bad(what)
        if key in seen:
            what = f"repetition {run.repetition} of {run.config_id} is there already, in line"
            raise one.row.bad(f"{what} {seen[key].row.line}")
        seen[key] = one


def _check_configs(listed: Sequence[_Listed]) -> None:
    """What stands under one config's name is one config."""
    first: dict[str | None, _Listed] = {}
    for one in listed:
        other = first.setdefault(one.run.config_id, one)
        for what, these, others in zip(
            ("phase", "scenario", "topology", "engine", "agents, models or options"),
            _content(one.run),
            _content(other.run),
            strict=True,
        ):
            if these != others:
                said = f"{one.run.config_id} has another {what} than in line {other.row.line}"
                raise one.row.bad(said.replace("another agents", "other agents"))


def _content(run: SourceRun) -> tuple[object, ...]:
    agents = [(agent.name, agent.model, agent.options) for agent in run.agents]
    return run.phase, run.scenario, run.topology, run.engine, agents


def _notes(listed: Sequence[_Listed], mapping: CsvMapping) -> tuple[str, ...]:
    """How what was kept is to be read."""
    runs = [one.run for one in listed]
    agents = [agent for run in runs for agent in run.agents]
    notes = [
        "Durations, wall times and counts are the file's: only the decimal point of times was"
        " moved, to seconds. Nothing of it was measured here."
    ]
    lacking = {
        "tokens": ("answer_tokens", "tokens/s"),
        "first_token": ("first_token_s", "parts of imbalance_loss"),
        "decode": ("decode_s", "parts of imbalance_loss and no throughput_delta"),
        "load": ("load_s", "cold"),
        "started_at": ("ended_ns", "rates from overlap"),
    }
    for name, (field, without) in lacking.items():
        n = sum(getattr(agent, field) is None for agent in agents)
        if n:
            notes.append(f"{name} is missing in {n} of {len(agents)} executions: no {without}.")
    if isinstance(mapping.run["started_at"], str):
        notes.append("All runs have the mapping's start time: their order is not known.")
    renamed = sorted({run.place for run in runs if run.place != run.config_id})
    if renamed:
        example = next(run for run in runs if run.place == renamed[0])
        notes.append(
            f"{len(renamed)} configs were given names that can be one:"
            f" '{renamed[0][:60]}' is {example.config_id}."
        )
    return tuple(notes)
