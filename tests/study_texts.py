"""What the tests of the study room share: a small study, and the one line that a misuse gives."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tandembench.errors import EXIT_USAGE, TandemError
from tandembench.study.expand import Study, read_study

REPOSITORY = Path(__file__).parents[1]
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
    """The study that ``text`` describes; what an agent asks is what its steps are called."""
    return read_study(text, "my.yaml", lambda agent: agent.steps)


def swapped(old: str, new: str, text: str = BASE) -> str:
    """``text`` with ``new`` in place of ``old``, which must be in it once."""
    assert text.count(old) == 1
    return text.replace(old, new)


def with_configs(*configs: str, top: str = "") -> str:
    """BASE with these configs (from line 14 on, one a line) and more keys at its end."""
    return HEAD + "".join(f"      - {config}\n" for config in configs) + top


def told(call: Callable[[], object]) -> str:
    """The line that a user reads of ``call``, who has to mend what it was given."""
    with pytest.raises(TandemError) as caught:
        call()
    line = str(caught.value)
    assert caught.value.exit_code == EXIT_USAGE
    assert line.isprintable()
    return line


def complaint(text: str, read: Callable[[str], object] = read) -> str:
    """The line that a user reads who wrote ``text``; it shows nothing of the machinery."""
    line = told(lambda: read(text))
    for internal in ("None", "True", "False", "ruamel", "pydantic", "class '", "tag:yaml.org"):
        assert internal not in line
    return line
