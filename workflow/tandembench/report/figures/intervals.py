"""Points and intervals by row: makespan_ratio, slowdown, comparisons with baselines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import Figure, listed, plain, sample
from tandembench.report.figures.looks import (
    BLUE,
    COLOURS,
    INK,
    MARKS,
    OF_AGENTS,
    TINT,
    VERMILLION,
    WIDTH,
    axes,
    beside,
    drawing,
    grouped_rows,
    heading,
    rows_down,
    svg_of,
)
from tandembench.report.figures.subjects import Subjects, executions_of
from tandembench.report.numbers import ratio
from tandembench.report.render import interval
from tandembench.stats.intervals import Interval

# So many single values of a row are drawn as points; more are sampled.
POINTS = 40
# So many rows of comparisons fit a figure.
COMPARED = 24
# Colour, mark and its face of what is compared.
SIDES = {"here": (BLUE, "o", BLUE), "baseline": (VERMILLION, "s", "white")}


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
        f"is the margin that does not matter. {subjects.about}",
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
            _Row(plain(of_agent["agent"].iloc[0], 18), found, *_of(of_agent, subject.topology))
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
        f"95 % interval; at 1, sharing costs the agent nothing. {_sampled(every)}{subjects.about}",
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


def baselines(context: Mapping[str, Any]) -> Figure | None:
    """Our intervals beside those of baselines, a panel for each metric."""
    every = [row for row in context.get("comparisons") or () if row["ours"] or row["theirs"]]
    shown = every[:COMPARED]
    if not shown:
        return None
    metrics = list(dict.fromkeys(row["metric"] for row in shown))
    title = "Against baselines"
    said = listed(
        [
            f"{_name(row)}, {plain(row['metric'])}: "
            f"here {interval(row['ours'])}, there {interval(row['theirs'])}"
            for row in shown
        ]
    )
    alt = f"Means with 95 % intervals, here and in baselines: {said}."
    figure = drawing(0.25 + sum(0.75 + 0.42 * _count(shown, metric) for metric in metrics))
    top = 0.65
    for metric in metrics:
        own = [row for row in shown if row["metric"] == metric]
        ax = axes(figure, 1.85, top, 2.2, 0.42 * len(own))
        heading(ax, plain(metric, 40))
        _pairs(ax, own)
        top += 0.75 + 0.42 * len(own)
    marks = [
        Line2D([], [], color=colour, marker=mark, markerfacecolor=face, label=name)
        for name, (colour, mark, face) in SIDES.items()
    ]
    figure.legend(handles=marks, loc="upper left", bbox_to_anchor=(1.85 / WIDTH, 1), ncols=2)
    more = f" The first {COMPARED} of {len(every)} comparisons." if len(every) > COMPARED else ""
    return Figure(
        name="baselines",
        title=title,
        alt=alt,
        caption="Filled: measured here; hollow: the baseline. Lines are 95 % intervals, where the "
        f"source allows one. The word at the right is the verdict.{more}",
        svg=svg_of(figure, "baselines", title, alt),
        columns=("compared", "metric", "here", "there", "verdict"),
        rows=tuple(
            (
                _name(row, 80),
                plain(row["metric"], 40),
                interval(row["ours"]),
                interval(row["theirs"]),
                plain(row["verdict"], 40),
            )
            for row in shown
        ),
    )


def _name(row: Mapping[str, Any], limit: int = 24) -> str:
    """What is compared, and with which baseline."""
    subject = row.get("subject")
    return plain(f"{subject}, {row['label']}" if subject else row["label"], limit)


def _count(rows: Sequence[Mapping[str, Any]], metric: str) -> int:
    return sum(row["metric"] == metric for row in rows)


def _pairs(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    rows_down(ax, [_name(row) for row in rows])
    for y, row in enumerate(rows):
        for (colour, mark, face), found, place in zip(
            SIDES.values(), (row["ours"], row["theirs"]), (y - 0.14, y + 0.14), strict=True
        ):
            if found is None:
                continue
            if found.low is not None:
                ax.plot([found.low, found.high], [place, place], color=colour, linewidth=2)
            ax.plot(found.mean, place, mark, color=colour, markerfacecolor=face)
        beside(ax, y, plain(row["verdict"], 16))
    ax.margins(x=0.1)
    ax.xaxis.set_major_locator(MaxNLocator(4))


def _interval_rows(ax: Axes, rows: Sequence[_Row], places: Sequence[int]) -> None:
    """Ratios on a logarithmic axis about 1: points, mean, interval, and their numbers."""
    ax.axvline(1, color=INK, linewidth=1)
    for y, row in zip(places, rows, strict=True):
        values = [row.values[place] for place in sample(len(row.values), POINTS)]
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
    ax.set_xscale("log")
    ax.set_xlim(low * math.exp(-pad), high * math.exp(pad))
    if high / low < 1.6:
        step = 0.05 if high / low < 1.25 else 0.1
        first, last = (
            math.ceil(low * math.exp(-pad) / step),
            math.floor(high * math.exp(pad) / step),
        )
        ax.set_xticks([step * place for place in range(first, last + 1)])
    else:
        ax.xaxis.set_major_locator(
            LogLocator(base=2, subs=(1.0, 1.5) if high / low < 4 else (1.0,))
        )
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", which="minor", size=0)


def _sampled(rows: Sequence[tuple[str, _Row]]) -> str:
    most = max(len(row.values) for _, row in rows)
    return f"Of more than {POINTS} points, {POINTS} are drawn. " if most > POINTS else ""
