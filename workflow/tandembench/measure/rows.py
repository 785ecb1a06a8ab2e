"""What was measured -> rows of a run file."""

import json
import os
from dataclasses import asdict

from tandembench.measure.block import Done
from tandembench.measure.execution import Execution
from tandembench.measure.validity import flags
from tandembench.servers.deployment import server_index
from tandembench.study.spec import ConfigSpec, RunSpec, digest
from tandembench.system import boot_id
from tandembench.wire import DRIVERS, StreamRecord

Row = dict[str, object]


def turn_rows(
    spec: RunSpec, repetition: int, attempt: int, block_s: float | None, done: Done
) -> list[Row]:
    """The rows of one turn: one for each execution, or each agent if there was none."""
    config = spec.configs[done.turn.config]
    workload = spec.workload_digest(config)
    hardware = [config.topology, config.servers, spec.threads_total, spec.placement]
    shared: Row = {
        "comparison": spec.comparison,
        "repetition": repetition,
        "round": done.round,
        "config_id": config.id,
        "twin": done.turn.twin,
        "attempt": attempt,
        "scenario": config.scenario,
        "topology": config.topology,
        "n_agents": len(config.agents),
        "work_policy": config.work_policy,
        "engine": spec.engine,
        "workload": workload,
        "content": digest([workload, *hardware]),
        "started_at": done.started_at,
        "block_s": block_s,
        "position": done.position,
        "deployment": done.deployment,
        "placement": spec.placement,
        "invocation": os.environ.get("TANDEMBENCH_INVOCATION"),
        "boot_id": boot_id(),
    }
    can_be_off = DRIVERS[spec.engine, spec.protocol].prompt_cache_can_be_off
    taken = {one.agent: one for one in done.executions}
    rows = []
    for index, agent in enumerate(config.agents):
        row = shared | {
            "agent": agent.name,
            "agent_index": index,
            "model": agent.model,
            "options_asked": json.dumps(dict(agent.options), sort_keys=True),
            "max_tokens": agent.max_tokens,
        }
        if done.fault is not None:
            fault = {"error": done.fault.reason, "detail": done.fault.detail}
            rows.append(row | {"mode": "concurrent"} | fault)
        elif agent.name in taken:
            rows.append(row | _execution(config, index, done, taken[agent.name], can_be_off))
    return rows


def _execution(
    config: ConfigSpec, index: int, done: Done, one: Execution, cache_can_be_off: bool
) -> Row:
    agent, server = config.agents[index], done.servers[server_index(config, index)]
    effective, last = done.effective[agent.name], one.steps[-1]
    invalid, detail = done.invalid.get(agent.name, (None, last.detail))
    exact = all(step.final.answer_tokens == agent.max_tokens for step in one.steps)
    natural, load = config.work_policy == "natural", done.loads.get(agent.name)
    return {
        "endpoint": server.url,
        "server": server.index,
        "server_life": done.lives.get(server.url),
        "engine_version": server.version,
        "model_digest": server.model_digests.get(agent.model),
        "num_ctx_effective": effective.num_ctx,
        "slots": effective.slots or server.slots,
        "threads": effective.threads or server.threads,
        "wait_policy": server.wait_policy,
        "server_memory_bytes": done.memory_bytes,
        "model_bytes": effective.size_bytes,
        "model_gpu_bytes": effective.size_vram_bytes,
        "mode": one.mode,
        "options_effective": json.dumps(dict(last.final.settings), sort_keys=True),
        "work_effective": "natural" if natural else "fixed" if exact else "capped",
        "prompt_words": sum(one.words),
        "nonce": one.nonce,
        "nonce_policy": "shared" if cache_can_be_off else "own",
        "seed": one.seed,
        "clock": last.clock,
        "client_cpu_s": one.cpu_s,
        "loop_lag_s": one.loop_lag_s,
        "foreign_cores": one.foreign_cores,
        "process_unknown": server.unseen,
        "slept_s": one.slept_s,
        "clock_set_s": one.clock_set_s,
        "cold": load == "cold",
        "flags": ",".join(flags(one, load)) or None,
        "invalid": invalid,
        "error": one.error,
        "detail": detail or None,
        "steps": [_step(step, one.t0_ns) for step in one.steps],
    }


def _step(step: StreamRecord, t0_ns: int) -> Row:
    final = asdict(step.final)
    del final["settings"]
    return final | {
        "request_ns": step.request_ns - t0_ns,
        "chunk_ns": [stamp - t0_ns for stamp in step.chunk_ns],
        "chunk_tokens": step.chunk_tokens,
        "end_ns": step.end_ns - t0_ns,
        "error": step.error,
        "text": step.text,
    }
