"""Numbers in words: one definition of faster, and intervals that read as what they are."""

import pytest

from tandembench.analysis.intervals import Interval
from tandembench.report.formats import (
    bounded,
    counted,
    interval,
    listed,
    minutes,
    number,
    percent,
    speed,
    speeds,
)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1.005, 2, "1.00"),
        (2.0, 0, "2"),
        (-0.001, 2, "0.00"),
        (-0.006, 2, "-0.01"),
        (None, 2, "-"),
        (float("nan"), 2, "-"),
    ],
)
def test_numbers(value: float | None, digits: int, text: str) -> None:
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.1234, 1, "12.3 %"), (0.05, None, "5 %"), (0.025, None, "2.5 %"), (None, 1, "-")],
)
def test_percentages(value: float | None, digits: int | None, text: str) -> None:
    assert percent(value, digits) == text


def test_intervals() -> None:
    assert interval(Interval(1.234, 1.1, 1.3, 3)) == "1.23 [1.10, 1.30]"
    assert interval(Interval(1.234, None, None, 1)) == "1.23"
    assert interval(None) == "-"
    assert bounded(1.234, 1.1, 1.3) == "1.23 [1.10, 1.30]"


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1.24, "24 % faster"),
        (1.043, "4.3 % faster"),
        (1.0, "0 % faster"),
        (0.9999, "0 % faster"),
        (0.93, "7 % slower"),
        (2.0, "100 % faster"),
    ],
)
def test_faster_is_more_work_in_the_same_time(ratio: float, text: str) -> None:
    assert speed(ratio) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1.09, 1.30, "9 to 30 % faster"),
        (0.85, 0.95, "5 to 15 % slower"),
        (0.97, 1.20, "3 % slower to 20 % faster"),
        (1.0, 1.013, "0 to 1.3 % faster"),
        (0.9999, 1.2, "0 to 20 % faster"),
        (0.8, 1.0001, "0 to 20 % slower"),
        (1.2, 1.2, "20 % faster"),
        (0.98, 1.02, "2 % slower to 2 % faster"),
    ],
)
def test_intervals_of_speed(low: float, high: float, text: str) -> None:
    assert speeds(low, high) == text


def test_other_words_for_more() -> None:
    assert speeds(0.97, 1.2, ("more", "fewer")) == "3 % fewer to 20 % more"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (42.4, "42 s"), (170, "3 min"), (7200, "2.0 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert minutes(seconds) == text


def test_lists_and_counts() -> None:
    assert [listed([]), listed(["a"]), listed(["a", "b", "c"], "or")] == ["", "a", "a, b or c"]
    assert [counted(1, "run"), counted(2, "run"), counted(2, "is", "are")] == [
        "1 run",
        "2 runs",
        "2 are",
    ]
