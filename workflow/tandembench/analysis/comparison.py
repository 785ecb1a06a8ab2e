"""Old names of `sides`, until nobody imports them."""

from tandembench.analysis.sides import (
    DIFFERENT_ROUNDS,
    DIFFERENT_SESSIONS,
    NOTHING_MEASURED,
    Comparison,
    Observation,
    paired_difference,
    paired_ratio,
)

__all__ = [
    "DIFFERENT_ROUNDS",
    "DIFFERENT_SESSIONS",
    "NOTHING_MEASURED",
    "Comparison",
    "Observation",
    "paired_difference",
    "paired_ratio",
]
