"""A typical run of each config, drawn over its time: when tokens arrived, and who computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from tandembench.analysis.findings import Answer
from tandembench.analysis.numbers import RUN
from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import Figure, listed, plain, sample
from tandembench.report.figures.looks import (
    BLUE,
    GREEN,
    OF_AGENTS,
    QUIET,
    VERMILLION,
    beside,
    figure,
    panels,
    rows_down,
    upright,
)
from tandembench.report.formats import number
from tandembench.report.said import called, ordered
from tandembench.report.words import say

# So many panels stay legible.
MOST = 8
# More ticks in a row would touch each other, and more in all swell the file.
TICKS, TICKS_IN_ALL = 160, 3200
DASHES = ("-", "--", ":", "-.")
# Of processors: the servers of a run as one, the client, and whatever else ran.
PROCESSORS = {"servers": (BLUE, "-"), "client": (GREEN, "--"), "others": (VERMILLION, ":")}
_ROW, _HEADING, _AXIS = 0.24, 0.36, 0.36


@dataclass(frozen=True, eq=False)
class Subject:
    """A panel: the run of median wall time (the lower of two) among the valid ``runs``.

    ``name`` is that run as a reader may find it again: its config, session, repetition, round.
    """

    label: str
    runs: pd.DataFrame
    run: "pd.Series[Any]"

    @property
    def name(self) -> str:
        """As "homo-g80 (session s1, repetition 2, round 1)"."""
        session, repetition, turn = (self.run[key] for key in ("session", "repetition", "round"))
        where = f"session {session}, repetition {repetition}, round {turn}"
        return f"{self.run['config_id']} ({where})"

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of ``table`` that belong to the run, of all agents at once."""
        for key in RUN if len(table) else ():
            table = table[table[key] == self.run[key]]
        return table[table["mode"] == "concurrent"]


def subjects(dataset: Dataset, answer: Answer | None) -> tuple[Subject, ...]:
    """The first configs of ``answer``, fastest first; without one, all runs by scenario and
    topology. Those without a valid run are left out, and so are twins.
    """
    valid = dataset.runs[dataset.runs["valid"] & ~dataset.runs["twin"].astype(bool)]
    if answer:
        labelled = [
            (called(answer, row.config_id), valid[valid["config_id"] == row.config_id])
            for row in ordered(answer)
        ]
    else:
        kinds = valid.groupby(["scenario", "topology"], sort=True)
        labelled = [(f"{scenario}, {topology}", runs) for (scenario, topology), runs in kinds]
    shown = [(label, runs) for label, runs in labelled if len(runs)][:MOST]
    return tuple(
        Subject(plain(label, 40), runs, _typical(runs, dataset.tokens)) for label, runs in shown
    )


def _typical(runs: pd.DataFrame, tokens: pd.DataFrame) -> "pd.Series[Any]":
    """Of the runs whose tokens are known, if any are. Ties go by session, config, repetition."""
    if len(tokens):
        of_configs = tokens.loc[tokens["config_id"].isin(set(runs["config_id"])), RUN]
        known = runs.merge(of_configs.drop_duplicates(), on=RUN)
        runs = known if len(known) else runs
    by_wall = runs.sort_values(["wall_s", *RUN], kind="stable")
    return by_wall.iloc[(len(by_wall) - 1) // 2]


@dataclass(frozen=True)
class _Agent:
    """One agent's row: times in s after the start; ``start_s`` is its own first request's.

    ``pieces``: what arrived are pieces of the answer, of which nobody knows that they are tokens.
    """

    label: str
    index: int
    start_s: float
    tokens_s: tuple[float, ...]
    pieces: bool


def timeline(dataset: Dataset, chosen: Sequence[Subject]) -> Figure | None:
    """When each token arrived, an agent a row; None where no arrival of a token is known."""
    shown = [
        (subject, agents)
        for subject in (chosen if len(dataset.tokens) else ())
        if (agents := _agents(subject.rows(dataset.executions), subject.rows(dataset.tokens)))
    ]
    if not shown:
        return None
    cells = [
        (
            subject.label,
            subject.name,
            one.label,
            str(len(one.tokens_s)),
            f"{one.tokens_s[0]:.3f}",
            f"{one.tokens_s[-1]:.3f}",
        )
        for subject, agents in shown
        for one in agents
    ]
    ticks = min(TICKS, TICKS_IN_ALL // len(cells))
    heights = [_ROW * len(agents) + _HEADING + _AXIS / len(shown) for _, agents in shown]
    drawing, axes = panels(heights)
    every = [one for _, agents in shown for one in agents]
    latest = max(one.tokens_s[-1] for one in every)
    for ax, (subject, agents) in zip(axes, shown, strict=True):
        ax.set_title(subject.label)
        _arrivals(ax, agents, ticks)
        ax.set_xlim(0, 1.01 * latest)
        ax.tick_params(labelbottom=ax is axes[-1])
    axes[-1].set_xlabel(say("figure_timeline", "axis"))
    kind = "piece" if any(one.pieces for one in every) else "token"
    title = say("figure_timeline", "title", one=kind)
    spoken = listed([f"{name}, {agent}: {a} to {b} s" for name, _, agent, _, a, b in cells])
    sampled = max(len(one.tokens_s) for one in every) > ticks
    return figure(
        drawing,
        "timeline",
        title,
        say("figure_timeline", "alt", title=title, rows=spoken, one=kind),
        say("figure_timeline", "caption_sampled" if sampled else "caption", one=kind),
        ("config", "run", "agent", f"{kind}s", f"first {kind}, s", f"last {kind}, s"),
        cells,
    )


def _agents(executions: pd.DataFrame, tokens: pd.DataFrame) -> list[_Agent]:
    """The agents of a run in their order; an agent without tokens has no row."""
    rows = []
    for row in executions.sort_values("agent_index").to_dict("records"):
        times = sorted(tokens.loc[tokens["agent"] == row["agent"], "t_ns"] / 1e9)
        if times:
            # The first request went out so long before the first token, if that is known.
            wait_s = 0.0 if pd.isna(row["ttft_s"]) else float(row["ttft_s"])
            start_s = max(times[0] - wait_s, 0.0)
            index, pieces = int(row["agent_index"]), row.get("first_chunk") in ("burst", "bundle")
            rows.append(_Agent(plain(row["agent"], 16), index, start_s, tuple(times), pieces))
    return rows


def _arrivals(ax: Axes, agents: Sequence[_Agent], ticks: int) -> None:
    rows_down(ax, [one.label for one in agents])
    ax.tick_params(axis="y", pad=6)
    hollow: dict[str, Any] = {"facecolor": "white", "edgecolor": QUIET, "linewidth": 0.8}
    for y, one in enumerate(agents):
        ax.barh(y, one.tokens_s[0] - one.start_s, left=one.start_s, height=0.5, **hollow)
        arrived = [one.tokens_s[place] for place in sample(len(one.tokens_s), ticks)]
        colour = OF_AGENTS[one.index % len(OF_AGENTS)]
        upright(ax, arrived, y - 0.36, y + 0.36, colour)
        beside(ax, y, f"{one.tokens_s[-1]:.2f} s")


def telemetry(dataset: Dataset, chosen: Sequence[Subject]) -> tuple[Figure | None, ...]:
    """Cores in use, and how busy the GPUs were; each None without samples."""
    return tuple(
        _usage(name, column, [(one, _samples(dataset, one, column)) for one in chosen])
        for name, column in (("telemetry", "cores"), ("telemetry-gpus", "utilisation"))
    )


def _samples(dataset: Dataset, subject: Subject, column: str) -> pd.DataFrame:
    """``who``, ``t_s`` and ``value`` of each sample; servers by number become one, GPUs do not."""
    if dataset.telemetry.empty:
        return pd.DataFrame(columns=["who", "t_s", "value"])
    rows = subject.rows(dataset.telemetry).dropna(subset=[column])
    who = rows["subject"]
    if column == "cores":
        who = who.where(~who.str.startswith("server"), "servers")
    timed = rows.assign(who=who, t_s=rows["t_ns"] / 1e9, value=rows[column])
    timed = timed[timed["who"].isin(PROCESSORS)] if column == "cores" else timed
    return timed.groupby(["who", "t_s"])["value"].sum().reset_index()


def _usage(name: str, kind: str, samples: Sequence[tuple[Subject, pd.DataFrame]]) -> Figure | None:
    shown = [(subject, part) for subject, part in samples if len(part)]
    if not shown:
        return None
    lines = PROCESSORS if kind == "cores" else _of_gpus([part for _, part in shown])
    cells = [
        (subject.label, subject.name, who, number(float(of.mean())), number(float(of.max())))
        for subject, part in shown
        for who in lines
        if len(of := part.loc[part["who"] == who, "value"].astype(float))
    ]
    drawing, axes = panels([1.35] * len(shown))
    longest = max(float(part["t_s"].max()) for _, part in shown)
    most = max(float(part["value"].max()) for _, part in shown)
    for ax, (subject, part) in zip(axes, shown, strict=True):
        ax.set_title(subject.label)
        ax.grid(axis="y")
        for who, (colour, dash) in lines.items():
            line = part[part["who"] == who]
            # A sample is of the time before it, the first back to the start.
            xs, ys = [0.0, *line["t_s"]], [*line["value"].head(1), *line["value"]]
            if len(line):
                ax.step(xs, ys, color=colour, linestyle=dash, linewidth=1.9, label=who)
        ax.set_xlim(0, longest)
        ax.set_ylim(0, 1.12 * most)
        ax.set_ylabel(say("figure_telemetry", f"{kind}_axis"))
        ax.tick_params(labelbottom=ax is axes[-1])
    handles, labels = axes[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside upper right", ncols=4)
    axes[-1].set_xlabel(say("figure_timeline", "axis"))
    title = say("figure_telemetry", f"{kind}_title")
    spoken = listed([f"{row[0]}, {row[2]}: mean {row[3]}, peak {row[4]}" for row in cells], 16)
    return figure(
        drawing,
        name,
        title,
        say("figure_telemetry", "alt", title=title, rows=spoken),
        say("figure_telemetry", kind),
        ("config", "run", "who", say("figure_telemetry", f"{kind}_mean"), "peak"),
        cells,
    )


def _of_gpus(samples: Sequence[pd.DataFrame]) -> Mapping[str, tuple[str, str]]:
    names = sorted({who for part in samples for who in part["who"]})
    return {
        name: (OF_AGENTS[place % len(OF_AGENTS)], DASHES[place % len(DASHES)])
        for place, name in enumerate(names)
    }
