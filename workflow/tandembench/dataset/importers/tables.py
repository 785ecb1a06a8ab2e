"""Imported runs -> the rows of an ordinary dataset. What a source does not tell is null."""

import json
from collections.abc import Sequence
from typing import Any

from tandembench.dataset.importers.source import Imported, SourceAgent, SourceRun, config_ids
from tandembench.metrics import (
    IMBALANCE_PARTS,
    Timing,
    decode_overlap,
    execution_metrics,
    run_metrics,
)
from tandembench.study.spec import digest

Row = dict[str, Any]
# A load takes longer than this, a warm Ollama's bookkeeping does not: as where blocks are measured.
COLD_LOAD_S = 0.5
# What needs decode_s, which not every source has.
_OF_DECODING = (*IMBALANCE_PARTS, "throughput_delta_tokens_per_s")


def rows(imported: Imported) -> tuple[list[Row], list[Row], list[dict[str, Any]]]:
    """(runs, executions, phases) of what was imported; phases as a descriptor lists them."""
    ids = config_ids(imported.runs)
    runs: list[Row] = []
    executions: list[Row] = []
    phases: dict[str, list[str]] = {}
    for run in imported.runs:
        config_id = ids[run.place]
        listed = phases.setdefault(run.phase, [])
        if config_id not in listed:
            listed.append(config_id)
        shared = _shared(run, config_id)
        timings = [_timing(agent) for agent in run.agents]
        executions += [
            shared | _execution(index, agent, timing) | overlap
            for index, (agent, timing, overlap) in enumerate(
                zip(run.agents, timings, _overlaps(run.agents), strict=True)
            )
        ]
        runs.append(shared | _run(run, timings))
    listing = [
        {"name": name, "title": f"Phase {name}", "manifest": None, "configs": configs}
        for name, configs in phases.items()
    ]
    return runs, executions, listing


def _shared(run: SourceRun, config_id: str) -> Row:
    dual = len({agent.endpoint for agent in run.agents}) > 1
    topology = "dual" if dual else "single"
    workload = digest([[agent.name, agent.model, dict(agent.options)] for agent in run.agents])
    return {
        "session": "s1",
        "config_id": config_id,
        "repetition": run.repetition,
        "attempt": 1,
        "phase": run.phase,
        "scenario": run.scenario,
        "topology": topology,
        "n_agents": len(run.agents),
        "work_policy": "natural",
        "engine": "ollama",
        "workload": workload,
        "content": digest([workload, topology]),
        "started_at": run.started_at,
        "valid": True,
        "reason": None,
    }


def _timing(agent: SourceAgent) -> Timing:
    """The source's sums. Without decode seconds there are no intervals that took them."""
    intervals = max(agent.answer_tokens - agent.calls, 0)
    return Timing(
        duration_s=agent.duration_s,
        first_token_s=agent.first_token_s,
        decode_s=agent.decode_s or 0.0,
        intervals=0 if agent.decode_s is None else intervals,
        answer_tokens=agent.answer_tokens,
        ttft_s=agent.ttft_s,
    )


def _run(run: SourceRun, timings: Sequence[Timing]) -> Row:
    starts = [agent.started_ns for agent in run.agents if agent.started_ns is not None]
    loads = [agent.load_s for agent in run.agents]
    found: Row = {
        **run_metrics(timings, [None] * len(timings), run.wall_s, serial=False),
        "cold": _any_cold(loads),
        "work_effective": "natural",
        "contention_source": run.contention,
        "answer_tokens": sum(agent.answer_tokens for agent in run.agents),
        "start_skew_s": (max(starts) - min(starts)) / 1e9 if len(starts) > 1 else None,
    }
    if any(agent.decode_s is None for agent in run.agents):
        found |= dict.fromkeys(_OF_DECODING)
    return found


def _any_cold(loads: Sequence[float | None]) -> bool | None:
    known = [load for load in loads if load is not None]
    return any(load > COLD_LOAD_S for load in known) if len(known) == len(loads) else None


def _execution(index: int, agent: SourceAgent, timing: Timing) -> Row:
    found: Row = {
        "agent": agent.name,
        "agent_index": index,
        "mode": "concurrent",
        "endpoint": agent.endpoint,
        "model": agent.model,
        "options_asked": json.dumps(dict(agent.options), sort_keys=True),
        "work_effective": "natural",
        "clock": "source",
        "cold": _any_cold([agent.load_s]),
        "n_steps": agent.calls,
        "load_s": agent.load_s,
        "prompt_s": agent.prompt_s,
        "server_decode_s": agent.decode_s,
        **execution_metrics(timing),
    }
    if agent.decode_s is None:
        found |= dict.fromkeys(("decode_s", "rest_s", "decode_rate_tokens_per_s"))
    return found


def _overlaps(agents: Sequence[SourceAgent]) -> list[Row]:
    """Seconds of each agent's decoding beside the others' and alone, where one call has both ends.

    The window is that between first token and end, by the source's clock.
    """
    # Seconds since the last end: Unix time in ns has more digits than a float keeps.
    base = max((agent.ended_ns for agent in agents if agent.ended_ns is not None), default=0)
    windows = [_window(agent, base) for agent in agents]
    known = [window for window in windows if window is not None]
    if len(known) < len(agents) or len(agents) < 2:
        return [{"overlap_s": None, "alone_s": None} for _ in agents]
    shares = decode_overlap([[window] for window in known])
    return [{"overlap_s": beside, "alone_s": alone} for beside, alone in shares]


def _window(agent: SourceAgent, base: int) -> tuple[float, float] | None:
    if agent.started_ns is None or agent.ended_ns is None or agent.calls != 1:
        return None
    begin = (agent.started_ns - base) / 1e9 + (agent.ttft_s or 0.0)
    return begin, max(begin, (agent.ended_ns - base) / 1e9)
