"""What simulations.py counts: in each cell an event, the studies that may show it, and its bar."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
import first_version
import numpy as np
from other_promises import hypothesis_is_misjudged, slope_is_covered, steady_is_called_unsteady
from sittings import (
    ATTACHED,
    REFERENCE,
    SHARED_CORES,
    SIDES,
    Machine,
    Measured,
    Noise,
    Random,
    read_noise,
    replayed,
    study,
)

from tandembench.analysis.compare import Compared, compare
from tandembench.analysis.findings import Versus
from tandembench.analysis.levels import Side

MARGIN = 0.05
ROUNDS = 4
BLOCKS = 6
EQUAL: Mapping[str, float] = dict.fromkeys(SIDES, 1.0)
FASTER = {**EQUAL, "dual": 1.20}
LIKE, UNLIKE = "single_parallel", "dual"
RUNNING = {name: Side(f"http://{name}", (), started=False) for name in SIDES}
SHARED_DATA = "TANDEMBENCH_SHARED_DATA"
NOISE = "noise/{}-2026-11-27.csv"
Draw = Callable[[Random], Measured]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one study showed: whether it happened, and under the first version's rules.

    ``half`` are half widths of the logarithm's interval; None where there is none to speak of.
    """

    happens: bool
    half: float | None = None
    first_version: bool | None = None
    first_half: float | None = None


def compared(measured: Measured) -> Compared:
    """A study as the answer has it: quiet rounds where they are enough, by the project's engine."""
    return compare(measured.table.undisturbed(), REFERENCE, MARGIN, measured.sides)


def half_width(versus: Versus) -> float:
    """Half of the interval of a ratio's logarithm."""
    if versus.ratio is None or versus.ratio.low is None or versus.ratio.high is None:
        raise ValueError("no interval")
    return math.log(versus.ratio.high / versus.ratio.low) / 2


def first_interval(measured: Measured, subject: str) -> tuple[float, float]:
    """Mean and half width of the log ratio by the first version, which counted every round."""
    logs = measured.table.logs[subject] - measured.table.logs[REFERENCE]
    return first_version.interval(logs.tolist(), measured.table.sessions)


def interval_covers(random: Random, draw: Draw, subject: str, *, anywhere: bool) -> Seen:
    """The interval of ``subject`` holds the truth: of these sessions, or of all there could be."""
    measured = draw(random)
    truth = (measured.anywhere if anywhere else measured.here)[subject]
    (versus,) = [one for one in compared(measured).against if one.subject == subject]
    half = half_width(versus)
    if versus.ratio is None:
        raise ValueError("no ratio")
    mean, first_half = first_interval(measured, subject)
    return Seen(
        abs(math.log(versus.ratio.value) - truth) <= half,
        half,
        abs(mean - truth) <= first_half,
        first_half,
    )


def any_is_named(random: Random, draw: Draw) -> Seen:
    """The primary question says that some config differs."""
    measured = draw(random)
    return Seen(
        compared(measured).best is not None, first_version=_first_best(measured) is not None
    )


def is_named(random: Random, draw: Draw, subject: str) -> Seen:
    """The primary question names ``subject`` as the best."""
    measured = draw(random)
    return Seen(compared(measured).best == subject, first_version=_first_best(measured) == subject)


def _first_best(measured: Measured) -> str | None:
    """What the first version called best: of three configs, once a start, or means of sessions."""
    table = measured.table
    logs = table.logs[[REFERENCE, LIKE, UNLIKE]]
    sessions = logs.groupby(np.array(table.sessions), sort=False).mean()
    starts = logs.groupby([*map(str, table.blocks)], sort=False).first()
    rows = sessions if len(sessions) >= 3 else starts.head(3)
    if not first_version.any_config_differs(rows.to_numpy()):
        return None
    return str(rows.mean().idxmax())


@dataclass(frozen=True, slots=True)
class Cell:
    """What is counted, and between which shares of the studies it must lie.

    Without ``low`` and ``high`` it is only told, beside a promise, for what would be without it.
    """

    name: str
    happens: Callable[[Random], Seen]
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
    """All cells, in the order of the table; those on replayed noise only where there is some."""
    yield from _coverage_cells()
    yield from _question_cells()
    for name in ("reference", "interleaved"):
        noise = noise_of(name)
        if noise is not None:
            yield from _replayed_cells(noise)
    for bound, expected in (("more", (1.0, math.inf)), ("within 5 %", (1 / 1.05, 1.05))):
        misjudged = partial(hypothesis_is_misjudged, sessions=5, expected=expected)
        name = f"false verdict on three hypotheses of {bound}, 5 sessions"
        yield Cell(name, _plain(misjudged), high=0.05)
    yield Cell("slope covers a drift of 10 %", _plain(slope_is_covered), 0.94, 0.97)
    yield Cell("steady blocks called unsteady", _plain(steady_is_called_unsteady), high=0.05)


def _coverage_cells() -> Iterator[Cell]:
    for kind, subject in (("unlike servers", UNLIKE), ("like servers", LIKE)):
        for sessions, blocks in ((1, 3), (1, 6), (1, 12), (3, BLOCKS), (5, BLOCKS), (10, BLOCKS)):
            yield _coverage(kind, subject, synthetic(sessions, blocks), sessions, blocks)
    for blocks in (3, 6, 12):
        running = synthetic(1, blocks, machine=ATTACHED, sides=RUNNING)
        yield _coverage("running servers", UNLIKE, running, 1, blocks)
    covers = partial(interval_covers, draw=synthetic(1, BLOCKS), subject=UNLIKE, anywhere=True)
    yield Cell("one sitting's interval covers the mean over all sessions", covers)
    covers = partial(interval_covers, draw=_unknown(1, BLOCKS), subject=UNLIKE, anywhere=False)
    yield Cell("the same sitting's mean, states that nobody knows of", covers)


def _question_cells() -> Iterator[Cell]:
    one_sitting = partial(synthetic, 1, BLOCKS, machine=Machine(session=0.0))
    running = partial(synthetic, 1, BLOCKS, machine=ATTACHED, sides=RUNNING)
    for where, of in (
        ("one sitting", one_sitting),
        ("3 sessions", partial(synthetic, 3, BLOCKS)),
        ("5 sessions", partial(synthetic, 5, BLOCKS)),
        ("one sitting, running servers", running),
    ):
        yield from _questions(where, of(EQUAL), of(FASTER))


def _replayed_cells(noise: Noise) -> Iterator[Cell]:
    name = f"{noise.name} noise"
    shapes = [(1, 3), (1, 6), (1, 12), (3, BLOCKS), (5, BLOCKS)]
    # A file of six minutes is no more than one sitting.
    shapes = shapes if noise.name == "reference" else shapes[:3]
    for kind, subject in (("unlike servers", UNLIKE), ("like servers", LIKE)):
        for sessions, blocks in shapes:
            draw = _replayed(noise, sessions, blocks)
            yield _coverage(f"{name}, {kind}", subject, draw, sessions, blocks)
    equal, faster = (_replayed(noise, 1, BLOCKS, ratios) for ratios in (EQUAL, FASTER))
    yield from _questions(f"one sitting, {name}", equal, faster)


def _coverage(kind: str, subject: str, draw: Draw, sessions: int, blocks: int) -> Cell:
    covers = partial(interval_covers, draw=draw, subject=subject, anywhere=sessions > 1)
    return Cell(f"interval covers, {kind}, {sessions} x {blocks}", covers, low=0.94)


def _questions(where: str, equal: Draw, faster: Draw) -> Iterator[Cell]:
    named = partial(any_is_named, draw=equal)
    yield Cell(f"one of four equals is named, {where}", named, high=0.05)
    named = partial(is_named, draw=faster, subject=UNLIKE)
    yield Cell(f"1.20 is named, {where}", named, low=0.95)


def synthetic(
    sessions: int,
    blocks: int,
    ratios: Mapping[str, float] = FASTER,
    rounds: int = ROUNDS,
    machine: Machine = SHARED_CORES,
    sides: Mapping[str, Side] = SIDES,
) -> Draw:
    """Studies of this shape on a machine of known ways."""

    def draw(random: Random) -> Measured:
        return study(random, ratios, sessions, blocks, rounds, machine, sides)

    return draw


def _unknown(sessions: int, blocks: int) -> Draw:
    """Running servers whose threads are not known, on a machine with states."""
    machine = Machine(start=0.0, session=0.0)

    def draw(random: Random) -> Measured:
        return replace(synthetic(sessions, blocks, machine=machine)(random), sides=RUNNING)

    return draw


def _replayed(
    noise: Noise, sessions: int, blocks: int, ratios: Mapping[str, float] = FASTER
) -> Draw:
    def draw(random: Random) -> Measured:
        return replayed(random, noise, ratios, sessions, blocks, ROUNDS)

    return draw


def _plain(happens: Callable[[Random], bool]) -> Callable[[Random], Seen]:
    return lambda random: Seen(happens(random))


def noise_of(name: str) -> Noise | None:
    """A file of noise of the shared folder; None, with the reason on stderr, if there is none."""
    folder = os.environ.get(SHARED_DATA)
    if not folder:
        click.echo(f"{name} noise left out: {SHARED_DATA} names no folder with noise/", err=True)
        return None
    return read_noise(Path(folder, NOISE.format(name)))
