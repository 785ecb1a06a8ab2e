"""Points and intervals by row: makespan_ratio and slowdown."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import Figure, listed, plain, sample
from tandembench.report.figures.looks import (
    COLOURS,
    INK,
    MARKS,
    OF_AGENTS,
    TINT,
    axes,
    beside,
    drawing,
    grouped_rows,
    rows_down,
    svg_of,
)
from tandembench.report.figures.subjects import Subjects, executions_of
from tandembench.report.formats import interval
from tandembench.report.numbers import ratio
from tandembench.stats.intervals import Interval

# So many single values of a row and of all rows are drawn as points; more are sampled.
POINTS, POINTS_IN_ALL = 40, 600

# Up to which width, as a ratio, an axis has ticks how far apart; beyond, at powers of 2.
_STEPS = ((1.3, 0.05), (1.6, 0.1), (2.2, 0.2), (3.5, 0.5))


@dataclass(frozen=True)
class _Row:
    """One row: an interval, the single values behind it, and how it is drawn."""

    label: str
    found: Interval
    values: tuple[float, ...]
    colour: str
    mark: str


def makespan(dataset: Dataset, context: Mapping[str, Any], subjects: Subjects) -> Figure | None:
    """What answers the question: wall times against the reference's, from the headline."""
    if not context["headline"]:
        return None
    runs = {subject.configs[0]: subject for subject in subjects.rows}
    rows = [
        _Row(
            runs[row["config_id"]].label,
            row["makespan_ratio"],
            tuple(runs[row["config_id"]].runs["makespan_ratio"].dropna()),
            COLOURS[row["topology"]],
            MARKS[row["topology"]],
        )
        for row in context["headline"]["rows"]
        if row["makespan_ratio"] and row["config_id"] in runs
    ]
    reference = context["study"]["reference"]
    title = f"Finishing the same work, against {reference}"
    said = listed([f"{row.label} {interval(row.found)}" for row in rows])
    alt = f"makespan_ratio against {reference} with 95 % intervals: {said}."
    figure = drawing(0.75 + 0.42 * len(rows))
    ax = axes(figure, 1.35, 0.1, 2.7, 0.42 * len(rows))
    margin = context["margin"]
    ax.axvspan(1 / (1 + margin), 1 + margin, color=TINT)
    rows_down(ax, [row.label for row in rows])
    _interval_rows(ax, rows, range(len(rows)))
    ax.set_xlabel(f"makespan_ratio (above 1: faster than {reference})")
    return Figure(
        name="makespan",
        title=title,
        alt=alt,
        caption="Each small point is one round, the large mark their geometric mean, the line its "
        "95 % interval. An interval across the line at 1 does not show which is faster; the band "
        f"is the margin that does not matter. {_sampled(rows)}{subjects.about}",
        svg=svg_of(figure, "makespan", title, alt),
        columns=("topology", "pairs", "makespan_ratio [95 %]"),
        rows=tuple((row.label, str(len(row.values)), interval(row.found)) for row in rows),
    )


def slowdown(dataset: Dataset, subjects: Subjects) -> Figure | None:
    """How many times as long as alone each agent takes, by topology."""
    groups = []
    for subject in subjects.rows:
        own = executions_of(dataset, subject)
        rows = [
            _Row(plain(of_agent["agent"].iloc[0], 15), found, *_of(of_agent, subject.topology))
            for _, of_agent in own[own["slowdown"].notna()].groupby("agent_index")
            if (found := ratio(of_agent, "slowdown"))
        ]
        if rows:
            groups.append((subject.label, rows))
    if not groups:
        return None
    every = [(label, row) for label, rows in groups for row in rows]
    title = "Slowdown of each agent"
    said = listed([f"{label}, {row.label} {interval(row.found)}" for label, row in every])
    alt = f"Time in the run over time alone, 95 % intervals: {said}."
    drawn = _sampled([row for _, row in every])
    high = 0.29 * (len(every) + len(groups))
    figure = drawing(0.75 + high)
    ax = axes(figure, 1.35, 0.1, 2.7, high)
    places = grouped_rows(ax, [(label, [row.label for row in rows]) for label, rows in groups])
    _interval_rows(ax, [row for _, row in every], [place for own in places for place in own])
    ax.set_xlabel("slowdown (1: as fast as alone)")
    return Figure(
        name="slowdown",
        title=title,
        alt=alt,
        caption="Each small point is one block, the large mark their geometric mean, the line its "
        f"95 % interval; at 1, sharing costs the agent nothing. {drawn}{subjects.about}",
        svg=svg_of(figure, "slowdown", title, alt),
        columns=("topology", "agent", "blocks", "slowdown [95 %]"),
        rows=tuple(
            (label, row.label, str(len(row.values)), interval(row.found)) for label, row in every
        ),
    )


def _of(executions: pd.DataFrame, topology: str) -> tuple[tuple[float, ...], str, str]:
    """Values, colour and mark of one agent's row."""
    index = int(executions["agent_index"].iloc[0])
    colour = OF_AGENTS[index % len(OF_AGENTS)]
    return tuple(executions["slowdown"]), colour, MARKS[topology]


def _interval_rows(ax: Axes, rows: Sequence[_Row], places: Sequence[int]) -> None:
    """Ratios on a logarithmic axis about 1: points, mean, interval, and their numbers."""
    ax.axvline(1, color=INK, linewidth=1)
    points = _points(len(rows))
    for y, row in zip(places, rows, strict=True):
        values = [row.values[place] for place in sample(len(row.values), points)]
        ax.plot(values, [y + 0.27] * len(values), ".", color=row.colour, alpha=0.7, markersize=5)
        if row.found.low is not None and row.found.high is not None:
            ax.plot([row.found.low, row.found.high], [y, y], color=row.colour, linewidth=2.2)
        ax.plot(
            row.found.mean, y, row.mark, color=row.colour, markersize=7, markeredgecolor="white"
        )
        beside(ax, y, interval(row.found))
    _ratio_axis(ax, [bound for row in rows for bound in _extent(row)])


def _extent(row: _Row) -> tuple[float, ...]:
    bounds = [row.found.mean, *row.values]
    return (*bounds, *(b for b in (row.found.low, row.found.high) if b is not None))


def _ratio_axis(ax: Axes, values: Sequence[float]) -> None:
    # An interval of two values may reach beyond any page: what is cut off stands in numbers.
    low = max(min(1.0, *values), 1 / 32)
    high = min(max(1.0, *values), 32.0)
    pad = max(math.log(high / low) * 0.06, 0.03)
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


def _points(rows: int) -> int:
    return min(POINTS, POINTS_IN_ALL // rows)


def _sampled(rows: Sequence[_Row]) -> str:
    most, points = max(len(row.values) for row in rows), _points(len(rows))
    return f"Of more than {points} points in a row, {points} are drawn. " if most > points else ""
