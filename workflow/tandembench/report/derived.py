"""What a report needs of every run beyond its table."""

import pandas as pd


def with_derived(runs: pd.DataFrame) -> pd.DataFrame:
    """``runs`` with ``overstated``: speedup_estimate / speedup_true, null where one is.

    It is the mean slowdown weighted by solo time: what the estimator cannot see.
    """
    return runs.assign(overstated=runs["speedup_estimate"] / runs["speedup_true"])
