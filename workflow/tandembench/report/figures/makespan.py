"""The answer as a figure: each config against the reference, and the same config twice."""

import textwrap
from collections.abc import Sequence

import pandas as pd

from tandembench.analysis.findings import Answer, Estimate, Row
from tandembench.report.figures.figure import Figure, listed, plain
from tandembench.report.figures.looks import (
    COLOURS,
    MARKS,
    QUIET,
    TINT,
    rows_down,
    stacked,
    svg_of,
)
from tandembench.report.figures.ratios import Mark, draw_ratios
from tandembench.report.formats import bounded
from tandembench.report.said import called, ordered, ratio_of
from tandembench.report.words import say

# So many rows fit the first screen, and so many letters stand left of them.
MOST, LETTERS = 12, 17
_ROW, _AXIS = 0.4, 0.5


def makespan(answer: Answer, runs: pd.DataFrame) -> Figure | None:
    """The ratios of ``answer``, with the rounds of ``runs`` behind them; None without any."""
    rows = [
        row for row in ordered(answer) if row.is_reference or (row.against and row.against.ratio)
    ]
    if len(rows) < 2:
        return None
    rows = _shown(rows, answer)
    valid = runs[runs["valid"] & ~runs["twin"].astype(bool)]
    marks, names, cells = [], [], []
    for y, row in enumerate(rows):
        own = valid.loc[valid["config_id"] == row.config_id, "makespan_ratio"].dropna()
        ratio = ratio_of(row)
        text = bounded(ratio.value, ratio.low, ratio.high) if ratio else say("against", "reference")
        names.append(called(answer, row.config_id))
        cells.append((names[-1], str(len(own)), text))
        marks.append(
            Mark(
                y=y,
                estimate=ratio or Estimate(1.0, None, None),
                values=() if row.is_reference else tuple(own.astype(float)),
                colour=COLOURS[row.topology],
                mark=MARKS[row.topology],
                text=text,
            )
        )
    twin = answer.twin.ratio if answer.twin else None
    if twin and answer.twin:
        text = bounded(twin.value, twin.low, twin.high)
        names.append(say("figure_makespan", "twin"))
        cells.append((names[-1], str(answer.twin.rounds), text))
        marks.append(Mark(len(rows), twin, (), QUIET, "d", text, hollow=True))
    reference = plain(called(answer, answer.reference), 40)
    title = say("figure_makespan", f"title_{answer.basis}", reference=reference)
    figure, (ax,) = stacked([_ROW * len(marks) + _AXIS])
    ax.axvspan(1 / (1 + answer.margin), 1 + answer.margin, color=TINT)
    rows_down(ax, [textwrap.fill(plain(name, 60), LETTERS) for name in names])
    sampled = draw_ratios(ax, marks)
    ax.set_xlabel(say("figure_makespan", f"axis_{answer.basis}", reference=reference))
    alt = say("figure_makespan", "alt", title=title, rows=listed([f"{a} {c}" for a, _, c in cells]))
    caption = say("figure_makespan", "caption_sampled" if sampled else "caption")
    return Figure(
        name="makespan",
        title=title,
        alt=alt,
        caption=caption,
        svg=svg_of(figure, "makespan", title, alt),
        columns=("config", "rounds", "ratio [95 %]"),
        rows=tuple(cells),
    )


def _shown(rows: Sequence[Row], answer: Answer) -> list[Row]:
    """At most MOST of them, the best and the reference among them."""
    named = [row for row in rows if row.is_reference or row.config_id == answer.best]
    rest = [row for row in rows if row not in named][: MOST - len(named)]
    return [row for row in rows if row in named or row in rest]
