"""A JSON schema's complaints as one line each: file, line, key, what is wrong, what to write."""

import difflib
import json
import math
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, TypeChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from tandembench.errors import TandemError
from tandembench.study.check import fault_at
from tandembench.study.strict_yaml import Lines


def _is_integer(_checker: TypeChecker, value: object) -> bool:
    # JSON Schema takes 1.0 for an integer; two spellings of one value would be two digests.
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_checker: TypeChecker, value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_Validator = extend(  # type: ignore[no-untyped-call]  # its stub lacks annotations
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer).redefine(
        "number", _is_number
    ),
)


def check(
    values: Mapping[str, Any], lines: Lines, schema: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Return ``values`` with the schema's top-level defaults, or raise the first complaint."""
    errors = sorted(
        _Validator(schema).iter_errors(values),
        key=lambda error: lines.get(tuple(error.absolute_path), 0),
    )
    if errors:
        raise _complaint(errors[0], lines, where)
    defaults = {
        key: rule["default"] for key, rule in schema["properties"].items() if "default" in rule
    }
    return defaults | dict(values)


def _complaint(error: ValidationError, lines: Lines, where: str) -> TandemError:
    # An option may be one value or a list of them: name what is wrong inside the list.
    inner = max(error.context or [], key=lambda branch: len(branch.path), default=None)
    if inner is not None and inner.path:
        return _complaint(inner, lines, where)
    path = tuple(error.absolute_path)
    rule: Any = error.schema
    what, fix = f"{_short(error.instance)} is not allowed", f"expected {_expected(error)}"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(rule.get("properties", {}))
        extra = next(key for key in error.instance if key not in known)
        close = difflib.get_close_matches(extra, known, n=1)
        path = (*path, extra)
        what = "unknown key"
        fix = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
    elif error.validator == "required" and isinstance(error.instance, dict):
        missing = next(key for key in rule["required"] if key not in error.instance)
        what = f"key '{missing}' is missing"
        fix = f"add it: {rule['properties'][missing]['description']}"
    elif "propertyNames" in error.relative_schema_path:
        path = (*path, str(error.instance))
    return fault_at(path, what, fix, lines, where)


def _expected(error: ValidationError) -> str:
    node: Any = error
    while node is not None:
        if "description" in node.schema:
            return str(node.schema["description"])
        node = node.parent
    return "what config/README.md says"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
