"""Rows of runs as observations: what is known, where it was measured, and what pairs."""

import pandas as pd

from tandembench.analysis.comparison import Observation
from tandembench.analysis.observations import observations

RUNS = pd.DataFrame(
    {
        "session": ["s1", "s1", "s2"],
        "invocation": ["i1", None, "i2"],
        "repetition": [1, 2, 1],
        "wall_s": [2.0, 3.0, None],
    }
)


def test_a_known_value_has_its_place() -> None:
    assert observations(RUNS, "wall_s", "cell") == [
        Observation(2.0, "s1", "i1", ("cell", 1)),
        Observation(3.0, "s1", None, ("cell", 2)),
    ]


def test_arrows_own_columns_are_read_alike() -> None:
    types = {"wall_s": "Float64", "repetition": "Int64", "invocation": "string"}
    assert observations(RUNS.astype(types), "wall_s") == observations(RUNS, "wall_s")
