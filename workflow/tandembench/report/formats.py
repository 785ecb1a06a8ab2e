"""Numbers as a page and the terminal show them: nothing else rounds, and nothing here decides.

A ratio of speeds is told in one way everywhere: "19 % faster" is a ratio of 1.19, which is 19 %
more work in the same time; "7 % slower" is one of 0.93, 7 % less work in the same time.
"""

import math
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # it brings scipy, which takes longer than an answer
    from tandembench.analysis.intervals import Interval

# Stands where nothing is known, and a note under the table says what that means.
NOTHING = "-"
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def number(value: float | None, digits: int = 2) -> str:
    """A number with ``digits`` decimals; NOTHING for None and NaN."""
    # Adding zero turns -0.00 into 0.00, which is what a reader takes it for.
    return NOTHING if _unknown(value) else f"{round(cast(float, value), digits) + 0.0:.{digits}f}"


def percent(fraction: float | None, digits: int | None = 1) -> str:
    """A fraction as a percentage; ``digits`` None takes as few as it needs."""
    if _unknown(fraction):
        return NOTHING
    value = 100 * cast(float, fraction)
    return f"{value:.6g} %" if digits is None else f"{number(value, digits)} %"


def interval(value: "Interval | None", digits: int = 2) -> str:
    """A mean with its interval, "1.94 [1.90, 1.98]"; the mean alone where it has none."""
    return NOTHING if value is None else bounded(value.mean, value.low, value.high, digits)


def interval_mean(value: "Interval | None", digits: int = 2) -> str:
    """The mean alone."""
    return number(value.mean if value else None, digits)


def bounded(value: float, low: float | None, high: float | None, digits: int = 2) -> str:
    """A number with its bounds, "1.19 [1.09, 1.30]"; alone where there are none."""
    if low is None or high is None:
        return number(value, digits)
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"


def speed(ratio: float, words: tuple[str, str] = ("faster", "slower")) -> str:
    """A ratio of speeds in words: "19 % faster", "7 % slower", "0 % faster"."""
    more, less = words
    return f"{_points(ratio)} % {less if ratio < 1 and _points(ratio) != '0' else more}"


def speeds(low: float, high: float, words: tuple[str, str] = ("faster", "slower")) -> str:
    """An interval of ratios in words: "9 to 30 % faster", "3 % slower to 20 % faster"."""
    if _points(low) == _points(high) and (low < 1) == (high < 1):
        return speed(high, words)
    if low < 1 < high and "0" not in (_points(low), _points(high)):
        return f"{speed(low, words)} to {speed(high, words)}"
    # The smaller percentage first, on whichever side both are.
    near, far = sorted((low, high), key=lambda ratio: abs(ratio - 1))
    return f"{_points(near)} to {speed(far, words)}"


def minutes(seconds: float) -> str:
    """How long measuring takes, to be planned with: "40 s", "3 min", "1.5 h"."""
    if seconds < 60:
        return f"{max(round(seconds), 1)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def listed(words: list[str] | tuple[str, ...], joint: str = "and") -> str:
    """``words`` as a sentence lists them: "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


def ordinal(place: int) -> str:
    """A place in an order, from 1: "first", "second", "11th"."""
    return _ORDINALS[place - 1] if 0 < place <= len(_ORDINALS) else f"{place}th"


def _points(ratio: float) -> str:
    """What a ratio is off 1, in percent, to two digits: "0.7", "4.3", "19"."""
    off = 100 * abs(ratio - 1)
    text = f"{off:.0f}" if off >= 9.5 else f"{off:.1f}"
    return text.removesuffix(".0")


def _unknown(value: float | None) -> bool:
    return value is None or math.isnan(value)
