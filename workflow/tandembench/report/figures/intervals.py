"""Points and intervals by row: makespan_ratio, slowdown, comparisons with baselines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
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
    axes,
    beside,
    drawing,
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
    _interval_rows(ax, rows)
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
    rows: list[_Row] = []
    for subject in subjects.rows:
        own = executions_of(dataset, subject)
        for _, of_agent in own[own["slowdown"].notna()].groupby("agent_index"):
            found = ratio(of_agent, "slowdown")
            if found is None:
                continue
            rows.append(
                _Row(
                    f"{subject.label}, {plain(of_agent['agent'].iloc[0], 14)}",
                    found,
                    tuple(of_agent["slowdown"]),
                    OF_AGENTS[int(of_agent["agent_index"].iloc[0]) % len(OF_AGENTS)],
                    MARKS[subject.topology],
                )
            )
    if not rows:
        return None
    title = "Slowdown of each agent"
    said = listed([f"{row.label} {interval(row.found)}" for row in rows])
    alt = f"Time beside the others over time alone, 95 % intervals: {said}."
    figure = drawing(0.75 + 0.32 * len(rows))
    ax = axes(figure, 1.85, 0.1, 2.2, 0.32 * len(rows))
    _interval_rows(ax, rows)
    ax.set_xlabel("slowdown (1: as fast as alone)")
    return Figure(
        name="slowdown",
        title=title,
        alt=alt,
        caption="Each small point is one block, the large mark their geometric mean, the line its "
        f"95 % interval; at 1, sharing costs the agent nothing. {_sampled(rows)}{subjects.about}",
        svg=svg_of(figure, "slowdown", title, alt),
        columns=("topology and agent", "blocks", "slowdown [95 %]"),
        rows=tuple(
            (row.label.replace("\n", " "), str(len(row.values)), interval(row.found))
            for row in rows
        ),
    )


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
    figure = drawing(sum(0.75 + 0.42 * _count(shown, metric) for metric in metrics))
    top = 0.4
    for metric in metrics:
        own = [row for row in shown if row["metric"] == metric]
        ax = axes(figure, 1.85, top, 2.2, 0.42 * len(own))
        heading(ax, plain(metric, 40))
        _pairs(ax, own, legend=metric == metrics[0])
        top += 0.75 + 0.42 * len(own)
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


def _pairs(ax: Axes, rows: Sequence[Mapping[str, Any]], legend: bool) -> None:
    rows_down(ax, [_name(row) for row in rows])
    for y, row in enumerate(rows):
        for found, offset, colour, mark, name in (
            (row["ours"], -0.14, BLUE, "o", "here"),
            (row["theirs"], 0.14, VERMILLION, "s", "baseline"),
        ):
            if found is None:
                continue
            if found.low is not None and found.high is not None:
                ax.plot([found.low, found.high], [y + offset] * 2, color=colour, linewidth=2)
            face = colour if mark == "o" else "white"
            line = ax.plot(found.mean, y + offset, mark, color=colour, markerfacecolor=face)
            line[0].set_label(name if y == 0 else "")
        beside(ax, y, plain(row["verdict"], 16))
    ax.margins(x=0.1)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    if legend:
        ax.legend(loc="lower right", bbox_to_anchor=(1.62, 1.0), ncols=2, borderpad=0.2)


def _interval_rows(ax: Axes, rows: Sequence[_Row]) -> None:
    """Ratios on a logarithmic axis about 1: points, mean, interval, and their numbers."""
    rows_down(ax, [row.label for row in rows])
    ax.axvline(1, color=INK, linewidth=1)
    for y, row in enumerate(rows):
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


def _sampled(rows: Sequence[_Row]) -> str:
    most = max(len(row.values) for row in rows)
    return f"Of more than {POINTS} points, {POINTS} are drawn. " if most > POINTS else ""
