"""Runs -> the observations that comparisons are of. Pure."""

import math
from collections.abc import Hashable

import numpy as np
import pandas as pd

from tandembench.analysis.comparison import Observation


def observations(runs: pd.DataFrame, column: str, cell: Hashable = None) -> list[Observation]:
    """The known values of a column for a comparison; those of one ``cell`` pair by repetition.

    Rounds of one block are not independent: a comparison takes their mean. Twins are left out.
    """
    own = runs[~runs["twin"].astype(bool)] if "twin" in runs else runs
    columns = (own[name].tolist() for name in ("session", "invocation", "repetition"))
    values = own[column].to_numpy(dtype=float, na_value=np.nan).tolist()
    return [
        Observation(
            value,
            str(session),
            # Imported runs have none: one invocation for each session then.
            invocation if isinstance(invocation, str) else None,
            (cell, int(repetition)),
        )
        for session, invocation, repetition, value in zip(*columns, values, strict=True)
        if not math.isnan(value)
    ]
