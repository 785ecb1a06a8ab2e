"""Figures of all runs: the estimator against the truth, and the order of measuring."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tandembench.analysis.stability import Stability
from tandembench.report.figures.figure import Figure, listed
from tandembench.report.figures.looks import (
    ABOVE,
    INK,
    LINE,
    POINTS,
    QUIET,
    TINT,
    VERMILLION,
    figure,
    name_of,
    panels,
    topology_marks,
)
from tandembench.report.formats import NOTHING, interval, number, percent
from tandembench.report.words import say
from tandembench.tables.columns import TOPOLOGIES
from tandembench.text import counted

COLUMNS = ("speedup_estimate", "speedup_true")


def estimator(runs: pd.DataFrame, margin: float) -> Figure | None:
    """TR114's estimator over the measured gain of every run that has both; None without any."""
    known = runs.dropna(subset=[*COLUMNS])
    if known.empty:
        return None
    gains, reads = (known[name] > 1 + margin for name in ("speedup_true", "speedup_estimate"))
    known = known.assign(blind=reads & ~gains)
    cells = []
    for topology in TOPOLOGIES:
        of_topology = known[known["topology"] == topology]
        if len(of_topology):
            means = (float(of_topology[name].mean()) for name in COLUMNS)
            blind = str(int(of_topology["blind"].sum()))
            name = name_of(known, topology)
            cells.append((name, str(len(of_topology)), *map(number, means), blind))
    spoken = listed(
        [
            f"{name}, {counted(int(count), 'run')}: estimator {estimate} for measured {true} "
            f"on average, {blind} in the hatched area"
            for name, count, estimate, true, blind in cells
        ]
    )
    drawing, (ax,) = panels([3.9])
    true, estimate = known["speedup_true"], known["speedup_estimate"]
    left, right = min(true.min(), 0.9) - 0.06, max(true.max(), 1.2) + 0.06
    low, high = min(estimate.min(), 0.9) - 0.06, max(estimate.max(), 1.5) + 0.1
    ends, edge = [min(left, low), max(right, high)], 1 + margin
    ax.set(xlim=(left, right), ylim=(low, high))
    band = ax.fill_between(
        ends, [x / edge for x in ends], [x * edge for x in ends], color="#dfe4e9"
    )
    ax.plot(ends, ends, color=QUIET, linewidth=1.2)
    hatched: dict[str, Any] = {
        "facecolor": "#fbeee6",
        "edgecolor": VERMILLION,
        "hatch": "///",
        "linewidth": 0,
    }
    spot = ax.fill_between([left, edge], edge, high, alpha=0.35, **hatched)
    ax.axvline(1, color=TINT, linewidth=1)
    right_within = say("figure_estimator", "right", margin=percent(margin, None))
    names = [say("figure_estimator", "blind"), right_within]
    legend = ax.legend([spot, band], names, **ABOVE, bbox_to_anchor=(-0.02, 1.0), ncols=2)
    ax.add_artist(legend)
    topology_marks(ax, known, "speedup_true", "speedup_estimate", above=1.06)
    ax.set_xlabel(say("figure_estimator", "axis_x"))
    ax.set_ylabel(say("figure_estimator", "axis_y"))
    title = say("figure_estimator", "title")
    return figure(
        drawing,
        "estimator",
        title,
        say("figure_estimator", "alt", rows=spoken),
        say("figure_estimator", "caption_sampled" if len(known) > POINTS else "caption"),
        ("topology", "runs", *COLUMNS, say("figure_estimator", "spot")),
        cells,
    )


def order(runs: pd.DataFrame, stability: Sequence[Stability] | None) -> Figure | None:
    """Time per token of each warm run against its config's in the session, as measured.

    None where no config was repeated, or all runs have one start time. Drift and levels are those
    of ``stability``, which is None where the order was not random.
    """
    runs = _repeated(runs)
    if runs["started_at"].nunique() < 2:
        return None
    known = {one.session: one for one in stability or ()}
    drawing, (ax,) = panels([2.9])
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.grid(axis="y")
    topology_marks(ax, runs, "place", "off")
    cells: list[tuple[str, ...]] = []
    for session, of_session in runs.groupby("session", sort=False):
        one = known.get(str(session))
        slope, starts = (one.drift, one.level_starts) if one else (None, ())
        first, last = of_session["place"].min(), of_session["place"].max()
        if slope:
            # Through the middle, where what the runs are off is 0.
            half = math.log(slope.mean) / 2
            ax.plot([first, last], [_off(-half), _off(half)], color=INK, linewidth=1.8)
        for level in starts:
            ax.axvline(first + level - 1.5, color=VERMILLION, linewidth=1, linestyle="--")
        if cells:
            ax.axvline(first - 0.5, color=LINE, linewidth=1)
        extremes = (f"{of_session['off'].min():+.1f} %", f"{of_session['off'].max():+.1f} %")
        levels = ", ".join(map(str, starts)) or NOTHING
        drift = interval(slope)
        cells.append((str(session), str(len(of_session)), *extremes, drift, levels))
    if runs["off"].abs().max() < 1:
        ax.set_ylim(-1.1, 1.1)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    signed = FuncFormatter(lambda value, _: f"{value:+.3g} %" if value else "0 %")
    ax.yaxis.set_major_formatter(signed)
    ax.set_xlabel(say("figure_order", "axis_x"))
    ax.set_ylabel(say("figure_order", "axis_y"))
    title = say("figure_order", "title")
    spoken = listed([f"session {row[0]}: {row[2]} to {row[3]}, drift {row[4]}" for row in cells])
    drawn = any(one.drift for one in known.values())
    return figure(
        drawing,
        "order",
        title,
        say("figure_order", "alt", title=title, rows=spoken),
        say("figure_order", "untold" if stability is None else "drift" if drawn else "few"),
        ("session", "runs", "lowest", "highest", "drift [95 %]", "levels begin with run"),
        cells,
    )


def _repeated(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs of configs that a session repeats, with their ``place`` and what they are ``off``."""
    warm = runs[~runs["cold"].fillna(value=False).astype(bool)]
    known = warm[warm["makespan_per_token_s"].notna()]
    again = known[known.duplicated(["session", "config_id"], keep=False)]
    again = again.sort_values(["started_at", "config_id", "repetition", "round"], kind="stable")
    logs = again["makespan_per_token_s"].astype(float).map(math.log)
    means = logs.groupby([again["session"], again["config_id"]]).transform("mean")
    return again.assign(place=range(1, len(again) + 1), off=(logs - means).map(_off))


def _off(log: float) -> float:
    """What a logarithm is off 0, in percent."""
    return 100 * math.expm1(log)
