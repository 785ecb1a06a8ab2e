"""How wrong the instrument was, by session: calibration files in, part of the descriptor out."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
from ruamel.yaml import YAML

from tandembench.errors import EXIT_CORRUPT, TandemError
from tandembench.text import sanitise

_SCHEMA = Path(__file__).parents[2] / "schemas/calibration.schema.yaml"


def read_calibrations(files: Sequence[str]) -> dict[str, dict[str, Any]] | None:
    """The calibrations in ``files`` by session; None if there are none.

    TandemError (exit 3) names a file that is no calibration.
    """
    by_session: dict[str, dict[str, Any]] = {}
    for name in files:
        fix = "delete it and run snakemake, which measures it again"
        try:
            content = json.loads(Path(name).read_text(encoding="utf-8"), parse_constant=_refuse)
            _validator().validate(content)
        except (OSError, ValueError, jsonschema.ValidationError) as error:
            raise _corrupt(error, name, fix) from None
        by_session[content["session"]] = content
    return by_session or None


def check_instrument(value: object, where: Path) -> None:
    """TandemError (exit 3) unless ``value`` is what ``read_calibrations`` gives."""
    if value is None:
        return
    try:
        if not isinstance(value, Mapping):
            raise ValueError("instrument is no object")
        for session, content in value.items():
            _validator().validate(content)
            if content["session"] != session:
                raise ValueError(f"the calibration of {session} says {content['session']}")
    except (ValueError, jsonschema.ValidationError) as error:
        raise _corrupt(error, str(where), "make or copy the dataset again") from None


@cache
def _validator() -> Any:  # noqa: ANN401 - jsonschema's validators have no common type
    return jsonschema.Draft202012Validator(YAML(typ="safe").load(_SCHEMA))


def _corrupt(error: Exception, where: str, fix: str) -> TandemError:
    said = str(error)
    if isinstance(error, jsonschema.ValidationError):
        said = f"{error.json_path}: {error.message}"
    what = f"no calibration ({sanitise(said, 120)})"
    return TandemError(what, where=where, fix=fix, exit_code=EXIT_CORRUPT)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")
