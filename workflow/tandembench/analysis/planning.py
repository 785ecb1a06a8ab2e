"""How many more minutes decide what is open. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tandembench.analysis.findings import Next, Versus
from tandembench.analysis.intervals import critical
from tandembench.analysis.levels import OF_SESSIONS, Allowance, Fit

# Aim at a little less than what would just do, since the spread is an estimate.
_AIM = 0.9
# Beyond this, a session of its own on another day is better spent.
_LONGEST_MIN, _MOST_SESSIONS = 60.0, 30


def deciding_half_width(one: Versus, margin: float) -> float:
    """The half width, of a logarithm, at which an open ratio is decided if it stays where it is.

    Either it is told from 1, or it lies within the margin: the easier of the two.
    """
    if one.ratio is None:
        return math.log1p(margin) / 2
    size, room = abs(math.log(one.ratio.value)), math.log1p(margin)
    return _AIM * max(size, room - size)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a comparison is measured: ``blocks`` in each session, of ``block_s`` with overhead."""

    block_s: float
    blocks: int

    @property
    def session_s(self) -> float:
        """What a session takes."""
        return self.block_s * self.blocks


def next_step(one: Versus, group: Fit, allowed: Allowance, half: float, pace: Pace) -> Next:
    """The measuring after which the half width of a ratio's logarithm is ``half`` or less.

    More repetitions in the one session that is there if they get there within the hour, else more
    sessions like it. The number of blocks is the smallest B with t sqrt(a(B) + s_B^2 / B) <= h, a
    being the sitting's allowance; that of sessions the smallest S with t s_S / sqrt(S) <= h.
    """
    most = pace.blocks + max(1, int(_LONGEST_MIN * 60 / pace.block_s))
    for total in range(pace.blocks + 1, most + 1) if group.sessions == 1 else ():
        variance = allowed.of_sitting(total * pace.block_s) + group.moderated / total
        if critical(group.freedom + total - pace.blocks) * math.sqrt(variance) <= half:
            minutes = (total - pace.blocks) * pace.block_s / 60
            return Next(minutes, total, None, math.expm1(half), one.subject)
    sitting = allowed.of_sitting(pace.session_s) + group.moderated / pace.blocks
    # What sessions were seen to differ by is in the error already.
    of_session = max(sitting, group.error**2 * group.sessions)
    more = 1
    while more < _MOST_SESSIONS:
        n = group.sessions + more
        if critical(OF_SESSIONS + n - 1) * math.sqrt(of_session / n) <= half:
            break
        more += 1
    return Next(more * pace.session_s / 60, None, more, math.expm1(half), one.subject)


def slowest(steps: Sequence[Next]) -> Next | None:
    """The step that takes all the others in: sessions before repetitions, then the most minutes."""
    return max(steps, key=lambda step: (step.sessions is not None, step.minutes), default=None)
