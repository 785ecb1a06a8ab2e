"""The mapping file of a CSV import: which column is what, in which unit, and what holds for all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from tandembench.files import read_text
from tandembench.study.check import NAME, Keys, Maybe, Name, fault_at, read_keys
from tandembench.study.spec import Scenario, Topology

Unit = Literal["s", "ms", "us", "ns"]
_Cell = Annotated[str, Field(min_length=1, max_length=200)]


class Column(Keys):
    """{column: NAME}, with the name of a column as in the file's first line."""

    column: _Cell


class Words(Column):
    """{column: NAME}, with values: {...} where its texts mean something else."""

    values: Maybe[Annotated[dict[str, _Cell], Field(min_length=1)]] = None


class Time(Column):
    """{column: NAME, unit: s, ms, us or ns}."""

    unit: Unit


class Moment(Column):
    """{column: NAME}, with a unit if it counts from 1970, or a zone if its times name none."""

    unit: Maybe[Unit] = None
    zone: Annotated[
        str,
        Field(pattern="^[+-]([01][0-9]|2[0-3]):[0-5][0-9]$", description="a zone such as '+00:00'"),
    ] = ""


class Repetition(Column):
    """{column: NAME}, or {column: NAME, first: 0} if they count from 0."""

    first: Annotated[int, Field(ge=0, le=1)] = 1


# What a value comes from: a constant for all, or a column.
Text = _Cell | Words
Begin = _Cell | Moment
Whole = int | Column
Number = float | Column


class Options(Keys):
    """Model options; None where the file does not tell."""

    num_gpu: Maybe[Whole] = None
    num_ctx: Maybe[Whole] = None
    temperature: Maybe[Number] = None
    top_p: Maybe[Number] = None
    top_k: Maybe[Whole] = None
    min_p: Maybe[Number] = None
    repeat_penalty: Maybe[Number] = None
    num_predict: Maybe[Whole] = None


class Agent(Keys):
    """Where the values of an execution come from; None where the file does not tell."""

    model: Maybe[Text] = None
    duration: Maybe[Time] = None
    started_at: Maybe[Begin] = None
    first_token: Maybe[Time] = None
    decode: Maybe[Time] = None
    prompt: Maybe[Time] = None
    load: Maybe[Time] = None
    tokens: Maybe[Column] = None
    calls: Annotated[int, Field(ge=1, le=1000)] | Column = 1
    options: Options = Options()


class Run(Keys):
    """Where the values of a run come from."""

    config: Text
    same_as: Maybe[Text] = None
    scenario: Maybe[Scenario | Words] = None
    topology: Maybe[Topology | Words] = None
    engine: Text
    runner: Maybe[Text] = None
    phase: Text = "all"
    session: Text = "s1"
    repetition: Maybe[Repetition] = None
    wall: Time
    started_at: Begin
    agent: Maybe[Words] = None


class CsvMapping(Keys):
    """``rows``: a row is a run, with columns for each agent, or one agent's execution in a run."""

    rows: Literal["run", "execution"]
    separator: Literal[",", ";", "tab"] = ","
    decimal: Literal[".", ","] = "."
    thousands: Maybe[Literal[".", ",", "space", "'"]] = None
    run: Run
    every_agent: Agent = Agent()
    agents: Annotated[
        dict[Name, Agent],
        Field(min_length=1, max_length=16, description=f"1 to 16 agents by name: {NAME}"),
    ]

    def columns(self) -> set[str]:
        """All columns that it names."""
        return set(_columns(self))


def read_mapping(path: Path) -> CsvMapping:
    """The mapping at ``path``; its agents have what every one has, their own keys before that.

    TandemError names file, line and key of what is wrong in it.
    """
    where = str(path)
    text = read_text(path, "name the mapping file, or write one as config/README.md shows")
    mapping, lines = read_keys(CsvMapping, text, where)
    every = mapping.every_agent
    agents = {}
    for name, agent in mapping.agents.items():
        options = every.options.model_copy(update=_given(agent.options))
        agents[name] = every.model_copy(update={**_given(agent), "options": options})
    mapping = mapping.model_copy(update={"agents": agents})
    for fault in _faults(mapping):
        raise fault_at(*fault, lines, where)
    return mapping


def _faults(mapping: CsvMapping) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """What keys say together that cannot be: where in the file, what, and what to do."""
    run = mapping.run
    if mapping.thousands == mapping.decimal:
        fix = "write the other mark, or leave it out"
        yield ("thousands",), f"'{mapping.decimal}' stands before decimals already", fix
    if run.topology is None and len(mapping.agents) > 1:
        what = "key 'topology' is missing: it tells how several agents were served"
        yield ("run",), what, "add topology: serial, single, single_parallel or dual"
    if mapping.rows == "run" and run.agent:
        yield ("run", "agent"), "a row is a run, with all its agents", "leave it out"
    for key, given in (("agent", run.agent), ("repetition", run.repetition)):
        if mapping.rows == "execution" and not given:
            what = f"key '{key}' is missing: it tells which rows are one run"
            yield ("run",), what, f"add {key}: {{column: NAME}}"
    taken: dict[str, str] = {}
    for name, agent in mapping.agents.items():
        if agent.duration is None or agent.model is None:
            key = "model" if agent.duration else "duration"
            yield ("agents", name), f"no {key}, here or in every_agent", f"add {key}"
            continue
        column = agent.duration.column
        if mapping.rows == "run" and column in taken:
            what = f"duration is in the same column as that of {taken[column]}"
            yield ("agents", name), what, "name a column for each agent, or write rows: execution"
        taken[column] = name


def _given(part: Keys) -> dict[str, object]:
    """What was written for it."""
    return {name: getattr(part, name) for name in part.model_fields_set}


def _columns(value: object) -> Iterator[str]:
    if isinstance(value, Column):
        yield value.column
    inner = dict(value) if isinstance(value, BaseModel) else value
    if isinstance(inner, dict):
        for one in inner.values():
            yield from _columns(one)
