"""Timeline: when every token of a typical run arrived, one panel a config."""

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
    beside,
    heading,
    rows_down,
    stacked,
    svg_of,
)
from tandembench.report.figures.subjects import Subjects, block_name, rows_of, typical_block
from tandembench.report.words import say

# More ticks in a row would touch each other, and more in all swell the file.
TICKS, TICKS_IN_ALL = 160, 3200
_ROW, _HEADING, _AXIS = 0.24, 0.36, 0.36


@dataclass(frozen=True)
class _Execution:
    """One agent's row: times in s after the start; ``start_s`` is its own first request's."""

    label: str
    index: int
    start_s: float
    tokens_s: tuple[float, ...]


def timeline(dataset: Dataset, subjects: Subjects) -> Figure | None:
    """The run of median wall time of each subject; None where no arrival of a token is known."""
    panels = []
    for subject in subjects.rows if len(dataset.tokens) else ():
        run = typical_block(dataset, subject)
        rows = _executions(rows_of(dataset.executions, run), rows_of(dataset.tokens, run))
        if rows:
            panels.append((subject, run, rows))
    if not panels:
        return None
    cells = tuple(
        (
            subject.label,
            block_name(run),
            one.label,
            str(len(one.tokens_s)),
            f"{one.tokens_s[0]:.3f}",
            f"{one.tokens_s[-1]:.3f}",
        )
        for subject, run, rows in panels
        for one in rows
    )
    counts = [len(rows) for _, _, rows in panels]
    ticks = min(TICKS, TICKS_IN_ALL // sum(counts))
    figure, every = stacked([_ROW * n + _HEADING + _AXIS / len(counts) for n in counts])
    latest = max(one.tokens_s[-1] for _, _, rows in panels for one in rows)
    for ax, (subject, _, rows) in zip(every, panels, strict=True):
        heading(ax, subject.label)
        _panel(ax, rows, ticks)
        ax.set_xlim(0, 1.01 * latest)
        ax.tick_params(labelbottom=ax is every[-1])
    every[-1].set_xlabel(say("figure_timeline", "axis"))
    title = say("figure_timeline", "title")
    ends = listed(
        [f"{name}, {agent}: {first} to {last} s" for name, _, agent, _, first, last in cells]
    )
    alt = say("figure_timeline", "alt", title=title, rows=ends)
    most = max(len(one.tokens_s) for _, _, rows in panels for one in rows)
    return Figure(
        name="timeline",
        title=title,
        alt=alt,
        caption=say("figure_timeline", "caption_sampled" if most > ticks else "caption"),
        svg=svg_of(figure, "timeline", title, alt),
        columns=("config", "run", "agent", "tokens", "first token, s", "last token, s"),
        rows=cells,
    )


def _executions(executions: pd.DataFrame, tokens: pd.DataFrame) -> list[_Execution]:
    """The agents of a run in their order; an agent without tokens has no row."""
    shared = executions[executions["mode"] == "concurrent"].sort_values("agent_index")
    arrived = tokens[tokens["mode"] == "concurrent"]
    rows = []
    for row in shared.to_dict("records"):
        times = sorted(arrived.loc[arrived["agent"] == row["agent"], "t_ns"] / 1e9)
        if times:
            # The first request went out so long before the first token.
            start_s = max(times[0] - float(row["ttft_s"]), 0.0)
            label = plain(row["agent"], 16)
            rows.append(_Execution(label, int(row["agent_index"]), start_s, tuple(times)))
    return rows


def _panel(ax: Axes, rows: Sequence[_Execution], ticks: int) -> None:
    rows_down(ax, [one.label for one in rows])
    ax.tick_params(axis="y", pad=6)
    for y, one in enumerate(rows):
        colour = OF_AGENTS[one.index % len(OF_AGENTS)]
        waits = one.tokens_s[0] - one.start_s
        ax.barh(
            y,
            waits,
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
