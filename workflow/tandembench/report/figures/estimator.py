"""TR114's estimator against the measured gain, run by run, with what it cannot see marked."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tandembench.analysis.numbers import ratio
from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import Figure, listed, sample
from tandembench.report.figures.looks import (
    ABOVE,
    QUIET,
    TINT,
    VERMILLION,
    stacked,
    svg_of,
    topology_marks,
)
from tandembench.report.formats import counted, interval_mean, percent
from tandembench.report.words import say
from tandembench.tables.columns import TOPOLOGIES

COLUMNS = ("speedup_estimate", "speedup_true")
# More would hide each other, and swell the file.
POINTS = 600


def estimator(dataset: Dataset, context: Mapping[str, Any]) -> Figure | None:
    """Every valid run whose agents were measured alone too; None without any."""
    runs = dataset.runs
    known = runs[runs["valid"] & ~runs["twin"].astype(bool)].dropna(subset=[*COLUMNS])
    if known.empty:
        return None
    margin = float(context["margin"])
    gains, read = known["speedup_true"] > 1 + margin, known["speedup_estimate"] > 1 + margin
    known = known.assign(blind=read & ~gains)
    rows = []
    for topology in TOPOLOGIES:
        own = known[known["topology"] == topology]
        if len(own):
            rows.append(
                (
                    topology,
                    str(len(own)),
                    # Geometric, as in the report's tables.
                    *(interval_mean(ratio(own, name)) for name in COLUMNS),
                    str(int(own["blind"].sum())),
                )
            )
    title = say("figure_estimator", "title")
    said = listed(
        [
            f"{topology}, {counted(int(count), 'run')}: estimator {estimate} for measured {true} "
            f"on average, {missed} in the blind spot"
            for topology, count, estimate, true, missed in rows
        ]
    )
    alt = f"speedup_estimate over speedup_true of each run. {said}."
    figure, (ax,) = stacked([3.9])
    _ground(ax, known, margin)
    shown = known.iloc[sample(len(known), POINTS)]
    topology_marks(ax, shown, "speedup_true", "speedup_estimate", above=1.06)
    ax.set_xlabel("speedup_true: measured against each agent alone")
    ax.set_ylabel("speedup_estimate: TR114")
    return Figure(
        name="estimator",
        title=title,
        alt=alt,
        caption=say("figure_estimator", "caption_sampled" if len(known) > POINTS else "caption"),
        svg=svg_of(figure, "estimator", title, alt),
        columns=("topology", "runs", *COLUMNS, "in the blind spot"),
        rows=tuple(rows),
    )


def _ground(ax: Axes, runs: pd.DataFrame, margin: float) -> None:
    """The diagonal with its margin, and the blind spot."""
    true, estimate = runs["speedup_true"], runs["speedup_estimate"]
    left, right = min(true.min(), 0.9) - 0.06, max(true.max(), 1.2) + 0.06
    low, high = min(estimate.min(), 0.9) - 0.06, max(estimate.max(), 1.5) + 0.1
    ax.set_xlim(left, right)
    ax.set_ylim(low, high)
    ends = [min(left, low), max(right, high)]
    band = ax.fill_between(
        ends, [x / (1 + margin) for x in ends], [x * (1 + margin) for x in ends], color="#dfe4e9"
    )
    ax.plot(ends, ends, color=QUIET, linewidth=1.2)
    edge = 1 + margin
    blind = ax.fill_between(
        [left, edge],
        edge,
        high,
        facecolor="#fbeee6",
        edgecolor=VERMILLION,
        hatch="///",
        alpha=0.35,
        linewidth=0,
    )
    ax.axvline(1, color=TINT, linewidth=1)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.yaxis.set_major_locator(MaxNLocator(6))
    told = ax.legend(
        [blind, band],
        ["reads a gain, none measured", f"right within {percent(margin, None)}"],
        **ABOVE,
        bbox_to_anchor=(-0.02, 1.0),
        ncols=2,
    )
    ax.add_artist(told)
