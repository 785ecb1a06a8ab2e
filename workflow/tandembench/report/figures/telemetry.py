"""Telemetry: what the processors and GPUs did while the typical block of each topology ran."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from tandembench.dataset.load import Dataset
from tandembench.report.figures.figure import Figure, listed
from tandembench.report.figures.looks import (
    BLUE,
    GREEN,
    QUIET,
    VERMILLION,
    axes,
    drawing,
    heading,
    svg_of,
)
from tandembench.report.figures.subjects import (
    TOPOLOGIES,
    Subject,
    Subjects,
    block_name,
    rows_of,
    typical_block,
)
from tandembench.report.numbers import mean, peak
from tandembench.report.render import number

# What is drawn, with its colour, line and width; the servers of a block as one.
LINES: Mapping[str, tuple[str, str, float]] = {
    "servers": (BLUE, "-", 2.0),
    "client": (GREEN, "--", 1.6),
    "others": (VERMILLION, ":", 2.0),
}
HIGH, GAP = 0.95, 0.55


def telemetry(dataset: Dataset, context: Mapping[str, Any], subjects: Subjects) -> Figure | None:
    """CPU over time in the run of each topology's typical block; None without samples."""
    panels: list[tuple[Subject, pd.Series[Any], pd.DataFrame]] = []
    for subject in subjects.rows if len(dataset.telemetry) else ():
        run = typical_block(dataset, subject)
        samples = _cores(rows_of(dataset.telemetry, run))
        if len(samples):
            panels.append((subject, run, samples))
    if not panels:
        return None
    title = "Processors while a block runs"
    rows = tuple(
        (
            subject.topology,
            block_name(run),
            name,
            number(mean(own["cores"])),
            number(peak(own["cores"])),
        )
        for subject, run, samples in panels
        for name, own in ((name, samples[samples["subject"] == name]) for name in LINES)
        if len(own)
    )
    said = listed([f"{row[0]}, {row[2]}: mean {row[3]}, peak {row[4]}" for row in rows], 16)
    alt = f"Cores in use over time while all agents run. {said}."
    cores = {machine["cores"] for machine in context["environment"]["machines"]}
    limit = cores.pop() if len(cores) == 1 else None
    figure = drawing(0.62 + len(panels) * (HIGH + GAP) - GAP + 0.5)
    top = 0.62
    longest = max(float(samples["t_s"].max()) for _, _, samples in panels)
    most = max(float(samples["cores"].max()) for _, _, samples in panels)
    for number_, (subject, _, samples) in enumerate(panels):
        ax = axes(figure, 0.65, top, 5.1, HIGH)
        heading(ax, f"{subject.topology}: {TOPOLOGIES[subject.topology]}")
        _panel(ax, samples, limit)
        ax.set_xlim(0, longest)
        ax.set_ylim(0, 1.12 * max(most, limit or 0))
        ax.set_ylabel("cores")
        ax.tick_params(labelbottom=number_ == len(panels) - 1)
        if number_ == 0:
            ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.16), ncols=3, borderpad=0)
        top += HIGH + GAP
    ax.set_xlabel("seconds after the start of the run")
    return Figure(
        name="telemetry",
        title=title,
        alt=alt,
        caption="Cores that the servers of the block, the client and everything else used since "
        "the sample before, in the same blocks as the timeline's."
        + (f" Thin line: the {limit} cores of the machine." if limit else ""),
        svg=svg_of(figure, "telemetry", title, alt),
        columns=("topology", "block", "who", "cores, mean", "cores, peak"),
        rows=rows,
    )


def _cores(samples: pd.DataFrame) -> pd.DataFrame:
    """Cores of the run by time and `LINES`, the servers added up."""
    if samples.empty:
        return samples
    own = samples[samples["mode"] == "concurrent"].dropna(subset=["cores"])
    named = own["subject"].where(~own["subject"].str.startswith("server"), "servers")
    by_time = own.assign(subject=named, t_s=own["t_ns"] / 1e9)
    by_time = by_time[by_time["subject"].isin(LINES)]
    return by_time.groupby(["subject", "t_s"], sort=True)["cores"].sum().reset_index()


def _panel(ax: Axes, samples: pd.DataFrame, limit: int | None) -> None:
    ax.grid(axis="y")
    if limit:
        ax.axhline(limit, color=QUIET, linewidth=0.8)
    for name, (colour, line, width) in LINES.items():
        own = samples[samples["subject"] == name]
        ax.step(
            own["t_s"],
            own["cores"],
            where="pre",
            color=colour,
            linestyle=line,
            linewidth=width,
            label=name,
        )
