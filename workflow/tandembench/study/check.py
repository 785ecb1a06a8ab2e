"""A JSON schema's complaints as one line each: file, line, key, what is wrong, what to write."""

import difflib
import math
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, TypeChecker
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

from tandembench.errors import TandemError
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
    # An option may be one value or a list of them: name what is wrong inside the nearer branch.
    inner = best_match(error.context) if error.context else None
    if inner is not None and isinstance(error.instance, list | dict) and inner.path:
        inner.parent = error
        return _complaint(inner, lines, where)
    path = tuple(error.absolute_path)
    rule: Any = error.schema
    what, fix = f"{_short(error.instance)} is not allowed", _expected(error)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(rule.get("properties", {}))
        extra = next(key for key in error.instance if key not in known)
        close = difflib.get_close_matches(extra, known, n=1)
        path = (*path, extra)
        what = "unknown key"
        fix = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
    elif error.validator == "required" and isinstance(error.instance, dict):
        missing = next(key for key in rule["required"] if key not in error.instance)
        what, fix = f"key '{missing}' is missing", f"add it: {_described(rule, missing)}"
    line = next(lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines)
    key = ".".join(map(str, path))
    return TandemError(f"{key}: {what}" if key else what, where=f"{where}:{line}", fix=fix)


def _expected(error: ValidationError) -> str:
    node: Any = error
    while node is not None:
        if isinstance(node.schema, dict) and "description" in node.schema:
            return f"expected {node.schema['description']}"
        node = node.parent
    return f"expected {error.validator} {error.validator_value}"


def _described(rule: Mapping[str, Any], key: str) -> str:
    return str(rule.get("properties", {}).get(key, {}).get("description", key))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
