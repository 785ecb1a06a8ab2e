"""The result folders of Chimeraforge's Rust runner (TR113, TR114, TR115): metrics.json per run.

A run is ``.../run_N/metrics.json`` or ``.../run_N/run_1/metrics.json``, where the outer N counts.
Source: the authors' public folders and what their README of fields says.
"""

import re
from collections import Counter
from pathlib import Path

from tandembench.dataset.importers.source import (
    AGENTS,
    RUNTIME,
    Imported,
    Reader,
    SourceAgent,
    SourceRun,
    bad,
    files_below,
    host,
    read_json,
    unix_ns,
    utc,
)
from tandembench.study.ids import SCENARIO_SHORT

_PHASES = {"phase1": "core", "phase2": "temperature", "phase3": "validation"}


def read(root: Path) -> Imported:
    """All runs below ``root``. TandemError names a run that is damaged."""
    runs = []
    skipped: Counter[str] = Counter()
    for path in files_below(root):
        if path.name == "metrics.json":
            runs.append(_run(root, path))
        elif path.name == "summary.json":
            skipped["roll-up of a config (summary.json): made from its runs"] += 1
        else:
            skipped[f"not a run ({path.suffix or path.name})"] += 1
    notes = (
        "Each agent's duration and the wall time are the source's. decode_s is the server's decode"
        " time; prompts were not counted; an agent's start is its end less its duration.",
        "contention_source is the source's own flag, whatever its report says that it means.",
        "Not kept of each run: prompts, labels, system_info with the host name, run_number, and"
        " what was computed from the rest (aggregate_metrics, rates, deltas).",
    )
    return Imported(tuple(runs), skipped, notes)


def _run(root: Path, path: Path) -> SourceRun:
    data = Reader(path, read_json(path))
    folders = path.relative_to(root).parts[:-1]
    numbered = [i for i, part in enumerate(folders) if re.fullmatch(r"run_\d+", part)]
    if not numbered:
        raise bad(path, "not in a folder run_N")
    first = numbered[0]
    scenario = data.text("scenario")
    if scenario not in SCENARIO_SHORT:
        raise bad(path, f"unknown scenario '{scenario}'")
    agents = tuple(_agent(data, name) for name in AGENTS)
    starts = [agent.started_ns for agent in agents if agent.started_ns is not None]
    started_at = utc(min(starts)) if len(starts) == len(agents) else None
    if started_at is None:
        raise bad(path, "a timestamp that is no ISO 8601 time with a zone, from 1970 on")
    return SourceRun(
        place="/".join(folders[:first]),
        phase=next(filter(None, map(_phase, folders)), "all"),
        scenario=scenario,
        repetition=int(folders[first].removeprefix("run_")),
        wall_s=data.seconds("summary", "concurrent_wall_time_s", positive=True),
        started_at=started_at,
        agents=agents,
        contention=data.flag("summary", "resource_contention_detected"),
    )


def _phase(folder: str) -> str | None:
    if folder.startswith(RUNTIME):
        return re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")
    return _PHASES.get(folder)


def _agent(data: Reader, name: str) -> SourceAgent:
    calls = data.at(name, "result", "individual_runs")
    if not isinstance(calls, list) or not calls:
        raise bad(data.path, f"'{name}.result.individual_runs' has no LLM call")
    steps = range(len(calls))

    def summed(field: str) -> float:
        return sum(
            data.seconds(name, "result", "individual_runs", step, field, scale=1e-3)
            for step in steps
        )

    return SourceAgent(
        name=name,
        model=data.text(name, "config", "model"),
        options=data.options(name, "config", "options"),
        endpoint=host(data.text(name, "config", "base_url")),
        duration_s=data.seconds(name, "execution_time_s", positive=True),
        first_token_s=summed("ttft_ms"),
        ttft_s=data.seconds(name, "result", "individual_runs", 0, "ttft_ms", scale=1e-3),
        decode_s=summed("eval_duration_ms"),
        prompt_s=summed("prompt_eval_duration_ms"),
        load_s=summed("load_duration_ms"),
        server_decode_s=summed("eval_duration_ms"),
        answer_tokens=sum(
            data.count(name, "result", "individual_runs", step, "tokens_generated")
            for step in steps
        ),
        calls=len(calls),
        ended_ns=unix_ns(data.text(name, "result", "timestamp")),
    )
