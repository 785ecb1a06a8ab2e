"""Loss ladder: from ideal to measured, by the true split and by TR114's."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from tandembench.analysis.numbers import mean
from tandembench.report.figures.figure import Figure, listed
from tandembench.report.figures.looks import (
    BLUE,
    GROUND,
    INK,
    QUIET,
    SMALL,
    VERMILLION,
    gridded,
    heading,
    rows_down,
    svg_of,
)
from tandembench.report.figures.subjects import Subjects
from tandembench.report.formats import percent
from tandembench.report.words import say

# A step of the ladder: its label, the column of the true split and that of TR114's; None: not seen.
STEPS = (
    ("unequal work", "work_imbalance", "imbalance_loss"),
    ("taking turns", "sequencing_loss", "sequencing_loss"),
    ("waiting for a slot", "queueing", None),
    ("contention", "contention", None),
    ("orchestration", "orchestration_true", "orchestration_loss"),
)
ROW, HEADING, AXIS = 0.24, 0.32, 0.25
SIDES = {"true": "true split", "estimate": "TR114's split"}


@dataclass(frozen=True)
class _Ladder:
    """Mean losses of one side, in the order of `STEPS`, and what is left; None: not seen."""

    losses: tuple[float | None, ...]
    left: float


def ladder(subjects: Subjects) -> Figure | None:
    """A pair of ladders for each topology; only TR114's where nothing was measured alone."""
    panels = [(subject, _ladders(subject.runs)) for subject in subjects.rows]
    panels = [(subject, found) for subject, found in panels if found]
    if not panels:
        return None
    shown = [side for side in SIDES if any(side in found for _, found in panels)]
    title = say("figure_ladder", "title")
    rows = tuple(
        (
            subject.label,
            SIDES[side],
            str(len(subject.runs)),
            *("not seen" if loss is None else percent(loss) for loss in found[side].losses),
            percent(found[side].left),
        )
        for subject, found in panels
        for side in shown
        if side in found
    )
    names = [step for step, _, _ in STEPS]
    said = listed(
        [
            f"{row[0]}, {row[1]}: "
            + ", ".join(f"{name} {cell}" for name, cell in zip(names, row[3:], strict=False))
            + f", efficiency {row[-1]}"
            for row in rows
        ]
    )
    alt = f"Mean losses from 100 % down to the efficiency. {said}."
    high = ROW * (len(STEPS) + 2) + HEADING
    figure, grid = gridded([high] * (len(panels) - 1) + [high + AXIS], len(shown))
    for number, (row_of_axes, (subject, ladders)) in enumerate(zip(grid, panels, strict=True)):
        for place, (ax, side) in enumerate(zip(row_of_axes, shown, strict=True)):
            _panel(ax, ladders.get(side), labels=place == 0)
            heading(ax, subject.label if place == 0 else " ")
            if number == 0:
                ax.annotate(
                    SIDES[side],
                    (1, 1),
                    xycoords="axes fraction",
                    xytext=(0, 22),
                    textcoords="offset points",
                    ha="right",
                    color=_colour(side),
                    weight="bold",
                )
            ax.tick_params(labelbottom=number == len(panels) - 1)
    return Figure(
        name="ladder",
        title=title,
        alt=alt,
        caption=f"{say('figure_ladder', 'both' if 'true' in shown else 'estimate')} "
        f"{subjects.about}",
        svg=svg_of(figure, "ladder", title, alt),
        columns=("topology", "split", "runs", *names, "efficiency"),
        rows=rows,
    )


def _ladders(runs: pd.DataFrame) -> Mapping[str, _Ladder]:
    sides = {}
    known = runs[runs["efficiency_true"].notna()]
    for place, (side, own) in enumerate((("true", known), ("estimate", runs)), start=1):
        left = mean(own[f"efficiency_{side}"])
        if left is not None:
            losses = [mean(own[step[place]]) if step[place] else None for step in STEPS]
            sides[side] = _Ladder(tuple(losses), left)
    return sides


def _colour(side: str) -> str:
    return BLUE if side == "true" else VERMILLION


def _panel(ax: Axes, found: _Ladder | None, labels: bool) -> None:
    rows_down(ax, ["ideal", *(step for step, _, _ in STEPS), "efficiency"])
    ax.tick_params(labelleft=labels)
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.5, 1])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    if found is None:
        ax.text(0.5, len(STEPS) / 2, "not measured", ha="center", va="center_baseline", color=QUIET)
        return
    reached = 1.0
    ax.barh(0, 1, height=0.62, color="#c9d1d9")
    for y, loss in enumerate(found.losses, start=1):
        if loss is None:
            _label(ax, y, reached, reached, "not seen", QUIET)
            continue
        ax.barh(
            y,
            -loss,
            left=reached,
            height=0.62,
            facecolor="white",
            edgecolor=INK,
            linewidth=0.8,
            hatch="////" if loss >= 0 else "\\\\\\\\",
        )
        ax.plot([reached - loss] * 2, [y - 0.31, y + 1.31], color=QUIET, linewidth=0.8)
        left, right = sorted((reached, reached - loss))
        _label(ax, y, left, right, percent(-loss))
        reached -= loss
    side = "estimate" if None in found.losses else "true"
    y = len(STEPS) + 1
    ax.barh(y, found.left, height=0.62, color=_colour(side))
    inside = found.left > 0.3
    ax.annotate(
        percent(found.left),
        (found.left, y),
        xytext=(-4 if inside else 4, 0),
        textcoords="offset points",
        ha="right" if inside else "left",
        va="center_baseline",
        size=SMALL,
        weight="bold",
        color="white" if inside else INK,
    )


def _label(ax: Axes, row: float, left: float, right: float, text: str, colour: str = INK) -> None:
    """Left of a bar, or right of it, or on it, wherever there is room."""
    if left > 0.3:
        x, gap, side = left, -4, "right"
    elif right < 0.7:
        x, gap, side = right, 4, "left"
    else:
        x, gap, side = left, 6, "left"
    ax.annotate(
        text,
        (x, row),
        xytext=(gap, 0),
        textcoords="offset points",
        ha=side,
        va="center_baseline",
        size=SMALL,
        color=colour,
        bbox=GROUND if side == "left" else None,
    )
