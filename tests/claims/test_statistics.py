"""Statistics against numpy and statistics of plain numbers; bounds go through them."""

import statistics as plain

import numpy as np
import pytest
from tandembench.claims.statistics import Outcome, Rows, statistic

VALUES = tuple(float(value) for value in np.random.default_rng(1).normal(10, 2, 80))
WIDE = Rows((1.0, 2.0, 4.0), (1.2, 2.2, 4.2), ())


def number(name: str, rows: Rows) -> Outcome:
    found = statistic(name, rows)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mean", np.mean(VALUES)),
        ("median", np.median(VALUES)),
        ("sd", np.std(VALUES, ddof=1)),
        ("min", min(VALUES)),
        ("max", max(VALUES)),
        ("sum", np.sum(VALUES)),
        ("range", np.ptp(VALUES)),
        ("rows", 80),
        ("p90", np.quantile(VALUES, 0.9)),
        ("p50", np.quantile(VALUES, 0.5)),
    ],
)
def test_plain_numbers(name: str, wanted: float) -> None:
    found = number(name, Rows(VALUES, VALUES, ()))
    assert found.low == found.high == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("mean", 7 / 3, 7.6 / 3),
        ("median", 2, 2.2),
        ("min", 1, 1.2),
        ("max", 4, 4.2),
        ("sum", 7, 7.6),
        ("range", 2.8, 3.2),
    ],
)
def test_bounds_of_the_values_are_bounds_of_what_rises_with_them(
    name: str, low: float, high: float
) -> None:
    found = number(name, WIDE)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_too_few_values_give_nothing() -> None:
    one = Rows((1.0,), (1.0,), ())
    assert statistic("sd", one) is None
    assert statistic("p90", Rows(VALUES[:63], VALUES[:63], ())) is None
    assert statistic("p99", Rows(VALUES, VALUES, ())) is None


def test_counts_know_their_whole() -> None:
    flags = (1.0, 0.0, 1.0)
    found = number("count", Rows(flags, flags, ()))
    assert (found.low, found.of, found.text) == (2, 3, "2/3")
    assert number("share", Rows(flags, flags, ())).low == pytest.approx(plain.fmean(flags))


def test_names_of_values_and_of_groups() -> None:
    names = Rows((0.0,) * 3, (0.0,) * 3, ("a", "b", "a"))
    assert number("distinct", names).low == 2
    assert number("only", names).names == ("several",)
    assert number("only", Rows((0.0,), (0.0,), ("a",))).names == ("a",)
    groups = Rows((3.0, 5.0, 5.0, 1.0), (3.0, 5.0, 5.0, 1.0), ("a", "b", "c", "d"))
    assert number("highest", groups).names == ("b", "c")
    assert number("highest", groups).text == "b and c (5), then a (3)"
    assert number("lowest", groups).names == ("d",)
