"""The way in: a study file's text -> Study."""

from collections.abc import Mapping
from typing import Any

from tandembench.study.check import check
from tandembench.study.expand import expand
from tandembench.study.model import Study
from tandembench.study.strict_yaml import parse


def checked_yaml(text: str, schema: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Strict YAML, checked against ``schema``; TandemError names file, line, key and fix."""
    values, lines = parse(text, where)
    return check(values, lines, schema, where)


def read_study(text: str, schema: Mapping[str, Any], where: str) -> Study:
    """The Study that ``text`` describes; ``where`` is its file's name, for errors."""
    values, lines = parse(text, where)
    return expand(check(values, lines, schema, where), lines, where)
