"""Run order: times against the order in which they were measured, with drift and new levels."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tandembench.analysis.intervals import Interval
from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import Figure, listed, sample
from tandembench.report.figures.looks import (
    INK,
    LINE,
    VERMILLION,
    stacked,
    svg_of,
    topology_marks,
)
from tandembench.report.formats import NOTHING, interval
from tandembench.report.words import say

POINTS = 600


@dataclass(frozen=True, eq=False)
class _Session:
    """One session: its runs by place, its drift, last run over first, and where levels begin.

    ``levels`` are places within the session, from 1.
    """

    name: str
    runs: pd.DataFrame
    drift: Interval | None
    levels: tuple[int, ...]


def order(dataset: Dataset, details: Mapping[str, Any]) -> Figure | None:
    """Time per token of each warm run against its config's in the session, in order.

    None where no config was repeated, or all runs have one start time. Drift and levels are those
    of the details, which have none where the order was not random.
    """
    runs = _repeated(dataset.runs)
    if runs["started_at"].nunique() < 2:
        return None
    stability = details["stability"]
    by_session = {row["session"]: row for row in stability or ()}
    sessions = [
        _Session(
            str(name),
            own,
            by_session[str(name)]["drift"] if str(name) in by_session else None,
            tuple(by_session[str(name)]["level_starts"] if str(name) in by_session else ()),
        )
        for name, own in runs.groupby("session", sort=False)
    ]
    rows = tuple(
        (
            one.name,
            str(len(one.runs)),
            f"{one.runs['off'].min():+.1f} %",
            f"{one.runs['off'].max():+.1f} %",
            interval(one.drift),
            ", ".join(map(str, one.levels)) or NOTHING,
        )
        for one in sessions
    )
    title = say("figure_order", "title")
    spans = listed([f"session {row[0]}: {row[2]} to {row[3]}, drift {row[4]}" for row in rows])
    alt = say("figure_order", "alt", title=title, rows=spans)
    figure, (ax,) = stacked([2.9])
    _panel(ax, sessions)
    drawn = any(one.drift for one in sessions)
    kind = "untold" if stability is None else "drift" if drawn else "few"
    return Figure(
        name="order",
        title=title,
        alt=alt,
        caption=say("figure_order", kind),
        svg=svg_of(figure, "order", title, alt),
        columns=("session", "runs", "lowest", "highest", "drift [95 %]", "levels begin with run"),
        rows=rows,
    )


def _repeated(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs of configs that a session repeats, with their ``place`` and what they are ``off``."""
    warm = runs["valid"] & ~runs["cold"].fillna(value=False).astype(bool)
    once = runs[warm & ~runs["twin"].astype(bool)]
    known = once[once["makespan_per_token_s"].notna()]
    again = known[known.duplicated(["session", "config_id"], keep=False)]
    again = again.sort_values(["started_at", "config_id", "repetition", "round"], kind="stable")
    logs = again["makespan_per_token_s"].astype(float).map(math.log)
    means = logs.groupby([again["session"], again["config_id"]]).transform("mean")
    off = (logs - means).map(_off)
    return again.assign(place=range(1, len(again) + 1), off=off)


def _off(log: float) -> float:
    """What a logarithm is off 0, in percent."""
    return 100 * math.expm1(log)


def _panel(ax: Axes, sessions: list[_Session]) -> None:
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.grid(axis="y")
    every = pd.concat([one.runs for one in sessions])
    shown = every.iloc[sample(len(every), POINTS)]
    topology_marks(ax, shown, "place", "off")
    for number, one in enumerate(sessions):
        first, last = one.runs["place"].min(), one.runs["place"].max()
        if one.drift:
            # Through the middle, where what the runs are off is 0.
            half = math.log(one.drift.mean) / 2
            ax.plot([first, last], [_off(-half), _off(half)], color=INK, linewidth=1.8)
        for level in one.levels:
            ax.axvline(first + level - 1.5, color=VERMILLION, linewidth=1, linestyle="--")
        if number:
            ax.axvline(first - 0.5, color=LINE, linewidth=1)
    if every["off"].abs().max() < 1:
        ax.set_ylim(-1.1, 1.1)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(6))
    ax.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:+.3g} %" if value else "0 %")
    )
    ax.set_xlabel(say("figure_order", "axis_x"))
    ax.set_ylabel(say("figure_order", "axis_y"))
