"""Old name of a function of `steady`, until nobody imports it."""

from tandembench.analysis.steady import drift_slope

__all__ = ["drift_slope"]
