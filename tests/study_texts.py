"""What the tests of the study room share: a small study, and the one line that a misuse gives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tandembench.errors import EXIT_USAGE, TandemError
from tandembench.study.model import Study
from tandembench.study.read import read_study

REPOSITORY = Path(__file__).parents[1]
SCHEMA: dict[str, Any] = YAML(typ="safe").load(REPOSITORY / "workflow/schemas/study.schema.yaml")
# Tests count its lines: name 1, model 2, work 3, agents 4, phases 11, its config 14 and 15.
BASE = """\
name: small
model: m
work: {policy: fixed, tokens: 32}
agents:
  collector:
    task: inventory
    steps: [collector.j2]
  insight:
    task: figures
    steps: [insight.j2]
phases:
  one:
    configs:
      - scenario: chimera_homo
        options: {num_gpu: 80, num_ctx: 512}
"""
HEAD = BASE[: BASE.index("      - scenario")]


def read(text: str) -> Study:
    """The study that ``text`` describes."""
    return read_study(text, SCHEMA, "my.yaml")


def swapped(old: str, new: str) -> str:
    """BASE with ``new`` in place of ``old``, which must be in it once."""
    assert BASE.count(old) == 1
    return BASE.replace(old, new)


def with_configs(*configs: str, top: str = "") -> str:
    """BASE with these configs (from line 14 on, one a line) and more keys at its end."""
    return HEAD + "".join(f"      - {config}\n" for config in configs) + top


def complaint(text: str, read: Callable[[str], object] = read) -> str:
    """The line that a user reads who wrote ``text``; it shows nothing of the machinery."""
    with pytest.raises(TandemError) as caught:
        read(text)
    line = str(caught.value)
    assert caught.value.exit_code == EXIT_USAGE
    assert line.isprintable()
    for internal in ("None", "True", "False", "ruamel", "jsonschema", "class '", "tag:yaml.org"):
        assert internal not in line
    return line
