"""YAML without its traps: text in, plain values and their line numbers out.

YAML 1.2 (``no`` is a word, not False), no duplicate keys, no aliases, no tags, 1 MiB at most.
"""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent

from tandembench.errors import TandemError

MAX_BYTES = 1 << 20
Path = tuple[str | int, ...]
Lines = dict[Path, int]


def parse(text: str, where: str) -> tuple[dict[str, Any], Lines]:
    """Parse ``text`` into (values, line of each key path, counted from 1).

    ``where`` names the source in errors. TandemError if it is not a mapping or not strict.
    """
    if len(text.encode()) > MAX_BYTES:
        raise TandemError("over 1 MiB", where=where, fix="split it")
    try:
        for event in YAML(typ="rt").parse(text):
            if isinstance(event, AliasEvent):
                raise _fault("an alias (*name)", event.start_mark, where, "write the value out")
            if getattr(event, "tag", None) and not _plain_tag(event):
                raise _fault("a tag (!name)", event.start_mark, where, "leave it out")
        tree = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        what = " ".join(str(error.problem).split())
        mark = error.problem_mark or error.context_mark
        fix = "remove one of the two" if "duplicate" in what else "mend the YAML there"
        raise _fault(_first_clause(what), mark, where, fix) from None
    except YAMLError as error:
        what = " ".join(str(error).split())[:120]
        raise TandemError(what, where=where, fix="mend the YAML there") from None
    if not isinstance(tree, CommentedMap):
        raise TandemError("not a mapping", where=where, fix="write 'key: value' lines")
    lines: Lines = {(): 1}
    values: dict[str, Any] = _plain(tree, (), lines, where)
    return values, lines


def _plain_tag(event: Any) -> bool:  # noqa: ANN401 - ruamel's events share no type
    # The parser marks a quoted scalar with the tag "!": no tag that anybody wrote.
    return str(event.tag) == "!"


def _first_clause(problem: str) -> str:
    return problem.partition(" with value")[0].partition(" (original")[0]


def _fault(what: str, mark: Any, where: str, fix: str) -> TandemError:  # noqa: ANN401
    line = f":{mark.line + 1}" if mark is not None else ""
    return TandemError(what, where=f"{where}{line}", fix=fix)


def _plain(node: Any, path: Path, lines: Lines, where: str) -> Any:  # noqa: ANN401
    """ruamel's round-trip types as dict, list, str, int, float, bool and None."""
    if isinstance(node, CommentedMap):
        result = {}
        for key, value in node.items():
            line = node.lc.key(key)[0] + 1
            if not isinstance(key, str):
                raise TandemError(f"key {key!r}", where=f"{where}:{line}", fix="quote it")
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
    if node is None:
        return None
    line = lines.get(path, 1)
    raise TandemError(f"a {type(node).__name__}", where=f"{where}:{line}", fix="quote it")
