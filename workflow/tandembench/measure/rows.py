"""What was measured -> rows of a run file."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tandembench.measure.bench import Done
from tandembench.measure.execution import Execution
from tandembench.measure.machine import boot_id
from tandembench.measure.telemetry import Samples
from tandembench.servers.deployment import server_index
from tandembench.study.spec import ConfigSpec, RunSpec, digest
from tandembench.wire import StreamRecord

Row = dict[str, Any]


def turn_rows(
    spec: RunSpec, repetition: int, attempt: int, block_s: float | None, done: Done
) -> list[Row]:
    """The rows of one turn: one for each execution, or each agent if there was none."""
    config = spec.configs[done.turn.config]
    shared = _keys(spec, repetition, attempt, done) | _block(spec, done) | {"block_s": block_s}
    if done.fault is not None:
        agents = range(len(config.agents))
        return [shared | _agent(config, i) | _failed(done) for i in agents]
    names = [agent.name for agent in config.agents]
    return [
        shared
        | _agent(config, names.index(one.agent))
        | _server(config, names.index(one.agent), done)
        | _execution(config.work_policy, config.agents[names.index(one.agent)].max_tokens, one)
        for one in done.executions
    ]


def with_samples(rows: Sequence[Row], samples: Mapping[int, Samples]) -> list[Row]:
    """The rows with the telemetry of their position; the agents of a run share it: the first's."""
    seen: set[int | None] = {None}
    sampled = []
    for row in rows:
        first = row.get("position") not in seen
        seen.add(row.get("position"))
        sampled.append(row | {"telemetry": samples.get(row["position"], [])} if first else row)
    return sampled


def _keys(spec: RunSpec, repetition: int, attempt: int, done: Done) -> Row:
    return {
        "comparison": spec.comparison,
        "repetition": repetition,
        "round": done.round,
        "config_id": spec.configs[done.turn.config].id,
        "twin": done.turn.twin,
        "attempt": attempt,
    }


def _block(spec: RunSpec, done: Done) -> Row:
    config = spec.configs[done.turn.config]
    workload = spec.workload_digest(config)
    return {
        "scenario": config.scenario,
        "topology": config.topology,
        "n_agents": len(config.agents),
        "work_policy": config.work_policy,
        "engine": spec.engine,
        "workload": workload,
        "content": digest(
            [workload, config.topology, config.servers, spec.threads_total, spec.placement]
        ),
        "started_at": done.started_at,
        "position": done.position,
        "deployment": done.deployment,
        "placement": spec.placement,
        "invocation": os.environ.get("TANDEMBENCH_INVOCATION"),
        "boot_id": boot_id(),
    }


def _agent(config: ConfigSpec, index: int) -> Row:
    agent = config.agents[index]
    return {
        "agent": agent.name,
        "agent_index": index,
        "model": agent.model,
        "options_asked": json.dumps(dict(agent.options), sort_keys=True),
        "max_tokens": agent.max_tokens,
    }


def _failed(done: Done) -> Row:
    fault = done.fault
    return {
        "mode": "concurrent",
        "error": fault.reason if fault else None,
        "detail": fault.detail if fault else None,
    }


def _server(config: ConfigSpec, index: int, done: Done) -> Row:
    agent, server = config.agents[index], done.servers[server_index(config, index)]
    heard = done.effective[agent.name]
    return {
        "endpoint": server.url,
        "server": server.index,
        "engine_version": server.version,
        "model_digest": server.model_digests.get(agent.model),
        "num_ctx_effective": heard.num_ctx,
        "slots": heard.slots or server.slots,
        "threads": server.threads,
        "wait_policy": server.wait_policy,
        "server_memory_bytes": done.memory_bytes,
    }


def _execution(work_policy: str, max_tokens: int, one: Execution) -> Row:
    last = one.steps[-1]
    exact = all(step.final.answer_tokens == max_tokens for step in one.steps)
    work = "natural" if work_policy == "natural" else "fixed" if exact else "capped"
    return {
        "mode": one.mode,
        "options_effective": json.dumps(dict(last.final.settings), sort_keys=True),
        "work_effective": work,
        "nonce": one.nonce,
        "seed": one.seed,
        "clock": last.clock,
        "client_cpu_s": one.cpu_s,
        "loop_lag_s": one.loop_lag_s,
        "foreign_cores": one.foreign_cores,
        "cold": one.cold,
        "error": one.error,
        "detail": last.detail or None,
        "steps": [_step(step, one.t0_ns) for step in one.steps],
    }


def _step(step: StreamRecord, t0_ns: int) -> Row:
    final = asdict(step.final)
    del final["settings"]
    return final | {
        "request_ns": step.request_ns - t0_ns,
        "chunk_ns": [stamp - t0_ns for stamp in step.chunk_ns],
        "end_ns": step.end_ns - t0_ns,
        "error": step.error,
        "text": step.text,
    }
