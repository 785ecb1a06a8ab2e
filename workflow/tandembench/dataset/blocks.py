"""Raw rows of one block -> its runs and executions, metrics computed. Pure."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal, NotRequired, TypedDict, TypeVar

from tandembench.dataset.equal_work import Call, done_s, shared_part
from tandembench.measure.loads import FLOOR_S
from tandembench.metrics import (
    Timing,
    execution_metrics,
    queue_waits,
    run_metrics,
    timing,
    wall,
)
from tandembench.steps import Span, Step, decode_overlap, load_spans, service_order, union
from tandembench.study.spec import DISTURBED_CORES, Topology
from tandembench.tables.columns import BLOCK, EXECUTION, KEYS

# A row of a table that is made here, by column.
Row = dict[str, object]
_OF_RUN = {column.name for column in (*KEYS, *BLOCK)}
_OF_EXECUTION = {column.name for column in (*KEYS, *BLOCK, *EXECUTION)}
_NS = 1e-9
_T = TypeVar("_T")


class RawStep(TypedDict):
    """An LLM call as a run file holds it."""

    request_ns: int
    chunk_ns: list[int]
    chunk_tokens: NotRequired[list[int] | None]  # not in files of before it was kept
    end_ns: int
    prompt_tokens: int | None
    answer_tokens: int | None
    cached_tokens: int | None
    load_s: float | None
    prompt_s: float | None
    decode_s: float | None


class Raw(TypedDict):
    """What is read of a row of a run file; all of it is copied."""

    round: int
    config_id: str
    twin: bool
    attempt: int
    topology: Topology
    n_agents: int
    workload: str | None
    position: int | None
    deployment: str | None
    agent: str
    agent_index: int
    mode: Literal["solo", "concurrent"]
    endpoint: str | None
    slots: int | None
    work_effective: str
    max_tokens: int
    client_cpu_s: float
    foreign_cores: float | None
    server_memory_bytes: int | None
    loop_lag_s: float | None
    cold: bool
    flags: str | None
    invalid: str | None
    error: str | None
    steps: list[RawStep] | None


@dataclass(frozen=True, slots=True)
class _Execution:
    """A raw row with what was timed of it, or why nothing was."""

    row: Raw
    timing: Timing | None
    reason: str | None


def block_rows(raw: Iterable[Raw], phase: str) -> tuple[list[Row], list[Row]]:
    """All raw rows of one block -> (rows of ``runs``, rows of ``executions``), in its order.

    A run counts only whole: if one of its executions failed or is missing, none has metrics. A
    solo stands for itself.
    """
    block = [_timed(row) for row in raw]
    runs: dict[tuple[int, int, str, bool], list[_Execution]] = defaultdict(list)
    foreign: dict[tuple[int, int], list[float]] = defaultdict(list)
    for one in block:
        row = one.row
        runs[row["attempt"], row["round"], row["config_id"], row["twin"]].append(one)
        if row["mode"] == "concurrent" and row["foreign_cores"] is not None:
            foreign[row["attempt"], row["round"]].append(row["foreign_cores"])
    run_rows: list[Row] = []
    execution_rows: list[Row] = []
    for key in sorted(runs, key=lambda key: (*key[:2], _position(runs[key]), *key[2:])):
        worst = max(foreign[key[:2]], default=None)
        run, executions = _run_rows(runs[key], block, phase)
        run_rows.append(run | {"disturbed": None if worst is None else worst > DISTURBED_CORES})
        execution_rows += executions
    _add_equal_work(run_rows, runs)
    return run_rows, execution_rows


def _add_equal_work(runs: Sequence[Row], members: Mapping[Any, Sequence[_Execution]]) -> None:
    """Put into the rows of ``runs`` at fixed work when the work was done that their round shares.

    That is the whole wall time where no answer of the round ended early.
    """
    rounds: dict[tuple[object, ...], list[tuple[Row, list[Call]]]] = defaultdict(list)
    for run in runs:
        place = tuple(run[name] for name in ("attempt", "round", "config_id", "twin"))
        if run["valid"] and run["work_effective"] != "natural":
            rounds[place[:2]].append((run, _calls(members[place])))
    for of_round in rounds.values():
        if all(run["work_effective"] == "fixed" for run, _ in of_round):
            for run, _ in of_round:
                run |= {"equal_work_s": run["wall_s"], "equal_work_share": 1.0}
            continue
        calls = [call for _, of_run in of_round for call in of_run]
        if not all(call.asked for call in calls):
            continue
        part = shared_part(calls)
        for run, of_run in of_round:
            seconds = done_s(of_run, part, run["topology"] == "serial")
            run |= {"equal_work_s": seconds, "equal_work_share": float(part)}


def _calls(members: Iterable[_Execution]) -> list[Call]:
    return [
        Call(one.row["agent_index"], one.row["endpoint"], one.row["max_tokens"], step)
        for one in members
        if one.row["mode"] == "concurrent" and one.timing is not None
        for step in one.timing.steps
    ]


def _position(members: Sequence[_Execution]) -> int:
    """Where the run of these executions stands among those of its block; -1 if nobody knows."""
    rows = [one.row for one in members if one.row["mode"] == "concurrent"]
    return min((row["position"] for row in rows if row["position"] is not None), default=-1)


def _timed(row: Raw) -> _Execution:
    steps = row["steps"] or []
    reason = row["error"] or row["invalid"]
    if reason is None and not (steps and all(step["chunk_ns"] for step in steps)):
        reason = "empty"
    counts = [step["answer_tokens"] for step in steps]
    if reason is None and None in counts:
        reason = "no_token_count"
    if reason is None:
        try:
            return _Execution(row, timing([_step(step) for step in steps]), None)
        except ValueError:
            # an answer that came before its request was out: nothing that can be timed
            reason = "bad_stamps"
    return _Execution(row, None, f"{row['agent']} {row['mode']}: {reason}")


def _step(step: RawStep) -> Step:
    chunks = tuple(stamp * _NS for stamp in step["chunk_ns"])
    return Step(
        request_s=step["request_ns"] * _NS,
        first_s=chunks[0],
        last_s=chunks[-1],
        end_s=step["end_ns"] * _NS,
        tokens=step["answer_tokens"] or 0,
        chunk_s=chunks,
        prompt_tokens=step["prompt_tokens"],
        prompt_s=step["prompt_s"],
        load_s=step["load_s"],
        decode_s=step["decode_s"],
        chunk_tokens=tuple(step.get("chunk_tokens") or ()) or None,
    )


def _run_rows(
    members: Sequence[_Execution], block: Sequence[_Execution], phase: str
) -> tuple[Row, list[Row]]:
    """One run and its executions; ``members`` also holds the solos of its config in that round."""
    in_order = sorted(members, key=lambda one: one.row["agent_index"])
    together = [one for one in in_order if one.row["mode"] == "concurrent"]
    alone = [one for one in in_order if one.row["mode"] == "solo"]
    reason = _void_reason(together, in_order)
    of_run: Row = {"phase": phase, "valid": reason is None, "reason": reason}
    facts: Row = {}
    metrics: list[Row] = [{} for _ in together]
    if reason is None:
        facts, metrics = _run_metrics(together, block)
    first = (together or alone)[0].row
    run = {name: value for name, value in first.items() if name in _OF_RUN} | of_run | facts
    # Each execution tells of all of them.
    run["foreign_cores"] = max(_known(one.row["foreign_cores"] for one in together), default=None)
    memory_bytes = _known(one.row["server_memory_bytes"] for one in together)
    run["server_memory_bytes"] = max(memory_bytes, default=None)
    solos = [
        _execution_row(one.row)
        | {"phase": phase, "valid": one.timing is not None, "reason": one.reason}
        | (execution_metrics(one.timing) if one.timing else {})
        for one in alone
    ]
    executions = [
        _execution_row(one.row) | of_run | of_one
        for one, of_one in zip(together, metrics, strict=True)
    ]
    return run, [*solos, *executions]


def _void_reason(together: Sequence[_Execution], members: Sequence[_Execution]) -> str | None:
    """Why a run is void; None if every execution is there, once and complete."""
    for one in together:
        if one.reason:
            return one.reason
    names = {one.row["agent_index"]: one.row["agent"] for one in members}
    counts = Counter(one.row["agent_index"] for one in together)
    for index in range(members[0].row["n_agents"]):
        if counts.pop(index, 0) != 1:
            return f"{names.get(index, f'agent {index}')} concurrent: missing or there twice"
    return "executions of agents that the config does not have" if counts else None


def _run_metrics(
    together: Sequence[_Execution], block: Sequence[_Execution]
) -> tuple[Row, list[Row]]:
    """What a whole run comes to, and each of its executions."""
    rows = [one.row for one in together]
    serial = rows[0]["topology"] == "serial"
    timings = [one.timing for one in together if one.timing is not None]
    solo = [_solo(one.row, block) for one in together]
    spans = load_spans([one.steps for one in timings], FLOOR_S)
    # Warm ones are bookkeeping, and what is cold is no run.
    spans = [of if _reloaded(row) else [] for row, of in zip(rows, spans, strict=True)]
    reloads = [math.fsum(end - begin for begin, end in of) for of in spans]
    served = [_loading(one, of) for one, of in zip(timings, spans, strict=True)]
    waits = [0.0] * len(timings) if serial else queue_waits(served, solo, _slots(rows[0]))
    windows = [[(step.first_s, step.last_s) for step in one.steps] for one in timings]
    overlaps: Sequence[tuple[float | None, float | None]] = decode_overlap(windows)
    if any(one.first_token_s is None for one in timings):
        overlaps = [(None, None)] * len(timings)
    order = service_order([one.steps[0].first_s for one in timings])
    metrics: list[Row] = [
        {
            **execution_metrics(one, of_one, wait),
            "overlap_s": overlap,
            "alone_s": alone,
            "service_order": place,
            "reload_s": reload_s,
        }
        for one, of_one, wait, (overlap, alone), place, reload_s in zip(
            timings, solo, waits, overlaps, order, reloads, strict=True
        )
    ]
    steps = [step for row in rows for step in row["steps"] or ()]
    starts_ns = [row["steps"][0]["request_ns"] for row in rows if row["steps"]]
    works = {row["work_effective"] for row in rows}
    prompts = _known(step["prompt_tokens"] for step in steps)
    skew_s = (max(starts_ns) - min(starts_ns)) * _NS
    facts: Row = {
        "cold": any(row["cold"] for row in rows),
        "work_effective": "capped" if len(works) > 1 else works.pop(),
        "prompt_tokens": sum(prompts) if len(prompts) == len(steps) else None,
        "answer_tokens": sum(one.answer_tokens for one in timings),
        "cached_tokens": sum(cached)
        if (cached := _known(s["cached_tokens"] for s in steps))
        else None,
        "loop_lag_s": max(_known(row["loop_lag_s"] for row in rows), default=None),
        "flags": ",".join(sorted({f for row in rows for f in (row["flags"] or "").split(",") if f}))
        or None,
        "start_skew_s": None if serial or len(rows) < 2 else skew_s,
        "client_cpu_s": rows[0]["client_cpu_s"],
    }
    loads = union(chain.from_iterable(spans))
    facts |= {"reloads": len(loads), "reload_s": math.fsum(end - begin for begin, end in loads)}
    return facts | {**run_metrics(timings, solo, wall(timings), serial, waits, reloads)}, metrics


def _reloaded(row: Raw) -> bool:
    """Whether a server loaded the model because another agent of the run wants it otherwise."""
    return "reload" in (row["flags"] or "").split(",")


def _loading(one: Timing, spans: Sequence[Span]) -> Timing:
    """``one`` whose loads are no longer than ``spans``, if there are any."""
    steps = zip(one.steps, spans, strict=False)
    loads = [replace(step, load_s=end - begin or step.load_s) for step, (begin, end) in steps]
    return replace(one, steps=tuple(loads)) if loads else one


def _solo(row: Raw, block: Sequence[_Execution]) -> Timing | None:
    """What the agent of ``row`` took alone on the same servers, nearest in the block.

    Its config's own solo, else its turn in a serial run of the same round: there, too, it ran
    alone. A run of one agent, or of turns, is no solo of itself.
    """
    candidates = [
        other
        for other in block
        if other.timing is not None
        and (other.row["agent"], other.row["deployment"]) == (row["agent"], row["deployment"])
        # A twin is on servers of its own, unless they are lent.
        and (other.row["twin"] == row["twin"] or other.row["endpoint"] == row["endpoint"])
    ]
    solos = [
        other
        for other in candidates
        if other.row["mode"] == "solo" and other.row["config_id"] == row["config_id"]
    ]
    turns = [
        other
        for other in candidates
        if (other.row["topology"], other.row["mode"]) == ("serial", "concurrent")
        if row["topology"] != "serial" and row["deployment"] is not None
        if (other.row["workload"], other.row["round"]) == (row["workload"], row["round"])
        if not _reloaded(other.row)
    ]
    nearest = min(solos or turns, key=lambda other: _distance(other.row, row), default=None)
    return nearest.timing if nearest else None


def _distance(other: Raw, row: Raw) -> tuple[int, ...]:
    apart = abs(other["round"] - row["round"]), abs(other["attempt"] - row["attempt"])
    return *apart, other["twin"] != row["twin"], other["round"], other["attempt"]


def _slots(row: Raw) -> int | None:
    """How many of a run's requests its servers work at at once; None if nobody says."""
    if row["topology"] == "dual":
        return row["n_agents"]
    return row["slots"] or (1 if row["topology"] == "single" else None)


def _execution_row(row: Raw) -> Row:
    """A raw row without its steps, which are summed."""
    steps = row["steps"] or ()

    def total(values: Iterable[float | None]) -> float | None:
        return sum(known) if (known := _known(values)) else None

    return {name: value for name, value in row.items() if name in _OF_EXECUTION} | {
        "n_steps": len(steps),
        "prompt_tokens": total(step["prompt_tokens"] for step in steps),
        "cached_tokens": total(step["cached_tokens"] for step in steps),
        "answer_tokens": total(step["answer_tokens"] for step in steps),
        "load_s": total(step["load_s"] for step in steps),
        "prompt_s": total(step["prompt_s"] for step in steps),
        "server_decode_s": total(step["decode_s"] for step in steps),
    }


def _known(values: Iterable[_T | None]) -> list[_T]:
    return [value for value in values if value is not None]
