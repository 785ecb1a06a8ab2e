"""Run order: wall times against the order in which they were measured, with the drift."""

import math
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tandembench.dataset.columns import TOPOLOGIES
from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import Figure, listed, sample
from tandembench.report.figures.looks import (
    COLOURS,
    INK,
    LINE,
    MARKS,
    axes,
    drawing,
    svg_of,
)
from tandembench.report.render import interval
from tandembench.stats.drift import drift_slope
from tandembench.stats.intervals import Interval

POINTS = 600


@dataclass(frozen=True)
class _Session:
    """One session: its runs, the drift over all of it in percent, and the line to draw."""

    name: str
    runs: pd.DataFrame
    drift: Interval | None
    ends: tuple[float, float] | None


def order(dataset: Dataset) -> Figure | None:
    """Residuals of log wall times by config and session; None where no config was repeated.

    No drift is told where configs were measured one after the other: the runs of one lie so close
    together that what they drift says nothing of a session.
    """
    valid = dataset.runs[dataset.runs["valid"] & dataset.runs["wall_s"].notna()]
    repeated = valid.groupby(["session", "config_id"])["wall_s"].transform("count") > 1
    valid = valid[repeated].sort_values(["started_at", "config_id", "repetition"], kind="stable")
    if valid.empty:
        return None
    groups = ["session", "config_id"]
    logs = valid["wall_s"].map(math.log)
    runs = valid.assign(place=range(1, len(valid) + 1), logs=logs)
    runs["off"] = (runs["logs"] - runs.groupby(groups)["logs"].transform("mean")).map(_off)
    mixed = dataset.descriptor["study"]["order"] == "random"
    sessions = [
        _session(str(name), own, mixed) for name, own in runs.groupby("session", sort=False)
    ]
    title = "Wall times in the order of measuring"
    rows = tuple(
        (
            one.name,
            str(len(one.runs)),
            f"{one.runs['off'].min():+.1f} %",
            f"{one.runs['off'].max():+.1f} %",
            f"{interval(one.drift, 1)} %" if one.drift else "too few" if mixed else "not told",
        )
        for one in sessions
    )
    said = listed([f"session {row[0]}, {row[1]} runs: drift {row[4]}" for row in rows])
    alt = f"Wall time of each run against the mean of its config, in order. {said}."
    figure = drawing(3.2)
    ax = axes(figure, 0.85, 0.35, 4.6, 2.3)
    _panel(ax, sessions)
    lines = (
        "Lines: least squares by session; the drift is what they rise from first to last run, "
        "with its 95 % interval."
        if mixed
        else "Configs were measured one after the other, so that no drift can be told."
    )
    parted = " Vertical lines part sessions." if len(sessions) > 1 else ""
    some = f" Of {len(runs)} runs, {POINTS} are drawn, evenly." if len(runs) > POINTS else ""
    return Figure(
        name="order",
        title=title,
        alt=alt,
        caption="Each mark is a run: how much its wall time is off the mean of its config in that "
        f"session. {lines}{parted}{some}",
        svg=svg_of(figure, "order", title, alt),
        columns=("session", "runs", "lowest", "highest", "drift [95 %]"),
        rows=rows,
    )


def _off(log: float) -> float:
    """What a logarithm is off 0, in percent."""
    return 100 * math.expm1(log)


def _session(name: str, runs: pd.DataFrame, mixed: bool) -> _Session:
    """The drift over the session, first run to last, configs each about their own mean."""
    first, last = runs["place"].min(), runs["place"].max()
    places = (runs["place"] - first) / max(last - first, 1)
    slope = drift_slope(runs["logs"].to_list(), places.to_list(), runs["config_id"].to_list())
    if slope is None or not mixed:
        return _Session(name, runs, None, None)
    low, high = (None if log is None else _off(log) for log in (slope.low, slope.high))
    drift = Interval(_off(slope.mean), low, high, slope.n)
    # Through the middle of the residuals, whose mean is 0.
    middle = float(places.mean())
    ends = (-slope.mean * middle, slope.mean * (1 - middle))
    return _Session(name, runs, drift, (_off(ends[0]), _off(ends[1])))


def _panel(ax: Axes, sessions: list[_Session]) -> None:
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.grid(axis="y")
    every = pd.concat([one.runs for one in sessions])
    shown = every.iloc[sample(len(every), POINTS)]
    for topology in TOPOLOGIES:
        own: pd.DataFrame = shown[shown["topology"] == topology]
        if len(own):
            ax.plot(
                own["place"],
                own["off"],
                MARKS[topology],
                color=COLOURS[topology],
                markersize=5.5,
                markeredgecolor="white",
                markeredgewidth=0.6,
                label=topology,
            )
    for number, one in enumerate(sessions):
        first, last = one.runs["place"].min(), one.runs["place"].max()
        if one.ends:
            ax.plot([first, last], one.ends, color=INK, linewidth=1.8)
        if number:
            ax.axvline(first - 0.5, color=LINE, linewidth=1)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(6))
    ax.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:+.0f} %" if value else "0 %")
    )
    ax.set_xlabel("place of the run")
    ax.set_ylabel("wall time, off its config")
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=4,
        columnspacing=1.0,
        handlelength=1.0,
        borderpad=0.2,
    )
