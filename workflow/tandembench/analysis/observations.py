"""Old names of `sides`, until nobody imports them."""

from tandembench.analysis.sides import observations

__all__ = ["observations"]
