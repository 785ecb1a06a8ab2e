"""Comparisons with baselines: the intervals here beside those there."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tandembench.report.figures.figure import Figure, labels, listed, plain
from tandembench.report.figures.looks import (
    BLUE,
    VERMILLION,
    beside,
    heading,
    rows_down,
    stacked,
    svg_of,
)
from tandembench.report.formats import interval
from tandembench.report.words import say

# So many rows fit a figure.
COMPARED = 24
# Colour and mark, with its face, of the two sides.
SIDES = {"here": (BLUE, "o", BLUE), "baseline": (VERMILLION, "s", "white")}
ROW, GAP = 0.34, 0.75
Row = Mapping[str, Any]


def baselines(context: Mapping[str, Any]) -> Figure | None:
    """The report's comparisons, a panel for each metric and baseline; None without any."""
    every = [row for row in context["beside"] if row["ours"] or row["theirs"]]
    shown = every[:COMPARED]
    if not shown:
        return None
    title = say("figure_baselines", "title")
    rows = tuple(
        (
            plain(_subject(row), 80),
            plain(row["label"], 40),
            plain(row["metric"], 40),
            interval(row["ours"]),
            interval(row["theirs"]),
            _verdict(row, 40),
        )
        for row in shown
    )
    said = listed([f"{row[0]}, {row[2]}: here {row[3]}, {row[1]} {row[4]}" for row in rows], 24)
    alt = f"Means with 95 % intervals, here and in baselines: {said}."
    panels: dict[tuple[str, str], list[Row]] = {}
    for row in shown:
        panels.setdefault((row["metric"], row["label"]), []).append(row)
    figure, axes_down = stacked([ROW * len(own) + GAP for own in panels.values()])
    for ax, ((metric, label), own) in zip(axes_down, panels.items(), strict=True):
        heading(ax, f"{plain(label)}: {plain(metric)}")
        _pairs(ax, own)
    marks = [
        Line2D([], [], color=colour, marker=mark, markerfacecolor=face, label=name)
        for name, (colour, mark, face) in SIDES.items()
    ]
    figure.legend(handles=marks, loc="outside upper left", ncols=2)
    cut = len(every) > COMPARED
    more = [say("figure_subjects", "more", shown=str(COMPARED), of=str(len(every)))] if cut else []
    return Figure(
        name="baselines",
        title=title,
        alt=alt,
        caption=" ".join([say("figure_baselines", "caption"), *more]),
        svg=svg_of(figure, "baselines", title, alt),
        columns=("of", "baseline", "metric", "here", "there", "verdict"),
        rows=rows,
    )


def _subject(row: Row) -> str:
    """What is compared; a row without a subject is of the whole."""
    return str(row.get("subject") or "overall")


def _verdict(row: Row, limit: int) -> str:
    return plain(row["verdict"] or "no verdict", limit)


def _pairs(ax: Axes, rows: Sequence[Row]) -> None:
    rows_down(ax, labels([_subject(row) for row in rows], 25))
    for y, row in enumerate(rows):
        for (colour, mark, face), found, place in zip(
            SIDES.values(), (row["ours"], row["theirs"]), (y - 0.14, y + 0.14), strict=True
        ):
            if found is None:
                continue
            if found.low is not None:
                ax.plot([found.low, found.high], [place, place], color=colour, linewidth=2)
            ax.plot(found.mean, place, mark, color=colour, markerfacecolor=face)
        beside(ax, y, _verdict(row, 16))
    ax.margins(x=0.1)
    ax.xaxis.set_major_locator(MaxNLocator(4))
