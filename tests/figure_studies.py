"""Small studies to draw, their figures, and what every figure's file must be."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from raw_blocks import block, scaled, where, write_dataset

from tandembench.analysis.answer import answers
from tandembench.analysis.findings import Answer
from tandembench.analysis.stability import Stability
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.report.figures.draw import draw
from tandembench.report.figures.figure import Figure

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
TOPOLOGIES = ("serial", "single", "single_parallel", "dual")
EVERY = ["makespan", "slowdown", "timeline", "estimator", "order"]
EVERY += ["telemetry", "telemetry-gpus"]
SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Drawn:
    """The figures of a dataset, by name, and its first answer."""

    figures: Mapping[str, Figure]
    answer: Answer | None


def four(factor: float = 1.0) -> Blocks:
    """One round of every topology, collector and insight unlike each other, with samples."""
    every = [
        block("serial", (1.0, 0.8), (1.0, 0.8), tokens=8),
        block("single", (1.0, 0.8), (1.0, 1.8), tokens=8),
        block("single_parallel", (1.0, 0.8), (1.9, 1.7), tokens=8),
        block("dual", (1.4, 1.1), (1.5, 1.2), tokens=8),
    ]
    every = [scaled(rows, factor) for rows in every]
    for rows in every:
        where(rows, "concurrent", "collector")[0]["telemetry"] = [
            sample(t, subject, cores=cores)
            for t in (0.2, 0.4, 0.6)
            for subject, cores in (("server 0", 0.9), ("server 1", 0.8), ("client", 0.1))
        ] + [sample(0.4, "gpu 0", utilisation=0.5), sample(0.6, "gpu 0", utilisation=0.7)]
    return every


def sample(t_s: float, subject: str, **values: float) -> Row:
    return {"t_ns": round(t_s * 1e9), "subject": subject, **values}


def study(repetitions: int = 3) -> Blocks:
    """A study with some noise, in which rounds follow each other."""
    factors = np.exp(np.random.default_rng(1).normal(0, 0.03, repetitions))
    return [
        [
            row | {"repetition": n + 1, "started_at": row["started_at"] + pd.Timedelta(minutes=n)}
            for row in rows
        ]
        for n, factor in enumerate(factors)
        for rows in four(float(factor))
    ]


def in_turn(blocks: Blocks) -> Blocks:
    """The blocks a minute apart."""
    return [
        [row | {"started_at": row["started_at"] + pd.Timedelta(minutes=n)} for row in rows]
        for n, rows in enumerate(blocks)
    ]


def drawn(data: Dataset, stability: Sequence[Stability] | None = ()) -> Drawn:
    """Its figures, and the answer that they are of."""
    study = data.descriptor["study"]
    every = answers(data.runs, data.executions, study["margin"], study["reference"])
    answer = every[0] if every else None
    figures = draw(data, answer, stability)
    by_name = {figure.name: figure for figure in figures}
    assert len(by_name) == len(figures)
    check_files(by_name)
    return Drawn(by_name, answer)


def loaded(folder: Path, blocks: Blocks, **changes: Any) -> Dataset:
    return load_dataset(write_dataset(folder, blocks, **changes))


def check_files(figures: Mapping[str, Figure]) -> None:
    """Small files that run nothing and refer to nothing outside, with words and a table."""
    for figure in figures.values():
        assert len(figure.svg.encode()) <= 100_000, figure.name
        root = ElementTree.fromstring(figure.svg)  # noqa: S314 - our own
        assert root.tag == f"{SVG}svg"
        tags = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert not tags & {"script", "foreignObject", "image", "a", "animate", "set"}
        ids = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
        for element in root.iter():
            assert not {name for name in element.attrib if name.startswith("on")}
            for name, value in element.attrib.items():
                for target in re.findall(r"url\(([^)]*)\)", value):
                    assert target.startswith("#")
                    assert target[1:] in ids
                if name.endswith("href"):
                    assert value.removeprefix("#") in ids
        assert figure.title
        assert figure.alt
        assert figure.caption
        assert figure.rows
        assert {len(row) for row in figure.rows} == {len(figure.columns)}
