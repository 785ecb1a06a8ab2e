"""First-token times and gaps between chunks, alone and together, by topology."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from tandembench.dataset.load import Dataset
from tandembench.metrics import percentile
from tandembench.report.figures.figure import Figure, listed
from tandembench.report.figures.looks import (
    COLOURS,
    INK,
    brief_seconds,
    gridded,
    grouped_rows,
    heading,
    seconds_axis,
    svg_of,
)
from tandembench.report.figures.subjects import Subject, Subjects
from tandembench.report.gaps import gaps
from tandembench.report.words import say

# Up to so many values are shown one by one, more as a box.
SINGLE = 30
MODES = {"solo": "alone", "concurrent": "in the run"}
ROW, HEADING, AXIS = 0.25, 0.3, 0.3
TITLES = {"first token": "First tokens", "gap between chunks": "gaps between chunks"}


@dataclass(frozen=True)
class _Spread:
    """The values of one row, in s, and their percentiles where there are enough of them."""

    label: str
    topology: str
    mode: str
    values: tuple[float, ...]

    @property
    def percentiles(self) -> tuple[float | None, ...]:
        """p50, p90 and p99."""
        return tuple(percentile(self.values, p) for p in (0.5, 0.9, 0.99))


def latency(dataset: Dataset, subjects: Subjects) -> Figure | None:
    """A panel of first tokens and, where arrivals are known, one of gaps."""
    tables = {
        "first token": (dataset.executions[dataset.executions["valid"]], "ttft_s"),
        "gap between chunks": (gaps(dataset.tokens, dataset.runs), "gap_s"),
    }
    panels = {
        words: [one for subject in subjects.rows for one in _spreads(subject, table, column)]
        for words, (table, column) in tables.items()
    }
    panels = {words: found for words, found in panels.items() if found}
    if not panels:
        return None
    every = [spread for found in panels.values() for spread in found]
    title = " and ".join(TITLES[words] for words in panels).capitalize()
    both_modes = len({spread.mode for spread in every}) > 1
    hollow = [say("figure_latency", "hollow")] if both_modes else []
    rows = tuple(
        (
            words,
            spread.label,
            spread.mode,
            str(len(spread.values)),
            *(brief_seconds(p) if p is not None else "too few" for p in spread.percentiles),
            brief_seconds(max(spread.values)),
        )
        for words, found in panels.items()
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
    return Figure(
        name="latency",
        title=title,
        alt=alt,
        caption=" ".join([_marks(every), *hollow, subjects.about]),
        svg=svg_of(_drawn(panels), "latency", title, alt),
        columns=("time", "topology", "agents", "n", "p50", "p90", "p99", "longest"),
        rows=rows,
    )


def _marks(spreads: Sequence[_Spread]) -> str:
    """What the marks of these rows are."""
    boxes = sum(len(spread.values) > SINGLE for spread in spreads)
    if not boxes:
        return say("figure_latency", "points")
    if boxes == len(spreads):
        return say("figure_latency", "boxes")
    return say("figure_latency", "both", single=str(SINGLE))


def _drawn(panels: Mapping[str, Sequence[_Spread]]) -> Drawing:
    every = [spread for found in panels.values() for spread in found]
    modes: dict[str, list[str]] = {}
    for spread in every:
        modes.setdefault(spread.label, [])
    for label, own in modes.items():
        own += [
            mode for mode in MODES.values() if (label, mode) in {(s.label, s.mode) for s in every}
        ]
    high = ROW * (len(modes) + sum(len(own) for own in modes.values()))
    figure, (row_of_axes,) = gridded([high + HEADING + AXIS], len(panels))
    for number, (ax, (words, spreads)) in enumerate(zip(row_of_axes, panels.items(), strict=True)):
        # The first panel names the rows of all.
        places = grouped_rows(ax, [("" if number else label, own) for label, own in modes.items()])
        ax.tick_params(labelleft=number == 0)
        heading(ax, words)
        for spread in spreads:
            of_group = places[list(modes).index(spread.label)]
            _row(ax, of_group[modes[spread.label].index(spread.mode)], spread)
        values = [value for spread in spreads for value in spread.values]
        seconds_axis(ax, min(values), max(values))
    return figure


def _spreads(subject: Subject, table: pd.DataFrame, column: str) -> list[_Spread]:
    own = table[table["config_id"].isin(subject.configs)]
    by_mode = {
        words: own.loc[own["mode"] == mode, column].dropna() for mode, words in MODES.items()
    }
    # A logarithm of nothing cannot be drawn.
    return [
        _Spread(subject.label, subject.topology, words, tuple(values[values > 0]))
        for words, values in by_mode.items()
        if (values > 0).any()
    ]


def _row(ax: Axes, y: int, spread: _Spread) -> None:
    colour = COLOURS[spread.topology]
    alone = spread.mode == MODES["solo"]
    face = "white" if alone else colour
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
    across = colour if alone else "white"
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
