"""Runs in which a model was loaded, apart from those in which none was."""

import pandas as pd
from scipy.stats import hypergeom

from tandembench.analysis.numbers import Values, described

# As many as TR114 named winners: one for each scenario, twice.
BEST = 6


def cold(runs: pd.DataFrame) -> list[Values]:
    """By topology with cold and warm valid runs: both, and how many of the best are cold.

    ``p`` is the chance that so many or more of the ``best`` by efficiency_estimate were cold if it
    made no difference (Fisher 1935, hypergeometric).
    """
    valid = runs[runs["valid"]].dropna(subset=["cold", "efficiency_estimate"])
    valid = valid.assign(cold=valid["cold"].astype(bool))
    return [
        _row(str(topology), own)
        for topology, own in valid.groupby("topology")
        if own["cold"].nunique() == 2
    ]


def _row(topology: str, own: pd.DataFrame) -> Values:
    best = own.nlargest(min(BEST, len(own)), "efficiency_estimate")
    n, among = int(own["cold"].sum()), int(best["cold"].sum())
    return {
        "topology": topology,
        "cold": described(own.loc[own["cold"], "efficiency_estimate"]),
        "warm": described(own.loc[~own["cold"], "efficiency_estimate"]),
        "share": n / len(own),
        "best": len(best),
        "best_cold": among,
        "p": float(hypergeom.sf(among - 1, len(own), n, len(best))),
    }
