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
# What is so of every run, unless a test says otherwise.
SAME: Mapping[str, Any] = {
    **{"comparison": "homo-by-topology", "phase": "architecture", "scenario": "chimera_homo"},
    **{"n_agents": 2, "invocation": "i1", "attempt": 1, "valid": True, "reason": None},
    **{"work_effective": "fixed", "server_memory_bytes": 2**28, "block_s": 30.0},
    **{"speedup_true": None, "jain": 1.0},
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
    frames = []
    in_block = pd.Series(range(len(table.blocks))).groupby(pd.Series(table.blocks)).cumcount()
    numbers = pd.Series([block for _, block in table.blocks])
    shared = pd.DataFrame(
        {
            "session": table.sessions,
            "repetition": 1 + numbers - numbers.groupby(pd.Series(table.sessions)).transform("min"),
            "round": 1 + in_block,
            "started_at": START + pd.to_timedelta(table.seconds, unit="s"),
            "disturbed": table.disturbed,
        }
    ).assign(**SAME)
    columns = [(name, False, table.logs[name].to_numpy()) for name in table.logs]
    for name, twin, logs in columns + [(name, True, one) for name, one in (twins or {}).items()]:
        wall_s = np.exp(-np.asarray(logs, dtype=float))
        frames.append(
            shared.assign(
                config_id=name,
                content=name,
                topology=name.split("-")[0],
                twin=twin,
                wall_s=wall_s,
                aggregate_tokens_per_s=64 / wall_s,
            )[~np.isnan(wall_s)]
        )
    runs = pd.concat(frames, ignore_index=True).assign(**changes)
    return runs, executions(runs, sides)


def executions(runs: pd.DataFrame, sides: Mapping[str, Side]) -> pd.DataFrame:
    """Two agents of each run: their first tokens come after 0.4 and 0.7 s, in turn first."""
    own = []
    keys = ["session", "invocation", "comparison", "repetition", "round", "config_id", "twin"]
    served = [sides[name] for name in runs["config_id"]]
    for agent in (0, 1):
        order = 1 + (runs["round"] + agent) % 2
        own.append(
            runs[[*keys, "attempt", "valid", "topology", "n_agents"]].assign(
                agent=f"agent{agent}",
                mode="concurrent",
                error=None,
                engine=["embedded" if side.started else "ollama" for side in served],
                placement="together",
                deployment=[side.deployment for side in served],
                server=[agent % max(1, len(side.threads)) for side in served],
                threads=[side.threads[-1] if side.threads else None for side in served],
                service_order=order,
                first_token_start_s=0.1 + 0.3 * order,
                options_asked='{"num_ctx": 512}',
                options_effective="{}",
                num_ctx_effective=512,
                endpoint=[
                    f"http://127.0.0.1:{agent % max(1, len(side.threads))}" for side in served
                ],
                slots=None,
                **{"overlap_s": 0.6, "alone_s": 0.1, "duration_s": 1.3},
            )
        )
    return pd.concat(own, ignore_index=True)
