"""First-token times and gaps between chunks, alone and together, by topology."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from tandembench.dataset.load import Dataset
from tandembench.metrics import percentile
from tandembench.report.figures.figure import Figure, listed
from tandembench.report.figures.looks import (
    COLOURS,
    INK,
    axes,
    brief_seconds,
    drawing,
    grouped_rows,
    heading,
    seconds_axis,
    svg_of,
)
from tandembench.report.figures.subjects import Subject, Subjects, executions_of
from tandembench.report.gaps import gaps

# Up to so many values are shown one by one, more as a box.
SINGLE = 30
MODES = {"solo": "alone", "concurrent": "in the run"}
ROW = 0.25


@dataclass(frozen=True)
class _Spread:
    """The values of one row, in s, and their percentiles where there are enough of them."""

    label: str
    topology: str
    alone: bool
    values: tuple[float, ...]

    @property
    def percentiles(self) -> tuple[float | None, ...]:
        """p50, p90 and p99."""
        return tuple(percentile(self.values, p) for p in (0.5, 0.9, 0.99))


def latency(dataset: Dataset, subjects: Subjects) -> Figure | None:
    """A panel of first tokens and, where arrivals are known, one of gaps."""
    known = gaps(dataset.tokens, dataset.runs)
    panels = []
    for name, words in (("ttft_s", "first token"), ("gap_s", "gap between chunks")):
        found = [
            spread
            for subject in subjects.rows
            for spread in _spreads(
                subject,
                executions_of(dataset, subject)
                if name == "ttft_s"
                else known[known["config_id"].isin(subject.configs)],
                name,
            )
        ]
        if found:
            panels.append((words, found))
    if not panels:
        return None
    title = "First tokens and gaps, alone and in the run"
    rows = tuple(
        (
            words,
            spread.label,
            MODES["solo" if spread.alone else "concurrent"],
            str(len(spread.values)),
            *(brief_seconds(p) if p is not None else "too few" for p in spread.percentiles),
            brief_seconds(max(spread.values)),
        )
        for words, found in panels
        for spread in found
    )
    said = listed(
        [
            f"{words}, {label} {mode}: median {p50}, longest {most} (n = {n})"
            for words, label, mode, n, p50, _, _, most in rows
        ],
        16,
    )
    alt = f"Times on a logarithmic axis. {said}."
    modes: dict[str, list[bool]] = {}
    for spread in (spread for _, found in panels for spread in found):
        own = modes.setdefault(spread.label, [])
        own += [spread.alone] * (spread.alone not in own)
    groups = [
        (label, [MODES["solo" if m else "concurrent"] for m in own]) for label, own in modes.items()
    ]
    high = ROW * (len(groups) + sum(len(own) for own in modes.values()))
    figure = drawing(0.3 + high + 0.4)
    width = (4.45 - 0.3 * (len(panels) - 1)) / len(panels)
    for place, (words, found) in enumerate(panels):
        ax = axes(figure, 0.95 + place * (width + 0.3), 0.3, width, high)
        # The first panel names the rows of all.
        places = grouped_rows(ax, [("" if place else label, own) for label, own in groups])
        ax.tick_params(labelleft=place == 0)
        heading(ax, words)
        for spread in found:
            group = list(modes).index(spread.label)
            _row(ax, places[group][modes[spread.label].index(spread.alone)], spread)
        values = [value for spread in found for value in spread.values]
        seconds_axis(ax, max(min(values), 1e-6), max(values))
    return Figure(
        name="latency",
        title=title,
        alt=alt,
        caption=f"Up to {SINGLE} values are single points. Of more, the box holds the middle half, "
        "the line across it is the median, the whiskers reach to the shortest and longest, and "
        "the marks on them are p90 and p99, where there are values enough (64 and 662). Hollow: "
        f"each agent alone; filled: in the run. {subjects.about}",
        svg=svg_of(figure, "latency", title, alt),
        columns=("time", "topology", "agents", "n", "p50", "p90", "p99", "longest"),
        rows=rows,
    )


def _spreads(subject: Subject, table: pd.DataFrame, column: str) -> list[_Spread]:
    found = []
    for mode in MODES:
        own = table.loc[table["mode"] == mode, column].dropna()
        own = own[own > 0]
        if len(own):
            solo = mode == "solo"
            found.append(_Spread(subject.label, subject.topology, solo, tuple(own)))
    return found


def _row(ax: Axes, y: int, spread: _Spread) -> None:
    colour = COLOURS[spread.topology]
    face = "white" if spread.alone else colour
    values = sorted(spread.values)
    if len(values) <= SINGLE:
        ax.plot(
            values,
            [y] * len(values),
            "o",
            color=colour,
            markerfacecolor=face,
            markersize=5.5,
            alpha=0.9,
        )
        return
    low, first, middle, third, high = (_quantile(values, p) for p in (0, 0.25, 0.5, 0.75, 1))
    ax.plot([low, high], [y, y], color=colour, linewidth=1.2)
    ax.barh(
        y,
        third - first,
        left=first,
        height=0.56,
        facecolor=face,
        edgecolor=colour,
        linewidth=1.2,
        zorder=3,
    )
    across = colour if spread.alone else "white"
    ax.plot([middle, middle], [y - 0.28, y + 0.28], color=across, linewidth=2, zorder=4)
    for mark in spread.percentiles[1:]:
        if mark is not None:
            ax.plot([mark, mark], [y - 0.2, y + 0.2], color=INK, linewidth=1.2, zorder=4)


def _quantile(values: Sequence[float], p: float) -> float:
    """Of sorted values, linear; a box of more than `SINGLE` values needs no floor."""
    place = (len(values) - 1) * p
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])
