"""The runs and executions tables of a comparison whose rounds are known by construction."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tandembench.analysis.levels import Side
from tandembench.analysis.rounds import Rounds

START = pd.Timestamp("2026-11-27T12:00:00Z")
TWO_THREADS = Side("one slot", (2,), started=True)
SIDES: Mapping[str, Side] = {
    "serial": TWO_THREADS,
    "single": TWO_THREADS,
    "single_parallel": Side("two slots", (2,), started=True),
    "dual": Side("two servers", (1, 1), started=True),
}


def some_rounds(
    logs: Mapping[str, Any],
    per_block: int = 4,
    *,
    blocks_a_session: int = 1000,
    disturbed: Any = None,
) -> Rounds:
    """Rounds of these logarithms (more is better), in blocks of so many, 7 s apart."""
    frame = pd.DataFrame({name: np.asarray(values, dtype=float) for name, values in logs.items()})
    place = np.arange(len(frame))
    session = place // (per_block * blocks_a_session)
    return Rounds(
        logs=frame,
        blocks=[*zip(session.tolist(), (place // per_block).tolist(), strict=True)],
        sessions=[f"s{number + 1}" for number in session],
        seconds=7.0 * place + 8.0 * (place // per_block),
        disturbed=np.zeros(len(frame), dtype=bool) if disturbed is None else np.asarray(disturbed),
    )


def tables(
    table: Rounds,
    sides: Mapping[str, Side] = SIDES,
    *,
    twins: Mapping[str, Any] | None = None,
    **changes: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables in which ``table`` is read as it is; wall times are exp(-log) seconds.

    ``twins`` are logarithms of further runs of configs, NaN where there was none. A config is of
    the topology that its id begins with. ``changes`` hold for every row of runs.
    """
    logs = [(name, False, table.logs[name]) for name in table.logs]
    logs += [(name, True, pd.Series(values)) for name, values in (twins or {}).items()]
    numbers = {block: number for number, block in enumerate(dict.fromkeys(table.blocks))}
    firsts: dict[str, Any] = {}
    for block, session in zip(table.blocks, table.sessions, strict=True):
        firsts.setdefault(session, block)
    rows = []
    for name, twin, values in logs:
        count: dict[Any, int] = {}
        for place, log in enumerate(values):
            block, session = table.blocks[place], table.sessions[place]
            count[block] = count.get(block, 0) + 1
            if np.isnan(log):
                continue
            repetition = numbers[block] - numbers[firsts[session]] + 1
            rows.append(
                {
                    "session": session,
                    "comparison": "homo-by-topology",
                    "repetition": repetition,
                    "round": count[block],
                    "config_id": name,
                    "twin": twin,
                    "attempt": 1,
                    "phase": "architecture",
                    "scenario": "chimera_homo",
                    "topology": name.split("-")[0],
                    "n_agents": 2,
                    "content": name,
                    "invocation": "i1",
                    "started_at": START + pd.Timedelta(seconds=table.seconds[place]),
                    "block_s": 30.0,
                    "valid": True,
                    "reason": None,
                    "work_effective": "fixed",
                    "wall_s": np.exp(-log),
                    "aggregate_tokens_per_s": 64 / np.exp(-log),
                    "disturbed": bool(table.disturbed[place]),
                    "server_memory_bytes": 2**28,
                    "speedup_true": None,
                    "jain": 1.0,
                }
                | changes
            )
    runs = pd.DataFrame(rows)
    return runs, executions(runs, sides)


def executions(runs: pd.DataFrame, sides: Mapping[str, Side]) -> pd.DataFrame:
    """Two agents of each run: their first tokens come after 0.4 and 0.7 s, in turn first."""
    own = []
    for agent in (0, 1):
        order = 1 + (runs["round"] + agent) % 2
        served = [sides[name] for name in runs["config_id"]]
        own.append(
            runs[
                ["session", "invocation", "comparison", "repetition", "round", "config_id", "twin"]
                + ["attempt", "valid"]
            ].assign(
                agent=f"agent{agent}",
                mode="concurrent",
                engine=["embedded" if side.started else "ollama" for side in served],
                placement="together",
                deployment=[side.deployment for side in served],
                server=[agent % max(1, len(side.threads)) for side in served],
                threads=[side.threads[-1] if side.threads else None for side in served],
                service_order=order,
                first_token_start_s=0.1 + 0.3 * order,
                options_asked='{"num_ctx": 512}',
            )
        )
    return pd.concat(own, ignore_index=True)
