"""Telemetry: what processors and GPUs did while the typical block of each topology ran."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from tandembench.analysis.numbers import mean, peak
from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import Figure, listed
from tandembench.report.figures.looks import (
    BLUE,
    GREEN,
    OF_AGENTS,
    QUIET,
    VERMILLION,
    heading,
    stacked,
    svg_of,
)
from tandembench.report.figures.subjects import (
    Subject,
    Subjects,
    block_name,
    rows_of,
    typical_block,
)
from tandembench.report.formats import number
from tandembench.report.words import say

DASHES = ("-", "--", ":", "-.")
# Of processors: the servers of a block as one, the client, and whatever else ran.
PROCESSORS = {"servers": (BLUE, "-"), "client": (GREEN, "--"), "others": (VERMILLION, ":")}
HIGH, AXIS = 1.35, 0.35


@dataclass(frozen=True, eq=False)
class _Panel:
    """One topology: its typical block, and ``samples`` of who, t_s and the measured value."""

    subject: Subject
    block: str
    samples: pd.DataFrame


def telemetry(dataset: Dataset, context: Mapping[str, Any], subjects: Subjects) -> list[Figure]:
    """Cores in use, and how busy the GPUs were; without samples neither."""
    cores = {machine["cores"] for machine in context["environment"]["machines"]}
    limit = cores.pop() if len(cores) == 1 else None
    found = []
    for name, column in (("telemetry", "cores"), ("telemetry-gpus", "utilisation")):
        panels = _panels(dataset, subjects, column)
        if panels:
            found.append(_figure(name, column, panels, limit if column == "cores" else 1))
    return found


def _panels(dataset: Dataset, subjects: Subjects, column: str) -> list[_Panel]:
    panels = []
    for subject in subjects.rows if len(dataset.telemetry) else ():
        run = typical_block(dataset, subject)
        own = rows_of(dataset.telemetry, run)
        own = own[own["mode"] == "concurrent"].dropna(subset=[column])
        if column == "cores":
            # Servers by number become one; a GPU keeps its own.
            who = own["subject"].where(~own["subject"].str.startswith("server"), "servers")
            own = own.assign(who=who)[who.isin(PROCESSORS)]
        else:
            own = own.assign(who=own["subject"])
        if len(own):
            timed = own.assign(t_s=own["t_ns"] / 1e9, value=own[column])
            samples = timed.groupby(["who", "t_s"])["value"].sum().reset_index()
            panels.append(_Panel(subject, block_name(run), samples))
    return panels


def _figure(name: str, column: str, panels: Sequence[_Panel], limit: int | None) -> Figure:
    of_processors = column == "cores"
    title = "Processors during a run" if of_processors else "GPUs during a run"
    unit = "cores" if of_processors else "part of the time busy"
    everyone = dict.fromkeys(who for panel in panels for who in panel.samples["who"])
    lines = PROCESSORS if of_processors else _of_gpus(sorted(everyone))
    rows = tuple(
        (panel.subject.label, panel.block, who, number(mean(own)), number(peak(own)))
        for panel in panels
        for who in lines
        if len(own := panel.samples.loc[panel.samples["who"] == who, "value"])
    )
    said = listed([f"{row[0]}, {row[2]}: mean {row[3]}, peak {row[4]}" for row in rows], 16)
    alt = f"{unit[0].upper()}{unit[1:]} over time while all agents run. {said}."
    high = [HIGH] * (len(panels) - 1) + [HIGH + AXIS]
    figure, every = stacked(high)
    longest = max(float(panel.samples["t_s"].max()) for panel in panels)
    most = max(float(panel.samples["value"].max()) for panel in panels)
    for ax, panel in zip(every, panels, strict=True):
        heading(ax, panel.subject.label)
        _draw(ax, panel.samples, lines, limit)
        ax.set_xlim(0, longest)
        ax.set_ylim(0, 1.12 * max(most, limit or 0))
        ax.set_ylabel("cores" if of_processors else "busy")
        ax.tick_params(labelbottom=ax is every[-1])
    every[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.15), ncols=4, borderpad=0)
    every[-1].set_xlabel(say("figure_timeline", "axis"))
    kind = "cores" if of_processors else "gpus"
    thin = say("figure_telemetry", "limit", limit=str(limit)) if of_processors and limit else ""
    return Figure(
        name=name,
        title=title,
        alt=alt,
        caption=f"{say('figure_telemetry', kind)} {thin}".strip(),
        svg=svg_of(figure, name, title, alt),
        columns=("config", "run", "who", f"{unit}, mean", "peak"),
        rows=rows,
    )


def _of_gpus(names: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    return {
        name: (OF_AGENTS[place % len(OF_AGENTS)], DASHES[place % len(DASHES)])
        for place, name in enumerate(names)
    }


def _draw(
    ax: Axes, samples: pd.DataFrame, lines: Mapping[str, tuple[str, str]], limit: int | None
) -> None:
    ax.grid(axis="y")
    if limit:
        ax.axhline(limit, color=QUIET, linewidth=0.8)
    for who, (colour, dash) in lines.items():
        own = samples[samples["who"] == who]
        if own.empty:
            continue
        # A sample is of the time before it, the first back to the start.
        ax.step(
            [0.0, *own["t_s"]],
            [own["value"].iloc[0], *own["value"]],
            where="pre",
            color=colour,
            linestyle=dash,
            linewidth=1.9,
            label=who,
        )
