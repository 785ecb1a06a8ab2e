"""Run files of one phase -> its tables of runs and executions, metrics computed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, product
from pathlib import Path
from typing import Any

from tandembench.dataset.columns import (
    BLOCK,
    EXECUTION,
    EXECUTIONS,
    KEYS,
    RUNS,
    TELEMETRY,
    TOKENS,
)
from tandembench.dataset.manifest import read_manifest
from tandembench.dataset.parquet import as_table, read_file, write_table, write_tables
from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.metrics import (
    Step,
    Timing,
    decode_overlap,
    execution_metrics,
    run_metrics,
    timing,
    wall,
)

Row = dict[str, Any]
_NS = 1e-9


def aggregate_phase(
    manifest_file: Path,
    runs_file: Path,
    executions_file: Path,
    telemetry_file: Path,
    tokens_file: Path,
) -> None:
    """Write a phase's tables from the run files that its manifest names."""
    manifest = read_manifest(manifest_file)
    tokens = []
    runs: list[Row] = []
    executions: list[Row] = []
    telemetry: list[Row] = []
    machines: list[Row] = []
    codes: set[str] = set()
    for name in manifest["run_files"]:
        rows, note = read_file(Path(name))
        if not {"spec", "machine"} <= note.keys():
            fix = "delete it and run snakemake, which measures it again"
            raise TandemError("not a run file", where=name, fix=fix, exit_code=EXIT_CORRUPT)
        machine = {key: value for key, value in note["machine"].items() if key != "load_1min"}
        if machine not in machines:
            machines.append(machine)
        codes.add(note["spec"]["code"])
        telemetry += telemetry_rows(rows, manifest["phase"])
        tokens.append(as_table(TOKENS, token_rows(rows, manifest["phase"])))
        for _, of_attempt in groupby(sorted(rows, key=_attempt), key=_attempt):
            run, of_agents = block_rows(list(of_attempt), manifest["phase"])
            runs.append(run)
            executions += of_agents
    found = {"machines": machines, "measuring_code": sorted(codes)}
    write_tables(tokens_file, f"tokens of phase {manifest['phase']}", TOKENS, tokens)
    write_table(telemetry_file, f"telemetry of phase {manifest['phase']}", TELEMETRY, telemetry)
    write_table(executions_file, f"executions of phase {manifest['phase']}", EXECUTIONS, executions)
    write_table(runs_file, f"runs of phase {manifest['phase']}", RUNS, runs, found)


def block_rows(raw: Sequence[Mapping[str, Any]], phase: str) -> tuple[Row, list[Row]]:
    """One attempt at one block, raw -> (row of ``runs``, rows of ``executions``).

    A block counts only whole: if one execution failed or is missing, none has metrics.
    """
    raw = sorted(raw, key=lambda row: (row["mode"] != "solo", row["agent_index"]))
    solo: dict[str, Timing] = {}
    concurrent: dict[str, Timing] = {}
    reason = _void_reason(raw)
    for row in () if reason else raw:
        place = solo if row["mode"] == "solo" else concurrent
        try:
            place[row["agent"]] = timing([_step(step) for step in row["steps"]])
        except ValueError:
            # an answer that came before its request was out: nothing that can be timed
            reason = reason or f"{row['agent']} {row['mode']}: bad_stamps"
    if reason:
        solo, concurrent = {}, {}
    shared = {"phase": phase, "valid": reason is None, "reason": reason}
    executions = [
        _picked(row, (*KEYS, *BLOCK, *EXECUTION))
        | shared
        | _sums(row["steps"] or ())
        | _execution_metrics(row, solo, concurrent)
        for row in raw
    ]
    run = _picked(raw[0], (*KEYS, *BLOCK)) | shared
    if reason is None:
        together = [row for row in raw if row["mode"] == "concurrent"]
        run |= _run_facts(together)
        run["foreign_cores"] = max(
            (row["foreign_cores"] for row in raw if row["foreign_cores"] is not None), default=None
        )
        timings = list(concurrent.values())
        run |= run_metrics(
            timings,
            [solo.get(agent) for agent in concurrent],
            wall(timings),
            raw[0]["topology"] == "serial",
        )
    return run, executions


def telemetry_rows(raw: Iterable[Mapping[str, Any]], phase: str) -> list[Row]:
    """The samples in the raw rows of a run file, one row each."""
    return [
        _picked(row, KEYS)
        | {"phase": phase, "mode": row["mode"]}
        | {"agent": row["agent"] if row["mode"] == "solo" else None}
        | sample
        for row in raw
        for sample in row["telemetry"] or ()
    ]


def token_rows(raw: Iterable[Mapping[str, Any]], phase: str) -> list[Row]:
    """The chunks in the raw rows of a run file, one row each; of failed executions too."""
    return [
        _picked(row, KEYS)
        | {"phase": phase, "mode": row["mode"], "agent": row["agent"]}
        | {"step": step, "chunk": chunk, "t_ns": t_ns}
        for row in raw
        for chunk, (step, t_ns) in enumerate(
            (step, t_ns)
            for step, call in enumerate(row["steps"] or ())
            for t_ns in call["chunk_ns"]
        )
    ]


def _attempt(row: Mapping[str, Any]) -> int:
    attempt: int = row["attempt"]
    return attempt


def _void_reason(raw: Sequence[Mapping[str, Any]]) -> str | None:
    """Why the block is void; None if every execution is there, once and complete."""
    for row in raw:
        if reason := row["error"] or _gap(row["steps"] or ()):
            return f"{row['agent']} {row['mode']}: {reason}"
    names = {row["agent_index"]: row["agent"] for row in raw}
    found = Counter((row["mode"], row["agent_index"]) for row in raw)
    n = raw[0]["n_agents"]
    for execution in product(("solo", "concurrent") if n > 1 else ("concurrent",), range(n)):
        mode, index = execution
        if found.pop(execution, 0) != 1:
            return f"{names.get(index, f'agent {index}')} {mode}: missing or there twice"
    return None if not found else "executions of agents that the config does not have"


def _gap(steps: Sequence[Mapping[str, Any]]) -> str | None:
    """What an execution without an error lacks all the same, under the client's reason codes."""
    if not all(step["chunk_ns"] for step in steps) or not steps:
        return "empty"
    return "no_token_count" if None in [step["answer_tokens"] for step in steps] else None


def _step(step: Mapping[str, Any]) -> Step:
    chunks = tuple(stamp * _NS for stamp in step["chunk_ns"])
    return Step(
        request_s=step["request_ns"] * _NS,
        first_s=chunks[0],
        last_s=chunks[-1],
        end_s=step["end_ns"] * _NS,
        tokens=step["answer_tokens"],
        chunk_s=chunks,
        prompt_tokens=step["prompt_tokens"],
    )


def _picked(row: Mapping[str, Any], columns: Iterable[Any]) -> Row:
    return {column.name: row[column.name] for column in columns}


def _sums(steps: Sequence[Mapping[str, Any]]) -> Row:
    def total(name: str) -> Any:  # noqa: ANN401 - tokens or seconds
        values = [step[name] for step in steps if step[name] is not None]
        return sum(values) if values else None

    return {
        "n_steps": len(steps),
        "prompt_tokens": total("prompt_tokens"),
        "cached_tokens": total("cached_tokens"),
        "answer_tokens": total("answer_tokens"),
        "load_s": total("load_s"),
        "prompt_s": total("prompt_s"),
        "server_decode_s": total("decode_s"),
    }


def _execution_metrics(
    row: Mapping[str, Any], solo: Mapping[str, Timing], concurrent: Mapping[str, Timing]
) -> Row:
    agent = row["agent"]
    if agent not in concurrent:
        return {}
    if row["mode"] == "solo":
        return execution_metrics(solo[agent])
    windows = [[(step.first_s, step.last_s) for step in one.steps] for one in concurrent.values()]
    shares = dict(zip(concurrent, decode_overlap(windows), strict=True))
    overlap = dict(zip(("overlap_s", "alone_s"), shares[agent], strict=True))
    return execution_metrics(concurrent[agent], solo.get(agent)) | overlap


def _run_facts(together: Sequence[Mapping[str, Any]]) -> Row:
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
