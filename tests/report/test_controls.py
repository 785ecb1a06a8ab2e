"""The serial control: passed, failed, or too noisy to tell."""

import pytest

from tandembench.report.controls import _no_gain
from tandembench.stats.intervals import Interval


@pytest.mark.parametrize(
    ("gain", "passed"),
    [
        (None, None),
        (Interval(1.0, 0.98, 1.02, 3), True),
        (Interval(1.09, 0.6, 1.97, 3), True),
        (Interval(1.22, 0.52, 2.87, 3), None),  # a noisy machine, not a broken instrument
        (Interval(0.8, 0.7, 0.95, 3), None),
        (Interval(1.3, 1.2, 1.4, 3), False),
        (Interval(0.7, 0.6, 0.85, 3), False),
        (Interval(1.3, None, None, 1), False),
    ],
)
def test_serial_control(gain: Interval | None, passed: bool | None) -> None:
    assert _no_gain(gain) is passed
