"""Answers made by hand: what a comparison of topologies may come to."""

from dataclasses import replace
from typing import Any

from tandembench.analysis.findings import (
    Answer,
    Early,
    Estimate,
    Mode,
    Next,
    Reloads,
    Row,
    States,
    Validity,
    Verdict,
    Versus,
)
from tandembench.analysis.hardware import Basis as OfHardware
from tandembench.analysis.hardware import Evenness, Hardware, Share
from tandembench.report.said import Setting
from tandembench.report.words import sentences

SETTING = Setting(
    study="quick",
    command="snakemake --cores 1 --configfile config/quick.yaml",
    sessions=("s1",),
    engine="embedded",
    model="smollm2-135m-instruct-q4_1",
    where="2 cores",
    work="32 tokens an answer",
)


def against(name: str, value: float, low: float, high: float, verdict: Verdict) -> Versus:
    """A config against the reference "serial"; values are a ratio with its interval."""
    ratio = Estimate(value, low, high)
    return Versus(name, "serial", ratio, verdict, 0.001, 1.03, 0.01, 24, 6, 1)


def row(name: str, makespan_s: float, versus: Versus | None, **changes: Any) -> Row:
    """The row of a config that is called like its topology."""
    made = Row(
        config_id=name,
        topology=name.split("-", maxsplit=1)[0],
        options="",
        is_reference=versus is None,
        makespan_s=makespan_s,
        tokens_per_s=64 / makespan_s,
        first_token_s=(0.42, 1.07),
        memory_gib=0.16,
        stalled=0.0,
        runs=24,
        failed=0,
        against=versus,
    )
    return replace(made, **changes)


SERIAL = row("serial", 1.40, None)
SINGLE = row("single", 1.39, against("single", 1.005, 1.00, 1.01, "equivalent"))
SLOTS = row("single_parallel", 1.36, against("single_parallel", 1.03, 1.02, 1.04, "equivalent"))
DUAL = row(
    "dual",
    1.18,
    against("dual", 1.19, 1.09, 1.30, "better"),
    first_token_s=(0.74, 0.78),
    memory_gib=0.32,
)
OPEN = replace(DUAL, against=against("dual", 1.08, 0.97, 1.20, "inconclusive"))
STATES = States(
    (Mode(1.47, 0.4), Mode(1.27, 0.6)),
    ("serial", "single"),
    (Estimate(1.24, 1.22, 1.26), Estimate(1.09, 1.08, 1.11)),
)
FASTEST = Answer(
    comparison="homo-by-topology",
    phase="scenarios",
    outcome="fastest",
    basis="makespan",
    best="dual",
    rivals=(),
    reference="serial",
    adjusted_p=0.003,
    margin=0.05,
    rows=(SERIAL, SINGLE, SLOTS, DUAL),
    twin=against("twin", 1.0, 0.99, 1.01, "equivalent"),
    states=STATES,
    hardware=Hardware("equal", "threads", "embedded"),
    rounds=24,
    used=24,
    disturbed=0,
    failed=0,
    blocks=6,
    sessions=1,
    measuring_s=170.0,
    next=None,
)
INCONCLUSIVE = replace(
    FASTEST,
    outcome="inconclusive",
    best=None,
    adjusted_p=0.2,
    rows=(SERIAL, SINGLE, SLOTS, OPEN),
    twin=against("twin", 1.03, 0.92, 1.14, "inconclusive"),
    states=None,
    used=19,
    disturbed=5,
    failed=2,
    next=Next(9.0, 12, None, 0.03, "dual"),
)
BEHIND = replace(DUAL, against=against("dual", 0.90, 0.85, 0.95, "worse"))
NOTHING = {
    "rounds": 0,
    "used": 0,
    "blocks": 0,
    "measuring_s": 0.0,
    "twin": None,
    "states": None,
    "outcome": "not_measured",
    "best": None,
}


def unpaired(one: Row, runs: int = 24, failed: int = 0) -> Row:
    """The row with no ratio: of so many runs, of which none met the reference in a round."""
    lost = None if one.against is None else replace(one.against, ratio=None, verdict="inconclusive")
    return replace(one, against=lost, runs=runs, failed=failed)


def _hardware(verdict: Evenness, basis: OfHardware, engine: str, **less: Any) -> Hardware:
    """With ``less``, two configs of which one has what that says."""
    more = Share("dual", "dual", 2, ("",), 4, 2, "all", ("a", "b"))
    total = 2 if engine == "ollama" else None
    two = (more, replace(more, config_id="serial", **less), total) if less else ()
    return Hardware(verdict, basis, engine, *two)


HARDWARE = (
    _hardware("equal", "gpu", "ollama"),
    _hardware("unknown", "threads", "ollama"),
    _hardware("unknown", "threads", "openai"),
    _hardware("unequal", "threads", "ollama", threads=2),
    _hardware("unequal", "threads", "openai", threads=2),
    _hardware("unequal", "hosts", "ollama", hosts=("elsewhere",)),
    _hardware("unequal", "gpu", "ollama", gpu="none"),
    _hardware("unequal", "shared", "ollama", endpoints=("a",)),
    _hardware("unequal", "slots", "ollama", slots=2),
    _hardware("unequal", "slots", "openai", slots=2),
)
# What an answer may come to, by a name each; together they need every sentence.
ANSWERS: dict[str, Answer] = {
    "fastest": FASTEST,
    "fastest, nothing to weigh": replace(
        FASTEST, rows=(SERIAL, replace(DUAL, first_token_s=(), memory_gib=None)), sessions=3
    ),
    "fastest, more memory": replace(
        FASTEST, rows=(SERIAL, replace(DUAL, first_token_s=(0.40, 0.78)))
    ),
    "fastest, later first token": replace(FASTEST, rows=(SERIAL, replace(DUAL, memory_gib=0.16))),
    "fastest of five agents": replace(
        FASTEST,
        rows=tuple(replace(one, first_token_s=(0.4, 0.8, 1.2, 1.6, 2.0)) for one in FASTEST.rows),
    ),
    "the reference is fastest": replace(FASTEST, best="serial", rows=(SERIAL, BEHIND), states=None),
    "among": replace(FASTEST, outcome="among", rivals=("single_parallel",)),
    "beside other work": replace(FASTEST, rounds=24, used=24, disturbed=24),
    "only slower": replace(FASTEST, outcome="among", best="serial", rows=(SERIAL, SINGLE, BEHIND)),
    "equivalent": replace(FASTEST, outcome="equivalent", best=None, rows=(SERIAL, SINGLE, SLOTS)),
    "inconclusive": INCONCLUSIVE,
    "more sessions": replace(INCONCLUSIVE, next=Next(30.0, None, 3, 0.02, "dual"), used=24),
    "states apart": replace(
        INCONCLUSIVE, states=replace(STATES, ratios=(Estimate(0.9, 0.88, 0.92), STATES.ratios[1]))
    ),
    "twin better": replace(FASTEST, twin=against("twin", 1.25, 1.1, 1.4, "better")),
    "twin worse": replace(FASTEST, twin=against("twin", 0.9, 0.85, 0.94, "worse"), failed=1),
    "twin apart": replace(FASTEST, twin=replace(FASTEST.twin or SETTING, ratio=None)),
    **{f"hardware {i}": replace(FASTEST, hardware=one) for i, one in enumerate(HARDWARE)},
    "stalls": replace(FASTEST, rows=(replace(SERIAL, stalled=0.1), DUAL)),
    "no ratio": replace(INCONCLUSIVE, rows=(SERIAL, unpaired(DUAL)), next=None),
    "unpaired": replace(FASTEST, **NOTHING, rows=(SERIAL, unpaired(DUAL))),
    "left out": replace(
        FASTEST,
        validity=Validity(
            left_out={code: 2 for code in sentences()["left_out"] if code != "other"}
            | {"reset": 1},
            rounds=24,
            incomplete=3,
        ),
    ),
    "noticed": replace(FASTEST, states=None, validity=Validity(late=2, lag_s=4.0, restarts=1)),
    "reloads": replace(
        FASTEST,
        states=None,
        validity=Validity(
            restarts=1,
            split=1,
            reloads=(Reloads("single", 4, 6, each_s=0.5, run_s=0.75, wall_s=2.0),),
        ),
    ),
    "cached": replace(FASTEST, states=None, validity=Validity(cached=2, cached_share=0.8)),
    "unseen": replace(FASTEST, states=None, validity=Validity(unseen=2, executions=9)),
    "ended early": replace(FASTEST, states=None, basis="capped", early=Early(9, 32, 0.8, 0.25)),
    "shared server": replace(FASTEST, validity=Validity(shared=("dual",))),
    "failed": replace(
        FASTEST, **NOTHING, rows=(unpaired(SERIAL, 0, 4), unpaired(DUAL, 0, 4)), failed=8
    ),
    "nothing": replace(FASTEST, **NOTHING, rows=(unpaired(SERIAL, 0), unpaired(DUAL, 0))),
    **{
        f"{name} of unlike answers": replace(one, basis="rate")
        for name, one in (
            ("fastest", FASTEST),
            ("reference", replace(FASTEST, best="serial", rows=(SERIAL, BEHIND))),
            ("among", replace(FASTEST, outcome="among", rivals=("single",))),
            (
                "slower",
                replace(FASTEST, outcome="among", best="serial", rows=(SERIAL, SINGLE, BEHIND)),
            ),
            ("equivalent", replace(FASTEST, outcome="equivalent", best=None)),
            ("inconclusive", INCONCLUSIVE),
            ("open", replace(INCONCLUSIVE, rows=(SERIAL, unpaired(DUAL)))),
        )
    },
}
