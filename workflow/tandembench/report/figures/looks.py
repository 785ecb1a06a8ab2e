"""How every figure looks: size, fonts, colours, marks, and the axes' common manners.

Sizes are in inches and points; a figure is as wide as a column of text, and its smallest letters
are legible on a telephone. Colours are Okabe and Ito's (2008), which the colour-blind can tell
apart; whatever a colour says, a mark, a hatch or a label says too. Figures stand on white of
their own, so that they look alike on light and dark pages.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from tandembench.report.figures.svg import tidy
from tandembench.tables.columns import TOPOLOGIES

WIDTH = 5.6
INK, QUIET, LINE, TINT = "#1d2329", "#5b6670", "#d0d7de", "#eef1f4"
BLUE, VERMILLION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"
PURPLE, SKY = "#cc79a7", "#56b4e9"
# By topology: a colour and a mark.
COLOURS = {"serial": "#555555", "single": ORANGE, "single_parallel": GREEN, "dual": BLUE}
MARKS = {"serial": "s", "single": "^", "single_parallel": "D", "dual": "o"}
OF_AGENTS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
SMALL = 10
# Behind text that lies on lines or hatching.
GROUND = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
# Manners of a legend above the axes.
ABOVE: dict[str, Any] = {"loc": "lower left", "columnspacing": 1.0, "borderpad": 0.2}
_RULES: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.linewidth": 1.0,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "ytick.major.size": 0,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "legend.handletextpad": 0.4,
    "path.simplify": True,
}


@contextmanager
def looks() -> Iterator[None]:
    """The looks of a figure, whatever a user's own matplotlibrc says; drawn and saved inside."""
    with style.context(["default", _RULES]), warnings.catch_warnings():
        # The reader's fonts show what DejaVu Sans has not.
        warnings.filterwarnings("ignore", message="Glyph ")
        yield


def drawing(height: float) -> Drawing:
    """An empty figure, ``height`` inches high."""
    figure = Drawing(figsize=(WIDTH, height))
    FigureCanvasSVG(figure)
    return figure


def stacked(heights: Sequence[float]) -> tuple[Drawing, list[Axes]]:
    """A figure of panels on top of each other, as high as given in inches, laid out to fit.

    Labels, titles and notes beside the axes get the room that they need: matplotlib's constrained
    layout measures them.
    """
    figure, grid = gridded(heights, 1)
    return figure, [row[0] for row in grid]


def gridded(heights: Sequence[float], columns: int) -> tuple[Drawing, list[list[Axes]]]:
    """The same with several panels of equal width in each row."""
    figure = Drawing(figsize=(WIDTH, sum(heights)), layout="constrained")
    FigureCanvasSVG(figure)
    ratios = {"height_ratios": heights}
    grid = figure.subplots(len(heights), columns, squeeze=False, gridspec_kw=ratios)
    return figure, [list(row) for row in grid]


def svg_of(figure: Drawing, name: str, title: str, alt: str) -> str:
    """The figure's file: the same drawing gives the same bytes."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with style.context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    return tidy(buffer.getvalue(), name, title, alt)


def rows_down(ax: Axes, labels: Sequence[str]) -> None:
    """One row a label, the first on top, at y = 0, 1, 2 and so on."""
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_yticks(range(len(labels)), labels=labels)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")


def grouped_rows(ax: Axes, groups: Sequence[tuple[str, Sequence[str]]]) -> list[list[int]]:
    """Rows under a heading each, as `rows_down`; where the rows of each group lie."""
    names: list[str] = []
    places = []
    for _, rows in groups:
        names.append("")
        places.append(list(range(len(names), len(names) + len(rows))))
        names += rows
    rows_down(ax, names)
    for (title, _), own in zip(groups, places, strict=True):
        # Beside the rows' labels, where no data can be.
        ax.annotate(
            title,
            (0, own[0] - 1),
            xycoords=("axes fraction", "data"),
            va="center_baseline",
            size=SMALL,
            weight="bold",
            bbox=GROUND,
            zorder=5,
        )
    return places


def heading(ax: Axes, text: str) -> None:
    """A panel's own title."""
    ax.set_title(text, pad=5, weight="bold")


def beside(ax: Axes, row: float, text: str) -> None:
    """Text to the right of a row."""
    ax.annotate(
        text,
        (1, row),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center_baseline",
        size=SMALL,
    )


def topology_marks(ax: Axes, runs: pd.DataFrame, x: str, y: str, above: float = 1.0) -> None:
    """Runs as marks at two of their columns, and which topology is which ``above`` the axes."""
    for topology in TOPOLOGIES:
        own = runs[runs["topology"] == topology]
        if len(own):
            ax.plot(
                own[x],
                own[y],
                MARKS[topology],
                color=COLOURS[topology],
                markersize=6,
                markeredgecolor="white",
                markeredgewidth=0.7,
                label=topology,
                zorder=4,
            )
    ax.legend(**ABOVE, bbox_to_anchor=(-0.02, above), ncols=4, handlelength=1.0)


def seconds_axis(ax: Axes, low: float, high: float) -> None:
    """A logarithmic x axis of seconds, from below ``low`` to above ``high``, with few labels."""
    low, high = low / 1.25, high * 1.25
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    if high / low < 3:
        ax.xaxis.set_major_locator(MaxNLocator(3))
    else:
        wide, middling = high / low > 40, high / low > 8
        subs = (1.0,) if wide else (1.0, 3.0) if middling else (1.0, 2.0, 5.0)
        ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: brief_seconds(value)))
    ax.xaxis.set_minor_formatter(NullFormatter())


def brief_seconds(value: float) -> str:
    """A time with its unit, "20 ms", "1.5 s"."""
    if value >= 1:
        return f"{value:.3g} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} us"
