"""A machine whose configs are measured side by side, in rounds, blocks and sessions; truth known.

Either synthetic, with a part for each level of time, or noise that a real machine made, replayed
in whole stretches.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tandembench.analysis.levels import Side
from tandembench.analysis.location import hodges_lehmann
from tandembench.analysis.rounds import Rounds
from tandembench.study.spec import DISTURBED_CORES

Random = np.random.Generator
Floats = NDArray[np.float64]
ROUND_S, BETWEEN_S = 7.0, 8.0
REFERENCE = "serial"
# A round of which one side took half as long again is stalled.
_STALL = math.log(1.5)
# How configs are served on two cores: two in turn and one slot on one server.
SIDES: Mapping[str, Side] = {
    "serial": Side("one slot", (2,), started=True),
    "single": Side("one slot", (2,), started=True),
    "single_parallel": Side("two slots", (2,), started=True),
    "dual": Side("two servers", (1, 1), started=True),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What makes equal runs differ, mostly as standard deviations of logarithms.

    ``round_``: of the ratio of two runs of a round. ``start``: of a deployment, anew with each
    block where it is started. ``session``: of servers of one thread against those of several.
    ``state``: by how much the machine's slow state slows servers of several threads down; states
    last from ``shortest_s`` to ``longest_s``. ``stalls``: the share of pairs of runs of which one
    takes 2 to 4 times as long. ``drift``: of everything, each minute.
    """

    round_: float = 0.03
    start: float = 0.02
    session: float = 0.03
    state: float = math.log(1.11)
    shortest_s: float = 5.0
    longest_s: float = 300.0
    stalls: float = 0.10
    drift: float = math.log(1.10)


SHARED_CORES = Machine()
# Servers that run already, of which nothing is known: requests vary by 5 %, ratios by 7 %.
ATTACHED = Machine(round_=0.05 * math.sqrt(2), start=0.0, session=0.0, state=0.0)


@dataclass(frozen=True, slots=True)
class Measured:
    """A study and its ``truths``: the log ratio of each config to the reference.

    ``truths`` are means over all states; ``here`` is of these sessions, ``anywhere`` of all that
    there could be.
    """

    table: Rounds
    sides: Mapping[str, Side]
    here: Mapping[str, float]
    anywhere: Mapping[str, float]


def study(
    random: Random,
    ratios: Mapping[str, float],
    sessions: int,
    blocks: int,
    rounds: int,
    machine: Machine = SHARED_CORES,
    sides: Mapping[str, Side] = SIDES,
) -> Measured:
    """Configs that are ``ratios`` times as fast as the reference, measured on ``machine``."""
    sides = {name: sides[name] for name in ratios}
    effects = {
        name: random.normal(0, machine.session, sessions) * _one_thread(side)
        for name, side in sides.items()
    }
    parts = []
    for session in range(sessions):
        mean = [math.log(ratio) + effects[name][session] for name, ratio in ratios.items()]
        logs, seconds = _sitting(random, machine, list(sides.values()), blocks, rounds)
        parts.append((logs + mean, seconds, np.zeros(len(logs), dtype=bool)))
    anywhere = {name: math.log(ratio) for name, ratio in ratios.items()}
    here = {name: anywhere[name] + float(effects[name].mean()) for name in ratios}
    return Measured(_table(list(ratios), parts, rounds), sides, here, anywhere)


def _sitting(
    random: Random, machine: Machine, sides: Sequence[Side], blocks: int, rounds: int
) -> tuple[Floats, Floats]:
    """Logarithms of speeds, rounds by configs, and the seconds at which the rounds began."""
    n = len(sides)
    firsts = np.arange(blocks) * (rounds * ROUND_S + BETWEEN_S)
    began: Floats = np.add.outer(firsts, np.arange(rounds) * ROUND_S).ravel()
    order = random.permuted(np.tile(np.arange(n), (len(began), 1)), axis=1)
    at = began[:, None] + order * ROUND_S / n
    logs = random.normal(0, machine.round_ / math.sqrt(2), at.shape) - machine.drift * at / 60
    logs += starts(random, machine.start, sides, blocks, rounds)
    if machine.state:
        several = [float(max(side.threads, default=1) > 1) for side in sides]
        logs -= machine.state * (slow(random, machine, at) - 0.5) * several
    held = random.random(at.shape) < 1 - math.sqrt(1 - machine.stalls)
    return logs - held * np.log(random.uniform(2, 4, at.shape)), began


def starts(random: Random, sd: float, sides: Sequence[Side], blocks: int, rounds: int) -> Floats:
    """What each start of a deployment makes of its speed, rounds by configs."""
    deployments = list(dict.fromkeys(side.deployment for side in sides))
    started = {side.deployment: side.started for side in sides}
    drawn = random.normal(0, sd, (blocks, len(deployments))) * [started[one] for one in deployments]
    places = [deployments.index(side.deployment) for side in sides]
    return np.asarray(np.repeat(drawn[:, places], rounds, axis=0), dtype=np.float64)


def slow(random: Random, machine: Machine, at: Floats) -> NDArray[np.bool_]:
    """Whether the machine is in its slow state at these seconds, as at any time of a long life.

    A state that one looks at has been chosen by its length, and one looks at any point of it.
    """
    low, high = machine.shortest_s, machine.longest_s
    rest = math.sqrt(random.uniform(low**2, high**2)) * random.random()
    # Far more stays than so many seconds can hold: a mean stay is half of low + high.
    more = random.uniform(low, high, 20 + int(8 * at.max() / (low + high)))
    changes = rest + np.concatenate([[0.0], np.cumsum(more)])
    return np.asarray(np.searchsorted(changes, at) % 2 == random.integers(2))


def _one_thread(side: Side) -> bool:
    return bool(side.threads) and max(side.threads) == 1


@dataclass(frozen=True, slots=True)
class Noise:
    """What a real machine made of equal work: speeds' logarithms, rounds by configs.

    Each config less its mean over all undisturbed rounds, so that only the noise is left;
    ``ratios`` are what they were.
    """

    name: str
    logs: pd.DataFrame
    seconds: Floats
    disturbed: NDArray[np.bool_]
    ratios: Mapping[str, float]


def read_noise(path: Path) -> Noise:
    """A file of ../shared/data/noise: round, at_s, config, wall_s, foreign_cores."""
    rows = pd.read_csv(path)
    walls = rows.pivot_table(index="round", columns="config", values="wall_s")
    logs = walls.apply(np.log).mul(-1)
    by_round = rows.groupby("round")
    against = logs.sub(logs[REFERENCE], axis=0)
    disturbed = (by_round["foreign_cores"].max() > DISTURBED_CORES).to_numpy()
    means = {str(name): long_run(against[name].to_numpy()[~disturbed]) for name in logs}
    return Noise(
        name=path.name.split("-")[0],
        logs=logs - pd.Series(means),
        seconds=by_round["at_s"].min().to_numpy(),
        disturbed=disturbed,
        ratios={name: math.exp(mean) for name, mean in means.items()},
    )


def long_run(logs: Floats) -> float:
    """The mean of log ratios over all states, without stalls."""
    return float(logs[np.abs(logs - hodges_lehmann(logs)) < _STALL].mean())


def replayed(
    random: Random,
    noise: Noise,
    ratios: Mapping[str, float],
    sessions: int,
    blocks: int,
    rounds: int,
    sides: Mapping[str, Side] = SIDES,
) -> Measured:
    """Whole stretches of ``noise``, one a session from anywhere in it, times known ``ratios``.

    The file has one start of each server: what a start is worth comes on top, block by block.
    """
    # There, each config had servers of its own.
    group = {name: replace(sides[name], deployment=name) for name in ratios}
    length = blocks * rounds
    parts = []
    for _ in range(sessions):
        first = int(random.integers(len(noise.seconds) - length + 1))
        part = slice(first, first + length)
        logs = noise.logs[list(ratios)].to_numpy()[part] + np.log(list(ratios.values()))
        logs = logs + starts(random, SHARED_CORES.start, list(group.values()), blocks, rounds)
        parts.append((logs, noise.seconds[part], noise.disturbed[part]))
    truths = {name: math.log(ratio) for name, ratio in ratios.items()}
    return Measured(_table(list(ratios), parts, rounds), group, truths, truths)


def _table(
    names: Sequence[str],
    parts: Sequence[tuple[Floats, Floats, NDArray[np.bool_]]],
    rounds: int,
) -> Rounds:
    """Sessions of (logs, seconds, disturbed) as Rounds."""
    places = [(session, row) for session, part in enumerate(parts) for row in range(len(part[0]))]
    return Rounds(
        logs=pd.DataFrame(np.concatenate([part[0] for part in parts]), columns=list(names)),
        blocks=[(session, row // rounds) for session, row in places],
        sessions=[f"s{session}" for session, _ in places],
        seconds=np.concatenate([part[1] for part in parts]),
        disturbed=np.concatenate([part[2] for part in parts]),
    )
