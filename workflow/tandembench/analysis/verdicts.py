"""Old names of `intervals`, until nobody imports them."""

from tandembench.analysis.intervals import (
    difference_equivalence_p,
    difference_p,
    difference_verdict,
    ratio_verdict,
    smallest_detectable_difference,
)

__all__ = [
    "difference_equivalence_p",
    "difference_p",
    "difference_verdict",
    "ratio_verdict",
    "smallest_detectable_difference",
]
