"""Generated ids of configs and comparisons: readable, and the same however the YAML is laid out."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from tandembench.study.spec import Topology

SCENARIO_SHORT = {
    "baseline_vs_chimera": "bvc",
    "chimera_hetero": "hetero",
    "chimera_homo": "homo",
}
# Options in the order in which an id names them, each with its letter.
LETTERS = {
    "num_gpu": "g",
    "num_ctx": "c",
    "temperature": "t",
    "top_p": "p",
    "top_k": "k",
    "min_p": "m",
    "repeat_penalty": "r",
    "seed": "s",
    "model": "",
}
OPTIONS = tuple(LETTERS)
# Options that say how a model is loaded, not how it answers: an id names them axis or not.
OF_THE_LOAD = ("num_gpu", "num_ctx")
MAX_LENGTH = 64


def config_id(
    scenario: str,
    topology: Topology,
    options: Mapping[str, Any],
    axes: Collection[str],
    left_out: Collection[str] = (),
) -> str:
    """Scenario, num_gpu and num_ctx, other options that are axes, and a topology but plain dual.

    ``left_out`` are the names of axes that it does not show.
    """
    parts = [SCENARIO_SHORT[scenario]]
    for name, letter in LETTERS.items():
        if name in options and name not in left_out and (name in OF_THE_LOAD or name in axes):
            value = options[name]
            both = value if isinstance(value, tuple) else [value]
            parts.append(letter + "x".join(_slug(one) for one in both))
    if "topology" not in left_out and ("topology" in axes or topology != "dual"):
        parts.append(topology)
    return "-".join(parts)


def comparison_id(common: str, compared: Collection[str]) -> str:
    """``common``, what an id of its configs shows beside the axes ``compared``, and these."""
    names = (name for name in ("topology", *OPTIONS) if name in compared)
    return f"{common}-by-{'-'.join(names)}"


def _slug(value: object) -> str:
    return re.sub(r"[^a-z0-9]+", ".", f"{value}".lower()).strip(".")
