"""Run order: times against the order in which they were measured, with the drift."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import Figure, listed, sample
from tandembench.report.figures.looks import (
    INK,
    LINE,
    axes,
    drawing,
    svg_of,
    topology_marks,
)
from tandembench.report.formats import interval
from tandembench.stats.intervals import Interval

POINTS = 600
_UNTOLD = {
    "by_config": "Configs were measured one after the other",
    None: "Whether configs were measured in random order is not known",
}


@dataclass(frozen=True, eq=False)
class _Session:
    """One session: its runs by place, and the report's drift of it, last run over first."""

    name: str
    runs: pd.DataFrame
    drift: Interval | None


def order(dataset: Dataset, context: Mapping[str, Any]) -> Figure | None:
    """Time per token of each warm run against its config's in the session, in order.

    None where no config was repeated, or all runs have one start time. The drift
    is the report's, which tells none where the order was not random.
    """
    runs = _repeated(dataset.runs)
    if runs["started_at"].nunique() < 2:
        return None
    told = context["stability"]
    drifts = {row["session"]: row["drift"] for row in told or ()}
    sessions = [
        _Session(str(name), own, drifts.get(str(name)))
        for name, own in runs.groupby("session", sort=False)
    ]
    title = "Times in the order of measuring"
    rows = tuple(
        (
            one.name,
            str(len(one.runs)),
            f"{one.runs['off'].min():+.1f} %",
            f"{one.runs['off'].max():+.1f} %",
            interval(one.drift) if one.drift else "not told" if told is None else "too few",
        )
        for one in sessions
    )
    said = listed([f"session {row[0]}, {row[1]} runs: drift {row[4]}" for row in rows])
    alt = f"Wall time per token of each run against its config's mean, in order. {said}."
    figure = drawing(3.2)
    _panel(axes(figure, 0.85, 0.35, 4.6, 2.3), sessions)
    lines = (
        f"{_UNTOLD[context['study']['order']]}, so that no drift can be told."
        if told is None
        else "Lines: by least squares within configs; the drift is where a line ends over where "
        "it begins, with its 95 % interval."
        if any(one.drift for one in sessions)
        else "Too few runs were repeated for a drift."
    )
    parted = " Vertical lines part sessions." if len(sessions) > 1 else ""
    some = f" Of {len(runs)} runs, {POINTS} are drawn, evenly." if len(runs) > POINTS else ""
    return Figure(
        name="order",
        title=title,
        alt=alt,
        caption="Each mark is a warm run: how far its wall time per token is off the mean of its "
        f"config in that session. {lines}{parted}{some}",
        svg=svg_of(figure, "order", title, alt),
        columns=("session", "runs", "lowest", "highest", "drift [95 %]"),
        rows=rows,
    )


def _repeated(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs of configs that a session repeats, with their ``place`` and what they are ``off``."""
    warm = runs["valid"] & ~runs["cold"].fillna(value=False).astype(bool)
    known = runs[warm & runs["makespan_per_token_s"].notna()]
    again = known[known.duplicated(["session", "config_id"], keep=False)]
    again = again.sort_values(["started_at", "config_id", "repetition"], kind="stable")
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
        if number:
            ax.axvline(first - 0.5, color=LINE, linewidth=1)
    if every["off"].abs().max() < 1:
        ax.set_ylim(-1.1, 1.1)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(6))
    ax.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:+.3g} %" if value else "0 %")
    )
    ax.set_xlabel("place of the run")
    ax.set_ylabel("off its config")
