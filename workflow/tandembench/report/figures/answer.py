"""Figures of the answer: each config against the reference, and agents by order of service."""

import textwrap
from collections.abc import Sequence

import pandas as pd

from tandembench.analysis.findings import Answer, Estimate, Row
from tandembench.analysis.service import Service
from tandembench.report.figures.figure import Figure, listed, plain
from tandembench.report.figures.looks import (
    COLOURS,
    MARKS,
    QUIET,
    TINT,
    Mark,
    draw_ratios,
    figure,
    panels,
    rows_down,
)
from tandembench.report.formats import bounded, ordinal, percent
from tandembench.report.said import called, ordered, ratio_of
from tandembench.report.words import say

# So many rows fit the first screen, and so many letters stand left of them.
MOST, LETTERS = 12, 17
MOST_SERVED = 24
_ROW, _AXIS = 0.4, 0.5


def makespan(answer: Answer, runs: pd.DataFrame) -> Figure | None:
    """The ratios of ``answer``, with the rounds of ``runs`` behind them; None without any.

    The reference is a row, and so is the config that was measured twice.
    """
    rows = [row for row in ordered(answer) if row.is_reference or ratio_of(row)]
    if len(rows) < 2:
        return None
    valid = runs[runs["valid"] & ~runs["twin"].astype(bool)]
    marks, names, cells = [], [], []
    for row in _shown(rows, answer):
        of_config = valid.loc[valid["config_id"] == row.config_id, "makespan_ratio"].dropna()
        ratio = ratio_of(row)
        text = bounded(ratio.value, ratio.low, ratio.high) if ratio else say("against", "reference")
        names.append(called(answer, row.config_id))
        cells.append((names[-1], str(len(of_config)), text))
        values = () if row.is_reference else tuple(of_config.astype(float))
        look = COLOURS[row.topology], MARKS[row.topology]
        marks.append(Mark(ratio or Estimate(1.0, None, None), values, *look, text))
    twin = answer.twin.ratio if answer.twin else None
    if twin and answer.twin:
        text = bounded(twin.value, twin.low, twin.high)
        names.append(say("figure_makespan", "twin"))
        cells.append((names[-1], str(answer.twin.rounds), text))
        marks.append(Mark(twin, (), QUIET, "d", text, hollow=True))
    reference = plain(called(answer, answer.reference), 40)
    title = say("figure_makespan", f"title_{answer.basis}", reference=reference)
    drawing, (ax,) = panels([_ROW * len(marks) + _AXIS])
    ax.axvspan(1 / (1 + answer.margin), 1 + answer.margin, color=TINT)
    rows_down(ax, [textwrap.fill(plain(name, 60), LETTERS) for name in names])
    sampled = draw_ratios(ax, marks)
    ax.set_xlabel(say("figure_makespan", f"axis_{answer.basis}", reference=reference))
    spoken = listed([f"{name} {text}" for name, _, text in cells])
    return figure(
        drawing,
        "makespan",
        title,
        say("figure_makespan", "alt", title=title, rows=spoken),
        say(
            "figure_makespan",
            "caption_sampled" if sampled else "caption",
            margin=percent(answer.margin, None),
        ),
        ("config", "rounds", "ratio [95 %]"),
        cells,
    )


def _shown(rows: Sequence[Row], answer: Answer) -> list[Row]:
    """At most MOST of them, the best and the reference among them."""
    named = [row for row in rows if row.is_reference or row.config_id == answer.best]
    rest = [row for row in rows if row not in named][: MOST - len(named)]
    return [row for row in rows if row in named or row in rest]


def service(answer: Answer, services: Sequence[Service], executions: pd.DataFrame) -> Figure | None:
    """A row for each agent served, under its config; None where no agent was measured alone."""
    known = [(one, one.slowdown) for one in services if one.slowdown][:MOST_SERVED]
    if not known:
        return None
    shared = executions[executions["valid"] & (executions["mode"] == "concurrent")]
    shared = shared[~shared["twin"].astype(bool)]
    marks, cells, names = [], [], []
    for one, slowdown in known:
        config = plain(called(answer, one.config_id), 40)
        topology = answer.row(one.config_id).topology
        text = bounded(slowdown.value, slowdown.low, slowdown.high)
        here = (shared["config_id"] == one.config_id) & (shared["service_order"] == one.order)
        values = tuple(shared.loc[here, "slowdown"].dropna().astype(float))
        marks.append(Mark(slowdown, values, COLOURS[topology], MARKS[topology], text))
        cells.append((config, ordinal(one.order), str(len(values)), text))
        row = say("figure_service", "row", config=config, order=ordinal(one.order))
        names.append(textwrap.fill(row, 24))
    drawing, (ax,) = panels([_ROW * len(known) + _AXIS])
    rows_down(ax, names)
    sampled = draw_ratios(ax, marks)
    ax.set_xlabel(say("figure_service", "axis"))
    title = say("figure_service", "title")
    spoken = listed([f"{config}, {order} {text}" for config, order, _, text in cells])
    return figure(
        drawing,
        "slowdown",
        title,
        say("figure_service", "alt", title=title, rows=spoken),
        say("figure_service", "caption_sampled" if sampled else "caption"),
        ("config", "served", "runs", "slowdown [95 %]"),
        cells,
    )
