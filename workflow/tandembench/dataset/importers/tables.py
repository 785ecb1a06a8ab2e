"""Imported runs -> the rows of an ordinary dataset. What a source does not tell is null."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tandembench.dataset.importers.source import Imported, SourceAgent, SourceRun, bad, config_ids
from tandembench.dataset.versions import is_name
from tandembench.metrics import (
    IMBALANCE_PARTS,
    Timing,
    execution_metrics,
    run_metrics,
)
from tandembench.steps import decode_overlap, service_order
from tandembench.study.spec import digest
from tandembench.tables.columns import EXECUTIONS, STUDY_RUNS
from tandembench.tables.parquet import as_table

Row = dict[str, object]
# Rows are a hundred times as large as what a table holds of them.
_AT_ONCE = 2000
# What is null where a source does not tell something of every agent of a run, or of an execution.
_RUN_NEEDS: Mapping[str, Sequence[str]] = {
    "first_token_s": IMBALANCE_PARTS,
    "decode_s": (*IMBALANCE_PARTS, "throughput_delta_tokens_per_s"),
    "answer_tokens": (
        *IMBALANCE_PARTS,
        *("throughput_delta_tokens_per_s", "aggregate_tokens_per_s", "makespan_per_token_s"),
        "answer_tokens",
    ),
}
_EXECUTION_NEEDS: Mapping[str, Sequence[str]] = {
    "first_token_s": ("first_token_s", "rest_s"),
    "decode_s": ("decode_s", "rest_s", "decode_rate_tokens_per_s"),
    "answer_tokens": ("answer_tokens", "decode_rate_tokens_per_s"),
}


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables of ``runs`` and of their ``executions``, some runs each, and configs by phase."""

    runs: list[pa.Table]
    executions: list[pa.Table]
    phases: dict[str, list[str]]


def tables(imported: Imported) -> Tables:
    """What was imported as a dataset has it.

    TandemError (exit 3) for a config whose options make no id.
    """
    ids = config_ids(imported.runs)
    for place, config_id in ids.items():
        if not is_name(config_id):
            raise bad(place, f"'{config_id[:80]}' is no id of a config", "correct its options")
    runs, executions = [], []
    phases: dict[str, dict[str, None]] = {}
    content = _contents(imported.runs)
    for run in imported.runs:
        phases.setdefault(run.phase, {})[ids[run.place]] = None
    for start in range(0, len(imported.runs), _AT_ONCE):
        some = imported.runs[start : start + _AT_ONCE]
        rows = [_rows(run, ids[run.place], content[run.place], imported.cold_above) for run in some]
        runs.append(_small(as_table(STUDY_RUNS, [run for run, _ in rows])))
        every = [one for _, agents in rows for one in agents]
        executions.append(_small(as_table(EXECUTIONS, every)))
    return Tables(runs, executions, {phase: list(configs) for phase, configs in phases.items()})


def _small(table: pa.Table) -> pa.Table:
    """The same table, in which the columns without a value, most of them, share their memory."""
    types = {column.type for column in table.columns if column.null_count == len(table)}
    nothing = {one: pa.nulls(len(table), one) for one in types}
    columns = [
        nothing[column.type] if column.null_count == len(table) else column
        for column in table.columns
    ]
    return pa.table(columns, schema=table.schema)


def _rows(
    run: SourceRun, config_id: str, content: str | None, cold_above: Mapping[str, float]
) -> tuple[Row, list[Row]]:
    """A run and its executions."""
    shared = _shared(run, config_id) | {"content": content}
    timings = [_timing(agent) for agent in run.agents]
    cold = [
        None if agent.load_s is None else agent.load_s > cold_above[agent.model]
        for agent in run.agents
    ]
    of_agents = zip(
        run.agents, timings, cold, _overlaps(run.agents), _first_tokens(run.agents), strict=True
    )
    executions = [
        shared | _execution(index, agent, timing) | {"cold": loaded} | overlap | first_token
        for index, (agent, timing, loaded, overlap, first_token) in enumerate(of_agents)
    ]
    loaded_any = None if None in cold else any(cold)
    return shared | _run(run, timings) | {"cold": loaded_any}, executions


def _shared(run: SourceRun, config_id: str) -> Row:
    return {
        "session": run.session,
        "comparison": config_id,
        "repetition": run.repetition,
        "round": 1,
        "config_id": config_id,
        "twin": False,
        "attempt": 1,
        "phase": run.phase,
        "scenario": run.scenario,
        "topology": _topology(run),
        "n_agents": len(run.agents),
        "work_policy": "natural",
        "work_effective": "natural",
        "engine": run.engine,
        "workload": _workload(run),
        "started_at": run.started_at,
        "valid": True,
    }


def _topology(run: SourceRun) -> str:
    dual = len({agent.endpoint for agent in run.agents}) > 1
    return run.topology or ("dual" if dual else "single")


def _workload(run: SourceRun) -> str:
    return digest([[agent.name, agent.model, dict(agent.options)] for agent in run.agents])


def _contents(runs: Sequence[SourceRun]) -> dict[str, str | None]:
    """By place, what is equal where configs are: where the source says so.

    Folders say so in another phase, which measures configs once more; two of one phase differ,
    in something that their files do not hold.
    """
    contents: dict[str, str | None] = {}
    places: set[tuple[str, str]] = set()
    for place, run in ((run.place, run) for run in runs):
        if place in contents:
            continue
        if run.config_id is not None:
            contents[place] = run.same_as and digest(run.same_as)
            continue
        content = digest([_workload(run), _topology(run), *([run.runner] if run.runner else ())])
        again = (run.phase, content) in places
        places.add((run.phase, content))
        contents[place] = digest([content, place]) if again else content
    return contents


def _timing(agent: SourceAgent) -> Timing:
    """The source's sums; what it does not tell counts for nothing, and is null in the tables.

    Without decode seconds there are no intervals that took them.
    """
    tokens = agent.answer_tokens or 0
    return Timing(
        duration_s=agent.duration_s,
        first_token_s=agent.first_token_s or 0.0,
        decode_s=agent.decode_s or 0.0,
        intervals=0 if agent.decode_s is None else max(tokens - agent.calls, 0),
        answer_tokens=tokens,
        ttft_s=agent.ttft_s,
    )


def _unknown(agents: Sequence[SourceAgent], needs: Mapping[str, Sequence[str]]) -> Row:
    return {
        column: None
        for name, columns in needs.items()
        if any(getattr(agent, name) is None for agent in agents)
        for column in columns
    }


def _run(run: SourceRun, timings: Sequence[Timing]) -> Row:
    starts = [agent.started_ns for agent in run.agents if agent.started_ns is not None]
    serial = run.topology == "serial"
    together = len(starts) == len(run.agents) > 1 and not serial
    return {
        **run_metrics(timings, [None] * len(timings), run.wall_s, serial=serial),
        "contention_source": run.contention,
        "runner": run.runner,
        "client_version": run.client_version,
        "client_platform": run.client_platform,
        "process_run": run.process_run,
        "answer_tokens": sum(timing.answer_tokens for timing in timings),
        "start_skew_s": (max(starts) - min(starts)) / 1e9 if together else None,
        **_unknown(run.agents, _RUN_NEEDS),
    }


def _execution(index: int, agent: SourceAgent, timing: Timing) -> Row:
    # The name of another machine is nobody's business.
    local = re.fullmatch(r"https?://(127\.0\.0\.1|\[::1\])(:\d+)?", agent.endpoint or "")
    return {
        "agent": agent.name,
        "agent_index": index,
        "mode": "concurrent",
        "endpoint": agent.endpoint if local else None,
        "model": agent.model,
        "options_asked": json.dumps(dict(agent.options), sort_keys=True),
        "clock": "source",
        "n_steps": agent.calls,
        "load_s": agent.load_s,
        "prompt_s": agent.prompt_s,
        "server_decode_s": agent.server_decode_s,
        **execution_metrics(timing),
        **_unknown([agent], _EXECUTION_NEEDS),
    }


def _overlaps(agents: Sequence[SourceAgent]) -> list[Row]:
    """Seconds of each agent's decoding beside the others' and alone, where one call has both ends.

    The window is that between first token and end, by the source's clock.
    """
    known = [agent for agent in agents if agent.ttft_s is not None and agent.calls == 1]
    ends = [agent.ended_ns for agent in known if agent.ended_ns is not None]
    starts = [agent.started_ns for agent in known if agent.started_ns is not None]
    if not 1 < len(agents) == len(ends):
        return [{} for _ in agents]
    # Seconds since the last end: Unix time in ns has more digits than a float keeps.
    base = max(ends)
    windows = []
    for agent, start, end in zip(known, starts, ends, strict=True):
        begin_s = (start - base) / 1e9 + (agent.ttft_s or 0.0)
        windows.append([(begin_s, max(begin_s, (end - base) / 1e9))])
    return [{"overlap_s": beside, "alone_s": alone} for beside, alone in decode_overlap(windows)]


def _first_tokens(agents: Sequence[SourceAgent]) -> list[Row]:
    """When each agent's first content came, and in which order, where the source tells of all.

    The run starts with the first agent's request.
    """
    known = [
        (agent.started_ns, agent.ttft_s)
        for agent in agents
        if agent.started_ns is not None and agent.ttft_s is not None
    ]
    if len(known) < len(agents):
        return [{} for _ in agents]
    start_ns = min(started_ns for started_ns, _ in known)
    first_s = [(started_ns - start_ns) / 1e9 + ttft_s for started_ns, ttft_s in known]
    return [
        {"first_token_start_s": first, "service_order": place}
        for first, place in zip(first_s, service_order(first_s), strict=True)
    ]
