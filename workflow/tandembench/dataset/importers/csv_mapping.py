"""The mapping file of a CSV import: which column is what, in which unit, and what holds for all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tandembench.files import read_text
from tandembench.study.check import fault_at
from tandembench.study.ids import SCENARIO_SHORT
from tandembench.study.json_schema import check
from tandembench.study.strict_yaml import parse
from tandembench.tables.columns import TOPOLOGIES

_SCHEMA = Path(__file__).parents[3] / "schemas/csv_mapping.schema.yaml"
_SEPARATORS = {"tab": "\t"}
# A constant, or {column: NAME} with what is to be known of the column.
Source = Any
KNOWN = {"scenario": tuple(SCENARIO_SHORT), "topology": TOPOLOGIES}


@dataclass(frozen=True, slots=True)
class CsvMapping:
    """``run`` and ``agents`` say where their values come from; agents have what every one has.

    ``by_run``: a row is a run, with columns for each agent; else it is one agent in a run.
    """

    by_run: bool
    separator: str
    decimal: str
    run: Mapping[str, Source]
    agents: Mapping[str, Mapping[str, Source]]

    def columns(self) -> set[str]:
        """All columns that it names."""
        return {*_columns(self.run), *_columns(self.agents)}


def read_mapping(path: Path) -> CsvMapping:
    """The mapping at ``path``; TandemError names file, line and key of what is wrong in it."""
    where = str(path)
    text = read_text(path, "name the mapping file, or write one as config/README.md shows")
    values, lines = parse(text, where)
    read = check(values, lines, _schema(), where)
    agents = {
        name: _merged(read.get("every_agent", {}), agent) for name, agent in read["agents"].items()
    }
    fault = _run_fault(read) or _agent_fault(read["rows"] == "run", agents)
    if fault:
        raise fault_at(*fault, lines, where)
    separator = _SEPARATORS.get(read["separator"], read["separator"])
    return CsvMapping(read["rows"] == "run", separator, read["decimal"], read["run"], agents)


def _merged(every: Mapping[str, Source], agent: Mapping[str, Source]) -> dict[str, Source]:
    """What one agent's values come from: its own word counts before everyone's."""
    options = {**every.get("options", {}), **agent.get("options", {})}
    return {**every, **agent, "options": options}


# Where in the mapping a fault is, what it is, and what to do.
Fault = tuple[tuple[str | int, ...], str, str]


def _run_fault(read: Mapping[str, Any]) -> Fault | None:
    """What the schema cannot say of the file as a whole and of ``run``."""
    run = read["run"]
    if read["separator"] == read["decimal"]:
        return ("decimal",), "',' stands between columns already", "write decimal: '.'"
    if read["rows"] == "run" and "agent" in run:
        return ("run", "agent"), "a row is a run, with all its agents", "leave it out"
    for key in ("agent", "repetition"):
        if read["rows"] == "execution" and key not in run:
            what = f"key '{key}' is missing: it tells which rows are one run"
            return ("run",), what, f"add {key}: {{column: NAME}}"
    for key, known in KNOWN.items():
        if isinstance(run[key], str) and run[key] not in known:
            return ("run", key), f"'{run[key]}' is none", f"one of: {', '.join(known)}"
    return None


def _agent_fault(by_run: bool, agents: Mapping[str, Mapping[str, Source]]) -> Fault | None:
    """What the schema cannot say of the agents."""
    taken: dict[str, str] = {}
    for name, agent in agents.items():
        for key, fix in (("duration", "{column: NAME, unit: s}"), ("model", "its name")):
            if key not in agent:
                what = f"no {key}, here or in every_agent"
                return ("agents", name), what, f"add {key}: {fix}"
        column = agent["duration"]["column"]
        if by_run and column in taken:
            what = f"duration is in the same column as that of {taken[column]}"
            return ("agents", name), what, "name a column for each agent, or write rows: execution"
        taken[column] = name
    return None


def _columns(source: Source) -> Iterator[str]:
    if isinstance(source, Mapping) and isinstance(source.get("column"), str):
        yield source["column"]
    elif isinstance(source, Mapping):
        for value in source.values():
            yield from _columns(value)


@cache
def _schema() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(_SCHEMA)
    return loaded
