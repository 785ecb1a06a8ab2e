"""What is known of a ratio before it is measured, by what the two sides have in common. Pure.

Measured on two shared cores with the embedded engine: a start of a server is worth 2 to 3 % of its
wall times; servers of two threads have two speeds 16 % apart that last seconds to minutes, which
servers of one thread do not have, so that a ratio between the two has two values as well.
"""

from dataclasses import dataclass

from tandembench.analysis.levels import Allowance

_START = 0.02
_STATES_LAST_S = 100.0
# Of a ratio: two sides with their own states, and two that share them.
_UNLIKE_SITTING, _ALIKE_SITTING = 0.042, 0.007


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
    """What to allow for in the ratio of two configs, standard deviations of its logarithm.

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
