"""The order of one block: which config runs when, in which round, with which nonce. Pure.

Sources: E. J. Williams, Experimental designs balanced for the estimation of residual effects of
treatments, Aust. J. Sci. Res. A 2 (1949); A. Abedi & T. Brecht, Conducting repeatable experiments
in highly variable cloud computing environments, ICPE 2017 (random order in every round).
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tandembench.servers.deployment import load_key
from tandembench.study.spec import RunSpec


@dataclass(frozen=True, slots=True)
class Turn:
    """One config in one round: all of its agents, or ``solo``, one of them alone.

    ``config`` and ``solo`` are places in the RunSpec, from 0; ``twin`` is the second run of a
    config in the same round.
    """

    config: int
    twin: bool = False
    solo: int | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """Every config of a block once, and one of them twice; ``number`` counts from 1.

    ``blamed`` are the turns that failed when it was measured before.
    """

    number: int
    turns: tuple[Turn, ...]
    blamed: tuple[Turn, ...] = ()

    def visits(self) -> list[list[Turn]]:
        """The turns by the servers that they are on: a config's solos stand beside its run."""
        by_servers = groupby(self.turns, key=lambda turn: (turn.config, turn.twin))
        return [list(visit) for _, visit in by_servers]


def planned_rounds(spec: RunSpec, repetition: int, keys: Sequence[str]) -> tuple[Round, ...]:
    """The rounds of one repetition; ``keys`` are those of the configs' deployments.

    From round to round, and on into the next repetition, configs change places by the rows of a
    Latin square, so that each has been in every place equally often; the twin is one of them.
    Configs that need solos have them in one round each, in random order around their run.
    """
    runs = [Turn(index) for index in range(len(spec.configs))]
    twin = twin_of(spec, repetition)
    if twin is not None:
        runs.append(Turn(twin, twin=True))
    numbers = _shuffled(spec, spec.rounds, "solos", repetition)
    alone = measured_alone(spec, keys)
    solo_rounds = {config: numbers[i % len(numbers)] for i, config in enumerate(alone)}
    rounds = []
    for number in range(spec.rounds):
        turns: list[Turn] = []
        for place in _row(spec, len(runs), (repetition - 1) * spec.rounds + number):
            run = runs[place]
            visit = [run]
            if solo_rounds.get(run.config) == number and not run.twin:
                agents = range(len(spec.configs[run.config].agents))
                visit += [replace(run, solo=agent) for agent in agents]
            order = _shuffled(spec, len(visit), "around", repetition, run.config)
            turns += [visit[i] for i in order]
        rounds.append(Round(number + 1, tuple(turns)))
    return tuple(rounds)


def twin_of(spec: RunSpec, repetition: int) -> int | None:
    """The config that runs twice in every round of this repetition; None if there is but one.

    In rotation: of as many repetitions as there are configs, each has one.
    """
    order = _shuffled(spec, len(spec.configs), "twins")
    return order[(repetition - 1) % len(order)] if len(order) > 1 else None


def measured_alone(spec: RunSpec, keys: Sequence[str]) -> list[int]:
    """The configs whose agents need solos, since no run of the block is one.

    In ``serial`` each agent runs alone, on a server that stays the same for other configs of the
    same agents and deployment, unless agents want different things loaded. A comparison of one is
    measured with its solos, even if it is ``serial``: there they are the control. One agent is
    alone anyway.
    """
    work = [
        (config.agents, config.work_policy, key)
        for config, key in zip(spec.configs, keys, strict=True)
    ]
    in_turn = [
        one
        for one, config in zip(work, spec.configs, strict=True)
        if config.topology == "serial" and len(work) > 1
        if len({load_key(spec.engine, agent) for agent in config.agents}) == 1
    ]
    return [index for index, one in enumerate(work) if len(one[0]) > 1 and one not in in_turn]


def ask_number(
    spec: RunSpec, repetition: int, number: int, agent: str, salt: Sequence[object] = ()
) -> int:
    """What the nonce and the seed of ``agent`` follow from, in the round of this ``number``.

    Equal for all configs of the round, unless a ``salt`` tells them apart; rounds, repetitions
    and comparisons draw independently.
    """
    return _hash(spec.seed, spec.comparison, repetition, number, agent, *salt)


def _row(spec: RunSpec, n: int, place: int) -> list[int]:
    """The ``place``-th row (from 0) of an endless design of ``n`` symbols.

    Every n rows, counted from the first, are a Latin square in random order.
    """
    square, row = divmod(place, n)
    names = _shuffled(spec, n, "names", square // 2)
    rows = _shuffled(spec, n, "rows", square)
    return [names[symbol] for symbol in _williams(n, square)[rows[row]]]


def _williams(n: int, square: int) -> list[list[int]]:
    """A Latin square of ``n`` in which each symbol follows every other one equally often.

    For odd n that takes two squares: every second one (an odd ``square``) is read backwards.
    """
    first = [(k + 1) // 2 if k % 2 else -(k // 2) for k in range(n)]
    rows = [[(symbol + shift) % n for symbol in first] for shift in range(n)]
    return [row[::-1] for row in rows] if n % 2 and square % 2 else rows


def _shuffled(spec: RunSpec, n: int, *parts: object) -> list[int]:
    """0 to n - 1 in an order that follows from the seed, the comparison and ``parts``."""
    order = list(range(n))
    random.Random(_hash(spec.seed, spec.comparison, *parts)).shuffle(order)  # noqa: S311 - no secret
    return order


def _hash(*parts: object) -> int:
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
