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
    WIDTH,
    axes,
    beside,
    drawing,
    heading,
    rows_down,
    svg_of,
)
from tandembench.report.formats import interval

# So many rows fit a figure.
COMPARED = 24
# Colour and mark, with its face, of the two sides.
SIDES = {"here": (BLUE, "o", BLUE), "baseline": (VERMILLION, "s", "white")}
LEFT, ROW, GAP = 2.2, 0.34, 0.75
Row = Mapping[str, Any]


def baselines(context: Mapping[str, Any]) -> Figure | None:
    """The report's comparisons, a panel for each metric and baseline; None without any."""
    every = [row for row in context["beside"] if row["ours"] or row["theirs"]]
    shown = every[:COMPARED]
    if not shown:
        return None
    title = "Against baselines"
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
    figure = drawing(0.2 + ROW * len(shown) + GAP * len(panels))
    top = 0.6
    for (metric, label), own in panels.items():
        ax = axes(figure, LEFT, top, WIDTH - LEFT - 1.1, ROW * len(own))
        heading(ax, f"{plain(label)}: {plain(metric)}")
        _pairs(ax, own)
        top += ROW * len(own) + GAP
    marks = [
        Line2D([], [], color=colour, marker=mark, markerfacecolor=face, label=name)
        for name, (colour, mark, face) in SIDES.items()
    ]
    figure.legend(handles=marks, loc="upper left", bbox_to_anchor=(LEFT / WIDTH, 1), ncols=2)
    more = f" The first {COMPARED} of {len(every)} comparisons." if len(every) > COMPARED else ""
    return Figure(
        name="baselines",
        title=title,
        alt=alt,
        caption="Filled: measured here; hollow: the baseline. Lines are 95 % intervals, where the "
        f"source allows one. The word at the right is the verdict.{more}",
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
