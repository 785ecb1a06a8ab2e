"""Runs -> the observations that comparisons are of. Pure."""

import math
from collections.abc import Hashable

import numpy as np
import pandas as pd

from tandembench.stats.comparison import Observation


def observations(runs: pd.DataFrame, column: str, cell: Hashable = None) -> list[Observation]:
    """The known values of a column; those of one ``cell`` pair by repetition and round."""
    columns = (runs[name].tolist() for name in ("session", "invocation", "repetition", "round"))
    values = runs[column].to_numpy(dtype=float, na_value=np.nan).tolist()
    return [
        Observation(
            value,
            str(session),
            # Imported runs have none: one invocation for each session then.
            invocation if isinstance(invocation, str) else None,
            (cell, int(repetition), int(number)),
        )
        for session, invocation, repetition, number, value in zip(*columns, values, strict=True)
        if not math.isnan(value)
    ]
