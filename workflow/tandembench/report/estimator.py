"""TR114's estimator against the measured gain, config by config."""

import math

import pandas as pd

from tandembench.analysis.numbers import Values, by_config, ratio, verdict

# What the verdict on speedup_estimate / speedup_true means for the estimator.
FINDINGS = {
    "better": "overstates",
    "equivalent": "right",
    "worse": "understates",
    "inconclusive": "cannot_tell",
}


def estimator(runs: pd.DataFrame, margin: float) -> Values:
    """The configs by what the estimator does there, the furthest off first.

    ``unknown`` have no measured gain.
    """
    found: Values = {finding: [] for finding in (*FINDINGS.values(), "unknown")}
    columns = ["config_id", "session", "overstated", "speedup_estimate", "speedup_true"]
    known = by_config(runs.loc[runs["valid"] & runs["overstated"].notna(), columns])
    for config_id in runs["config_id"].drop_duplicates():
        own = known.get(config_id, runs.iloc[:0])
        overstated = ratio(own, "overstated")
        finding = FINDINGS[verdict(overstated, margin)] if overstated else "unknown"
        found[finding].append(
            {
                "config_id": config_id,
                "estimate": ratio(own, "speedup_estimate"),
                "measured": ratio(own, "speedup_true"),
                "overstated": overstated,
            }
        )
    for rows in (found[finding] for finding in FINDINGS.values()):
        rows.sort(key=lambda row: -abs(math.log(row["overstated"].mean)))
    return found
