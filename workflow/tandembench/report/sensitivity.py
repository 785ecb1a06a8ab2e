"""Is any config different at all? One global test first, then effects by factor under Holm."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from tandembench.analysis.family import ALPHA, holm
from tandembench.analysis.intervals import welch_from_moments
from tandembench.analysis.numbers import Values
from tandembench.analysis.ranking import ranking
from tandembench.analysis.verdicts import smallest_detectable_difference
from tandembench.report.rounds import round_table
from tandembench.tables.columns import TOPOLOGIES

_GROUP = ["scenario", "topology", "work_policy", "n_agents"]
_ALL = ["topology", "work_policy", "n_agents"]


def sensitivity(runs: pd.DataFrame, options: Sequence[Values]) -> Values:
    """``tests``: per scenario, and over all scenarios where there are several; ``effects``.

    Configs of one topology, work and number of agents are tested together, on speedup_true where
    two of them have it, else on efficiency_estimate. ``outcome``: "best" (one is better than every
    other), "several", "none" (not shown to differ) or "too_little". Effects are those of levels
    against the lowest one, as `option_comparisons` judges them. ``detectable``: what would show.
    """
    valid = runs[runs["valid"]]
    # One of an A/A pair is enough.
    firsts = valid.groupby("content", sort=False)["config_id"].first()
    valid = valid[valid["config_id"].isin(firsts) | valid["content"].isna()]
    tests = [
        _test(own) | dict(zip(_GROUP, key, strict=True))
        for key, own in valid.groupby(_GROUP)
        if own["config_id"].nunique() > 1
    ]
    tests += [
        _test(own) | {"scenario": None} | dict(zip(_ALL, key, strict=True))
        for key, own in valid.groupby(_ALL)
        if own["scenario"].nunique() > 1
    ]
    tests.sort(
        key=lambda one: (TOPOLOGIES.index(one["topology"]), one["work_policy"], one["n_agents"])
    )
    for one, adjusted in zip(tests, holm([one["p"] for one in tests]), strict=True):
        one["adjusted_p"] = adjusted
        one["outcome"] = _outcome(one, adjusted)
    return {"tests": tests, "effects": _effects(options), "detectable": _detectable(valid)}


def _detectable(valid: pd.DataFrame) -> Values | None:
    """The smallest ratio of two configs that as many blocks each show with a chance of 80 %.

    From the spread inside configs, pooled, and the middle number of blocks; None where no config
    has two.
    """
    metric = "speedup_true" if valid["speedup_true"].notna().any() else "efficiency_estimate"
    known = valid.loc[valid[metric].notna(), ["config_id", metric]]
    logs = known.assign(log=np.log(known[metric].astype(float))).groupby("config_id")["log"]
    counts = logs.count()[logs.count() > 1]
    if counts.empty:
        return None
    variances = logs.var()[counts.index]
    sd = math.sqrt(float((variances * (counts - 1)).sum() / (counts - 1).sum()))
    n = int(counts.median())
    between = welch_from_moments((0.0, sd, n), (0.0, sd, n))
    found = smallest_detectable_difference(between)
    return None if found is None else {"ratio": math.exp(found), "n": n, "metric": metric}


def _test(own: pd.DataFrame) -> Values:
    known = own.groupby("config_id")["speedup_true"].count()
    metric = "speedup_true" if (known > 0).sum() > 1 else "efficiency_estimate"
    measured = own[own[metric].notna()]
    table = round_table(measured, metric)
    found = ranking(table.to_numpy().tolist()) if table.size else None
    names = [str(name) for name in table.columns]
    best = None if found is None or found.best is None else found.best
    return {
        "metric": metric,
        "configs": len(names),
        "rounds": len(table),
        "p": None if found is None else found.p,
        "best": None if best is None else names[best],
        "rivals": [names[rival] for rival in found.rivals] if found else [],
    }


def _outcome(one: Values, adjusted_p: float | None) -> str:
    if adjusted_p is None:
        return "too_little"
    if adjusted_p >= ALPHA or one["best"] is None:
        return "none"
    return "several" if one["rivals"] else "best"


def _effects(options: Sequence[Values]) -> list[Values]:
    """Every level against the lowest of its option; their verdicts hold in the family of all."""
    return [
        {
            "option": comparison["option"],
            "scenario": comparison["scenario"],
            "topology": comparison["topology"],
            "level": level["level"],
            "lowest": comparison["levels"][0]["level"],
            "ratio": level["ratios"]["speedup_true"],
            **{name: level[name] for name in ("verdict", "p", "adjusted_p")},
        }
        for comparison in options
        if not comparison["not_applied"]
        for level in comparison["levels"][1:]
        if level["ratios"]["speedup_true"]
    ]
