"""Do the statistics keep their promises? Studies of which the truth is known, by the thousand.

Every cell draws its studies from a fixed seed, hands them to the project's own functions, and
counts. A promise is kept if the 99 % binomial interval of the count includes or beats it.
README.md says what the cells are.
"""

import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from tandembench.stats.comparison import Observation, paired_ratio
from tandembench.stats.drift import drift_slope
from tandembench.stats.family import ratio_family
from tandembench.stats.hypotheses import Source, judge
from tandembench.stats.intervals import Interval, mean_interval
from tandembench.stats.planning import detectable_with, sessions_needed
from tandembench.stats.steady import steadiness
from tandembench.study.hypotheses import SELF, Hypothesis, Side

SEED = 114
STUDIES = 10_000
# The noise of one config's ratio to another, by session and by round; of a whole session.
BETWEEN, WITHIN, SESSION = 0.03, 0.04, 0.10
ROUNDS = 5
CONFIGS = 7
ASKED = 3
TRUE_RATIO = 1.08
PRECISION = 0.03
PILOT = 5
Random = np.random.Generator
Logs = NDArray[np.float64]


def study(
    random: Random,
    ratios: Sequence[float],
    sessions: int,
    *,
    between: float = BETWEEN,
    drift: float = 0.0,
    blocked: bool = False,
) -> list[list[Observation]]:
    """The blocks of a study: a side for each config, ``ratios`` times what a session makes of it.

    Log-normal: a config's ratio to another one has ``between`` noise a session and WITHIN a round.
    The machine drifts by ``drift`` from a session's first block to its last, over rounds in
    shuffled order or, ``blocked``, config by config.
    """
    shape = (sessions, ROUNDS, len(ratios))
    logs = np.log(ratios) + random.normal(0, SESSION, (sessions, 1, 1))
    logs = logs + random.normal(0, between / math.sqrt(2), (sessions, 1, len(ratios)))
    logs = logs + random.normal(0, WITHIN / math.sqrt(2), shape)
    logs = logs + math.log1p(drift) * places(random, shape, blocked)
    values = np.exp(logs)
    return [
        [
            Observation(float(values[session, number, config]), session, None, number)
            for session in range(sessions)
            for number in range(ROUNDS)
        ]
        for config in range(len(ratios))
    ]


def places(random: Random, shape: tuple[int, int, int], blocked: bool) -> Logs:
    """Where each block stands in its session, from 0 to 1."""
    sessions, rounds, configs = shape
    last = rounds * configs - 1
    if blocked:
        order = random.permuted(np.tile(np.arange(configs), (sessions, 1)), axis=1)
        number = order[:, None, :] * rounds + np.arange(rounds)[None, :, None]
    else:
        order = random.permuted(np.tile(np.arange(configs), (sessions, rounds, 1)), axis=2)
        number = np.arange(rounds)[None, :, None] * configs + order
    return np.asarray(number / last, dtype=np.float64)


def covers(interval: Interval | None, truth: float) -> bool:
    """Whether the truth lies within the bounds."""
    if interval is None or interval.low is None or interval.high is None:
        raise ValueError("no interval")
    return interval.low <= truth <= interval.high


def ratio_is_covered(random: Random, sessions: int) -> bool:
    """Two configs in the same sessions: the interval of their ratio holds the true one."""
    reference, subject = study(random, (1.0, TRUE_RATIO), sessions)
    return covers(paired_ratio(subject, reference).interval, TRUE_RATIO)


def unshared_ratio_is_covered(random: Random, sessions: int) -> bool:
    """Two configs of which each has sessions of its own, such as a dataset and a baseline."""
    (reference,) = study(random, (1.0,), sessions)
    (subject,) = study(random, (TRUE_RATIO,), sessions)
    apart = [one._replace(session=("later", one.session)) for one in subject]
    return covers(paired_ratio(apart, reference).interval, TRUE_RATIO)


def one_session_is_covered(random: Random, machine: bool) -> bool:
    """One session's interval holds that session's ratio; or, ``machine``, the machine's."""
    between = BETWEEN if machine else 0.0
    reference, subject = study(random, (1.0, TRUE_RATIO), 1, between=between)
    return covers(paired_ratio(subject, reference).interval, TRUE_RATIO)


def false_alarm(
    random: Random,
    sessions: int,
    *,
    between: float = BETWEEN,
    drift: float = 0.0,
    blocked: bool = False,
    alone: bool = False,
) -> bool:
    """Equal configs, each against the first: whether any is called better or worse.

    By the verdicts of the family, or, ``alone``, by each for itself. No margin, so that none can
    be called equivalent instead.
    """
    sides = study(random, (1.0,) * CONFIGS, sessions, between=between, drift=drift, blocked=blocked)
    ratios = [paired_ratio(side, sides[0]).interval for side in sides[1:]]
    judged = ratio_family(ratios, margin=0.0)
    return any((one.alone if alone else one.verdict) in ("better", "worse") for one in judged)


def false_verdict(random: Random, sessions: int, *, expected: tuple[float, float]) -> bool:
    """Hypotheses of which the truth is a bound of what is ``expected``: whether any is settled.

    Each is of another config against the first. Just outside of the bound "confirmed" is false,
    just inside of it "contradicted" is, and neither is as likely anywhere else where it is false.
    """
    truth = max(bound for bound in expected if math.isfinite(bound))
    rows = [
        (f"c{config}", one.session, one.round, one.value)
        for config, side in enumerate(study(random, (1.0, *[truth] * ASKED), sessions))
        for one in side
    ]
    runs = pd.DataFrame(rows, columns=["config_id", "session", "repetition", "antt"])
    runs = runs.assign(invocation=None, workload="same", valid=True, cold=False)
    asked = [_hypothesis(f"c{config}", *expected) for config in range(1, ASKED + 1)]
    found = judge(asked, {SELF: Source(runs)}, {one.id: "before" for one in asked})
    return any(one.verdict in ("confirmed", "contradicted") for one in found)


def _hypothesis(config: str, low: float, high: float) -> Hypothesis:
    return Hypothesis(
        id=config,
        question="Is it?",
        note=None,
        metric="antt",
        a=Side(SELF, {"config_id": config}),
        b=Side(SELF, {"config_id": "c0"}),
        constant=None,
        compare="ratio",
        low=low,
        high=high,
        expected="so",
        digest="",
    )


def printed_effect_is_found(random: Random, sessions: int) -> bool:
    """A study prints its smallest detectable ratio; the next study finds an effect of that size."""
    reference, subject = study(random, (1.0, 1.0), sessions)
    printed = paired_ratio(subject, reference).detectable
    if printed is None:
        raise ValueError("nothing printed")
    return _found(random, printed, sessions)


def known_effect_is_found(random: Random, sessions: int) -> bool:
    """The same for the ratio that a known spread allows, as `tandembench plan` prints it."""
    spread = math.sqrt(BETWEEN**2 + WITHIN**2 / ROUNDS)
    return _found(random, detectable_with(spread, sessions), sessions)


def _found(random: Random, effect: float, sessions: int) -> bool:
    reference, subject = study(random, (1.0, effect), sessions)
    interval = paired_ratio(subject, reference).interval
    return interval is not None and interval.low is not None and interval.low > 1


def planned_precision_is_kept(random: Random, cv: float, *, pilot: int = PILOT) -> bool:
    """A pilot plans the sessions; their mean is then as close to the truth as was asked for."""
    logs = _planned(random, cv, pilot)
    return abs(float(logs.mean())) <= math.log1p(PRECISION)


def planned_interval_covers(random: Random, cv: float) -> bool:
    """The report's own interval over the planned sessions holds the truth."""
    return covers(mean_interval(_planned(random, cv, PILOT).tolist()), 0.0)


def _planned(random: Random, cv: float, pilot: int) -> Logs:
    """Logarithms of the means of the sessions, all that the pilot asked for; the truth is 0."""
    sd = math.sqrt(math.log1p(cv**2))
    first = random.normal(0, sd, pilot)
    more = sessions_needed(first.tolist(), PRECISION) - pilot
    return np.concatenate([first, random.normal(0, sd, more)])


def drift_is_covered(random: Random) -> bool:
    """The slope's interval holds a drift of 10 % among seven configs in shuffled rounds."""
    (places_,) = places(random, (1, ROUNDS, CONFIGS), blocked=False)
    slope = math.log1p(0.10)
    logs = (
        random.normal(0, 0.2, CONFIGS) + slope * places_ + random.normal(0, WITHIN, places_.shape)
    )
    groups = np.tile(np.arange(CONFIGS), ROUNDS).tolist()
    return covers(drift_slope(logs.ravel().tolist(), places_.ravel().tolist(), groups), slope)


def steady_is_called_unsteady(random: Random) -> bool:
    """35 equal blocks, without a margin: whether they are called anything but flat."""
    return steadiness(random.normal(0, WITHIN, ROUNDS * CONFIGS).tolist(), 0.0).state != "flat"


@dataclass(frozen=True)
class Cell:
    """What is counted, and between which shares of the studies it must lie.

    Without ``low`` and ``high`` it is only told, beside a promise, for what would be without it.
    """

    name: str
    happens: Callable[[Random], bool]
    low: float | None = None
    high: float | None = None

    @property
    def promise(self) -> str:
        """The bar, in words."""
        if self.low is None and self.high is None:
            return "none"
        if self.low is None:
            return f"at most {100 * (self.high or 0):g} %"
        if self.high is None:
            return f"at least {100 * self.low:g} %"
        return f"{100 * self.low:g} to {100 * self.high:g} %"


def cells() -> Iterator[Cell]:
    """All cells, in the order of the table."""
    for where, is_covered in (
        ("sessions", ratio_is_covered),
        ("sessions a side", unshared_ratio_is_covered),
    ):
        for n in (3, 5, 10):
            yield Cell(f"interval covers, {n} {where}", partial(is_covered, sessions=n), 0.94, 0.97)
    covered = partial(one_session_is_covered, machine=False)
    yield Cell("interval of one session covers that session", covered, 0.94, 0.97)
    covered = partial(one_session_is_covered, machine=True)
    yield Cell("interval of one session covers the machine", covered)
    for n in (3, 5, 10):
        yield Cell(
            f"false alarm in a family, {n} sessions", partial(false_alarm, sessions=n), None, 0.05
        )
    yield Cell("the same without Holm, 5 sessions", partial(false_alarm, sessions=5, alone=True))
    drifting = partial(false_alarm, drift=0.10)
    yield Cell(
        "false alarm in a family, one session, 10 % drift, random order",
        partial(drifting, sessions=1, between=0.0),
        None,
        0.06,
    )
    yield Cell(
        "the same, one session, blocked order",
        partial(drifting, sessions=1, between=0.0, blocked=True),
    )
    yield Cell(
        "false alarm in a family, 5 sessions, 10 % drift, random order",
        partial(drifting, sessions=5),
        None,
        0.06,
    )
    yield Cell("the same, 5 sessions, blocked order", partial(drifting, sessions=5, blocked=True))
    for bound, expected in (("more", (1.0, math.inf)), ("within 5 %", (1 / 1.05, 1.05))):
        yield Cell(
            f"false verdict on three hypotheses of {bound}, 5 sessions",
            partial(false_verdict, sessions=5, expected=expected),
            None,
            0.05,
        )
    for effect, is_found in (
        ("printed effect found by the next study", printed_effect_is_found),
        ("effect by a known spread found", known_effect_is_found),
    ):
        for n in (3, 5, 10):
            yield Cell(f"{effect}, {n} sessions", partial(is_found, sessions=n), 0.77, 0.83)
    for cv in (0.02, 0.04, 0.08, 0.12):
        kept = partial(planned_precision_is_kept, cv=cv)
        yield Cell(f"planned precision of 3 % kept, cv {100 * cv:g} %", kept, 0.95)
    kept = partial(planned_precision_is_kept, cv=0.08, pilot=2)
    yield Cell("the same from a pilot of 2, cv 8 %", kept, 0.95)
    covered = partial(planned_interval_covers, cv=0.08)
    yield Cell("interval over the planned sessions covers, cv 8 %", covered)
    yield Cell("slope covers a drift of 10 %", drift_is_covered, 0.94, 0.97)
    yield Cell("steady blocks called unsteady", steady_is_called_unsteady, None, 0.05)


def counted(cell: Cell, studies: int) -> dict[str, Any]:
    """The cell's row: its share of the studies with the 99 % interval, and whether that passes."""
    random = np.random.default_rng([SEED, zlib.crc32(cell.name.encode())])
    count = sum(cell.happens(random) for _ in range(studies))
    interval = binomtest(count, studies).proportion_ci(0.99, method="exact")
    passed = None
    if cell.low is not None or cell.high is not None:
        above = cell.low is None or interval.high >= cell.low
        passed = above and (cell.high is None or interval.low <= cell.high)
    return {
        "cell": cell.name,
        "promise": cell.promise,
        "studies": studies,
        "count": count,
        "share": count / studies,
        "low": float(interval.low),
        "high": float(interval.high),
        "passed": passed,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    words = {True: "pass", False: "**fail**", None: "told only"}
    lines = ["| of the studies | promise | found | 99 % interval | |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['cell']} | {row['promise']} | {100 * row['share']:.2f} %"
        f" | {100 * row['low']:.2f} to {100 * row['high']:.2f} % | {words[row['passed']]} |"
        for row in rows
    ]
    return "\n".join(lines)


@click.command()
@click.option("--studies", default=STUDIES, show_default=True, help="Simulated studies a cell.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text")
def main(studies: int, style: str) -> None:
    """Count how often the project's statistics are right; exit code 1 if a promise is broken."""
    rows = []
    for cell in cells():
        click.echo(cell.name, err=True)
        rows.append(counted(cell, studies))
    click.echo(json.dumps(rows, indent=2) if style == "json" else table(rows))
    if any(row["passed"] is False for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
