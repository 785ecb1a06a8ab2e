"""A study of one comparison as the quick one is, made by hand: two agents on four topologies.

Times are those of a machine with two speeds: a server of two threads needs 0.63 s an agent, or
0.73 s in the slow state; two servers of one thread need 1.17 s in both.
"""

import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from raw_blocks import Row, a_step, block, scaled, side_by_side, where, write_dataset

TOPOLOGIES = ("serial", "single", "single_parallel", "dual")
COMPARISON = "homo-by-topology"
# MiB that the servers of a topology need.
MEMORY = {"serial": 170, "single": 170, "single_parallel": 185, "dual": 340}


def blocks(
    repetitions: int = 6,
    rounds: int = 4,
    *,
    session: str = "s1",
    topologies: Sequence[str] = TOPOLOGIES,
    dual_s: float = 1.17,
    noise: float = 0.01,
    disturbed: Sequence[int] = (),
) -> list[list[Row]]:
    """Whole blocks, seeded; during the repetitions in ``disturbed`` others use half a core.

    ``dual_s`` is how long each agent takes on a server of its own, ``noise`` the standard
    deviation of a round's logarithm.
    """
    rng = random.Random(f"{session}/{rounds}/{dual_s}/{noise}")  # noqa: S311 - a study, no secret
    made = []
    for repetition in range(1, repetitions + 1):
        rows: list[Row] = []
        for number in range(1, rounds + 1):
            alone = rng.choice((0.63, 0.63, 0.73)) * rng.lognormvariate(0, noise)
            own = dual_s * rng.lognormvariate(0, noise)
            twin = topologies[repetition % len(topologies)]
            configs = [
                scaled(rows, rng.lognormvariate(0, noise))
                for rows in _configs(alone, own, topologies)
            ]
            one_round = side_by_side(*configs, twin=twin)
            # Alone agents run in the first round only.
            rows += [
                row | {"round": number, "position": len(rows) + row["position"]}
                for row in one_round
                if row["mode"] == "concurrent" or number == 1
            ]
        made.append(
            [
                row
                | {
                    "repetition": repetition,
                    "session": session,
                    "comparison": COMPARISON,
                    "started_at": row["started_at"]
                    + timedelta(minutes=repetition, seconds=6 * row["round"]),
                    "block_s": 28.0,
                    "foreign_cores": 0.5 if repetition in disturbed else 0.02,
                    "server_memory_bytes": MEMORY[row["topology"]] * 2**20,
                }
                for row in rows
            ]
        )
    return made


def study(folder: Path, made: Sequence[Sequence[Row]] | None = None, **changes: Any) -> Path:
    """The dataset of such a study; ``changes`` as `write_dataset` has them."""
    made = blocks() if made is None else made
    ids = dict.fromkeys(row["config_id"] for rows in made for row in rows)
    asked: dict[str, Any] = {
        "study": "quick",
        "title": "Quick study: two agents on this machine",
        "phases": {"topologies": list(ids)},
    }
    return write_dataset(folder, made, **(asked | changes))


def _configs(alone: float, own: float, topologies: Sequence[str]) -> list[list[Row]]:
    """The configs of a round: an agent takes ``alone`` s on all threads, ``own`` on its half."""
    shared = {
        "serial": ((alone, alone), (alone, alone)),
        "single": ((alone, alone), (alone, 2 * alone)),
        "single_parallel": ((alone, alone), (1.92 * alone, 1.94 * alone)),
        "dual": ((0.93 * own, 0.93 * own), (own, 1.01 * own)),
    }
    configs = [block(name, *shared[name], tokens=32) for name in topologies]
    for rows in configs:
        for row in where(rows, "concurrent", "insight"):
            if row["topology"] == "single":
                # It waits for the slot until the other one is done.
                row["steps"] = [a_step(alone, alone, 32) | {"request_ns": 0}]
    return configs
