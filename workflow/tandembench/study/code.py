"""A digest of source code that comments, layout, docstrings and Python versions leave alone.

``ast.dump`` is no use for this: it differs between Python versions. Standard library only, so
that every supported Python can run it.
"""

import ast
import hashlib
from collections.abc import Mapping
from functools import cache

# Fields that say where or how something was spelt, not what it does.
_SPELLING = frozenset({"type_comment", "kind", "type_ignores"})
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache  # one process may read several studies
def normalise(source: str) -> str:
    """Serialise what ``source`` does: its syntax tree without docstrings and empty fields."""
    return _serialise(ast.parse(source))


def code_digest(sources: Mapping[str, str]) -> str:
    """Digest named sources (name -> text), independent of their order; 16 hex digits."""
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(f"{name}\0{normalise(sources[name])}\0".encode())
    return digest.hexdigest()[:16]


def _serialise(node: object) -> str:
    if isinstance(node, ast.AST):
        parts = [
            f"{name}={_serialise(value)}"
            for name, value in _fields(node)
            if name not in _SPELLING and value is not None and value != []
        ]
        return f"{type(node).__name__}({','.join(parts)})"
    if isinstance(node, list):
        return f"[{','.join(map(_serialise, node))}]"
    # ASCII: which characters repr escapes depends on the Unicode tables of the Python version.
    return f"{type(node).__name__}:{node!a}"


def _fields(node: ast.AST) -> list[tuple[str, object]]:
    fields = sorted(ast.iter_fields(node))
    if isinstance(node, ast.JoinedStr):
        # Python 3.12 alone ends a format such as {x:{width}} with an empty text.
        return [("values", [part for part in node.values if not _is_empty_text(part)])]
    if not isinstance(node, _WITH_DOCSTRING) or ast.get_docstring(node, clean=False) is None:
        return fields
    return [(name, node.body[1:] if name == "body" else value) for name, value in fields]


def _is_empty_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == ""
