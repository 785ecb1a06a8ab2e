"""YAML without its traps: text in, plain values and their line numbers out.

YAML 1.2 (``no`` is a word, not False), no duplicate keys, no anchors, aliases, merge keys, tags
or dates, one line and 1000 characters a value.
"""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    MappingStartEvent,
    NodeEvent,
)
from ruamel.yaml.reader import ReaderError

from tandembench.errors import TandemError

MAX_DEPTH = 20
MAX_CHARACTERS = 1000
Path = tuple[str | int, ...]
Lines = dict[Path, int]
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt\s].*)?")


def parse(text: str, where: str) -> tuple[dict[str, Any], Lines]:
    """Parse ``text`` into (values, line of each key path, counted from 1).

    ``where`` names the source in errors. TandemError if it is not a mapping or not strict.
    """
    try:
        _check_events(text, where)
        tree = YAML(typ="rt").load(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"a character that YAML forbids (U+{error.character:04X})"
        raise TandemError(what, where=f"{where}:{line}", fix="delete it") from None
    except MarkedYAMLError as error:
        what, fix = _in_words(" ".join(str(error.problem).split()))
        raise _fault(what, error.problem_mark or error.context_mark, where, fix) from None
    if not isinstance(tree, CommentedMap):
        what = "nothing in it" if tree is None else "not a mapping"
        raise TandemError(what, where=f"{where}:1", fix="write 'key: value' lines")
    lines: Lines = {(): 1}
    values: dict[str, Any] = _plain(tree, (), lines, where)
    return values, lines


def _check_events(text: str, where: str) -> None:
    """Refuse what YAML allows and a study does not need."""
    keys: list[bool | None] = []  # by level: whether a key comes next; None in a list
    for event in YAML(typ="rt").parse(text):
        if isinstance(event, CollectionEndEvent):
            keys.pop()
        elif isinstance(event, NodeEvent):
            is_key = bool(keys and keys[-1])
            if keys and keys[-1] is not None:
                keys[-1] = not is_key
            if isinstance(event, CollectionStartEvent):
                if is_key:
                    what = "brackets or braces where a key is expected"
                    raise _fault(what, event.start_mark, where, "write a name there, or quote it")
                keys.append(isinstance(event, MappingStartEvent) or None)
        if trap := _trap(event, len(keys)):
            raise _fault(trap[0], event.start_mark, where, trap[1])


def _trap(event: Any, depth: int) -> tuple[str, str] | None:  # noqa: ANN401, PLR0911 - any event
    if depth > MAX_DEPTH:
        return f"over {MAX_DEPTH} levels deep", "remove some brackets"
    if getattr(event, "version", None) or getattr(event, "tags", None):
        return "a % directive above this line", "delete it"
    if isinstance(event, AliasEvent):
        return f"an alias (*{event.anchor})", "write the value out"
    if getattr(event, "anchor", None):
        return f"an anchor (&{event.anchor})", "delete it and write the value out where it is used"
    if getattr(event, "tag", None):
        tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
        return f"a tag ({tag})", "delete it"
    value = getattr(event, "value", "")
    if len(value) > MAX_CHARACTERS:
        return f"a value of {len(value)} characters", f"shorten it to {MAX_CHARACTERS}"
    if "\n" in value:
        return "a text of several lines", "write it in one line"
    odd = next((character for character in value if not character.isprintable()), None)
    if odd:
        return f"an invisible character (U+{ord(odd):04X})", "delete it"
    if event.start_mark is not None and getattr(event, "style", "") is None:
        if value == "<<":
            return "a merge key (<<)", "write its keys out"
        if _DATE.fullmatch(value):
            return f"{value} is a date in YAML", f"quote it: '{value}'"
    return None


def _in_words(problem: str) -> tuple[str, str]:
    """The parser's complaint and its fix, as a reader who never saw a parser needs them."""
    if "duplicate key" in problem:
        return problem.partition(" with value")[0].removeprefix("found "), "remove one of the two"
    if r"'\t'" in problem:
        return "a tab", "use spaces"
    if "another document" in problem:
        return "a second document begins here", "keep one in the file"
    return f"no valid YAML: {problem}", "check indentation, brackets and quotes there and above"


def _fault(what: str, mark: Any, where: str, fix: str) -> TandemError:  # noqa: ANN401 - ruamel's
    line = f":{mark.line + 1}" if mark is not None else ""
    return TandemError(what, where=f"{where}{line}", fix=fix)


def _plain(node: Any, path: Path, lines: Lines, where: str) -> Any:  # noqa: ANN401 - ruamel's
    """ruamel's round-trip types as dict, list, str, int, float, bool and None."""
    if isinstance(node, CommentedMap):
        result = {}
        for key, value in node.items():
            line = node.lc.key(key)[0] + 1
            if not isinstance(key, str):
                what = f"the key {'null' if key is None else str(key).lower()} is not text"
                raise TandemError(what, where=f"{where}:{line}", fix="write a name there")
            lines[(*path, key)] = line
            result[key] = _plain(value, (*path, key), lines, where)
        return result
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            lines[(*path, index)] = node.lc.item(index)[0] + 1
        return [_plain(value, (*path, index), lines, where) for index, value in enumerate(node)]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return None
