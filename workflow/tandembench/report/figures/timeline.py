"""Timeline: when every token of a block arrived, each agent alone and all at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import Figure, listed, plain, sample
from tandembench.report.figures.looks import (
    OF_AGENTS,
    QUIET,
    WIDTH,
    axes,
    beside,
    drawing,
    heading,
    rows_down,
    svg_of,
)
from tandembench.report.figures.subjects import (
    TOPOLOGIES,
    Subjects,
    block_name,
    rows_of,
    typical_block,
)

# More ticks in a row would touch each other, and more in all swell the file.
TICKS, TICKS_IN_ALL = 160, 3200
ROW, GAP = 0.24, 0.62
ROWS = "Upper rows: each agent alone; lower rows: all in the run, at once or, in serial, in turn. "


@dataclass(frozen=True)
class _Execution:
    """One row: times in s after t0; ``start_s`` is its own first request's."""

    label: str
    index: int
    alone: bool
    start_s: float
    tokens_s: tuple[float, ...]
    duration_s: float


def timeline(dataset: Dataset, subjects: Subjects) -> Figure | None:
    """The typical block of each topology; None where no arrival of a token is known."""
    panels = []
    for subject in subjects.rows if len(dataset.tokens) else ():
        run = typical_block(dataset, subject)
        found = _executions(rows_of(dataset.executions, run), rows_of(dataset.tokens, run))
        if found:
            panels.append((subject, run, found))
    if not panels:
        return None
    title = "Timeline of a block: when each token arrived"
    said = listed(
        [
            f"{subject.topology}, {block_name(run)}: wall {run['wall_s']:.2f} s, "
            + ", ".join(f"{one.label} ends at {one.tokens_s[-1]:.2f} s" for one in found)
            for subject, run, found in panels
        ]
    )
    alt = f"Arrival of tokens by agent, alone and together. {said}."
    figure = drawing(0.9 + sum(ROW * len(found) + GAP for _, _, found in panels) - GAP)
    ticks = min(TICKS, TICKS_IN_ALL // sum(len(found) for _, _, found in panels))
    latest = max(one.tokens_s[-1] for _, _, found in panels for one in found)
    # Labels of 10 points are so wide.
    left = min(2.1, 0.15 + 0.083 * max(len(one.label) for _, _, found in panels for one in found))
    top = 0.3
    for subject, run, found in panels:
        ax = axes(figure, left, top, WIDTH - left - 0.7, ROW * len(found))
        heading(ax, f"{subject.topology}: {TOPOLOGIES[subject.topology]}")
        _panel(ax, found, ticks)
        ax.set_xlim(0, 1.01 * latest)
        last = run is panels[-1][1]
        ax.tick_params(labelbottom=last)
        top += ROW * len(found) + GAP
    ax.set_xlabel("seconds after the start of the execution")
    most = max(len(one.tokens_s) for _, _, found in panels for one in found)
    alone = any(one.alone for _, _, found in panels for one in found)
    some = f" Of more than {ticks} tokens in a row, {ticks} are drawn." if most > ticks else ""
    return Figure(
        name="timeline",
        title=title,
        alt=alt,
        caption="Hollow bar: waiting for the first token. Each tick: a token. At the right: when "
        f"the last one came. {ROWS if alone else ''}The blocks are those of median wall time. "
        f"{subjects.about}{some}",
        svg=svg_of(figure, "timeline", title, alt),
        columns=("topology", "block", "agent", "tokens", "first token, s", "last token, s"),
        rows=tuple(
            (
                subject.topology,
                block_name(run),
                one.label,
                str(len(one.tokens_s)),
                f"{one.tokens_s[0]:.3f}",
                f"{one.tokens_s[-1]:.3f}",
            )
            for subject, run, found in panels
            for one in found
        ),
    )


def _executions(executions: pd.DataFrame, tokens: pd.DataFrame) -> list[_Execution]:
    """Solos first, agents in their order."""
    found = []
    for row in executions.to_dict("records"):
        own = tokens[(tokens["agent"] == row["agent"]) & (tokens["mode"] == row["mode"])]
        if own.empty:
            continue
        times = sorted(own["t_ns"] / 1e9)
        alone = row["mode"] == "solo"
        label = f"{plain(row['agent'], 16)} {'alone' if alone else 'in run'}"
        # The first request went out so long before the first token.
        start_s = max(times[0] - float(row["ttft_s"]), 0.0)
        index = int(row["agent_index"])
        found.append(_Execution(label, index, alone, start_s, tuple(times), row["duration_s"]))
    return sorted(found, key=lambda one: (not one.alone, one.index))


def _panel(ax: Axes, rows: Sequence[_Execution], ticks: int) -> None:
    rows_down(ax, [one.label for one in rows])
    ax.tick_params(axis="y", pad=6)
    for y, one in enumerate(rows):
        colour = OF_AGENTS[one.index % len(OF_AGENTS)]
        first = one.tokens_s[0]
        ax.barh(
            y,
            first - one.start_s,
            left=one.start_s,
            height=0.5,
            facecolor="white",
            edgecolor=QUIET,
            linewidth=0.8,
        )
        shown = [one.tokens_s[place] for place in sample(len(one.tokens_s), ticks)]
        # One path for all ticks of a row, with gaps between them.
        xs = [x for time in shown for x in (time, time, math.nan)]
        ys = [edge for _ in shown for edge in (y - 0.36, y + 0.36, math.nan)]
        ax.plot(xs, ys, color=colour, linewidth=1.1)
        beside(ax, y, f"{one.tokens_s[-1]:.2f} s")
