"""Ratios with their intervals, one row each, about the line of no difference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from tandembench.analysis.findings import Estimate
from tandembench.report.figures.figure import sample
from tandembench.report.figures.looks import INK, beside

# So many single values of all rows together are drawn as points; more are sampled.
POINTS_IN_ALL = 600
# Up to which width, as a ratio, an axis has ticks how far apart; beyond, at powers of 2.
_STEPS = ((1.1, 0.02), (1.3, 0.05), (1.6, 0.1), (2.2, 0.2), (3.5, 0.5))


@dataclass(frozen=True, slots=True)
class Mark:
    """One row at ``y``: an estimate, the values behind it, how it is drawn, what stands beside it.

    ``estimate`` without bounds has no line: it is what the others are compared with.
    """

    y: float
    estimate: Estimate
    values: tuple[float, ...]
    colour: str
    mark: str
    text: str
    hollow: bool = False


def draw_ratios(ax: Axes, marks: Sequence[Mark]) -> bool:
    """Draw ``marks`` on a logarithmic axis about 1; whether some of their values are left out."""
    ax.axvline(1, color=INK, linewidth=1)
    most = POINTS_IN_ALL // max(len(marks), 1)
    for one in marks:
        values = [one.values[place] for place in sample(len(one.values), most)]
        ax.plot(values, [one.y + 0.27] * len(values), ".", color=one.colour, alpha=0.6, ms=4)
        low, high = one.estimate.low, one.estimate.high
        if low is not None and high is not None:
            ax.plot([low, high], [one.y, one.y], color=one.colour, linewidth=2.2)
        ax.plot(
            one.estimate.value,
            one.y,
            one.mark,
            color=one.colour,
            markersize=7,
            markerfacecolor="white" if one.hollow else one.colour,
            markeredgecolor=one.colour if one.hollow else "white",
        )
        beside(ax, one.y, one.text)
    _ratio_axis(ax, [bound for one in marks for bound in _extent(one)])
    return any(len(one.values) > most for one in marks)


def _extent(one: Mark) -> list[float]:
    bounds = [one.estimate.value, one.estimate.low, one.estimate.high, *one.values]
    return [bound for bound in bounds if bound is not None]


def _ratio_axis(ax: Axes, values: Sequence[float]) -> None:
    # An interval of two values may reach beyond any page: what is cut off stands in numbers.
    low = max(min(1.0, *values), 1 / 32)
    high = min(max(1.0, *values), 32.0)
    pad = max(math.log(high / low) * 0.06, 0.01)
    low, high = low * math.exp(-pad), high * math.exp(pad)
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    step = next((step for wide, step in _STEPS if high / low < wide), None)
    if step:
        places = range(math.ceil(low / step), math.floor(high / step) + 1)
        ticks = [step * place for place in places]
    else:
        ticks = [2.0**power for power in range(-5, 6) if low <= 2.0**power <= high]
    ax.set_xticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
