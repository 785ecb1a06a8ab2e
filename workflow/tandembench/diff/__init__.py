"""diff: two datasets, baselines or published reports -> what differs, and whether it matters."""

from tandembench.diff.compare import Difference, compare

__all__ = ["Difference", "compare"]
