"""Raw rows of one block -> its runs and executions, metrics computed. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tandembench.metrics import (
    Step,
    Timing,
    decode_overlap,
    execution_metrics,
    queue_waits,
    run_metrics,
    service_order,
    timing,
    wall,
)
from tandembench.study.spec import DISTURBED_CORES
from tandembench.tables.columns import BLOCK, EXECUTION, KEYS, Column

Row = dict[str, Any]
Raw = Mapping[str, Any]
_NS = 1e-9


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
    executions = [_timed(row) for row in raw]
    runs: dict[tuple[Any, ...], list[_Execution]] = defaultdict(list)
    foreign: dict[tuple[int, int], list[float]] = defaultdict(list)
    for one in executions:
        row = one.row
        runs[row["round"], row["attempt"], row["config_id"], row["twin"]].append(one)
        if row["mode"] == "concurrent" and row["foreign_cores"] is not None:
            foreign[row["round"], row["attempt"]].append(row["foreign_cores"])
    run_rows: list[Row] = []
    execution_rows: list[Row] = []
    for (number, attempt, *_), members in sorted(runs.items(), key=lambda item: _place(*item)):
        worst = max(foreign[number, attempt], default=None)
        disturbed = None if worst is None else worst > DISTURBED_CORES
        run, of_run = _run_rows(members, executions, phase)
        run_rows.append(run | {"disturbed": disturbed})
        execution_rows += of_run
    return run_rows, execution_rows


def _place(key: tuple[Any, ...], members: Sequence[_Execution]) -> tuple[Any, ...]:
    """Where a run stands among those of its block."""
    positions = [one.row["position"] for one in members if one.row["mode"] == "concurrent"]
    number, attempt, config_id, twin = key
    known = [position for position in positions if position is not None]
    return attempt, number, min(known, default=-1), config_id, twin


def _run_rows(
    members: Sequence[_Execution], block: Sequence[_Execution], phase: str
) -> tuple[Row, list[Row]]:
    """One run and its executions; ``members`` also holds the solos of its config in that round."""
    in_order = sorted(members, key=lambda one: int(one.row["agent_index"]))
    together = [one for one in in_order if one.row["mode"] == "concurrent"]
    alone = [one for one in in_order if one.row["mode"] == "solo"]
    names = {one.row["agent_index"]: one.row["agent"] for one in in_order}
    reason = _void_reason(together, members[0].row["n_agents"], names)
    of_run = {"phase": phase, "valid": reason is None, "reason": reason}
    facts: Row = {}
    metrics: list[Row] = [{} for _ in together]
    if reason is None:
        facts, metrics = _run_metrics(together, block)
    first = (together or alone)[0].row
    run = _picked(first, (*KEYS, *BLOCK)) | of_run | _machine_facts(together) | facts
    rows = [_solo_row(one, phase) for one in alone]
    rows += [
        _execution_row(one.row) | of_run | of_one
        for one, of_one in zip(together, metrics, strict=True)
    ]
    return run, rows


def _solo_row(one: _Execution, phase: str) -> Row:
    valid = {"phase": phase, "valid": one.timing is not None, "reason": one.reason}
    return _execution_row(one.row) | valid | (execution_metrics(one.timing) if one.timing else {})


def _run_metrics(
    together: Sequence[_Execution], block: Sequence[_Execution]
) -> tuple[Row, list[Row]]:
    """What a whole run comes to, and each of its executions."""
    first = together[0].row
    serial = first["topology"] == "serial"
    timings = [one.timing for one in together if one.timing is not None]
    solo = [_solo(one, block) for one in together]
    waits = [0.0] * len(timings) if serial else queue_waits(timings, solo, _slots(first))
    windows = [[(step.first_s, step.last_s) for step in one.steps] for one in timings]
    order = service_order([one.steps[0].first_s for one in timings])
    rows = [
        execution_metrics(one, of_one, wait)
        | {"overlap_s": overlap, "alone_s": alone, "service_order": place}
        for one, of_one, wait, (overlap, alone), place in zip(
            timings, solo, waits, decode_overlap(windows), order, strict=True
        )
    ]
    facts = run_metrics(timings, solo, wall(timings), serial, waits)
    return _run_facts([one.row for one in together]) | facts, rows


def _solo(one: _Execution, block: Sequence[_Execution]) -> Timing | None:
    """What the agent of ``one`` took alone on the same servers, nearest in the block.

    Its config's own solo, else its turn in a serial run of the same round: there, too, it ran
    alone. A run of one agent, or of turns, is no solo of itself.
    """
    row = one.row

    def same(other: _Execution, *names: str) -> bool:
        return all(other.row[name] == row[name] for name in names)

    candidates = [
        other
        for other in block
        if other.timing is not None and same(other, "agent", "deployment")
        # A twin is on servers of its own, unless they are lent.
        if same(other, "twin") or same(other, "endpoint")
    ]
    solos = [
        other for other in candidates if other.row["mode"] == "solo" and same(other, "config_id")
    ]
    turns = [
        other
        for other in candidates
        if other.row["mode"] == "concurrent" and other.row["topology"] == "serial"
        if row["topology"] != "serial" and row["deployment"] is not None
        if same(other, "workload", "round")
    ]
    nearest = min(solos or turns, key=lambda other: _distance(other.row, row), default=None)
    return nearest.timing if nearest else None


def _distance(other: Raw, row: Raw) -> tuple[Any, ...]:
    apart = [abs(other[name] - row[name]) for name in ("round", "attempt")]
    return *apart, other["twin"] != row["twin"], other["round"], other["attempt"]


def _slots(row: Raw) -> int | None:
    """How many of a run's requests its servers work at at once; None if nobody says."""
    if row["topology"] == "dual":
        return int(row["n_agents"])
    known: int | None = row["slots"]
    return known or (1 if row["topology"] == "single" else None)


def _timed(row: Raw) -> _Execution:
    steps = row["steps"] or ()
    reason = row["error"] or _gap(steps)
    timed = None
    if reason is None:
        try:
            timed = timing([_step(step) for step in steps])
        except ValueError:
            # an answer that came before its request was out: nothing that can be timed
            reason = "bad_stamps"
    said = None if reason is None else f"{row['agent']} {row['mode']}: {reason}"
    return _Execution(row, timed, said)


def _gap(steps: Sequence[Raw]) -> str | None:
    """What an execution without an error lacks all the same, under the client's reason codes."""
    if not all(step["chunk_ns"] for step in steps) or not steps:
        return "empty"
    return "no_token_count" if None in [step["answer_tokens"] for step in steps] else None


def _void_reason(
    together: Sequence[_Execution], n_agents: int, names: Mapping[int, str]
) -> str | None:
    """Why a run is void; None if every execution is there, once and complete."""
    for one in together:
        if one.reason:
            return one.reason
    counts = Counter(one.row["agent_index"] for one in together)
    for index in range(n_agents):
        if counts.pop(index, 0) != 1:
            return f"{names.get(index, f'agent {index}')} concurrent: missing or there twice"
    return None if not counts else "executions of agents that the config does not have"


def _step(step: Raw) -> Step:
    chunks = tuple(stamp * _NS for stamp in step["chunk_ns"])
    return Step(
        request_s=step["request_ns"] * _NS,
        first_s=chunks[0],
        last_s=chunks[-1],
        end_s=step["end_ns"] * _NS,
        tokens=step["answer_tokens"],
        chunk_s=chunks,
        prompt_tokens=step["prompt_tokens"],
        prompt_s=step["prompt_s"],
        load_s=step["load_s"],
    )


def _picked(row: Raw, columns: Iterable[Column]) -> Row:
    return {column.name: row[column.name] for column in columns}


def _execution_row(row: Raw) -> Row:
    """A raw row without its steps, which are summed."""
    steps = row["steps"] or ()

    def total(name: str) -> Any:  # noqa: ANN401 - tokens or seconds
        values = [step[name] for step in steps if step[name] is not None]
        return sum(values) if values else None

    return _picked(row, (*KEYS, *BLOCK, *EXECUTION)) | {
        "n_steps": len(steps),
        "prompt_tokens": total("prompt_tokens"),
        "cached_tokens": total("cached_tokens"),
        "answer_tokens": total("answer_tokens"),
        "load_s": total("load_s"),
        "prompt_s": total("prompt_s"),
        "server_decode_s": total("decode_s"),
    }


def _machine_facts(together: Sequence[_Execution]) -> Row:
    """The largest that its executions saw: each tells of all of them."""

    def largest(name: str) -> Any:  # noqa: ANN401 - cores or bytes
        known = [one.row[name] for one in together if one.row[name] is not None]
        return max(known, default=None)

    return {name: largest(name) for name in ("foreign_cores", "server_memory_bytes")}


def _run_facts(together: Sequence[Raw]) -> Row:
    """What a run's concurrent executions say of it as a whole."""
    steps = [step for row in together for step in row["steps"]]
    starts = [row["steps"][0]["request_ns"] for row in together]
    serial = together[0]["topology"] == "serial"
    works = {row["work_effective"] for row in together}
    prompts = [step["prompt_tokens"] for step in steps]
    return {
        "cold": any(row["cold"] for row in together),
        "work_effective": "capped" if len(works) > 1 else works.pop(),
        "prompt_tokens": None if None in prompts else sum(prompts),
        "answer_tokens": sum(step["answer_tokens"] for step in steps),
        "start_skew_s": None if serial or len(starts) < 2 else (max(starts) - min(starts)) * _NS,
        "client_cpu_s": together[0]["client_cpu_s"],
    }
