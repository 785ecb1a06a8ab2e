"""Old names of `intervals`, until nobody imports them."""

from tandembench.analysis.intervals import ALPHA, Judged, difference_family, holm, ratio_family

__all__ = ["ALPHA", "Judged", "difference_family", "holm", "ratio_family"]
