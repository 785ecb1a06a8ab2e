"""How many times as long as alone each agent takes, by the order in which they are served."""

from collections.abc import Sequence
from itertools import groupby

import pandas as pd

from tandembench.analysis.findings import Answer
from tandembench.analysis.service import Service
from tandembench.report.figures.figure import Figure, listed, plain
from tandembench.report.figures.looks import COLOURS, MARKS, grouped_rows, stacked, svg_of
from tandembench.report.figures.ratios import Mark, draw_ratios
from tandembench.report.formats import bounded, ordinal
from tandembench.report.said import called
from tandembench.report.words import say

_ROW, _AXIS = 0.3, 0.5
# So many rows stay legible.
MOST = 24


def service(answer: Answer, services: Sequence[Service], executions: pd.DataFrame) -> Figure | None:
    """A row for each agent served, under its config; None where no agent was measured alone."""
    known = [one for one in services if one.slowdown][:MOST]
    if not known:
        return None
    groups = [(name, list(own)) for name, own in groupby(known, key=lambda one: one.config_id)]
    shared = executions[executions["valid"] & (executions["mode"] == "concurrent")]
    shared = shared[~shared["twin"].astype(bool)]
    titles = [plain(called(answer, name), 40) for name, _ in groups]
    figure, (ax,) = stacked([_ROW * (len(known) + len(groups)) + _AXIS])
    places = grouped_rows(
        ax,
        [
            (title, [say("figure_service", "row", order=ordinal(one.order)) for one in own])
            for title, (_, own) in zip(titles, groups, strict=True)
        ],
    )
    marks, cells = [], []
    for title, (name, own), ys in zip(titles, groups, places, strict=True):
        topology = answer.row(name).topology
        for one, y in zip(own, ys, strict=True):
            if one.slowdown is None:
                continue
            text = bounded(one.slowdown.value, one.slowdown.low, one.slowdown.high)
            of_place = shared[
                (shared["config_id"] == name) & (shared["service_order"] == one.order)
            ]
            values = tuple(of_place["slowdown"].dropna().astype(float))
            marks.append(Mark(y, one.slowdown, values, COLOURS[topology], MARKS[topology], text))
            cells.append((title, ordinal(one.order), str(len(values)), text))
    sampled = draw_ratios(ax, marks)
    ax.set_xlabel(say("figure_service", "axis"))
    title = say("figure_service", "title")
    rows = listed([f"{config}, {order} {text}" for config, order, _, text in cells])
    alt = say("figure_service", "alt", title=title, rows=rows)
    return Figure(
        name="slowdown",
        title=title,
        alt=alt,
        caption=say("figure_service", "caption_sampled" if sampled else "caption"),
        svg=svg_of(figure, "slowdown", title, alt),
        columns=("config", "served", "runs", "slowdown [95 %]"),
        rows=tuple(cells),
    )
