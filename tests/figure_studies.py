"""Small studies to draw, their figures, and what every figure's file must be."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from raw_blocks import block, scaled, where, write_dataset

from tandembench.analysis.answer import answers
from tandembench.analysis.intervals import Interval
from tandembench.dataset.load import Dataset, load_dataset
from tandembench.report.details import details
from tandembench.report.figures import Figure, draw

Row = dict[str, Any]
Blocks = Sequence[Sequence[Row]]
Drawn = tuple[dict[str, Figure], Row]
TOPOLOGIES = ("serial", "single", "single_parallel", "dual")
BASELINES = [
    {
        "label": "tr113",
        "metric": "efficiency_estimate",
        "ours": Interval(0.9, 0.85, 0.95, 9),
        "theirs": Interval(0.72, None, None, 1),
        "verdict": "better",
    },
    {
        "label": "mine@1.0.0",
        "subject": "chimera_homo",
        "metric": "wall_s",
        "ours": Interval(12.5, 12.1, 12.9, 9),
        "theirs": None,
        "verdict": None,
    },
]
EVERY = ["makespan", "slowdown", "timeline", "estimator", "order", "ladder", "latency"]
EVERY += ["heat-main", "telemetry", "telemetry-gpus", "baselines"]
KNOWN = {"svg", "title", "desc", "g", "defs", "path", "use", "text", "tspan", "clipPath", "rect"}
KNOWN |= {"pattern"}


def four(factor: float = 1.0) -> Blocks:
    """One round of every topology, collector and insight unlike each other, with samples."""
    found = [
        block("serial", (1.0, 0.8), (1.0, 0.8), tokens=8),
        block("single", (1.0, 0.8), (1.0, 1.8), tokens=8),
        block("single_parallel", (1.0, 0.8), (1.9, 1.7), tokens=8),
        block("dual", (1.4, 1.1), (1.5, 1.2), tokens=8),
    ]
    found = [scaled(rows, factor) for rows in found]
    for rows in found:
        where(rows, "concurrent", "collector")[0]["telemetry"] = [
            sample(t, subject, cores=cores)
            for t in (0.2, 0.4, 0.6)
            for subject, cores in (("server 0", 0.9), ("server 1", 0.8), ("client", 0.1))
        ] + [sample(0.4, "gpu 0", utilisation=0.5), sample(0.6, "gpu 0", utilisation=0.7)]
    return found


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


def drawn(data: Dataset, **more: Any) -> Drawn:
    """Its figures by name, and the details that they are drawn from, ``more`` in place of some."""
    content = details(data) | {"beside": []} | more
    study = data.descriptor["study"]
    every = answers(data.runs, data.executions, study["margin"], study["reference"])
    figures = draw(data, every[0] if every else None, content)
    by_name = {figure.name: figure for figure in figures}
    assert len(by_name) == len(figures)
    return by_name, content | {"answers": every}


def loaded(folder: Path, blocks: Blocks, **changes: Any) -> Dataset:
    return load_dataset(write_dataset(folder, blocks, **changes))


def check_files(figures: Mapping[str, Figure]) -> None:
    """Well-formed, small, alone, accessible, and no id of one is an id of another."""
    ids: list[str] = []
    for figure in figures.values():
        assert len(figure.svg.encode()) <= 100_000, figure.name
        root = ElementTree.fromstring(figure.svg)  # noqa: S314 - our own
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert figure.svg.count("http") == 1  # the namespace
        own = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        ids += own
        for element in root.iter():
            tag = element.tag.removeprefix("{http://www.w3.org/2000/svg}")
            assert tag in KNOWN, (figure.name, tag)
            assert not {name for name in element.attrib if name.startswith(("on", "style", "{"))}
            for value in element.attrib.values():
                for target in re.findall(r"url\(([^)]*)\)", value):
                    assert target[0] == "#"
                    assert target[1:] in own
            if "href" in element.attrib:
                assert element.attrib["href"].removeprefix("#") in own
        title, description = root[0], root[1]
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {description.attrib['id']}"
        assert (title.text, description.text) == (figure.title, figure.alt)
        assert figure.alt
        assert figure.caption
        assert figure.rows
        assert {len(row) for row in figure.rows} == {len(figure.columns)}
    assert len(ids) == len(set(ids))
