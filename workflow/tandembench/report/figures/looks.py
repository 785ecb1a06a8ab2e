"""How every figure looks: size, fonts, colours, marks, and the axes' common manners.

Sizes are in inches and points; a figure is as wide as a column of text, and its smallest letters
are legible on a telephone; matplotlib's constrained layout makes room for labels. Colours are
Okabe and Ito's (2008), which the colour-blind can tell apart; whatever a colour says, a mark or a
label says too. Figures stand on white of their own, so that they look alike on light and dark
pages, and are shown as images, which may have styles where a page may not.
"""

import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import NullLocator

from tandembench.analysis.findings import Estimate
from tandembench.report.figures.figure import Figure, sample
from tandembench.report.words import say
from tandembench.tables.columns import TOPOLOGIES

WIDTH = 5.6
INK, QUIET, LINE, TINT = "#1d2329", "#5b6670", "#d0d7de", "#eef1f4"
BLUE, VERMILLION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"
PURPLE, SKY = "#cc79a7", "#56b4e9"
# By topology: a colour and a mark.
COLOURS = {"serial": "#555555", "single": ORANGE, "single_parallel": GREEN, "dual": BLUE}
MARKS = {"serial": "s", "single": "^", "single_parallel": "D", "dual": "o"}
OF_AGENTS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, "#555555", INK)
SMALL = 10
# So many single values of a figure are drawn as points; more are sampled: they would hide each
# other, and swell the file.
POINTS = 600
# Manners of a legend above the axes.
ABOVE: dict[str, Any] = {"loc": "lower left", "columnspacing": 1.0, "borderpad": 0.2}
# Up to which width, as a ratio, an axis of ratios has ticks how far apart; beyond, at powers of 2.
_STEPS = ((1.1, 0.02), (1.3, 0.05), (1.6, 0.1), (2.2, 0.2), (3.5, 0.5))
_COMMENT, _TAG = re.compile(r"<!--.*?-->\s*", re.DOTALL), re.compile(r"<[^>]+>")
_NUMBER = re.compile(r"-?\d+\.\d+")
# Said once of a whole file, where matplotlib says it of every text.
_FONTS = " font-family: 'DejaVu Sans', 'Verdana', sans-serif;"
_RULES: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 11,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.linewidth": 1.0,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
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
}


@contextmanager
def looks() -> Iterator[None]:
    """The looks of a figure, whatever a user's own matplotlibrc says; drawn and saved inside."""
    with style.context(["default", _RULES]), warnings.catch_warnings():
        # The reader's fonts show what DejaVu Sans has not.
        warnings.filterwarnings("ignore", message="Glyph ")
        yield


def panels(heights: Sequence[float]) -> tuple[Drawing, list[Axes]]:
    """A drawing of panels on top of each other, each as high as given in inches."""
    drawing = Drawing(figsize=(WIDTH, sum(heights)), layout="constrained")
    FigureCanvasSVG(drawing)
    ratios = {"height_ratios": heights}
    grid = drawing.subplots(len(heights), 1, squeeze=False, gridspec_kw=ratios)
    return drawing, [row[0] for row in grid]


def figure(
    drawing: Drawing,
    name: str,
    title: str,
    alt: str,
    caption: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, ...]],
) -> Figure:
    """The finished figure: the same drawing gives the same bytes."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with style.context({"svg.hashsalt": name}):
        drawing.savefig(buffer, format="svg", metadata=nothing)
    svg = _compact(buffer.getvalue())
    return Figure(name, title, alt, caption, svg, tuple(columns), tuple(rows))


def _compact(svg: str) -> str:
    """Half as large: two decimals in tags, one line a tag, fonts once, no comments."""
    body = _COMMENT.sub("", svg[svg.index("<svg") :]).replace(_FONTS, "")
    body = body.replace("<svg ", f'<svg style="{_FONTS}" ', 1)
    return _TAG.sub(lambda tag: " ".join(_NUMBER.sub(_rounded, tag[0]).split()), body)


def _rounded(number: re.Match[str]) -> str:
    return f"{round(float(number[0]), 2) + 0.0:g}"


def rows_down(ax: Axes, labels: Sequence[str]) -> None:
    """One row a label, the first on top, at y = 0, 1, 2 and so on."""
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_yticks(range(len(labels)), labels=labels)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")


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


def upright(ax: Axes, xs: Sequence[float], low: float, high: float, colour: str) -> None:
    """A short upright line at each x, all of them one path with gaps, which is small."""
    places = [place for x in xs for place in (x, x, math.nan)]
    ends = [end for _ in xs for end in (low, high, math.nan)]
    ax.plot(places, ends, color=colour, linewidth=1.1)


def topology_marks(ax: Axes, runs: pd.DataFrame, x: str, y: str, above: float = 1.0) -> None:
    """Runs as marks at two of their columns, and which topology is which ``above`` the axes."""
    runs = runs.iloc[sample(len(runs), POINTS)]
    for topology in TOPOLOGIES:
        of_topology = runs[runs["topology"] == topology]
        if len(of_topology):
            ax.plot(
                of_topology[x],
                of_topology[y],
                MARKS[topology],
                color=COLOURS[topology],
                markersize=6,
                markeredgecolor="white",
                markeredgewidth=0.7,
                label=name_of(runs, topology),
                zorder=4,
            )
    ax.legend(**ABOVE, bbox_to_anchor=(-0.02, above), ncols=2, handlelength=1.0)


def name_of(runs: pd.DataFrame, topology: str) -> str:
    """What the report calls a topology of these runs."""
    return say("names_two" if runs["n_agents"].max() <= 2 else "names_many", topology)


@dataclass(frozen=True, slots=True)
class Mark:
    """One row of ratios: an estimate, the values behind it, how it is drawn, its text beside it.

    ``estimate`` without bounds has no line: it is what the others are compared with.
    """

    estimate: Estimate
    values: tuple[float, ...]
    colour: str
    mark: str
    text: str
    hollow: bool = False


def draw_ratios(ax: Axes, marks: Sequence[Mark]) -> bool:
    """Draw ``marks``, one a row, on a logarithmic axis about 1; whether values were left out."""
    ax.axvline(1, color=INK, linewidth=1)
    most = POINTS // max(len(marks), 1)
    for y, one in enumerate(marks):
        values = [one.values[place] for place in sample(len(one.values), most)]
        upright(ax, values, y + 0.2, y + 0.36, one.colour)
        low, high = one.estimate.low, one.estimate.high
        if low is not None and high is not None:
            ax.plot([low, high], [y, y], color=one.colour, linewidth=2.2)
        ax.plot(
            one.estimate.value,
            y,
            one.mark,
            color=one.colour,
            markersize=7,
            markerfacecolor="white" if one.hollow else one.colour,
            markeredgecolor=one.colour if one.hollow else "white",
        )
        beside(ax, y, one.text)
    _ratio_axis(ax, [bound for one in marks for bound in _extent(one)])
    return any(len(one.values) > most for one in marks)


def _extent(one: Mark) -> list[float]:
    bounds = [one.estimate.value, one.estimate.low, one.estimate.high, *one.values]
    return [bound for bound in bounds if bound is not None]


def _ratio_axis(ax: Axes, values: Sequence[float]) -> None:
    # An interval of two values may reach beyond any page: what is cut off stands in numbers.
    low = max(min(1.0, *values), 1 / 32)
    high = min(max(1.0, *values), 32.0)
    pad = max(math.log(high / low) * 0.06, 0.01)
    low, high = low * math.exp(-pad), high * math.exp(pad)
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    step = next((step for wide, step in _STEPS if high / low < wide), None)
    if step:
        places = range(math.ceil(low / step), math.floor(high / step) + 1)
        ticks = [step * place for place in places]
    else:
        ticks = [2.0**power for power in range(-5, 6) if low <= 2.0**power <= high]
    ax.set_xticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
