"""The interval of a log ratio that was measured in rounds, blocks and sessions. Pure.

Rounds of one block share a start of their servers, blocks of one session a sitting of the
machine. The variance of each level is taken from the level itself, moderated by what is known
beforehand of that level (Smyth 2004): with nothing measured of it, that alone counts. So an
interval exists from one block on, and more data narrows it.

What is known beforehand was measured on two shared cores with the embedded engine: a start of a
server is worth 2 to 3 % of its wall times; servers of two threads have two speeds 16 % apart that
last seconds to minutes, which servers of one thread do not have, so that a ratio between the two
has two values as well.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from tandembench.analysis.findings import Estimate
from tandembench.analysis.location import pseudo_values

LEVEL = 0.95
POWER = 0.8
# How many degrees of freedom the knowledge beforehand is worth beside what was measured.
_OF_BLOCKS, OF_SESSIONS = 2.0, 4.0
_KNOWN = 1e6
_START = 0.02
_STATES_LAST_S = 100.0
# Of a ratio: two sides with their own states, and two that share them.
_UNLIKE_SITTING, _ALIKE_SITTING = 0.042, 0.007


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is known of a log ratio beforehand, as standard deviations of its logarithm.

    ``start``: between starts of the servers. ``sitting``: between sittings of a few minutes on a
    machine whose states last ``lasting_s``; a longer sitting sees more of them.
    """

    start: float
    sitting: float
    lasting_s: float = 120.0

    def of_sitting(self, seconds: float) -> float:
        """Variance of the mean of one sitting that lasted so long."""
        return self.sitting**2 * min(1.0, self.lasting_s / max(seconds, 1.0))


@dataclass(frozen=True, slots=True)
class Fit:
    """A log ratio: its estimate, standard error and degrees of freedom.

    ``of_block`` is the variance of the mean of one block as it was seen, with its degrees of
    freedom: what configs that behave alike take from here. ``moderated`` is that of which the
    error is made: a few blocks may agree by chance, and planning must not count on that.
    """

    log: float
    error: float
    freedom: float
    of_block: float
    of_block_freedom: float
    moderated: float
    rounds: int
    blocks: int
    sessions: int

    def estimate(self, level: float = LEVEL) -> Estimate:
        """The ratio with its t interval."""
        half = float(stdtrit(self.freedom, (1 + level) / 2)) * self.error
        return Estimate(math.exp(self.log), math.exp(self.log - half), math.exp(self.log + half))

    @property
    def p(self) -> float:
        """Two-sided p of the t test that the ratio is 1."""
        if self.error == 0:  # made-up values that do not vary
            return float(self.log == 0)
        return 2 * float(stdtr(self.freedom, -abs(self.log) / self.error))

    @property
    def detectable(self) -> float:
        """The smallest ratio above 1 that such data would show with a chance of 80 %."""
        both = stdtrit(self.freedom, (1 + LEVEL) / 2) + stdtrit(self.freedom, POWER)
        return math.exp(float(both) * self.error)


@dataclass(frozen=True, slots=True)
class Variance:
    """A variance of block means that was seen elsewhere, where things behave alike."""

    value: float
    freedom: float


def fit(
    logs: Sequence[float],
    blocks: Sequence[Hashable],
    sessions: Sequence[Hashable],
    seconds: Sequence[float],
    allowance: Allowance,
    alike: Variance | None = None,
) -> Fit | None:
    """The log ratio of rounds, one value each, with the block and the session of each.

    ``seconds``: when each was measured, from any zero; a session's span says how much of the
    machine's states it saw. Blocks of a session count alike, and so do sessions; rounds are
    `location.pseudo_values`. None without two rounds: nothing shows their spread.

    With R rounds a block, s_r^2 the variance within blocks and v the start's allowance: the
    variance of a block mean is (2 (v + s_r^2/R) + d s_B^2) / (2 + d), s_B^2 being
    that between the d + 1 block means of a session; of a session mean (4 (a + s_b^2/B) + (S-1)
    s_S^2) / (4 + S - 1), a being the sitting's allowance. Where nothing was measured of a level,
    what is known beforehand counts as known. With one round a block s_r is not known, and what is
    measured between blocks, or else between sessions, counts alone. Sources: Kalibera & Jones 2013
    (levels), Smyth 2004 (moderation), Satterthwaite 1946 (degrees of freedom).
    """
    if len(logs) < 2:
        return None
    z = pseudo_values(np.asarray(logs, dtype=float))
    session, block = _codes(sessions), _codes([*zip(sessions, blocks, strict=True)])
    rounds = np.bincount(block)
    mean = np.bincount(block, z) / rounds
    session_of = np.zeros(len(rounds), dtype=int)
    session_of[block] = session
    parts = [mean[session_of == one] for one in np.unique(session)]

    several = len(z) > len(rounds)
    within_freedom = float(len(z) - len(rounds)) or _KNOWN
    within = float(((z - mean[block]) ** 2).sum()) / within_freedom
    start, noise = allowance.start**2, within * float(np.mean(1 / rounds))
    square = math.fsum(float(((group - group.mean()) ** 2).sum()) for group in parts)
    freedom = float(sum(len(group) - 1 for group in parts))
    elsewhere = alike or Variance(0.0, 0.0)
    measured = freedom + elsewhere.freedom
    if measured:
        beforehand = _OF_BLOCKS if several else 0.0
        total = beforehand + measured
        parts_of_block = [
            (beforehand * start / total, _KNOWN),
            (beforehand * noise / total, within_freedom),
            ((square + elsewhere.value * elsewhere.freedom) / total, measured),
        ]
        of_block = math.fsum(value for value, _ in parts_of_block)
        block_freedom = _satterthwaite(parts_of_block)
    else:
        of_block = start + noise
        block_freedom = _satterthwaite([(start, _KNOWN), (noise, within_freedom)])

    clock = np.asarray(seconds, dtype=float)
    spans = [float(np.ptp(clock[session == one])) for one in np.unique(session)]
    sitting = float(np.mean([allowance.of_sitting(span) for span in spans]))
    inner = of_block * float(np.mean([1 / len(group) for group in parts]))
    means = np.array([group.mean() for group in parts])
    n = len(means)
    if n > 1:
        beforehand = OF_SESSIONS if several or measured else 0.0
        seen = float(((means - means.mean()) ** 2).sum())
        variance = (beforehand * (sitting + inner) + seen) / (beforehand + n - 1) / n
        total_freedom = beforehand + n - 1
    else:
        variance = sitting + inner
        total_freedom = _satterthwaite([(sitting, _KNOWN), (inner, block_freedom)])
    return Fit(
        log=float(means.mean()),
        error=math.sqrt(variance),
        freedom=total_freedom,
        of_block=square / freedom if freedom else start + noise,
        of_block_freedom=freedom,
        moderated=of_block,
        rounds=len(z),
        blocks=len(rounds),
        sessions=n,
    )


def _codes(labels: Sequence[Hashable]) -> NDArray[np.int_]:
    """Labels as numbers from 0, in order of appearance."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], dtype=int)


def _satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of variances, each with its own (Satterthwaite 1946)."""
    total = math.fsum(value for value, _ in parts)
    if total == 0:
        return _KNOWN
    return total**2 / math.fsum(value**2 / freedom for value, freedom in parts)


@dataclass(frozen=True, slots=True)
class Side:
    """How one config is served. ``threads``: of each of its servers; empty where not known.

    ``deployment`` is equal where configs share their servers; ``started`` whether a block starts
    them afresh.
    """

    deployment: str
    threads: tuple[int, ...]
    started: bool


def allowance(first: Side, second: Side) -> Allowance:
    """What to allow for in the ratio of two configs.

    Servers that run already have no start; of servers whose threads are not known, nothing is
    known beforehand, and only what is measured counts.
    """
    shared = first.deployment == second.deployment
    starts = 0 if shared else first.started + second.started
    known = bool(first.threads and second.threads)
    alike = set(first.threads) == set(second.threads)
    sitting = (_ALIKE_SITTING if alike else _UNLIKE_SITTING) if known else 0.0
    return Allowance(_START * starts**0.5, 0.0 if shared else sitting, _STATES_LAST_S)


def behaves_like(first: Side, second: Side) -> tuple[bool, frozenset[object]]:
    """Equal for pairs whose blocks may be expected to vary alike, and so are pooled.

    Those of the same threads: of servers whose threads are not known, nothing is expected.
    """
    known = bool(first.threads and second.threads)
    of: tuple[object, ...] = (
        (*first.threads, *second.threads) if known else (first.deployment, second.deployment)
    )
    return first.deployment == second.deployment, frozenset(of)
