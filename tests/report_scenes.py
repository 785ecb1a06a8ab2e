"""Small datasets, and what each report of one says: one scene for every sentence and condition."""

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
from report_sentences import (
    CALIBRATED,
    COMPARED,
    GROUPED,
    NO_RATIO,
    NO_SERIAL,
    ONE_TOPOLOGY,
    OPTION,
    OVER,
    RATIO,
    RIGHT,
    STEADY,
    UNCALIBRATED,
    UNKNOWN,
)

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
# Blocks, what the study says otherwise, the sentences that are added, and those that go.
Scene = tuple[Blocks, dict[str, Any], set[str], set[str]]

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
    "a level equal": (
        [*PAIR, *rounds(3, asking())],
        {},
        {"level equal", "chance", "no config differs"},
        OPTION,
    ),
    "a level better": (
        [*PAIR, *rounds(3, scaled(asking(), 1.3))],
        {},
        {"level differs", "chance", "no config differs"},
        OPTION,
    ),
    "a level unclear": (
        [*PAIR, *unsteady(asking(), 0.3, 0.8, 2.0)],
        {},
        {"level unclear", "level detectable", "chance", "no config differs", *UNKNOWN},
        OPTION,
    ),
    "a level once": (
        [*PAIR, asking()],
        {},
        {"level unclear", "configs untested", *UNKNOWN},
        OPTION,
    ),
    "levels apart": (
        [*PAIR, changed(asking(), repetition=9)],
        {},
        {"level unknown", "configs untested", *UNKNOWN},
        OPTION,
    ),
    "layers of a CPU": (
        [
            *rounds(3, SERIAL),
            *every(rounds(3, DUAL), options_asked=json.dumps({"num_gpu": 60})),
            *rounds(3, asking(asked={"num_gpu": 80}, options_effective="{}")),
        ],
        {},
        {"not confirmed", "factors", "not reported", "num_gpu", "no config differs"},
        OPTION | {"factors applied"},
    ),
    "levels of natural work": (
        every([*PAIR, *rounds(3, asking())], work_policy="natural", work_effective="natural"),
        {},
        {"level equal", "level not fixed", "chance", "not fixed", "unlike work"}
        | {"no config differs", *NO_RATIO},
        RATIO | OPTION | {"best topology"},
    ),
    "levels of unlike answers": (
        every(
            [*PAIR, *rounds(3, longer(asking()))], work_policy="natural", work_effective="capped"
        ),
        {},
        {"level equal", "level lengths", "chance", "not fixed", "unlike work"}
        | {"no config differs", *NO_RATIO},
        RATIO | OPTION | {"best topology"},
    ),
    "better": (PAIR, {}, set(), set()),
    "a missing baseline": (
        PAIR,
        {"baselines": ["nowhere"]},
        {"baseline missing"},
        {"no baseline"},
    ),
    "a report of others": (PAIR, {"baselines": ["tr114"]}, {"baseline apart"}, {"no baseline"}),
    "two as good": (
        [*PAIR, *rounds(3, block("single", (1.0, 1.0), (1.25, 1.25)))],
        {},
        {"best topologies"},
        {"best topology"},
    ),
    "better alone, not in its family": (
        [
            *unsteady(SERIAL, 1.0, 1.0, 1.0),
            *unsteady(DUAL, 0.85, 1.0, 1.177),
            *unsteady(block("single", (1.0, 1.0), (1.25, 2.5)), 0.6, 1.0, 1.6),
        ],
        {},
        {"holm", "inconclusive", "no best topology", "hides something", *UNKNOWN},
        {"better", "best topology", "soonest", "hides", *OVER},
    ),
    "equivalent alone, not in its family": (
        [
            *rounds(3, SERIAL),
            *unsteady(scaled(DUAL, 1.6), 0.985, 1.0, 1.015),
            *unsteady(block("single", (1.0, 1.0), (1.25, 2.5)), 0.6, 1.0, 1.6),
        ],
        {},
        {"alone equivalent", "inconclusive", "no best topology", "hides something", *UNKNOWN},
        {"better", "best topology", "soonest"},
    ),
    "never in one invocation": (
        [*rounds(3, SERIAL), *every(rounds(3, DUAL), invocation="inv2")],
        {},
        {"other sessions", "too few rounds", "detectable config"},
        {"better", "best topology", "soonest", "detectable", "wait"},
    ),
    "configs differ": (
        [*PAIR, *rounds(3, scaled(asking(), 1.3)), *rounds(3, scaled(asking("dual-c", HOT), 1.8))],
        {},
        {"level differs", "chance", "configs differ"},
        OPTION,
    ),
    "without solos, from overlap": (
        ALONE,
        {},
        {"overlap", "lengths", "no group", "no serial", *ONE_TOPOLOGY},
        COMPARED | GROUPED | NO_SERIAL | OVER | {"estimator"},
    ),
    "worse": (
        rounds(3, SERIAL, scaled(DUAL, 2.0)),
        {},
        {"worse"},
        {"better"},
    ),
    "equivalent": (
        rounds(3, SERIAL, scaled(DUAL, 1.6)),
        {},
        {"equivalent", "no best topology"},
        {"better", "best topology"},
    ),
    "inconclusive": (
        [*rounds(3, SERIAL), *unsteady(DUAL, 0.3, 0.8, 2.0)],
        {},
        {"inconclusive", "hides something", "no best topology", *UNKNOWN},
        {"better", "hides", "best topology", "soonest", *OVER},
    ),
    "one repetition": (
        rounds(1, SERIAL, DUAL),
        {},
        {"single pair", "hides something", "too few rounds", "not detectable", *UNKNOWN},
        {"better", "hides", "hides nothing", "best topology", "soonest", "detectable"}
        | {*OVER, *RIGHT},
    ),
    "estimator under": (
        rounds(3, SERIAL, scaled(DUAL, 0.64)),
        {},
        {"gains", "estimator under", "list under"},
        {"hides", "better", *OVER},
    ),
    "one config": (
        rounds(3, DUAL),
        {},
        {"no group", "no serial", *ONE_TOPOLOGY},
        COMPARED | GROUPED | NO_SERIAL,
    ),
    "no reference": (
        rounds(3, block("single"), DUAL),
        {},
        {"no reference", "no serial", "controls untested", *NO_RATIO},
        RATIO | {"serial passed", "controls passed"},
    ),
    "void reference": (
        [*[no_server(rows) for rows in rounds(1, SERIAL)], *rounds(3, DUAL)],
        {},
        {
            *ONE_TOPOLOGY,
            "void reference",
            "failed attempts",
            "void configs",
            "list none",
            "serial untested",
        },
        COMPARED | NO_SERIAL | {"no failure"},
    ),
    "void topology": (
        [*rounds(3, SERIAL, DUAL), no_server(block("single"))],
        {},
        {"no pair", "failed attempts", "void configs", "list none"},
        {"no failure"},
    ),
    "a failed attempt": (
        [failed(DUAL, "insight", "solo", "oom"), *every(PAIR, attempt=2)],
        {},
        {"failed attempts"},
        {"no failure"},
    ),
    "natural work": (
        every(PAIR, work_policy="natural", work_effective="natural"),
        {},
        {"not fixed", "unlike work", *NO_RATIO},
        RATIO | {"best topology"},
    ),
    "capped work": (
        [*rounds(3, SERIAL), *every(rounds(3, DUAL), work_effective="capped")],
        {},
        {"not fixed", "unlike work", *NO_RATIO},
        RATIO | {"best topology"},
    ),
    "two workloads": (
        [
            *PAIR,
            *rounds(3, block("serial-b", workload="w2"), block("single-b", workload="w2")),
        ],
        {},
        {"more", "no config differs"},
        {"one config each"},
    ),
    "unequal threads": (
        [*rounds(3, SERIAL), *every(rounds(3, DUAL), threads=2)],
        {},
        {"unequal"},
        {"equal threads"},
    ),
    "unknown threads": (every(PAIR, threads=None), {}, set(), {"equal threads"}),
    "two machines": (
        PAIR,
        {"machines": [MACHINE, {**MACHINE, "cpu": "B"}]},
        {"machines", "machine differences"},
        set(),
    ),
    "two sessions": (
        [*PAIR, *every(PAIR, session="s2")],
        {},
        {"two sessions", "uncalibrated sessions"},
        {"one session", "uncalibrated"},
    ),
    "three sessions": (
        [*PAIR, *every(PAIR, session="s2"), *every(PAIR, session="s3")],
        {},
        {"three sessions", "uncalibrated sessions"},
        {"one session", "uncalibrated"},
    ),
    "calibrated": (
        PAIR,
        # a session that measured nothing here does not count
        {"calibrations": [calibration(), calibration("s7")]},
        CALIBRATED | {"control further off"},
        UNCALIBRATED,
    ),
    "calibrated, a tie": (
        PAIR,
        {"calibrations": [calibration(control=1.4)]},
        CALIBRATED,
        UNCALIBRATED,
    ),
    "calibrated, worse": (
        PAIR,
        {"calibrations": [calibration(control=0.5)]},
        CALIBRATED | {"control closer"},
        UNCALIBRATED,
    ),
    "calibrated elsewhere": (
        PAIR,
        {"calibrations": [calibration(machine={**CALIBRATED_MACHINE, "cpu": "B"})]},
        CALIBRATED | {"control further off", "calibrated elsewhere"},
        UNCALIBRATED,
    ),
    "two calibrations": (
        [*PAIR, *every(PAIR, session="s2")],
        {"calibrations": [calibration(), calibration("s2", stamp_us=11.0)]},
        CALIBRATED | {"control further off", "worst of sessions", "two sessions"},
        UNCALIBRATED | {"one session"},
    ),
    "one calibration of two": (
        [*PAIR, *every(PAIR, session="s0")],
        {"calibrations": [calibration("s0")]},
        CALIBRATED | {"control further off", "partly calibrated", "two sessions"},
        {"not calibrated", "one session"},
    ),
    "no client figures": (
        every(PAIR, client_cpu_s=None),
        {},
        set(),
        {"client"},
    ),
    "disturbed": (only_first(PAIR, foreign_cores=0.5), {}, {"disturbed"}, set()),
    "unseen": (every(PAIR, foreign_cores=None), {}, {"foreign unknown"}, {"foreign"}),
    "cold": (only_first(PAIR, cold=True), {}, {"cold"}, set()),
    "of unknown order": (
        every(PAIR, order=None),
        {"order": None},
        {"order unknown", "agents alone too"},
        {"agents alone", "random"},
    ),
    "a drift": (
        [
            changed(rows, started_at=START + timedelta(minutes=rows[0]["repetition"]))
            for rows in (*unsteady(SERIAL, 0.95, 1.0, 1.05), *unsteady(DUAL, 0.95, 1.0, 1.05))
        ],
        {},
        {"drifted", "hides something", *UNKNOWN},
        {"hides nothing", *RIGHT},
    ),
    "serial too noisy": (
        [*unsteady(SERIAL, 0.8, 1.2, 1.8), *rounds(3, DUAL)],
        {},
        {"serial noisy", "controls noisy", "hides something", "inconclusive", *UNKNOWN}
        | {"no best topology", "wait in a family"},
        {"serial passed", "controls passed", "hides nothing", "better", "best topology"}
        | {"soonest", *RIGHT},
    ),
    "a pair too noisy": (
        [*PAIR, *unsteady(AGAIN, 0.8, 1.2, 1.8)],
        {},
        {"pair noisy", "controls noisy", *UNKNOWN},
        {"no pairs", "controls passed"},
    ),
    "an unclear pair": (
        [*PAIR, *unsteady(AGAIN, 0.8, 1.0, 1.25)],
        {},
        {"pair unclear", *UNKNOWN},
        {"no pairs"},
    ),
    "by config": (PAIR, {"order": "by_config"}, {"by config"}, {"random"}),
    "serial failed": (
        rounds(3, scaled(SERIAL, 1.25), scaled(DUAL, 1.25)),
        {},
        {"serial failed", "control failed", "controls failed"},
        {"serial passed", "hides nothing", "controls passed", *RIGHT},
    ),
    "serial without solos": (
        rounds(3, UNLIKE, DUAL),
        {},
        {"serial untested", "list none", "controls untested"},
        NO_SERIAL,
    ),
    "a pair": ([*PAIR, *rounds(3, AGAIN)], {}, {"pair passed"}, {"no pairs"}),
    "a failed pair": (
        [*PAIR, *rounds(3, scaled(AGAIN, 1.2))],
        {},
        {"pair failed", "control failed", "controls failed"},
        {"no pairs", "controls passed"},
    ),
    "a pair once": ([*PAIR, AGAIN], {}, {"pair once", *UNKNOWN}, {"no pairs"}),
    "a pair never": (
        [*PAIR, no_server(AGAIN)],
        {},
        {"pair never", "failed attempts", "void configs", "list none"},
        {"no pairs", "no failure"},
    ),
    "not reported": (
        every(PAIR, options_asked=WORDS["asked"]),
        {},
        {"factors", "not reported", "num_gpu"},
        {"factors applied"},
    ),
    "not applied": (every(PAIR, num_ctx_effective=2048), {}, {"factors"}, {"factors applied"}),
    "nothing asked": (every(PAIR, options_asked=WORDS["nothing"]), {}, set(), {"factors applied"}),
    "ollama": (
        every(PAIR, options_asked=WORDS["asked"]),
        {"engine": "ollama"},
        {"factors", "not reported"},
        {"factors applied", "small model"},
    ),
    "one agent": (
        rounds(3, block("single", (1.0,))),
        {},
        {"no group", "no serial", "no estimator", *ONE_TOPOLOGY},
        COMPARED | GROUPED | NO_SERIAL | OVER | {"estimator", "agents alone", "skew"},
    ),
    "five agents": (
        rounds(3, block("serial", (1.0,) * 5), block("dual", (1.0,) * 5, (3.125,) * 5)),
        {},
        set(),
        set(),
    ),
    "all failed": (
        [no_server(DUAL)],
        {},
        {"nothing valid", "no group", "no serial", "failed attempts", "unknown version"}
        | {"void configs", "controls untested", "no estimator", "not detectable"},
        STEADY
        - {"one session", "random", "no pairs", "small model", "no option"}
        - {"one config each", "no baseline"}
        - UNCALIBRATED,
    ),
}
