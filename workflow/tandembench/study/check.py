"""Strict YAML -> values of a model; a complaint is one line: file, line, key, fault, what to write.

The models are the one home of keys: of their types, ranges, defaults and meanings.
"""

import difflib
import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from tandembench.errors import TandemError
from tandembench.study.strict_yaml import Lines, Path, parse
from tandembench.text import sanitise

Rule = dict[str, Any]  # a JSON schema, which pydantic makes of a model, or a part of it
# (key path, what, fix) -> the error with its line.
Fault = Callable[[Path, str, str], TandemError]
T = TypeVar("T")
M = TypeVar("M", bound="Keys")


class Keys(BaseModel):
    """A mapping of known keys only, whose values are what they are: 1.0 is no whole number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _written(value: T) -> T:
    if value is None:
        raise PydanticCustomError("null", "null")
    return value


def different(values: tuple[T, ...]) -> tuple[T, ...]:
    """The same, if no value stands there twice."""
    if any(value in values[:index] for index, value in enumerate(values)):
        raise PydanticCustomError("twice", "twice")
    return values


def _no_number(name: str) -> str:
    try:
        float(name)
    except ValueError:
        return name
    raise PydanticCustomError("number", "number")


# A key that may be left out, which is not the same as a null.
Maybe = Annotated[T | None, BeforeValidator(_written)]
List = Annotated[tuple[T, ...], Strict(False)]
ONCE = "a list, each value once"
Different = Annotated[List[T], AfterValidator(different), Field(description=ONCE)]
NAME = "small letters and digits, joined by single '_', '.' or '-', 64 characters at most"
Name = Annotated[
    str, Field(pattern="^[a-z0-9]+([_.-][a-z0-9]+)*$", max_length=64, description=NAME)
]
# Snakemake's --config makes a number of what reads as one: 1.10 would be 1.1.
Session = Annotated[
    Name,
    AfterValidator(_no_number),
    Field(description=f"a word that is no number, such as s2: {NAME}"),
]


def read_keys(model: type[M], text: str, where: str) -> tuple[M, Lines]:
    """The ``model`` that ``text`` describes, and the line of each key; ``where`` names its file.

    TandemError for the first fault by line.
    """
    values, lines = parse(text, where)
    try:
        return model.model_validate(values), lines
    except ValidationError as error:
        faults = [(_path(one, lines), one) for one in error.errors(include_url=False)]
        # What is wrong inside a list explains what is wrong with it, and a misspelt key is missing.
        outer = {path[:end] for path, _ in faults for end in range(len(path))}
        path, first = min(
            (fault for fault in faults if fault[0] not in outer),
            key=lambda fault: (fault[1]["type"] == "missing", _line(fault[0], lines)),
        )
        what, fix = _complaint(first, path, model.model_json_schema())
        path = path[:-1] if first["type"] == "missing" else path
        raise fault_at(path, what, fix, lines, where) from None


def check_value(kind: Any, value: object, where: str) -> None:  # noqa: ANN401 - a type
    """TandemError unless ``value``, which ``where`` names, is of that kind."""
    adapter: TypeAdapter[object] = TypeAdapter(kind)
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError:
        fix = f"expected {_words(adapter.json_schema())}"
        raise TandemError(f"{_shown(value)} is not allowed", where=where, fix=fix) from None


def fault_at(path: Path, what: str, fix: str, lines: Lines, where: str) -> TandemError:
    """The error that names ``path`` and its line: that of what it would stand in, if missing."""
    # The line says which entry of a list it is; its number, counted from 0, would only confuse.
    key = sanitise(".".join(name for name in path if isinstance(name, str)))
    line = _line(path, lines)
    return TandemError(f"{key}: {what}" if key else what, where=f"{where}:{line}", fix=fix)


def _line(path: Path, lines: Lines) -> int:
    return next(lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines)


def _path(error: ErrorDetails, lines: Lines) -> Path:
    """Where the file has what is wrong: pydantic also names the kinds of a value that it tried."""
    path: Path = ()
    for part in error["loc"]:
        path = (*path, part) if (*path, part) in lines else path
    return (*path, error["loc"][-1]) if error["type"] == "missing" else path


def _complaint(error: ErrorDetails, path: Path, schema: Rule) -> tuple[str, str]:
    """What is wrong at ``path``, and what to write there."""
    if error["type"] == "extra_forbidden":
        known = [key for rule in _rules(schema, path[:-1]) for key in rule.get("properties", ())]
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        fix = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
        return "unknown key", fix
    group, *alternatives = _rules(schema, path)
    expected = NAME if error["loc"][-1] == "[key]" else _words(group)
    expected = expected or joined(words for one in alternatives if (words := _words(one)))
    if error["type"] == "missing":
        return f"key '{path[-1]}' is missing", f"add it: {expected}"
    return f"{_shown(error['input'])} is not allowed", f"expected {expected}"


def _shown(value: object) -> str:
    text = sanitise(json.dumps(value, ensure_ascii=False), 61)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _words(rule: Rule) -> str:
    """What a rule expects: its description, else what its limits come to."""
    if "description" in rule:
        return str(rule["description"])
    if "enum" in rule:
        return joined(rule["enum"])
    kind = {"integer": "a whole number", "number": "a number"}.get(rule.get("type", ""), "")
    if "exclusiveMinimum" in rule:
        return f"{kind} above {rule['exclusiveMinimum']}, at most {rule['maximum']}"
    if "minimum" in rule:
        upper = f"to {rule['maximum']}" if "maximum" in rule else "on"
        return f"{kind} from {rule['minimum']} {upper}"
    kinds = {"boolean": "true or false", "string": "a text", "array": "a list"}
    return kind or str(rule.get("const", kinds.get(rule.get("type", ""), "")))


def joined(words: Iterable[str]) -> str:
    """The words as a choice: "a, b or c"."""
    *others, last = dict.fromkeys(words)
    return f"{', '.join(others)} or {last}" if others else last


def _rules(schema: Rule, path: Path) -> list[Rule]:
    """The rules for what stands at ``path``, each followed by its alternatives."""
    rules = [schema]
    for part in path:
        inner = [one for rule in rules for one in _inner(rule, part)]
        rules = [one for rule in inner for one in _alternatives(schema, rule)]
    return rules


def _inner(rule: Rule, part: str | int) -> list[Rule]:
    if isinstance(part, int):
        return [rule["items"]] if "items" in rule else []
    of_any = [rule.get("additionalProperties"), *rule.get("patternProperties", {}).values()]
    group = rule.get("properties", {}).get(part)
    return [group] if group else [one for one in of_any if isinstance(one, dict)]


def _alternatives(schema: Rule, rule: Rule) -> list[Rule]:
    if "$ref" in rule:
        rule = schema["$defs"][rule["$ref"].rpartition("/")[2]] | rule
    branches: list[Rule] = rule.get("anyOf") or rule.get("oneOf") or []
    return [rule, *(two for one in branches for two in _alternatives(schema, one))]
