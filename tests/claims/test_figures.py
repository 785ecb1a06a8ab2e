"""What a report prints, read as value, unit and precision."""

import pytest
from tandembench.claims.figures import Figure, in_print, read_figure, shown


def figure(text: str) -> Figure:
    found = read_figure(text)
    assert found is not None, text
    return found


@pytest.mark.parametrize(
    ("text", "low", "high", "unit"),
    [
        ("1.785x", 1.785, 1.785, 0.001),
        ("89.3%", 0.893, 0.893, 0.001),
        ("99.25%", 0.9925, 0.9925, 0.0001),
        ("+17.3pp", 0.173, 0.173, 0.001),
        ("-57pp", -0.57, -0.57, 0.01),
        ("~92.7%", 0.927, 0.927, 0.001),
        ("10x", 10, 10, 1),
        ("900ms", 0.9, 0.9, 0.001),
        ("0.89μs", 0.89e-6, 0.89e-6, 0.01e-6),
        ("12.5s", 12.5, 12.5, 0.1),
        ("2.5 min", 150, 150, 6),
        ("872MB", 872e6, 872e6, 1e6),
        ("0.8", 0.8, 0.8, 0.1),
        ("~24", 24, 24, 1),
        ("150", 150, 150, 0),
        ("30 configs", 30, 30, 0),
        ("+15-18pp", 0.15, 0.18, 0.01),
        ("88.2-88.4%", 0.882, 0.884, 0.001),
        ("-5pp to -7pp", -0.07, -0.05, 0.01),
        ("-3.5pp to -6.5pp", -0.065, -0.035, 0.001),
        ("65.5% - 95.7%", 0.655, 0.957, 0.001),
        ("5,000-7,000", 5000, 7000, 0),
        ("6 hours 15 minutes", 22500, 22500, 60),
        ("6 hours", 21600, 21600, 3600),
        ("1970-01-02 00:01 UTC", 86460, 86460, 60),
    ],
)
def test_a_figure_is_its_value_and_its_precision(
    text: str, low: float, high: float, unit: float
) -> None:
    found = figure(text)
    assert (found.low, found.high, found.unit) == pytest.approx((low, high, unit))
    assert found.is_range is (low < high)
    assert found.relation == "equal"
    assert found.of is None


@pytest.mark.parametrize(
    ("text", "value", "relation"),
    [
        (">87%", 0.87, "above"),
        ("<0.5%", 0.005, "below"),
        ("±0.4pp", 0.004, "at_most"),
        ("85%+", 0.85, "at_least"),
    ],
)
def test_a_bound_is_none_that_is_equal(text: str, value: float, relation: str) -> None:
    assert figure(text).low == pytest.approx(value)
    assert figure(text).relation == relation


def test_a_share_has_a_whole() -> None:
    found = figure("9/150")
    assert (found.low, found.of, found.unit) == (9, 150, 0)


@pytest.mark.parametrize(
    "text",
    ["", "x", "89,3%", "1.5 apples", "1.2-3%", "3%-4x", "1e5", "nan", "9/", "2025-13-01 00:00 UTC"],
)
def test_what_is_no_figure_is_none(text: str) -> None:
    assert read_figure(text) is None


@pytest.mark.parametrize(
    ("text", "value", "wanted"),
    [
        ("89.3%", 0.8926261, "89.263%"),
        ("+17.3pp", -0.0000558, "-0.006pp"),
        ("1.785x", 1.78525, "1.78525x"),
        ("900ms", 0.000698, "0.70 ms"),
        ("150", 26.0, "26"),
        ("30 configs", 7.0, "7"),
        ("6 hours 15 minutes", 1955.5, "0.5432 hours"),
        ("1970-01-02 00:01 UTC", 90061, "1970-01-02 01:01:01 UTC"),
    ],
)
def test_a_recomputed_value_is_shown_as_the_print_is(text: str, value: float, wanted: str) -> None:
    assert shown(value, figure(text)) == wanted


def test_a_recomputed_value_is_a_number_in_the_unit_of_the_print() -> None:
    assert in_print(0.892626, figure("89.3%")) == pytest.approx(89.2626)
    assert in_print(1.78, figure("1.785x")) == pytest.approx(1.78)
    assert in_print(0.0, figure("1970-01-02 00:01 UTC")) == "1970-01-01 00:00:00 UTC"
