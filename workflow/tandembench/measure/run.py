"""The run command: one block of one RunSpec, from servers up to a run file on disk."""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from tandembench.errors import TandemError
from tandembench.measure.block import Block, Execution, is_cold, measure_block
from tandembench.measure.exclusive import exclusive
from tandembench.measure.machine import boot_id, fingerprint
from tandembench.measure.progress import Tell, execution_line, teller, time_left
from tandembench.measure.telemetry import Samples, by_execution, telemetry
from tandembench.servers.model import Server, ServerFault
from tandembench.servers.open import open_servers
from tandembench.study.spec import content_digest, workload_digest
from tandembench.wire import open_client

Row = dict[str, Any]


def run(spec_text: str, session: str, output: Path, models: Path, log_path: Path) -> None:
    """Measure one block and write its run file to ``output``.

    A failed attempt is a result: its rows say why, and up to ``retries`` more stand beside it.
    TandemError (exit 4) if nothing could be measured at all; then nothing is written.
    """
    spec = json.loads(spec_text)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    label = f"{spec['config_id']} r{spec['repetition']}"
    rows: list[Row] = []
    with log_path.open("a", encoding="utf-8") as log, exclusive(label, teller(log)):
        tell = teller(log)
        machine = fingerprint()
        for attempt in range(1, spec["retries"] + 2):
            measured = asyncio.run(_attempt(spec, attempt, models, log, label, tell))
            rows += [{"session": session, **row} for row in measured]
            if not any(row["error"] for row in measured):
                break
        # Not needed while measuring, and half a second to import.
        from tandembench.dataset.columns import RUN_FILE  # noqa: PLC0415
        from tandembench.dataset.parquet import write_table  # noqa: PLC0415

        note = {"spec": spec, "machine": machine}
        write_table(output, "raw executions of one block", RUN_FILE, rows, note)
        tell(f"{label}: {time_left(output) or 'done'}")


async def _attempt(
    spec: Mapping[str, Any], attempt: int, models: Path, log: IO[str], label: str, tell: Tell
) -> list[Row]:
    started_at = datetime.now(UTC)
    servers: Sequence[Server] = []
    block: Block | None = None
    fault: ServerFault | None = None
    samples: Mapping[int, Samples] = {}

    def on_execution(execution: Execution) -> None:
        tell(execution_line(label, execution))

    sampling = telemetry(log) if spec["telemetry"] else nullcontext()
    with sampling as sampler:
        try:
            async with (
                open_client(keyed=spec["engine"] == "openai") as client,
                open_servers(spec, models, client, log) as servers,
            ):
                if sampler:
                    sampler.watch([server.pid for server in servers])
                helpers = [sampler.pid] if sampler else []
                try:
                    block = await measure_block(
                        spec, servers, client, attempt, on_execution, helpers
                    )
                except TandemError as error:
                    # It was there when the block began: a result, not a reason to stop the study.
                    raise ServerFault("server_lost", str(error)) from error
                if sampler:
                    samples = by_execution(sampler.stop(), block.executions)
        except ServerFault as error:
            fault = error
            tell(f"{label}: failed ({error.reason}) {error.detail}")
    shared = _block_columns(spec, attempt, started_at, block)
    if block is None:
        return [shared | _failed_row(spec, index, fault) for index in range(len(spec["agents"]))]
    rows: list[Row] = []
    for execution in block.executions:
        row = shared | _execution_row(spec, servers, block, execution)
        # The executions of a run share its samples: they stand with the first.
        if execution.position not in {before["position"] for before in rows}:
            row["telemetry"] = samples.get(execution.position, [])
        rows.append(row)
    return rows


def _block_columns(
    spec: Mapping[str, Any], attempt: int, started_at: datetime, block: Block | None
) -> Row:
    return {
        "config_id": spec["config_id"],
        "repetition": spec["repetition"],
        "attempt": attempt,
        "scenario": spec["scenario"],
        "topology": spec["topology"],
        "n_agents": len(spec["agents"]),
        "work_policy": spec["work_policy"],
        "engine": spec["engine"],
        "workload": workload_digest(dict(spec)),
        "content": content_digest(dict(spec)),
        "started_at": block.started_at if block else started_at,
        "block_s": block.duration_s if block else None,
        "order": ",".join(block.order) if block else None,
        "invocation": os.environ.get("TANDEMBENCH_INVOCATION"),
        "boot_id": boot_id(),
    }


def _failed_row(spec: Mapping[str, Any], index: int, fault: ServerFault | None) -> Row:
    agent = spec["agents"][index]
    return {
        "agent": agent["name"],
        "agent_index": index,
        "mode": "concurrent",
        "model": agent["model"],
        "options_asked": json.dumps(agent["options"], sort_keys=True),
        "max_tokens": agent["max_tokens"],
        "error": fault.reason if fault else "server_start",
        "detail": fault.detail if fault else "",
    }


def _execution_row(
    spec: Mapping[str, Any], servers: Sequence[Server], block: Block, execution: Execution
) -> Row:
    index = next(i for i, a in enumerate(spec["agents"]) if a["name"] == execution.agent)
    agent = spec["agents"][index]
    server = servers[index if spec["topology"] == "dual" else 0]
    heard = block.effective[execution.agent]
    last = execution.steps[-1]
    answered = [step.final.answer_tokens for step in execution.steps]
    exact = all(tokens == agent["max_tokens"] for tokens in answered)
    settings = dict(last.final.settings)
    return {
        "agent": execution.agent,
        "agent_index": index,
        "mode": execution.mode,
        "position": execution.position,
        "endpoint": server.url,
        "server": server.index,
        "engine_version": server.version,
        "model": agent["model"],
        "model_digest": server.model_digests.get(agent["model"]),
        "options_asked": json.dumps(agent["options"], sort_keys=True),
        "options_effective": json.dumps(settings, sort_keys=True),
        "num_ctx_effective": heard.num_ctx,
        "slots": heard.slots or server.slots,
        "threads": server.threads,
        "wait_policy": server.wait_policy,
        "max_tokens": agent["max_tokens"],
        "work_effective": _work_effective(spec["work_policy"], exact),
        "nonce": execution.nonce,
        "seed": execution.seed,
        "clock": last.clock,
        "client_cpu_s": execution.cpu_s,
        "loop_lag_s": execution.loop_lag_s,
        "foreign_cores": execution.foreign_cores,
        "cold": is_cold(execution),
        "error": execution.error,
        "detail": last.detail or None,
        "steps": [
            {
                "request_ns": step.request_ns - execution.t0_ns,
                "chunk_ns": [stamp - execution.t0_ns for stamp in step.chunk_ns],
                "end_ns": step.end_ns - execution.t0_ns,
                "prompt_tokens": step.final.prompt_tokens,
                "answer_tokens": step.final.answer_tokens,
                "cached_tokens": step.final.cached_tokens,
                "stop_reason": step.final.stop_reason,
                "load_s": step.final.load_s,
                "prompt_s": step.final.prompt_s,
                "decode_s": step.final.decode_s,
                "error": step.error,
                "text": step.text,
            }
            for step in execution.steps
        ],
    }


def _work_effective(policy: str, exact: bool) -> str:
    if policy == "natural":
        return "natural"
    return "fixed" if exact else "capped"
