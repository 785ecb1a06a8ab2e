"""Drift: the slope inside groups, against statsmodels with a dummy for each group."""

import numpy as np
import pytest
from scipy import stats

from tandembench.analysis.drift import drift_slope


def test_one_group_is_a_plain_regression() -> None:
    random = np.random.default_rng(1)
    x, y = random.uniform(0, 1, 30), random.normal(0, 1, 30)
    found = drift_slope(y.tolist(), x.tolist(), ["a"] * 30)
    expected = stats.linregress(x, y)
    half = stats.t.ppf(0.975, 28) * expected.stderr
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx(
        (expected.slope, expected.slope - half, expected.slope + half)
    )
    assert (found.n, found.freedom) == (30, 28)


def test_groups_are_dummies() -> None:
    import statsmodels.api as sm  # noqa: PLC0415 - slow to import

    random = np.random.default_rng(2)
    groups = random.integers(0, 4, 40)
    x = random.uniform(0, 1, 40)
    y = 0.3 * x + groups + random.normal(0, 0.1, 40)
    design = np.column_stack([x, *(groups == one for one in range(4))]).astype(float)
    expected = sm.OLS(y, design).fit()
    found = drift_slope(y.tolist(), x.tolist(), groups.tolist(), level=0.9)
    assert found is not None
    assert found.mean == pytest.approx(expected.params[0])
    assert (found.low, found.high) == pytest.approx(tuple(expected.conf_int(0.1)[0]))
    assert found.freedom == expected.df_resid


def test_a_config_that_is_slower_and_later_is_no_drift() -> None:
    x = [0.0, 0.1, 0.2, 0.7, 0.8, 0.9]
    y = [1.0, 1.1, 1.0, 5.0, 5.1, 5.0]
    found = drift_slope(y, x, "aaabbb")
    assert found is not None
    assert found.mean == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("values", "order", "groups"),
    [
        ([], [], ""),
        ([1.0, 2.0, 3.0], [0.0, 0.5, 1.0], "aaa"),
        ([1.0] * 6, [0.5] * 6, "aaaaaa"),
        ([1.0] * 6, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0], "aaabbb"),
        ([1.0] * 4, [0.0, 0.3, 0.6, 1.0], "abcd"),
    ],
)
def test_what_cannot_be_told(values: list[float], order: list[float], groups: str) -> None:
    assert drift_slope(values, order, groups) is None
