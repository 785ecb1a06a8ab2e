"""Dataset -> report: each sentence under its condition, every number from the tables."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from raw_blocks import (
    CALIBRATED_MACHINE,
    MACHINE,
    block,
    calibration,
    failed,
    no_server,
    rounds,
    scaled,
    where,
    write_dataset,
)
from report_tables import cells, geometric, percentage, t_interval, table, tables

from tandembench.dataset.load import load_dataset
from tandembench.report.context import report_context
from tandembench.report.render import harmless, interval, number, percent, render, slug
from tandembench.report.write import write_report
from tandembench.stats.intervals import Interval

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
Scene = tuple[Blocks, dict[str, Any], set[str], set[str]]


def report(folder: Path, blocks: Blocks, **study: Any) -> str:
    return render(report_context(load_dataset(write_dataset(folder, blocks, **study))))


def unsteady(rows: Sequence[Row], *factors: float) -> list[list[Row]]:
    return [
        [row | {"repetition": n} for row in scaled(rows, factor)]
        for n, factor in enumerate(factors, start=1)
    ]


SERIAL = block("serial")
DUAL = block("dual", (1.0, 1.0), (1.25, 1.25))
AGAIN = block("dual-again", (1.0, 1.0), (1.25, 1.25))

# What each sentence is known by.
SENTENCES = {
    "control failed": r"\*\*A control failed\*\*",
    "better": r"finishes the same work \*\*1\.60 times as fast\*\*",
    "worse": r"is \*\*slower\*\* than",
    "equivalent": r"makes \*\*no difference that matters\*\*.* within the margin of 5 %",
    "inconclusive": r"\*\*inconclusive\*\*, makespan_ratio .*so few show only",
    "single pair": r"from a single pair, which has no interval",
    "no pair": r"since no round holds a valid block of both",
    "legend": r"^makespan_ratio: wall time of",
    "equal threads": r"on the same number of compute threads",
    "more": r" 1 more comparison: \[section 6\]\(#6-",
    "holm": r"\*\*inconclusive\*\* as one of \d comparisons \(Holm: p ",
    "other sessions": r"\*\*inconclusive\*\*, since no invocation measured both",
    "wait": r"First token: \d.* times as long \(\*\*",
    "best topology": r"^\*\*Which topology\?\*\* For throughput \*\*`\w+` is the fastest\*\*; ",
    "best topologies": r"^\*\*Which topology\?\*\* For throughput \*\*`\w+` or `\w+`\*\*",
    "no best topology": r"^\*\*Which topology.*For throughput \*\*no evidence for a difference",
    "too few rounds": r"^\*\*Which topology\?\*\* For throughput \*\*cannot be told\*\*",
    "unlike work": r"^\*\*Which topology\?\*\* \*\*Cannot be told\*\* at equal work, which was not",
    "soonest": r"For the first token \*\*`\w+` is the soonest\*\*",
    "nothing valid": r"\*\*Nothing could be measured\*\*",
    "one topology": r"^\*\*Which topology\?\*\* \*\*Cannot be told\*\*: no two topologies",
    "no ratio": r"^makespan_ratio is missing: it needs a valid `serial` block",
    "estimator": r"^- \*\*TR114's estimator\*\*: Of \d+ configs?, it",
    "no estimator": r"^- \*\*TR114's estimator\*\*: \*\*Cannot be told\*\*",
    "lengths": r"^- \*\*TR114's estimator\*\*: In `dual` \*\*it has measured answer lengths",
    "overlap": r"^- \*\*From overlap\*\*: two that decode at once make \d",
    "configs differ": r"^- \*\*Configs\*\*: \*\*Configs differ\*\* in \d of \d tests",
    "no config differs": r"^- \*\*Configs\*\*: \*\*No config differs\*\*: p .*\*\*no best is",
    "configs untested": r"^- \*\*Configs\*\*: \*\*Cannot be told\*\*: no two rounds hold all",
    "one config each": r"^- \*\*Configs\*\*: \*\*Nothing to tell apart\*\*",
    "baseline missing": r"^- \*\*Comparable with\*\*: \*\*nothing\*\*: not there: nowhere \(",
    "baseline apart": r"^- \*\*Comparable with\*\*: \*\*not comparable\*\* with tr114.*: ano",
    "no baseline": r"^- \*\*Comparable with\*\*: \*\*nothing\*\*: the study names no baseline",
    "controls passed": r"^- \*\*Controls\*\*: \d passed, none failed",
    "controls failed": r"^- \*\*Controls\*\*: \*\*\d failed\*\*",
    "controls untested": r"^- \*\*Controls\*\*: \*\*none could be tested\*\*",
    "detectable": r"^- \*\*Smallest change .*: a makespan_ratio of \d.* below\.$",
    "detectable config": r"^- \*\*Smallest change .*: a difference of \d.* between two configs",
    "not detectable": r"^- \*\*Smallest change .*: not known: that needs",
    "estimator over": r"\*\*overstates the gain in \d",
    "estimator under": r"\*\*understates it in \d",
    "estimator right": r"is right within 5 % in \d",
    "estimator unknown": r"cannot be told right or wrong in \d",
    "machines": r"from \d+ different machines\*\* \(\[section 4\]",
    "failed attempts": r"\*\*\d+ of \d+ attempts failed\*\*",
    "disturbed": r"\*\*\d+ of \d+ blocks were disturbed\*\*",
    "cold": r"\*\*\d+ of \d+ runs were cold\*\*",
    "one session": r"describe this one session, not the machine",
    "two sessions": r"describe these two sessions, not the machine",
    "three sessions": r"rest on the means of 3 sessions",
    "not calibrated": r"^- \*\*Instrument error\*\*: not calibrated\.$",
    "instrument error": r"^- \*\*Instrument error\*\*: a token's arrival 20 us median, 61 us p99 "
    r"\(n = 720\), time to first token 31 us median \(n = 36\), at a load average of 0\.1",
    "worst of sessions": r", in the worst of 2 sessions\.$",
    "partly calibrated": r"; \*\*not calibrated in 1 of 2 sessions\*\*\.$",
    "calibration": r"^\| arrival of a token \| 20\.4 / 61\.2 \(720\) \| [\d.]+ / [\d.]+ \(720\)",
    "control further off": r"^Plain httpx was 10\.0 times as far off",
    "control closer": r"^\*\*The instrument was further off than plain httpx\*\* .*: 2\.0 times",
    "uncalibrated": r"^\*\*Not calibrated\*\*: session s1\. How far its times",
    "uncalibrated sessions": r"^\*\*Not calibrated\*\*: sessions s1, s2.*\. How far their times",
    "calibrated elsewhere": r"^\*\*Calibrated on another machine\*\* than .*: session s1\.$",
    "client": r"^The client itself used \d\.\d\d % .*, \d\.\d\d % at most \(n = \d+\)",
    "skew": r"^Agents that start together .* 0 us apart in the median run, 0 us at most \(n = \d",
    "agents alone": r"Each block measures every agent alone and all of them at once",
    "random": r"Blocks ran in seeded random rounds\.",
    "by config": r"Blocks ran config by config",
    "machine differences": r"machines\*\*: differences between configs may be",
    "unknown version": r"^\| embedded \| not known \|$",
    "tokens": r"^Prompts had",
    "no group": r"^No two topologies were to do the same work",
    "hides": r"It cannot see that the agents took \d.* times as long as alone; against",
    "gains": r"It cannot see that the agents took only \d",
    "hides nothing": r"hides nothing that matters",
    "hides something": r"What it hides cannot be told from \d block",
    "not fixed": r"valid runs did not do fixed work and have no makespan_ratio",
    "no reference": r"There is no `serial` config with this work",
    "void reference": r"No `serial` block with this work is valid",
    "unequal": r"^\*\*Unequal hardware\*\*",
    "legend of topologies": r"^Makespan and ratios are geometric means",
    "list over": r"^- \*\*overstates the gain\*\*: `",
    "list under": r"^- \*\*understates the gain\*\* \(.*\): `",
    "list right": r"^- \*\*right\*\* within the margin of 5 %: `",
    "list unknown": r"^- \*\*cannot be told\*\* from these blocks: `",
    "list none": r"^- \*\*nothing to compare with\*\*",
    "no option": r"^No option was varied with all else equal\.",
    "level equal": r"^speedup_true shows \*\*no difference that matters\*\* from the lowest level",
    "level differs": r"^speedup_true \*\*differs\*\* between levels\. Against that at 0\.6 it is",
    "level unclear": r"^Whether speedup_true differs between levels is \*\*inconclusive\*\*",
    "level detectable": r"times at .* \(inconclusive, n = \d; so few show only \d",
    "level unknown": r"^Whether the levels differ in speedup_true is not known",
    "not confirmed": r"^\*\*No effect is estimated\*\*",
    "level lengths": r"^The work was not fixed: answers differ in length \(\d+ to \d+ tokens\), so",
    "level not fixed": r"^The work was not fixed, so wall times are left out",
    "chance": r"^\d comparisons? of levels stands? here: of levels that do not differ",
    "serial passed": r"can gain nothing: .*Passed \(0\.9 to 1\.1\)",
    "serial failed": r"can gain nothing: .*\*\*Failed\*\*",
    "serial untested": r"^- No `serial` block has a speedup_true",
    "no serial": r"^- No `serial` config was measured",
    "pair passed": r"are the same config twice: .*n = \d+\. Passed\.",
    "pair failed": r"are the same config twice: .*\*\*Failed\*\*",
    "pair once": r"are the same config twice: .* from a single pair: not tested",
    "pair never": r"are the same config twice, but no round holds a valid block of both",
    "no pairs": r"^- No config was measured twice",
    "foreign": r"^- Other processes used \d",
    "foreign unknown": r"^- What other processes used is not known",
    "factors": r"^Settings that a server applied otherwise than asked",
    "not reported": r"\| not reported by the server \|",
    "factors applied": r"^Every setting that was asked for is reported",
    "no failure": r"^No attempt failed\.",
    "void configs": r"^Without any valid block",
    "small model": r"^- The embedded engine computes on the CPU",
    "num_gpu": r"^- `num_gpu` does nothing in the embedded engine",
}
# Scene 1 and what it says; every other scene says what it adds and what it takes away.
STEADY = {"better", "legend", "equal threads", "estimator over", "one session", "agents alone"}
STEADY |= {"random", "tokens", "hides", "legend of topologies", "list over", "serial passed"}
STEADY |= {"estimator right", "hides nothing", "list right", "no pairs", "foreign", "no failure"}
STEADY |= {"factors applied", "small model", "estimator", "no option"}
STEADY |= {"not calibrated", "uncalibrated", "client", "skew"}
STEADY |= {"best topology", "soonest", "wait", "one config each", "no baseline"}
STEADY |= {"controls passed", "detectable"}
CALIBRATED = {"instrument error", "calibration"}
UNCALIBRATED = {"not calibrated", "uncalibrated"}
# What goes when nothing can be compared: one config, or no reference.
RATIO = {"better", "legend", "equal threads", "wait", "detectable"}
COMPARED = RATIO | {"best topology", "soonest"}
GROUPED = {"legend of topologies", "hides", "hides nothing"}
RIGHT = {"estimator right", "list right"}
OVER = {"estimator over", "list over"}
UNKNOWN = {"estimator unknown", "list unknown"}
NO_SERIAL = {"serial passed", "hides nothing", "controls passed", *RIGHT}
ONE_TOPOLOGY = {"one topology", "detectable config", "controls untested"}
NO_RATIO = {"no ratio", "detectable config"}
OPTION = {"no option", "one config each"}
WORDS = {"asked": json.dumps({"num_gpu": 80}), "nothing": "{}"}
PAIR = rounds(3, SERIAL, DUAL)
UNLIKE = block("serial")
where(UNLIKE, "concurrent", "insight")[0]["steps"][0]["answer_tokens"] = 17


# What the ten answers are made of: each of these words stands behind a verdict.
VERDICT = (
    r"[Cc]annot be told|inconclusive|is the fastest|is the soonest|no evidence|not measured"
    r"|one alone|slower|faster|no slowdown|fair\b|overstates|is right within|answer lengths"
    r"|costs|helps|passed|failed|could be tested|makes a difference|no difference|not known"
    r"|no effect|No topologies to compare|[Nn]othing|more sessions?\*\*|sessions? first|` or `"
    r"|not comparable|understates|is the highest|differ"
)


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


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        name: report(tmp_path_factory.mktemp("scene"), blocks, **study)
        for name, (blocks, study, _, _) in SCENES.items()
    }


def said(text: str) -> set[str]:
    return {name for name, mark in SENTENCES.items() if re.search(mark, text, re.MULTILINE)}


@pytest.mark.parametrize("name", SCENES)
def test_a_sentence_stands_exactly_under_its_condition(reports: dict[str, str], name: str) -> None:
    _, _, added, taken = SCENES[name]
    assert not added & STEADY
    assert taken <= STEADY
    assert said(reports[name]) == STEADY - taken | added


def test_every_sentence_is_said_somewhere_and_not_everywhere(reports: dict[str, str]) -> None:
    found = [said(text) for text in reports.values()]
    assert set.union(*found) == set(SENTENCES)
    assert set.intersection(*found) == set()


@pytest.mark.parametrize("name", SCENES)
def test_every_report_is_tidy(reports: dict[str, str], name: str) -> None:
    text = reports[name]
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    assert not re.search(r"[ \t]$", text, re.MULTILINE)
    assert not re.search(r"\b(None|nan|NaN|NaT|inf|Undefined)\b", text)
    body = text.split("\n## 20.")[0]
    assert not re.search(r"\.\d{4,}", body), "an unrounded number"
    assert not re.search(r"\b1 (configs|blocks|comparisons)\b", text)
    assert not re.search(r"\b(?!1\b)\d+ (config|block|valid block|comparison)\b", text)
    assert not re.search(r"\bsession s1, |\bsessions s1\.", text)
    assert not re.search(r"^- .*\n\n- ", text, re.MULTILINE), "a list with a gap"
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"^- .*\n(?!- |\n|$)", prose, re.MULTILINE), "a list that runs on"
    assert not re.search(r"`\s?`|` `", prose), "a list of names without commas"
    words = re.sub(r"`[^`\n]+`", "code", prose)
    assert not re.search(r"  |\( | \)| [,.;:]|[:;,] ?[.;,]|\.\.", words), "a gap in a sentence"
    sections = re.findall(r"^## (\d+)\.", text, re.MULTILINE)
    assert sections == [str(number) for number in range(1, 21)]
    for heading in re.finditer(r"^## .*\n\n(.*)", text, re.MULTILINE):
        assert not heading[1].startswith("## "), f"an empty section: {heading[0]}"
    for header, rows in tables(text):
        assert {len(row) for row in rows} <= {len(cells(header))}


@pytest.mark.parametrize("name", SCENES)
def test_the_first_screen_answers(reports: dict[str, str], name: str) -> None:
    screen = reports[name].split("## 1.")[0]
    lines = [line for line in screen.splitlines() if line]
    assert lines[0] == "# A test study"
    assert len(screen.splitlines()) <= 40
    assert not table(screen, "|")
    assert lines[1].startswith(("**Which topology?**", "**A control failed**", "**Nothing could"))
    told = [re.match(r"- \*\*(.*?)\*\*: \S", line) for line in lines[-6:]]
    wanted = ["Configs", "Comparable with", "Controls", "Smallest change that would show"]
    assert [found and found[1] for found in told][:3] == wanted[:3]
    assert lines[-3].startswith(f"- **{wanted[3]}** (with a chance of 80 %): ")
    assert re.search(r"^- \*\*Instrument error\*\*: (not calibrated|a token's .*)\.$", lines[-2])
    assert lines[-1].startswith("- **How far to trust this**: ")


def ten(text: str) -> list[tuple[str, str, str]]:
    """(question, anchor, answer) of the summary."""
    summary = text.split("## 1. ")[1].split("\n## 2.", maxsplit=1)[0]
    return re.findall(r"^\d+\. \*\*\[(.*?)\]\(#(.*?)\)\*\* (.*)$", summary, re.MULTILINE)


def parts(text: str) -> dict[str, str]:
    """What stands under each heading, with its sub-headings, by the id that GitHub gives it."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    found: dict[str, str] = {}
    heads = list(re.finditer(r"^(#{2,3}) (.*)$", prose, re.MULTILINE))
    for n, head in enumerate(heads):
        same = (one.start() for one in heads[n + 1 :] if len(one[1]) <= len(head[1]))
        found.setdefault(slug(head[2]), prose[head.end() : next(same, len(prose))])
    return found


@pytest.mark.parametrize("name", SCENES)
def test_ten_questions_lead_to_sections_that_hold_a_verdict(
    reports: dict[str, str], name: str
) -> None:
    sections = parts(reports[name])
    questions = ten(reports[name])
    assert len(questions) == 10
    assert len({anchor for _, anchor, _ in questions}) == 10
    for question, anchor, answer in questions:
        screen = sections[anchor].splitlines()[:40]
        said = [line for line in screen if re.match(r"[^|#!*].*|\*\*[^*]", line)]
        assert said, f"{question}: the section says nothing on its first screen"
        assert answer.endswith("."), question
        assert len(answer) < 600, question
        assert re.search(VERDICT, answer), (question, answer)
        assert re.search(VERDICT, " ".join(said)), (question, said)


def test_the_readme_lists_the_same_ten_questions(reports: dict[str, str]) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    asked = [question for question, _, _ in ten(reports["better"])]
    listed = re.findall(r"^\d+\. (.*\?)", readme, re.MULTILINE)
    assert listed == asked


def test_every_link_inside_the_report_leads_somewhere(reports: dict[str, str]) -> None:
    for text in reports.values():
        anchors = set(parts(text))
        targets = re.findall(r"\]\(#(.*?)\)", text)
        assert len(targets) > 10
        assert set(targets) <= anchors


def test_a_dataset_without_a_block_says_so(tmp_path: Path) -> None:
    text = report(tmp_path, [], phases={"main": ["dual"]})
    assert "\nNothing has been measured.\n" in text
    assert "| dual | 0 | missing |" in text
    assert text.split("## 1.")[0].splitlines()[-2] == (
        "- **How far to trust this**: there is nothing to trust."
    )
    nothing = {"no group", "no serial", "no pairs", "small model", "no option", "one config each"}
    nothing |= {"not calibrated", "no estimator", "no baseline", "controls untested"}
    assert not said(text) - nothing - {"not detectable"}
    assert "How wrong can the instrument be?" not in text
    assert "0 configs" not in text


def test_what_is_not_known_is_missing(tmp_path: Path) -> None:
    text = report(tmp_path, [*rounds(2, SERIAL), no_server(DUAL)])
    cells = {row[1]: row for row in table(text, "| topology | config |")}
    assert cells["dual"] == ["dual", "dual", "0"] + ["missing"] * 6
    assert table(text, "| config | n |")[1] == ["dual", "0"] + ["missing"] * 5
    for header in ("| config | speedup_true |", "| config | imbalance |", "| config | unequal"):
        row = table(text, header)[1]
        assert row == ["dual"] + ["missing"] * (len(row) - 1)
    servers = {row[0]: row for row in table(text, "| topology | agents |")}
    assert servers["dual"] == ["dual", "2"] + ["not reported"] * 4


def test_configs_of_one_topology_are_named(tmp_path: Path) -> None:
    other = block("dual-b", (1.0, 1.0), (1.25, 1.25), content="other servers")
    text = report(tmp_path, [*PAIR, *rounds(3, other)])
    assert "- **One server per agent** (`dual`, `dual`) finishes" in text
    assert "- **One server per agent** (`dual`, `dual-b`) finishes" in text
    assert "**overstates the gain**: `dual` 2.00 for 1.60, `dual-b` 2.00 for 1.60\n" in text


def test_a_topology_is_told_once_in_the_headline(reports: dict[str, str]) -> None:
    screen = reports["a pair"].split("## 1.")[0]
    assert screen.count("- **One server") == 1
    assert "- **One server per agent** (`dual`) finishes" in screen
    assert "`dual-again`" not in screen
    sentences = reports["a pair"].split("\n## 6.")[1].split("\n## 7.")[0]
    assert sentences.count("- One server per agent") == 1


def test_configs_without_a_valid_block_are_named(tmp_path: Path) -> None:
    text = report(tmp_path, [no_server(DUAL), no_server(SERIAL), block("single")])
    assert "\nWithout any valid block: `dual` and `serial`.\n" in text
    assert "answers too unlike those alone): `dual` and `serial`\n" in text


def test_more_comparisons_are_counted(tmp_path: Path) -> None:
    more = [block(f"{t}-{w}", workload=w) for w in ("w2", "w3") for t in ("serial", "dual")]
    assert " 2 more comparisons: [section 6](#6-" in report(tmp_path, [*PAIR, *rounds(3, *more)])


def test_a_ratio_of_fewer_rounds_says_how_many(tmp_path: Path) -> None:
    blocks = [*rounds(2, SERIAL), *rounds(3, DUAL)]
    rows = table(report(tmp_path, blocks), "| topology | config |")
    assert [row[4] for row in rows] == ["reference", "1.60 [1.60, 1.60] (n = 2)"]


def test_sessions_are_counted_in_the_headline(reports: dict[str, str]) -> None:
    assert "n = 9 in 3 sessions." in reports["three sessions"]
    assert "n = 6." in reports["two sessions"]


def test_failures_are_listed(tmp_path: Path) -> None:
    lost = failed(changed(DUAL, repetition=2), "insight", "solo", "oom")
    text = report(tmp_path, [*rounds(1, SERIAL, DUAL), lost])
    assert table(text, "| config | session |") == [["dual", "s1", "2", "1", "insight solo: oom"]]


def test_a_report_is_the_same_every_time(tmp_path: Path) -> None:
    texts = []
    for name in ("a", "b"):
        blocks = [*PAIR, *rounds(2, AGAIN), no_server(block("single"))]
        write_report(write_dataset(tmp_path / name, blocks), tmp_path / f"{name}.md")
        texts.append((tmp_path / f"{name}.md").read_bytes())
    assert texts[0] == texts[1]


def test_blocks_in_another_order_make_the_same_headline(tmp_path: Path) -> None:
    blocks = [*rounds(3, SERIAL), *unsteady(DUAL, 1.0, 1.1, 1.3), *rounds(3, AGAIN)]
    phases = {"main": ["serial", "dual", "dual-again"]}
    first = report(tmp_path / "a", blocks, phases=phases)
    second = report(tmp_path / "b", blocks[::-1], phases=phases)
    assert first.split("## 1.")[0] == second.split("## 1.")[0]


# The numbers


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("numbers")
    blocks = [
        *unsteady(SERIAL, 1.0, 0.98, 1.03),
        *unsteady(block("dual", (1.0, 0.7), (1.3, 1.2), tokens=(8, 12)), 1.0, 1.1, 0.95),
        *unsteady(block("single", (0.9, 0.8), (1.5, 1.6), steps=2, between_s=0.05), 1.0, 1.2, 1.05),
        *unsteady(AGAIN, 1.02, 1.07, 0.97),
        failed(changed(DUAL, repetition=4), "insight", "solo", "oom"),
    ]
    dataset = write_dataset(folder, blocks)
    text = render(report_context(load_dataset(dataset)))
    tables = (pd.read_parquet(dataset / f"{name}.parquet") for name in ("runs", "executions"))
    return text, *tables  # type: ignore[return-value]


def test_the_numbers_of_topologies_are_those_of_the_tables(
    measured: tuple[str, pd.DataFrame, pd.DataFrame],
) -> None:
    text, runs, executions = measured
    rows = table(text, "| topology | config |")
    assert [row[1] for row in rows] == ["serial", "single", "dual", "dual-again"]
    for topology, config_id, n, wall, ratio, rate, first, estimate, true in rows:
        own = runs[runs["valid"] & (runs["config_id"] == config_id)]
        shared = executions[
            executions["valid"]
            & (executions["config_id"] == config_id)
            & (executions["mode"] == "concurrent")
        ]
        assert (topology, n) == (own["topology"].iloc[0], "3")
        assert wall == geometric(own["wall_s"])
        serial = runs[runs["config_id"] == "serial"].set_index("repetition")["wall_s"]
        ratios = serial / own.set_index("repetition")["wall_s"]
        expected = "reference" if topology == "serial" else t_interval(np.log(ratios.dropna()))
        assert ratio == expected
        assert rate == f"{(own['answer_tokens'] / own['wall_s']).mean():.1f}"
        assert first == f"{shared['ttft_s'].mean():.2f}"
        spent = shared.groupby("repetition")["duration_s"].sum()
        alone = shared.groupby("repetition")["solo_s"].sum()
        wall_s = own.set_index("repetition")["wall_s"]
        assert estimate == geometric(spent / wall_s)
        assert true == t_interval(np.log(alone / wall_s))


def test_the_numbers_of_phases_are_those_of_the_tables(
    measured: tuple[str, pd.DataFrame, pd.DataFrame],
) -> None:
    text, runs, _ = measured
    own = dict(iter(runs[runs["valid"]].groupby("config_id")))
    rows = table(text, "| config | n |")
    assert [row[0] for row in rows] == ["serial", "dual", "single", "dual-again"]
    for config_id, n, speedup, efficiency, peak, ttft, rule in rows:
        group = own[config_id]
        assert (n, ttft) == ("3", "0/3")
        assert speedup == f"{group['speedup_estimate'].mean():.2f}"
        assert efficiency == percentage(group["efficiency_estimate"])
        assert peak == f"{100 * group['efficiency_estimate'].max():.1f} %"
        assert rule == f"{(group['speedup_estimate'] < 1.5).sum()}/3"
    for config_id, speedup, efficiency, slowdown, worst, contended, basis in table(
        text, "| config | speedup_true |"
    ):
        group = own[config_id]
        assert speedup == t_interval(np.log(group["speedup_true"]))
        assert efficiency == percentage(group["efficiency_true"])
        assert slowdown == t_interval(group["slowdown_log_mean"])
        assert worst == f"{group['slowdown_max'].max():.2f}"
        assert contended == ("yes" if config_id != "serial" else "not shown")
        assert basis == "paired"
    for config_id, *found in table(text, "| config | imbalance |"):
        parts = [f"imbalance_{part}" for part in ("loss", "token", "rate", "first_token", "rest")]
        parts += ["sequencing_loss", "orchestration_loss"]
        assert found == [percentage(own[config_id][part], 2) for part in parts]
    for config_id, *found in table(text, "| config | unequal work |"):
        parts = ["work_imbalance", "sequencing_loss", "contention", "orchestration_true"]
        assert found == [percentage(own[config_id][part], 2) for part in parts]
        loss = 100 * (1 - own[config_id]["efficiency_true"].mean())
        assert sum(float(cell[:-2]) for cell in found) == pytest.approx(loss, abs=0.03)


def test_the_numbers_of_sentences_are_those_of_the_tables(
    measured: tuple[str, pd.DataFrame, pd.DataFrame],
) -> None:
    text, runs, executions = measured
    pivot = runs.pivot_table(index="repetition", columns="config_id", values="wall_s")
    ratio = t_interval(np.log((pivot["dual"] / pivot["dual-again"]).dropna()))
    assert f"are the same config twice: ratio of wall times {ratio}," in text
    serial = runs[runs["config_id"] == "serial"]
    assert f"speedup_true {t_interval(np.log(serial['speedup_true']))}." in text
    for config_id in ("dual", "single", "dual-again"):
        shared = executions[
            (executions["config_id"] == config_id) & (executions["mode"] == "concurrent")
        ]
        spent, alone = (
            shared.groupby("repetition")[name].sum() for name in ("duration_s", "solo_s")
        )
        times = t_interval(np.log((spent / alone).dropna()))
        expected = f"the agents took {times} times as long as alone"
        assert (expected in text) is (config_id != "dual-again")
        own = runs[runs["valid"] & (runs["config_id"] == config_id)]
        pair = f"{geometric(own['speedup_estimate'])} for {geometric(own['speedup_true'])}"
        assert f"`{config_id}` {pair}" in text


# Foreign text: test_hostile.py has more


def test_a_title_keeps_its_words(tmp_path: Path) -> None:
    text = report(tmp_path, PAIR, title="50 % & more: a_b, x_, #1 | (50.5) `c`")
    first = text.splitlines()[0]
    assert first == r"# 50 % \& more: a_b, x\_, \#1 \| (50.5) \`c\`"
    assert re.sub(r"\\(.)", r"\1", first) == "# 50 % & more: a_b, x_, #1 | (50.5) `c`"


# The filters


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1.005, 2, "1.00"),
        (2.0, 0, "2"),
        (-0.001, 2, "0.00"),
        (-0.006, 2, "-0.01"),
        (None, 2, "missing"),
        (float("nan"), 2, "missing"),
    ],
)
def test_numbers(value: float | None, digits: int, text: str) -> None:
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.1234, 1, "12.3 %"), (0.05, None, "5 %"), (0.025, None, "2.5 %"), (None, 1, "missing")],
)
def test_percentages(value: float | None, digits: int | None, text: str) -> None:
    assert percent(value, digits) == text


def test_intervals() -> None:
    assert interval(Interval(1.234, 1.1, 1.3, 3)) == "1.23 [1.10, 1.30]"
    assert interval(Interval(1.234, None, None, 1)) == "1.23"
    assert interval(None) == "missing"


def test_harmless_text_is_left_alone() -> None:
    plain = "Linux 6.1.0-x86_64, 3.11.7 (AMD EPYC) + 2/3 = 50 %"
    assert harmless(plain) == plain
    assert harmless(None) == "missing"
    assert harmless(None, "not reported") == "not reported"
    assert harmless(3) == "3"
