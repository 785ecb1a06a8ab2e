"""Small datasets, one for every condition that a report may meet."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from raw_blocks import (
    CALIBRATED_MACHINE,
    MACHINE,
    START,
    block,
    calibration,
    failed,
    no_server,
    rounds,
    scaled,
    unsteady,
    where,
)
from studies import TOPOLOGIES, blocks

PHASES = {"phases": {"main": list(TOPOLOGIES)}}
Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
# Blocks, and what the study says otherwise.
Scene = tuple[Blocks, dict[str, Any]]

SERIAL = block("serial")
DUAL = block("dual", (1.0, 1.0), (1.25, 1.25))
AGAIN = block("dual-again", (1.0, 1.0), (1.25, 1.25))
WORDS = {"asked": json.dumps({"num_gpu": 80}), "nothing": "{}"}
PAIR = rounds(3, SERIAL, DUAL)
UNLIKE = block("serial")
where(UNLIKE, "concurrent", "insight")[0]["steps"][0]["answer_tokens"] = 17


def changed(rows: Sequence[Row], **changes: Any) -> list[Row]:
    return [row | changes for row in rows]


def every(blocks: Blocks, **changes: Any) -> list[list[Row]]:
    return [changed(rows, **changes) for rows in blocks]


def only_first(blocks: Blocks, **changes: Any) -> list[list[Row]]:
    return [changed(blocks[0], **changes), *map(list, blocks[1:])]


def asking(name: str = "dual-b", asked: Row | None = None, **changes: Any) -> list[Row]:
    """DUAL again, under other options."""
    asked = asked or {"num_ctx": 512, "temperature": 0.6}
    texts = {"options_asked": json.dumps(asked), "options_effective": json.dumps(asked)}
    rows = block(name, (1.0, 1.0), (1.25, 1.25), workload="w2", content=name)
    return changed(rows, **(texts | changes))


def longer(rows: Sequence[Row]) -> list[Row]:
    """The block with one token more in every answer, in the same time."""
    return [row | {"steps": [step | {"answer_tokens": 9} for step in row["steps"]]} for row in rows]


HOT = {"num_ctx": 512, "temperature": 1.0}


def unlike(n: int) -> list[Row]:
    """A run whose answers are too unlike those alone, at 150 tokens/s alone and 100 beside."""
    rows = block("dual", (1.0, 1.0), (1.0 + n / 10, 2.0 + n / 7), repetition=n)
    beside = 0.9 * (1.0 + n / 10) - 0.2 * (2.0 + n / 7)
    for row in where(rows, "concurrent"):
        (step,) = row["steps"]
        took = 0.7 * (step["end_ns"] - step["request_ns"]) / 1e9
        tokens = round(100 * beside + 150 * (took - beside)) + 1
        row["steps"] = [step | {"answer_tokens": tokens}]
    return rows


ALONE = [unlike(n) for n in range(1, 7)]

SCENES: dict[str, Scene] = {
    "a level equal": ([*PAIR, *rounds(3, asking())], {}),
    "a level better": ([*PAIR, *rounds(3, scaled(asking(), 1.3))], {}),
    "a level unclear": ([*PAIR, *unsteady(asking(), 0.3, 0.8, 2.0)], {}),
    "a level once": ([*PAIR, asking()], {}),
    "levels apart": ([*PAIR, changed(asking(), repetition=9)], {}),
    "layers of a CPU": (
        [
            *rounds(3, SERIAL),
            *every(rounds(3, DUAL), options_asked=json.dumps({"num_gpu": 60})),
            *rounds(3, asking(asked={"num_gpu": 80}, options_effective="{}")),
        ],
        {},
    ),
    "levels of natural work": (
        every([*PAIR, *rounds(3, asking())], work_policy="natural", work_effective="natural"),
        {},
    ),
    "levels of unlike answers": (
        every(
            [*PAIR, *rounds(3, longer(asking()))], work_policy="natural", work_effective="capped"
        ),
        {},
    ),
    "better": (PAIR, {}),
    "a missing baseline": (PAIR, {"baselines": ["nowhere"]}),
    "a report of others": (PAIR, {"baselines": ["tr114"]}),
    "two as good": ([*PAIR, *rounds(3, block("single", (1.0, 1.0), (1.25, 1.25)))], {}),
    "better alone, not in its family": (
        [
            *unsteady(SERIAL, 1.0, 1.0, 1.0),
            *unsteady(DUAL, 0.85, 1.0, 1.177),
            *unsteady(block("single", (1.0, 1.0), (1.25, 2.5)), 0.6, 1.0, 1.6),
        ],
        {},
    ),
    "equivalent alone, not in its family": (
        [
            *rounds(3, SERIAL),
            *unsteady(scaled(DUAL, 1.6), 0.985, 1.0, 1.015),
            *unsteady(block("single", (1.0, 1.0), (1.25, 2.5)), 0.6, 1.0, 1.6),
        ],
        {},
    ),
    "never in one invocation": (
        [*rounds(3, SERIAL), *every(rounds(3, DUAL), invocation="inv2")],
        {},
    ),
    "configs differ": (
        [*PAIR, *rounds(3, scaled(asking(), 1.3)), *rounds(3, scaled(asking("dual-c", HOT), 1.8))],
        {},
    ),
    "without solos, from overlap": (ALONE, {}),
    "worse": (rounds(3, SERIAL, scaled(DUAL, 2.0)), {}),
    "equivalent": (rounds(3, SERIAL, scaled(DUAL, 1.6)), {}),
    "inconclusive": ([*rounds(3, SERIAL), *unsteady(DUAL, 0.3, 0.8, 2.0)], {}),
    "one repetition": (rounds(1, SERIAL, DUAL), {}),
    "estimator under": (rounds(3, SERIAL, scaled(DUAL, 0.64)), {}),
    "one config": (rounds(3, DUAL), {}),
    "no reference": (rounds(3, block("single"), DUAL), {}),
    "void reference": ([*[no_server(rows) for rows in rounds(1, SERIAL)], *rounds(3, DUAL)], {}),
    "void topology": ([*rounds(3, SERIAL, DUAL), no_server(block("single"))], {}),
    "a failed attempt": ([failed(DUAL, "insight", "solo", "oom"), *every(PAIR, attempt=2)], {}),
    "natural work": (every(PAIR, work_policy="natural", work_effective="natural"), {}),
    "capped work": ([*rounds(3, SERIAL), *every(rounds(3, DUAL), work_effective="capped")], {}),
    "two workloads": (
        [
            *PAIR,
            *rounds(3, block("serial-b", workload="w2"), block("single-b", workload="w2")),
        ],
        {},
    ),
    "unequal threads": ([*rounds(3, SERIAL), *every(rounds(3, DUAL), threads=2)], {}),
    "unknown threads": (every(PAIR, threads=None), {}),
    "two machines": (PAIR, {"machines": [MACHINE, {**MACHINE, "cpu": "B"}]}),
    "two sessions": ([*PAIR, *every(PAIR, session="s2")], {}),
    "three sessions": ([*PAIR, *every(PAIR, session="s2"), *every(PAIR, session="s3")], {}),
    "calibrated": (PAIR, {"calibrations": [calibration(), calibration("s7")]}),
    "calibrated, a tie": (PAIR, {"calibrations": [calibration(control=1.4)]}),
    "calibrated, worse": (PAIR, {"calibrations": [calibration(control=0.5)]}),
    "calibrated elsewhere": (
        PAIR,
        {"calibrations": [calibration(machine={**CALIBRATED_MACHINE, "cpu": "B"})]},
    ),
    "two calibrations": (
        [*PAIR, *every(PAIR, session="s2")],
        {"calibrations": [calibration(), calibration("s2", stamp_us=11.0)]},
    ),
    "one calibration of two": (
        [*PAIR, *every(PAIR, session="s0")],
        {"calibrations": [calibration("s0")]},
    ),
    "no client figures": (every(PAIR, client_cpu_s=None), {}),
    "disturbed": (only_first(PAIR, foreign_cores=0.5), {}),
    "unseen": (every(PAIR, foreign_cores=None), {}),
    "cold": (only_first(PAIR, cold=True), {}),
    "of unknown order": (every(PAIR, order=None), {"order": None}),
    "a drift": (
        [
            changed(rows, started_at=START + timedelta(minutes=rows[0]["repetition"]))
            for rows in (*unsteady(SERIAL, 0.95, 1.0, 1.05), *unsteady(DUAL, 0.95, 1.0, 1.05))
        ],
        {},
    ),
    "serial too noisy": ([*unsteady(SERIAL, 0.8, 1.2, 1.8), *rounds(3, DUAL)], {}),
    "a pair too noisy": ([*PAIR, *unsteady(AGAIN, 0.8, 1.2, 1.8)], {}),
    "an unclear pair": ([*PAIR, *unsteady(AGAIN, 0.8, 1.0, 1.25)], {}),
    "by config": (PAIR, {"order": "by_config"}),
    "serial failed": (rounds(3, scaled(SERIAL, 1.25), scaled(DUAL, 1.25)), {}),
    "serial without solos": (rounds(3, UNLIKE, DUAL), {}),
    "a pair": ([*PAIR, *rounds(3, AGAIN)], {}),
    "a failed pair": ([*PAIR, *rounds(3, scaled(AGAIN, 1.2))], {}),
    "a pair once": ([*PAIR, AGAIN], {}),
    "a pair never": ([*PAIR, no_server(AGAIN)], {}),
    "not reported": (every(PAIR, options_asked=WORDS["asked"]), {}),
    "not applied": (every(PAIR, num_ctx_effective=2048), {}),
    "nothing asked": (every(PAIR, options_asked=WORDS["nothing"]), {}),
    "ollama": (every(PAIR, options_asked=WORDS["asked"]), {"engine": "ollama"}),
    "one agent": (rounds(3, block("single", (1.0,))), {}),
    "five agents": (
        rounds(3, block("serial", (1.0,) * 5), block("dual", (1.0,) * 5, (3.125,) * 5)),
        {},
    ),
    "all failed": ([no_server(DUAL)], {}),
    "no block": ([], {"phases": {"main": ["dual"]}}),
    "a study of two speeds": (blocks(), PHASES),
    "a study of three sessions": (
        [*blocks(2, 2), *blocks(2, 2, session="s2"), *blocks(2, 2, session="s3")],
        PHASES,
    ),
    "a noisy study": (blocks(2, 2, dual_s=1.25, noise=0.08, disturbed=(1,)), PHASES),
    "criteria": (blocks(4, 3), {"criteria": ["first_token", "fairness", "memory"], **PHASES}),
    "two comparisons": (
        [*blocks(2, 2), *every(blocks(2, 2), comparison="other", workload="w2")],
        PHASES,
    ),
    "a run that failed in a round": (
        [
            [
                row
                if (row["round"], row["config_id"], row["agent"]) != (2, "dual", "insight")
                else row | {"error": "oom", "detail": "it broke"}
                for row in rows
            ]
            for rows in blocks(3, 2)
        ],
        PHASES,
    ),
    "two topologies": (blocks(3, 2, topologies=("serial", "single")), PHASES),
}
