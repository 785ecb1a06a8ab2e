"""How many more minutes decide what is open. Pure."""

import math
from collections.abc import Sequence

from scipy.special import stdtrit

from tandembench.analysis.findings import Next, Versus
from tandembench.analysis.levels import LEVEL, Allowance, Fit

# Aim at a little less than what would just do, since the spread is an estimate.
_AIM = 0.9
# Beyond this, a session of its own on another day is better spent.
_LONGEST_MIN, _MOST_SESSIONS = 60.0, 30


def needed_half_width(one: Versus, margin: float) -> float:
    """The half width, of a logarithm, at which an open ratio is decided if it stays where it is.

    Either it is told from 1, or it lies within the margin: the easier of the two.
    """
    if one.ratio is None:
        return math.log1p(margin) / 2
    size, room = abs(math.log(one.ratio.value)), math.log1p(margin)
    return _AIM * max(size, room - size)


def next_step(
    open_ones: Sequence[tuple[Versus, Fit, Allowance]],
    margin: float,
    block_s: float,
    blocks: int,
    span_s: float,
) -> Next | None:
    """The measuring that decides every one of ``open_ones``; None if nothing is open.

    More repetitions in the session that is there if they get there within the hour, else more
    sessions of ``blocks`` blocks. ``block_s``: what a block takes, overhead included; ``span_s``:
    how long a session of that many blocks lasts. Of a half width h the number of blocks is the
    smallest B with t sqrt(a(B) + s_B^2 / B) <= h, a being the sitting's allowance.
    """
    if not open_ones:
        return None
    steps = [_step(*one, margin, block_s, blocks, span_s) for one in open_ones]
    sessions = [step for step in steps if step.sessions is not None]
    return max(sessions or steps, key=lambda step: step.minutes)


def _step(
    one: Versus,
    own: Fit,
    allowed: Allowance,
    margin: float,
    block_s: float,
    blocks: int,
    span_s: float,
) -> Next:
    half = needed_half_width(one, margin)
    longest = blocks + max(1, int(_LONGEST_MIN * 60 / block_s))
    if own.sessions == 1:
        for total in range(blocks + 1, longest + 1):
            variance = allowed.of_sitting(total * block_s) + own.of_block / total
            if _critical(own.freedom + total - blocks) * math.sqrt(variance) <= half:
                minutes = (total - blocks) * block_s / 60
                return Next(minutes, total, None, math.expm1(half), one.subject)
    sitting = allowed.of_sitting(span_s) + own.of_block / blocks
    # What sessions were seen to differ by is in the error already.
    of_session = max(sitting, own.error**2 * own.sessions)
    for more in range(1, _MOST_SESSIONS):
        n = own.sessions + more
        if _critical(3.0 + n) * math.sqrt(of_session / n) <= half:
            break
    return Next(more * span_s / 60, None, more, math.expm1(half), one.subject)


def _critical(freedom: float) -> float:
    return float(stdtrit(freedom, (1 + LEVEL) / 2))
