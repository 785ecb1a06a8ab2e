"""Heat map of a phase: its configs by its metrics, numbers in the cells."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from tandembench.analysis.numbers import mean, ratio
from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import Figure, labels, plain
from tandembench.report.figures.looks import INK, LINE, QUIET, SMALL, stacked, svg_of
from tandembench.report.formats import counted, number
from tandembench.report.words import say

# So many configs stay legible, and so many phases a report small.
CONFIGS, PHASES = 24, 8
# Column, heading, decimals, and whether more is better; None: not to be ranked by.
METRICS = (
    ("makespan_ratio", "makespan\nratio", 2, True),
    ("speedup_true", "true\ngain", 2, True),
    ("slowdown", "slow-\ndown", 2, False),
    ("ttft_s", "first\ntoken, s", 2, False),
    ("aggregate_tokens_per_s", "tokens\nper s", 1, True),
    ("speedup_estimate", "TR114's\nestimate", 2, None),
)
OF_RUNS = ("makespan_ratio", "speedup_true", "aggregate_tokens_per_s", "speedup_estimate")
OF_AGENTS = ("slowdown", "ttft_s")
_GEOMETRIC = ("makespan_ratio", "speedup_true", "slowdown")
Row = Mapping[str, float | None]


def heats(dataset: Dataset, context: Mapping[str, Any]) -> list[Figure]:
    """One figure for each of the first phases that has a config with a valid run."""
    once = dataset.runs["valid"] & ~dataset.runs["twin"].astype(bool)
    runs = dataset.runs.loc[once, ["config_id", "session", *OF_RUNS]]
    shared = dataset.executions
    together = shared["valid"] & (shared["mode"] == "concurrent") & ~shared["twin"].astype(bool)
    shared = shared.loc[together, ["config_id", "session", *OF_AGENTS]]
    found: list[Figure] = []
    for phase in context["study"]["phases"]:
        known = runs[runs["config_id"].isin(phase["configs"])]
        if len(known) and len(found) < PHASES:
            measured = set(known["config_id"])
            configs = [one for one in phase["configs"] if one in measured]
            found.append(_heat(phase, configs, known, shared, float(context["margin"])))
    return found


def _heat(
    phase: Mapping[str, Any],
    configs: list[str],
    runs: pd.DataFrame,
    shared: pd.DataFrame,
    margin: float,
) -> Figure:
    shown = configs[:CONFIGS]
    cells = {one: _means(one, runs, shared) for one in shown}
    metrics = [metric for metric in METRICS if any(cells[one][metric[0]] for one in shown)]
    title = say("figure_heat", "title", phase=str(phase["name"]))
    figure, (ax,) = stacked([0.6 + 0.27 * len(shown)])
    ax.set_xlim(0, len(metrics))
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.set_yticks(range(len(shown)), labels=labels(shown, 30))
    ax.set_xticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    said = []
    for place, (metric, words, digits, more_is_better) in enumerate(metrics):
        values = [cells[one][metric] for one in shown]
        _column(ax, place, words, values, digits, _shades(values, more_is_better, margin))
        known = [value for value in values if value is not None]
        said.append(f"{metric} from {_text(min(known), digits)} to {_text(max(known), digits)}")
    more = len(configs) > CONFIGS
    cut = [say("figure_heat", "more", shown=str(CONFIGS), of=str(len(configs)))] if more else []
    alt = (
        f"{counted(len(shown), 'config')} by {counted(len(metrics), 'metric')}: {', '.join(said)}."
    )
    return Figure(
        name=f"heat-{phase['name']}",
        title=title,
        alt=alt,
        caption=" ".join([say("figure_heat", "caption"), *cut]),
        svg=svg_of(figure, f"heat-{phase['name']}", title, alt),
        columns=("config", *(metric for metric, *_ in metrics)),
        rows=tuple(
            (plain(one, 64), *(_text(cells[one][m], digits) for m, _, digits, _ in metrics))
            for one in shown
        ),
    )


def _means(config_id: str, runs: pd.DataFrame, shared: pd.DataFrame) -> Row:
    """The means that the report's tables give, geometric of ratios."""
    cells: dict[str, float | None] = {}
    for table, names in ((runs, OF_RUNS), (shared, OF_AGENTS)):
        own = table[table["config_id"] == config_id]
        for name in names:
            found = ratio(own, name) if name in _GEOMETRIC else None
            cells[name] = found.mean if found else mean(own[name])
    return cells


def _shades(
    values: list[float | None], more_is_better: bool | None, margin: float
) -> list[float | None]:
    """From 0, worst, to 1, best; None where there is nothing to rank."""
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    if more_is_better is None or low <= 0 or high / low <= 1 + margin:
        return [None] * len(values)
    places = [None if value is None else (value - low) / (high - low) for value in values]
    return places if more_is_better else [None if p is None else 1 - p for p in places]


def _text(value: float | None, digits: int) -> str:
    """A cell: four digits and more need no decimals."""
    return number(value, 0 if value is not None and value >= 1000 else digits)


_BLUES = LinearSegmentedColormap.from_list("blues", ["#f3f8fc", "#7db8dd", "#0b5f97"])


def _column(
    ax: Axes,
    place: int,
    words: str,
    values: list[float | None],
    digits: int,
    shades: list[float | None],
) -> None:
    for line, text in enumerate(reversed(words.split("\n"))):
        # Line by line: letters below a line would lift the others.
        ax.annotate(
            text,
            (place + 0.5, -0.5),
            xytext=(0, 5 + 11 * line),
            textcoords="offset points",
            ha="center",
            size=9,
        )
    for y, (value, shade) in enumerate(zip(values, shades, strict=True)):
        face = "white" if shade is None else _BLUES(shade)
        box = Rectangle((place, y - 0.5), 1, 1, facecolor=face, edgecolor=LINE, linewidth=0.8)
        ax.add_patch(box)
        dark = shade is not None and shade > 0.62
        text = "-" if value is None else _text(value, digits)
        colour = "white" if dark else QUIET if value is None else INK
        ax.text(place + 0.5, y, text, ha="center", va="center_baseline", size=SMALL, color=colour)
